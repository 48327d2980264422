"""`latido rebuild`: the way on after a worker refused its store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from schemas.topics import PAGE_VIEWS
from stream.tables.redis_client import connect
from tests.integration.conftest import Stack
from tests.integration.worker_process import (
    heads,
    page_views,
    producing,
    send,
    total,
    wait_for_reads,
    wait_until,
)

ROOT = Path(__file__).parents[2]


def _rebuild(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    servers = ("--broker", stack.broker, "--redis", stack.redis)
    return subprocess.run(
        [sys.executable, "-m", "stream", "rebuild", *servers, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def _count_with_outputs(stack: Stack) -> None:
    """A worker counts ten events and refuses one, whose dead letter leaves; then it stops."""
    async with producing(stack.broker) as producer:
        await producer.send_and_wait(PAGE_VIEWS, key=b"v0", value=b"not json")
        await send(producer, page_views(10))
    worker = stack.worker()
    await wait_for_reads(stack.redis, 11)

    async def left() -> bool:
        return any(head is not None and head.produced_through for head in await heads(stack.redis))

    await wait_until(left, 20)
    assert await worker.stop() == 0


async def test_it_names_the_next_namespace_that_nobody_used(embedded: Stack) -> None:
    await _count_with_outputs(embedded)
    done = _rebuild(embedded)
    assert (done.returncode, done.stderr) == (0, "")
    assert "latido worker --namespace default-2\n" in done.stdout
    worker = embedded.worker(LATIDO_NAMESPACE="default-2")
    assert total(await wait_for_reads(embedded.redis, 11, namespace="default-2"), "counted") == 10
    assert await worker.stop() == 0
    assert "--namespace default-3\n" in _rebuild(embedded).stdout
    assert "--namespace default-3\n" in _rebuild(embedded, "--namespace", "default-2").stdout


async def test_a_name_with_tables_is_refused_and_one_without_is_freed(embedded: Stack) -> None:
    await _count_with_outputs(embedded)
    refused = _rebuild(embedded, "--to", "default")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "holds tables of namespace default" in refused.stderr

    client = connect(embedded.redis)
    await client.flushall()
    await client.aclose()
    worker = embedded.worker()
    assert await worker.exit_code(30) == 1
    assert "Run: latido rebuild" in worker.log()
    done = _rebuild(embedded, "--to", "default")
    assert done.returncode == 0, done.stderr
    assert "readers cannot tell" in done.stdout
    again = embedded.worker()
    assert total(await wait_for_reads(embedded.redis, 11), "counted") == 10
    assert await again.stop() == 0


async def test_a_name_that_cannot_be_one_is_refused(embedded: Stack) -> None:
    done = _rebuild(embedded, "--to", "a{b}")
    assert done.returncode != 0
    assert "namespace" in done.stderr
    assert len(done.stderr.splitlines()) == 1
