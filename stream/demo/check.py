"""The end of the demo: wait until everything is counted, read the log again, compare every figure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from schemas.times import parse_time, to_ms
from schemas.topics import INPUT_TOPICS
from stream.demo.cancellation import still_wanted
from stream.demo.compare import Comparison
from stream.demo.plain_kpis import Kpis
from stream.demo.plain_log import Accounting, LogRecord, Rules, accept
from stream.demo.plain_results import add_results, results
from stream.demo.plain_visits import sites_of
from stream.demo.truth import figures_at
from stream.kafka.log_reader import read_topic
from stream.pipeline.ports import Board, SnapshotBoard
from stream.pipeline.publish_results import final_records
from stream.pipeline.take_snapshot import Header, decode_header

POLL_S: Final = 0.1
COUNTED_WITHIN_S: Final = 60.0
# The longest windows are looked at every ten seconds: after that each record was looked at with all in.
LOOKED_AT_AFTER_S: Final = 11.0

Log = list[LogRecord]
Ends = dict[str, dict[int, int]]


class NotCounted(Exception):
    """The published snapshot does not become complete with everything that is in the log."""


@dataclass(frozen=True)
class Published:
    """The newest snapshot: every record by its key, as JSON, and the tick they belong to.

    `final`: the KPIs of the hours and days that are final, by the keys of their records.
    """

    header: Header
    records: Mapping[str, dict[str, Any]]
    final: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def as_of_ms(self) -> int:
        return moment_ms(self.header.as_of)


def moment_ms(text: str | None) -> int:
    """A time on the wire in ms. Raises NotCounted when there is none yet."""
    if text is None:
        raise NotCounted("nothing was published")
    return to_ms(parse_time(text))


async def read_log(client_options: Mapping[str, Any]) -> Log:
    """Every record of the input topics."""
    return [
        LogRecord(topic, record.partition, record.offset, record.timestamp, record.key, record.value)
        for topic in INPUT_TOPICS
        async for record in read_topic(client_options, topic)
    ]


def ends_of(log: Log) -> Ends:
    """topic -> partition -> the offset behind its last record; partitions without records are left out."""
    ends: Ends = {topic: {} for topic in INPUT_TOPICS}
    for record in log:
        partitions = ends[record.topic]
        partitions[record.partition] = max(partitions.get(record.partition, 0), record.offset + 1)
    return ends


async def wait_until_counted(board: SnapshotBoard, ends: Ends, check: Callable[[], None]) -> Header:
    """The first tick that holds everything up to `ends`. Raises NotCounted after a minute.

    check: called at every look; raises when waiting has become useless.
    """
    deadline = asyncio.get_running_loop().time() + COUNTED_WITHIN_S
    while True:
        check()
        data = await board.read_header()
        still_wanted()
        header = None if data is None else decode_header(data)
        if header is not None and header.current and _nonzero(header.positions) == ends:
            return header
        if asyncio.get_running_loop().time() > deadline:
            raise NotCounted(_why(header, ends))
        await asyncio.sleep(POLL_S)


def _nonzero(positions: Ends) -> Ends:
    return {topic: {p: end for p, end in ends.items() if end} for topic, ends in positions.items()}


def _why(header: Header | None, ends: Ends) -> str:
    if header is None:
        return f"nothing was published within {COUNTED_WITHIN_S:g} s"
    counted = _nonzero(header.positions)
    places = [
        f"{topic}[{partition}] {counted.get(topic, {}).get(partition, 0)} of {end}"
        for topic, partitions in ends.items()
        for partition, end in partitions.items()
        if counted.get(topic, {}).get(partition, 0) != end
    ]
    missing = ", ".join(places) or "all positions are at the ends"
    return (
        f"not everything was counted within {COUNTED_WITHIN_S:g} s: {header.completeness.status}, {missing}; "
        "does somebody else write to these topics?"
    )


async def read_published(board: Board) -> Published:
    """Header and records of one tick, and what is final."""
    # Nothing more comes: no window that is final changes any more.
    partitions = (await _header(board)).completeness.partitions
    settled = await final_records(board, partitions)
    final = json.loads(msgspec.json.encode({record.key: record.kpis for record in settled}))
    while True:
        before = await board.read_header()
        records = await board.read_records()
        still_wanted()
        if before is not None and before == await board.read_header():
            figures = {key: json.loads(data) for key, data in records.items()}
            return Published(decode_header(before), figures, final)


async def _header(board: Board) -> Header:
    data = await board.read_header()
    if data is None:
        raise NotCounted("nothing was published")
    return decode_header(data)


def compare(
    log: Log, rules: Rules, published: Published, counted_at_ms: int
) -> tuple[Comparison, Accounting]:
    """Every published figure against the recomputed one, each record at its `as_of`.

    A record that stays the same is not published again. One older than `counted_at_ms`, when everything
    had been counted, was still true at that moment: there it is compared.
    """
    accepted, accounting = accept(log, rules)
    sites = sites_of(accepted, rules)
    at: dict[int, dict[str, Kpis]] = {
        moment: figures_at(sites, rules, moment)
        for moment in {counted_at_ms, published.as_of_ms}
        | {max(counted_at_ms, moment_ms(record["as_of"])) for record in published.records.values()}
    }
    # A window that has become empty since may still be there, or be gone already.
    expected = at[counted_at_ms].keys() & at[published.as_of_ms].keys()
    comparison = Comparison()
    for key in sorted(expected | published.records.keys()):
        record = published.records.get(key)
        if record is None:
            comparison.add(key, at[counted_at_ms][key], None)
        else:
            moment = max(counted_at_ms, moment_ms(record["as_of"]))
            comparison.add(key, at[moment].get(key), record["kpis"])
    add_results(comparison, results(accepted, rules), published.final)
    return comparison, accounting
