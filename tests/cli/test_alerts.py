"""`latido alerts` as a person runs it: list, test, enable, and what it says when it cannot deliver."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from stream.alerts.news import Receiver
from stream.demo.servers import EmbeddedStore
from stream.pipeline.ports import AlertsWrite
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from tests.alerts.standing import kept_of
from tests.alerts.telling import SECRET, Listener, listening
from tests.cli.conftest import Run
from tests.cli.publishing import publish

SETTINGS = f"""
[[alerts.rules]]
name = "ctr-low"
kpi = "ctr"
window = "5m"
below = 0.2
[[alerts.rules]]
name = "nobody-clicks"
kpi = "ctr"
window = "5m"
below = 0.01
least_n = 100000
[[alerts.receivers]]
name = "ops"
url = "URL"
secret = "{SECRET}"
rules = ["ctr-*"]
allow_private = true
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings whose receiver nobody answers for."""
    return written(tmp_path, "http://127.0.0.1:9/T0K3N")


def written(tmp_path: Path, url: str) -> Path:
    file = tmp_path / "alerts.toml"
    file.write_text(SETTINGS.replace("URL", url), encoding="utf-8")
    return file


async def stand(store: EmbeddedStore, namespace: str) -> None:
    """One series that fires, one that waits, one that is resolved; the receiver is switched off."""
    client = connect(store.url)
    board = RedisBoard(client, namespace)
    epoch = await board.take_alerts_token(0)
    assert await board.write_alerts(epoch, AlertsWrite(kept_of()))
    receiver = Receiver(name="ops", kind="webhook", url="http://127.0.0.1:9/T0K3N")
    await board.write_receiver_off(receiver.fingerprint, b"it answered 410 Gone")
    await client.aclose()


async def test_list_shows_what_fires_then_what_waits(
    latido: Run, store: EmbeddedStore, settings: Path
) -> None:
    await stand(store, "listed")
    flags = ["--redis", store.url, "--namespace", "listed", "--config", str(settings)]
    lines = [line.split() for line in latido("alerts", "list", *flags).stdout.splitlines() if line.strip()]
    assert [line[0] for line in lines[2:]] == ["firing", "pending", "ops"]
    assert lines[2][:3] == ["firing", "critical", "2026-09-21T14:14:20Z"]
    assert "\\x1b[2J[red]<img" in " ".join(lines[3])
    assert " ".join(lines[4]) == "ops is switched off: it answered 410 Gone; latido alerts enable ops"
    everything = latido("alerts", "list", "--all", "--json", *flags).stdout
    assert [json.loads(line)["standing"] for line in everything.splitlines()] == [
        "firing",
        "pending",
        "resolved",
    ]
    assert latido("alerts", "enable", "ops", *flags).stdout == "ops is told again\n"
    assert latido("alerts", "enable", "ops", *flags).stdout == "ops was not switched off\n"
    wrong = latido("alerts", "enable", "opps", *flags)
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "latido: the settings have no receiver 'opps'; did you mean ops?\n",
    )


def test_list_says_when_nothing_fires(latido: Run, store: EmbeddedStore, settings: Path) -> None:
    flags = ["--redis", store.url, "--namespace", "silent"]
    assert latido("alerts", "list", *flags).stdout == "nothing fires, and no rule is set here\n"
    done = latido("alerts", "list", *flags, "--config", str(settings))
    assert done.stdout == "nothing fires: 2 rules are set here\n"


async def test_a_rule_is_tried_on_the_figures_of_this_moment(
    latido: Run, store: EmbeddedStore, tmp_path: Path
) -> None:
    await publish(store, "tried")
    flags = ["--redis", store.url, "--namespace", "tried"]
    async with listening(204, 500) as listener:
        flags += ["--config", str(written(tmp_path, listener.url))]
        done = await _in_thread(latido, "alerts", "test", "ctr-low", "--send", *flags)
        assert done.stdout.splitlines()[0] == (
            "ctr-low: upper bound of ctr (5m) below 20.00 %; 1 of 1 series are beyond it"
        )
        assert "beyond the limit" in done.stdout
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ops: delivered")
        again = await _in_thread(latido, "alerts", "test", "ctr-low", "--send", *flags)
        assert (again.returncode, again.stdout.splitlines()[-1]) == (1, "ops: not delivered, it answered 500")
        few = latido("alerts", "test", "nobody-clicks", *flags)
        assert "not judged: n is under 100000" in few.stdout
        unheard = latido("alerts", "test", "nobody-clicks", "--send", *flags)
        assert "no receiver hears of nobody-clicks" in unheard.stderr
        unknown = latido("alerts", "test", "ctr-lo", *flags)
        assert unknown.stderr == "latido: the settings have no rule 'ctr-lo'; did you mean ctr-low?\n"
    assert [json.loads(one.body)["type"] for one in listener.heard] == ["alert.test"] * 2
    assert _ids(listener) == 2


async def _in_thread(latido: Run, *arguments: str) -> subprocess.CompletedProcess[str]:
    """So that the listener can answer meanwhile."""
    return await asyncio.to_thread(latido, *arguments)


def _ids(listener: Listener) -> int:
    return len({one.headers["webhook-id"] for one in listener.heard})


def test_delivery_without_anybody_to_tell_says_what_to_do(latido: Run) -> None:
    done = latido("alerts")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("latido: nobody is to be told: add a table [[alerts.receivers]]")
