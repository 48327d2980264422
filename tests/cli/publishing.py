"""A published snapshot without a worker: the contract's example, put on the board."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec

from schemas.snapshots import KpiSnapshot
from schemas.times import parse_time, rfc3339
from schemas.topics import KPI_RESULTS, KPI_SNAPSHOTS
from stream.core.calendar import Window
from stream.demo.servers import EmbeddedStore
from stream.pipeline.ports import ResultsWrite
from stream.pipeline.publish_results import pack_records
from stream.pipeline.settle import closed_field
from stream.pipeline.take_results import decode_result
from stream.pipeline.take_snapshot import Completeness, Header
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from tests.cli.conftest import ROOT

EXAMPLE = ROOT / "schemas/examples" / KPI_SNAPSHOTS / "valid/five-minutes.json"

RESULTS = ROOT / "schemas/examples" / KPI_RESULTS / "valid"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def publish(store: EmbeddedStore, namespace: str, age_ms: int = 0, **changes: Any) -> KpiSnapshot:
    """Put the contract's example on the board, as a publisher does."""
    record = json.loads(EXAMPLE.read_bytes()) | changes
    snapshot = KpiSnapshot.model_validate(record)
    published = rfc3339(now_ms() - age_ms)
    found = Completeness("complete", 4, 4, snapshot.as_of, 0, 3, 1)
    header = Header(snapshot.sequence, snapshot.as_of, published, True, found, {})
    client = connect(store.url)
    board = RedisBoard(client, namespace)
    token = await board.take_token(0)
    raw = {snapshot.key: json.dumps(record).encode()}
    assert await board.write(token, token.sequence + 1, msgspec.json.encode(header), raw, [])
    await client.aclose()
    return snapshot


async def publish_results(store: EmbeddedStore, namespace: str, *examples: str) -> None:
    """Put these examples of the contract on the board, each as all there is of its window."""
    windows = {}
    for name in examples:
        record = decode_result((RESULTS / f"{name}.json").read_bytes())
        start_ms = int(parse_time(record.window.start).timestamp() * 1000)
        window: Window = ("hour" if record.window.kind == "hour" else "day", start_ms)
        windows[closed_field(record.site_id, window)] = pack_records({record.segment_name: record})
    client = connect(store.url)
    board = RedisBoard(client, namespace)
    epoch, _ = await board.take_results_token(0)
    assert await board.write_results(epoch, ResultsWrite(b"", windows))
    await client.aclose()
