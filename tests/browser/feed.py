"""What the page is fed with: records that the pipeline made of events, put on a board as a publisher does."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

import msgspec

from schemas.keys import segment_name, snapshot_key
from schemas.times import parse_time, rfc3339, to_ms
from stream.core.calendar import Window
from stream.core.policy import Goal, Policy
from stream.pipeline.ports import CUSTOMERS, AlertsWrite, ResultsWrite, Table
from stream.pipeline.publish_results import pack_records
from stream.pipeline.settle import closed_field
from stream.pipeline.take_results import ResultRecord, decode_result
from stream.pipeline.take_snapshot import Completeness, Header
from stream.replay import What, run
from stream.tables.layout import Layout
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect

Record = dict[str, Any]
COMPLETE: Final = Completeness("complete", 4, 4, None, 0, 3, 1)
BEAT_S: Final = 0.25
"""A publisher announces itself at least once a second; four times keeps the tests short."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def records_of(events: Iterable[dict[str, Any]], goals: tuple[Goal, ...] = ()) -> list[Record]:
    """The snapshot that the pipeline makes of events."""
    return [json.loads(line) for line in await _replayed(events, "snapshot", goals)]


async def _replayed(events: Iterable[dict[str, Any]], what: What, goals: tuple[Goal, ...] = ()) -> list[str]:
    lines = io.BytesIO(b"".join(json.dumps(event).encode() + b"\n" for event in events))
    return await run([lines], what=what, policy=Policy(goals=goals), until_final=False)


def _ms(rfc3339_text: str) -> int:
    return to_ms(parse_time(rfc3339_text))


def key_of(record: Record) -> str:
    segment = record["segment"]
    return snapshot_key(
        record["site_id"], record["window"]["name"], segment_name(segment["dimension"], segment["value"])
    )


class Publisher:
    """Writes a board: `put` records, then `beating` to be heard.

    silent: as a worker that died. behind_ms: how long ago that was what it has counted.
    """

    def __init__(self, url: str, namespace: str) -> None:
        self._client = connect(url)
        self._board = RedisBoard(self._client, namespace)
        self._layout = Layout(namespace)
        self._customers = Layout(namespace, CUSTOMERS)
        self._waiting: dict[str, bytes] = {}
        self._gone: set[str] = set()
        self._there: set[str] = set()
        self.silent = False
        self.completeness = COMPLETE
        self.behind_ms = 0

    def put(self, records: Iterable[Record]) -> None:
        """These, and no others, are published from the next beat on."""
        new = {key_of(record): json.dumps(record).encode() for record in records}
        self._gone |= self._there - new.keys()
        self._waiting, self._there = new, set(new)

    async def answered(self, fields: Mapping[str, bytes]) -> None:
        """Store these as the answers of the first partition."""
        await self._store(self._layout.partition(0).tables[Table.ANSWERS], fields)

    async def signalled(self, fields: Mapping[str, bytes]) -> None:
        """Store these as the latest signals of its first partition of customers."""
        await self._store(self._customers.partition(0).tables[Table.SIGNALS], fields)

    async def _store(self, table: str, fields: Mapping[str, bytes]) -> None:
        async with self._client.pipeline() as pipe:
            pipe.delete(table)
            for field, value in fields.items():
                pipe.hset(table, field, value)
            await pipe.execute()

    async def settle(self, events: Iterable[dict[str, Any]]) -> None:
        """Publish the hours and days that the pipeline makes of events."""
        windows: dict[str, dict[str, ResultRecord]] = {}
        for line in await _replayed(events, "results"):
            record = decode_result(line)
            window: Window = ("hour" if record.window.kind == "hour" else "day", _ms(record.window.start))
            windows.setdefault(closed_field(record.site_id, window), {})[record.segment_name] = record
        epoch, state = await self._board.take_results_token(0)
        packed = {field: pack_records(records) for field, records in windows.items()}
        assert await self._board.write_results(epoch, ResultsWrite(state or b"", packed))

    async def alerted(self, kept: Mapping[str, bytes]) -> None:
        """Store these as how series of alert rules stand."""
        assert await self._board.write_alerts(await self._board.take_alerts_token(0), AlertsWrite(kept))

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Stopped, not cancelled: in Python 3.11 the client of the store may swallow a cancellation."""
        stopped = asyncio.Event()
        beating = asyncio.create_task(self._beat(stopped))
        try:
            yield
        finally:
            stopped.set()
            await beating
            await self._client.aclose()

    async def _beat(self, stopped: asyncio.Event) -> None:
        token = await self._board.take_token(0)
        sequence = token.sequence
        while not stopped.is_set():
            if not self.silent:
                sequence += 1
                now, as_of = rfc3339(now_ms()), rfc3339(now_ms() - self.behind_ms)
                header = Header(sequence, as_of, now, True, self.completeness, {})
                changed, self._waiting = self._waiting, {}
                gone, self._gone = sorted(self._gone - changed.keys()), set()
                assert await self._board.write(token, sequence, msgspec.json.encode(header), changed, gone)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), BEAT_S)
