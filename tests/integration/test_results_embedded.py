"""Settled results from events to topic and command, on the embedded broker and store."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from schemas.headers import ID, OUTPUT_HEADERS
from schemas.results import KpiResult
from schemas.times import rfc3339
from schemas.topics import KPI_RESULTS
from stream.kafka.log_reader import read_topic
from tests.integration.conftest import Stack
from tests.integration.worker_process import ROOT, page_views, producing, send, wait_for_reads, wait_until

HOUR_MS = 3_600_000
RULES = {"LATIDO_GAP": "1s", "LATIDO_GRACE": "2s"}


async def published(stack: Stack) -> list[dict[str, Any]]:
    """Every record of the results topic, in order."""
    found = []
    async for record in read_topic(stack.client_options, KPI_RESULTS):
        model = KpiResult.model_validate_json(record.value or b"")
        assert (record.key or b"").decode() == model.key
        assert tuple(name for name, _ in record.headers) == OUTPUT_HEADERS
        assert dict(record.headers)[ID].decode() == model.identity
        found.append(model.model_dump(mode="json") | {"key": model.key})
    return found


async def newest(stack: Stack, kind: str, state: str, limit_s: float = 40) -> dict[str, Any]:
    """The record of the whole site in this state, once it is there."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = [
            one for one in await published(stack)
            if (one["window"]["kind"], one["state"], one["segment"]["value"]) == (kind, state, None)
        ]  # fmt: skip
        return bool(found)

    await wait_until(there, limit_s, f"no {kind} is {state}")
    return found[-1]


def results(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream", "results", "--redis", stack.redis, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


async def test_silence_makes_an_hour_final_and_a_late_event_corrects_it(embedded: Stack) -> None:
    end_ms = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS
    before = results(embedded)
    assert (before.returncode, "no hour is published yet" in before.stderr) == (1, True)
    async with producing(embedded.broker) as producer:
        # The last second of the hour: every topic is read to its end, then nothing comes any more.
        await send(producer, page_views(40, visitors=8, start_ms=end_ms - 1000))
        worker = embedded.worker(**RULES)
        await wait_for_reads(embedded.redis, 40)
        final = await newest(embedded, "hour", "final")
        assert final["kpis"]["page_views"]["value"] == 40
        assert final["kpis"]["unique_visitors"]["value"] == 8
        worker.kill()
        again = embedded.worker(**RULES)
        await send(producer, page_views(1, visitors=1, first=40, start_ms=end_ms - 1000))
        await wait_for_reads(embedded.redis, 41)
        corrected = await newest(embedded, "hour", "corrected")
        assert (corrected["revision"], corrected["reason"]) == (final["revision"] + 1, "late_event")
        assert corrected["previous"]["page_views"] == 40
        assert corrected["kpis"]["page_views"]["value"] == 41
        shown = results(embedded, "--hour", "--since", rfc3339(end_ms - HOUR_MS), "--json")
        assert [json.loads(line)["revision"] for line in shown.stdout.splitlines()] == [corrected["revision"]]
        table = results(embedded, "--hour", "--since", "3h")
        assert "corrected: late_event" in table.stdout, table.stdout + table.stderr
        nothing = results(embedded, "--hour", "--since", "2199-01-01")
        assert (nothing.returncode, "give an earlier --since" in nothing.stderr) == (1, True)
        assert await again.stop() == 0
    by_identity: dict[tuple[str, int], dict[str, Any]] = {}
    for record in await published(embedded):
        key = (record["key"], record["revision"])
        assert by_identity.setdefault(key, record) == record, "one identity, two contents"
