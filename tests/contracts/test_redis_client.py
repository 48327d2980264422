"""URLs, credentials, and the one right reading of every error."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import exceptions
from redis._parsers.base import BaseParser

from stream.pipeline.ports import StoreMisconfigured, StoreUnreachable
from stream.tables.redis import RedisTables
from stream.tables.redis_client import connect, explain, hide_credentials
from tests.servers import RealRedis

PASSING = [
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS Not enough good replicas to write.",
    "ERR max number of clients reached",
    "ERR Error running script (call to f_12ab): @user_script:8: @user_script: 8: -OOM command not allowed.",
]
FINAL = [
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM User latido has no permissions to run the 'hset' command",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR unknown command 'HSET', with args beginning with: ",
    "ERR DB index is out of range",
    "MOVED 866 127.0.0.1:7001",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR Error running script (call to f_12ab): @user_script:8: WRONGTYPE Operation against a key",
    "ERR value is not an integer or out of range",
]


def _reply(text: str) -> Exception:
    """The exception that redis-py makes of an error reply."""
    parse: Callable[[str], Exception] = BaseParser.parse_error
    return parse(text)


@pytest.mark.parametrize("reply", PASSING)
def test_a_passing_refusal_is_unreachable(reply: str) -> None:
    reason = explain(_reply(reply), "here:1")
    assert isinstance(reason, StoreUnreachable)
    assert str(reason).startswith("store at here:1: ")


@pytest.mark.parametrize("reply", FINAL)
def test_a_final_refusal_is_misconfigured(reply: str) -> None:
    assert isinstance(explain(_reply(reply), "here:1"), StoreMisconfigured)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("Connection closed by server."),
        exceptions.TimeoutError("Timeout reading from here:1"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError(),
        EOFError(),
    ],
)
def test_a_broken_connection_is_unreachable(error: Exception) -> None:
    assert isinstance(explain(error, "here:1"), StoreUnreachable)


def test_a_server_that_speaks_otherwise_is_misconfigured() -> None:
    assert isinstance(explain(exceptions.InvalidResponse("HTTP/1.1 400"), "here:1"), StoreMisconfigured)


def test_a_reason_is_one_short_line_with_its_code() -> None:
    reason = str(explain(_reply("OOM too\n\nmuch " + "x" * 5000), "here:1"))
    assert reason.startswith("store at here:1: OOM too much x")
    assert len(reason) <= 300


@pytest.mark.parametrize(
    "url",
    ["http://:hunter2@host:1", "redis://:hunter2@host:port/0", "redis://:hunter/2@host:1/0", "hunter2", ""],
)
def test_a_wrong_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreMisconfigured, match="expected redis://") as caught:
        connect(url)
    assert "hunter" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_credentials_are_hidden() -> None:
    assert hide_credentials("redis://:hunter2@host:7/3") == "redis://:***@host:7/3"
    assert hide_credentials("rediss://me:hunter2@host") == "rediss://me:***@host"
    assert hide_credentials("redis://host:7/0?password=hunter2") == "redis://host:7/0"
    assert hide_credentials("unix:///run/redis.sock") == "unix:///run/redis.sock"
    assert "hunter" not in hide_credentials("redis://:hunter2@[host")


async def test_a_unix_socket_works(tmp_path: Path) -> None:
    client = connect(f"unix://{tmp_path}/redis.sock?db=2")
    with pytest.raises(StoreUnreachable, match=r"redis\.sock"):
        await RedisTables(client, "ns").claim(0, "one", 1, 0)
    await client.aclose()


@pytest.mark.real
async def test_tls_checks_the_certificate_and_the_name(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    name = "-addext subjectAltName=DNS:localhost"
    subprocess.run(
        [*request.split(), *name.split(), "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    options = ("--tls-port", "0", "--tls-auth-clients", "no")
    files = (
        "--tls-cert-file",
        str(certificate),
        "--tls-key-file",
        str(key),
        "--tls-ca-cert-file",
        str(certificate),
    )
    with RealRedis(options=options + files) as server:
        admin = connect(server.url)
        tls_port = server.port + 1
        for tls_port in range(server.port + 1, server.port + 50):
            try:
                await admin.config_set("tls-port", tls_port)
                break
            except exceptions.ResponseError:
                continue
        trusted = f"?ssl_ca_certs={certificate}"
        good = connect(f"rediss://localhost:{tls_port}/0{trusted}")
        assert (await RedisTables(good, "ns").claim(0, "one", 1, 0)).owner.epoch == 1
        for url in (f"rediss://localhost:{tls_port}/0", f"rediss://127.0.0.1:{tls_port}/0{trusted}"):
            client = connect(url)
            with pytest.raises(StoreMisconfigured, match=r"(?i)certificate"):
                await RedisTables(client, "ns").claim(0, "one", 1, 0)
            await client.aclose()
        await good.aclose()
        await admin.aclose()
