"""Which settled results there are to publish: all partitions' hours and days added up, against what stands.

Nothing is published twice as something else: the records of a step are written to the store, with what the
next publisher must know, before they leave for Kafka (`ResultsBoard.write_results`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from stream.core.calendar import Window, calendar_of
from stream.core.event_time import NEVER_MS
from stream.core.policy import DEFAULT_PUBLISHED_VALUES, RESULTS_KEPT_MS
from stream.core.windows import Counts, add
from stream.pipeline.changes import decode_head
from stream.pipeline.partition_state import REASONS, ClosedWindow, PartitionHead
from stream.pipeline.ports import ResultsBoard, ResultsWrite, SettledPartial
from stream.pipeline.settle import closed_field, parse_closed_field, read_closed, read_open, unpack
from stream.pipeline.take_results import (
    FINAL,
    GONE,
    RUNNING,
    ResultRecord,
    decode_result,
    encode_result,
    follow,
    result_records,
    withdraw,
)
from stream.pipeline.take_snapshot import Completeness, completeness_of, silent_partitions

Place = tuple[str, Window]  # site and window
Segments = dict[str, Counts]

EVERY_SEGMENT = "*"
_encode = msgspec.msgpack.Encoder().encode


class ResultsState(msgspec.Struct):
    """What a publisher leaves to the next one."""

    handled: dict[
        int, int
    ] = {}  # partition -> number of the last change of a closed window that is published
    running: list[str] = []  # fields of the windows that were not final


_decode_state = msgspec.msgpack.Decoder(ResultsState).decode
_decode_records = msgspec.msgpack.Decoder(dict[str, bytes]).decode


def decode_state(data: bytes | None) -> ResultsState:
    return ResultsState() if data is None else _decode_state(data)


def encode_state(state: ResultsState) -> bytes:
    return _encode(state)


def pack_records(records: Mapping[str, ResultRecord]) -> bytes:
    """All records of a window, by segment."""
    return zlib.compress(_encode({name: encode_result(record) for name, record in records.items()}), 1)


def unpack_records(data: bytes | None, segment: str = EVERY_SEGMENT) -> dict[str, ResultRecord]:
    """The records of a window that stand, by segment, or only that of one segment."""
    return {name: record for name, record in _unpack_all(data, segment).items() if record.state != GONE}


def _unpack_all(data: bytes | None, segment: str = EVERY_SEGMENT) -> dict[str, ResultRecord]:
    """Those that were withdrawn, too."""
    records = {} if data is None else _decode_records(zlib.decompress(data))
    return {
        name: decode_result(record) for name, record in records.items() if segment in (EVERY_SEGMENT, name)
    }


class _Part(msgspec.Struct):
    """One partition's share of a step."""

    number: int
    head: PartitionHead
    closed: dict[Place, ClosedWindow]
    handled: int

    def news(self) -> set[Place]:
        return {place for place, one in self.closed.items() if one.version > self.handled}


class _Gathered(msgspec.Struct):
    """What all partitions say at one moment."""

    parts: list[_Part]
    counts: dict[Place, Segments]  # of every open window, and of the closed ones among `places`
    places: set[Place]  # that may have changed
    through_ms: int  # windows that end by then are final in every partition
    completeness: Completeness

    def zone_of(self, site_id: str) -> str:
        return next((part.head.zones[site_id] for part in self.parts if site_id in part.head.zones), "UTC")

    def is_final(self, place: Place) -> bool:
        return calendar_of(self.zone_of(place[0])).end(place[1]) <= self.through_ms


class Step(msgspec.Struct):
    """What to write, and the records in it."""

    write: ResultsWrite
    state: ResultsState
    records: list[ResultRecord]


async def next_step(
    board: ResultsBoard, state: ResultsState, stored: Iterable[str], partitions: int, now_ms: int,
    limit: int = DEFAULT_PUBLISHED_VALUES,
) -> Step:  # fmt: skip
    """Everything that changed since `state`. `stored` are the fields of the windows in the store, `limit` is
    how many values of a dimension have records of their own."""
    gathered = await _gather(board, state, partitions, now_ms)
    step = Step(ResultsWrite(b""), ResultsState(), [])
    windows: dict[str, bytes] = {}
    ordered = sorted(gathered.places, key=lambda place: (place[0], place[1][1], place[1][0]))
    fields = [closed_field(*place) for place in ordered]
    for place, field, pack in zip(ordered, fields, await board.read_results(fields), strict=True):
        before = _unpack_all(pack)
        final = gathered.is_final(place)
        new = _new_records(place, gathered, before, final, now_ms, limit)
        if new:
            windows[field] = pack_records(before | {record.segment_name: record for record in new})
            step.records += new
        if not final:
            step.state.running.append(field)
    step.state.handled = {part.number: part.head.settled_version for part in gathered.parts}
    step.write = ResultsWrite(
        state=encode_state(step.state),
        windows=windows,
        gone=_gone(stored, gathered),
        outbox={record.key: encode_result(record) for record in step.records},
    )
    return step


async def final_records(board: ResultsBoard, partitions: int) -> list[ResultRecord]:
    """Every window that is final in every partition, as the tables say, whatever is published of it."""
    everything = ResultsState(handled=dict.fromkeys(range(partitions), -1))
    gathered = await _gather(board, everything, partitions, 0)
    return [
        record
        for place, segments in gathered.counts.items() if gathered.is_final(place)
        for record in result_records(
            place[0], place[1], gathered.zone_of(place[0]), segments, FINAL, gathered.completeness, 0
        )
    ]  # fmt: skip


async def _gather(board: ResultsBoard, state: ResultsState, partitions: int, now_ms: int) -> _Gathered:
    partials = await board.read_settled(partitions)
    parts = [_part(partial, state) for partial in partials if partial.head is not None]
    heads = {part.number: part.head for part in parts}
    whole = parts and len(parts) == partitions
    counts = read_open([partial.settling for partial in partials])
    places = {*counts, *map(parse_closed_field, state.running)}.union(*(part.news() for part in parts))
    for place, segments in (await _read_closed_counts(board, parts, places)).items():
        _add_segments(counts.setdefault(place, {}), segments)
    return _Gathered(
        parts=parts,
        counts=counts,
        places=places,
        through_ms=min(head.final_through_ms for head in heads.values()) if whole else NEVER_MS,
        completeness=completeness_of(heads, partitions, silent_partitions(heads, now_ms)),
    )


def _part(partial: SettledPartial, state: ResultsState) -> _Part:
    assert partial.head is not None
    head = decode_head(partial.head)
    return _Part(
        partial.partition, head, read_closed(partial.closed), state.handled.get(partial.partition, 0)
    )


async def _read_closed_counts(
    board: ResultsBoard, parts: Sequence[_Part], places: set[Place]
) -> dict[Place, Segments]:
    """The counts of these windows in the partitions where they are final."""
    found: dict[Place, Segments] = {}
    for part in parts:
        mine = sorted(places & part.closed.keys())
        values = await board.read_closed(part.number, [closed_field(*place) for place in mine])
        for place, value in zip(mine, values, strict=True):
            _add_segments(found.setdefault(place, {}), unpack(value))
    return found


def _add_segments(segments: Segments, more: Mapping[str, Counts]) -> None:
    for name, counts in more.items():
        add(segments.setdefault(name, {}), counts)


def _reason(place: Place, parts: Sequence[_Part]) -> str | None:
    """Why the window changed after it was final, in some partition."""
    reasons = [part.closed[place].reason for part in parts if place in part.news()]
    told = [reason for reason in reasons if reason is not None]
    return max(told, key=REASONS.index) if told else None


def _new_records(
    place: Place,
    gathered: _Gathered,
    before: Mapping[str, ResultRecord],
    final: bool,
    now_ms: int,
    limit: int,
) -> list[ResultRecord]:
    """The records of one window that say something new."""
    segments = gathered.counts.get(place, {})
    if not before and not any(segments.values()):
        return []
    reason = _reason(place, gathered.parts) if before else None  # nobody has seen it otherwise
    standing = {name: record for name, record in before.items() if record.state != GONE}
    segments = {name: {} for name in standing} | segments  # a segment that is empty now says so
    zone, state = gathered.zone_of(place[0]), FINAL if final else RUNNING
    records = {
        record.segment_name: record
        for record in result_records(*place, zone, segments, state, gathered.completeness, now_ms, limit)
    }
    new = (follow(before.get(name), record, reason) for name, record in records.items())
    withdrawn = [withdraw(record) for name, record in standing.items() if name not in records]
    return [record for record in new if record is not None] + withdrawn


def _gone(stored: Iterable[str], gathered: _Gathered) -> list[str]:
    """Windows so old that no partition could correct them any more."""
    alive = set(gathered.counts).union(*(part.closed for part in gathered.parts))
    return [
        field for field in stored
        if (place := parse_closed_field(field)) not in alive
        and place[1][1] < gathered.through_ms - RESULTS_KEPT_MS
    ]  # fmt: skip
