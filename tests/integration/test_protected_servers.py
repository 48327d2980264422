"""Behind TLS, passwords and rights everything works as in the open, with no more rights than documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.protected import (
    KAFKA_RIGHTS,
    PASSWORD,
    USER,
    Certificates,
    ProtectedKafka,
    protected_redis,
)
from tests.integration.worker_process import ROOT, WorkerProcess, page_views, wait_until

pytestmark = pytest.mark.real

_LIMIT_S = 60.0
Latido = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """How a process gets in; both servers run, and the user has the documented rights."""
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    redis, redis_url = protected_redis(certificates)
    with ProtectedKafka(certificates) as kafka, redis:
        for rights in KAFKA_RIGHTS:
            kafka.grant(*rights)
        yield {
            "LATIDO_BROKER": kafka.secure_address,
            "LATIDO_REDIS": redis_url,
            "LATIDO_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "LATIDO_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "LATIDO_KAFKA_SASL_USERNAME": USER,
            "LATIDO_KAFKA_SASL_PASSWORD": PASSWORD,
            "LATIDO_KAFKA_SSL_CAFILE": str(certificates.certificate),
        }


@pytest.fixture
def latido(variables: dict[str, str]) -> Latido:
    def run(*arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stream", *arguments], input=stdin, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables, **more},
            capture_output=True, text=True, timeout=_LIMIT_S, check=False,
        )  # fmt: skip

    return run


async def test_from_the_topics_to_the_numbers(latido: Latido, variables: dict[str, str]) -> None:
    created = latido("topics", "create")
    assert created.returncode == 0, created.stderr
    assert latido("doctor").returncode == 0
    others = {
        name: value for name, value in variables.items() if name not in ("LATIDO_BROKER", "LATIDO_REDIS")
    }
    with WorkerProcess(variables["LATIDO_BROKER"], variables["LATIDO_REDIS"], **others) as worker:
        await worker.says("claimed")
        events = page_views(300)
        sent = latido("send", stdin="\n".join(json.dumps(event) for event in events))
        assert sent.returncode == 0, sent.stderr

        def views() -> int:
            shown = latido("kpi", "--window", "all", "--json")
            records = [json.loads(line) for line in shown.stdout.splitlines()]
            return sum(r["kpis"]["page_views"]["value"] for r in records if r["segment"]["value"] is None)

        await wait_until(lambda: views() == len(events), _LIMIT_S, "the numbers do not come")
        assert await worker.stop() == 0, worker.log()
        assert PASSWORD not in worker.log()


async def test_who_may_not_get_in_is_told_why_in_one_line(
    latido: Latido, variables: dict[str, str], tmp_path: Path
) -> None:
    wrong_password = latido("topics", "check", LATIDO_KAFKA_SASL_PASSWORD="wrong-password-123")
    assert wrong_password.returncode == 1
    stranger = Certificates(tmp_path).certificate
    not_trusted = latido("topics", "check", LATIDO_KAFKA_SSL_CAFILE=str(stranger))
    assert not_trusted.returncode == 1
    wrong_user = latido("kpi", LATIDO_REDIS=variables["LATIDO_REDIS"].replace(PASSWORD, "wrong-password-123"))
    assert wrong_user.returncode == 1
    for refused, word in (
        (wrong_password, "the password"),
        (not_trusted, "certificate"),
        (wrong_user, "password"),
    ):
        [line] = refused.stderr.strip().splitlines()
        assert word in line
        assert "wrong-password-123" not in line
