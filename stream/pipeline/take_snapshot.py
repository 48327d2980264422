"""One snapshot: the window sums of all partitions added up, and turned into KPIs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product

import msgspec

from schemas.keys import snapshot_key
from schemas.times import rfc3339
from schemas.topics import INPUT_TOPICS
from stream.core.event_time import NEVER_MS
from stream.core.kpi import Count, Kpi
from stream.core.policy import SECOND_MS
from stream.core.registry import KPIS, results
from stream.core.windows import ALL_TIME, ROLLING, WINDOWS, Counts, add
from stream.pipeline.changes import decode_head, parse_window_field
from stream.pipeline.partition_state import ALL, PartitionHead
from stream.pipeline.ports import Partial

# An owner writes at least once a second: silent for this long, nobody looks after the partition.
_SILENT_AFTER_MS = 5 * SECOND_MS
ALL_WINDOWS = (ALL_TIME, *(window.name for window in ROLLING))
_decode_sums = msgspec.msgpack.Decoder(tuple[Counts, Counts]).decode

Sums = tuple[Counts, Counts]  # of the window, of the window before


class WindowLimits(msgspec.Struct):
    name: str
    kind: str
    start: str | None
    end: str


class SegmentName(msgspec.Struct):
    dimension: str
    value: str | None


class Completeness(msgspec.Struct):
    status: str
    partitions: int
    partitions_current: int
    slowest_progress: str | None
    lag_records: int | None
    late_records: int
    refused_records: int
    lost_records: int = 0
    held_by: str | None = None


class SnapshotRecord(msgspec.Struct):
    """schemas/snapshots.py says what each field means; a test holds both equal."""

    site_id: str
    window: WindowLimits
    segment: SegmentName
    as_of: str
    published_at: str
    sequence: int
    completeness: Completeness
    profile: str
    kpis: dict[str, Kpi]

    @property
    def key(self) -> str:
        dimension, value = self.segment.dimension, self.segment.value
        return snapshot_key(self.site_id, self.window.name, ALL if value is None else f"{dimension}={value}")


class Snapshot(msgspec.Struct):
    """Everything published at one tick. `as_of_ms` is None before the first event.

    `coherent`: every partition's sums end at the same instant, so they may be added up exactly.
    """

    as_of_ms: int | None
    live_ms: int | None
    coherent: bool
    current: bool
    completeness: Completeness
    positions: dict[str, dict[int, int]]
    records: dict[str, SnapshotRecord]

    @property
    def complete(self) -> bool:
        return self.completeness.status == "complete"


class Header(msgspec.Struct):
    """The newest tick, also when it changed no record. `current`: everything readable is in."""

    sequence: int
    as_of: str | None
    published_at: str
    current: bool
    completeness: Completeness
    positions: dict[str, dict[int, int]]


_encode = msgspec.json.Encoder().encode


def take_snapshot(partials: Sequence[Partial], partitions: int, wall_ms: int) -> Snapshot:
    """Everything the partitions wrote. `partitions` is how many there should be."""
    snapshot = look_at_heads(partials, partitions, wall_ms)
    snapshot.records = records_of(snapshot, partials, ALL_WINDOWS)
    return snapshot


def look_at_heads(partials: Sequence[Partial], partitions: int, wall_ms: int) -> Snapshot:
    """The snapshot without its records: when it is of, and how much of the input it will hold."""
    heads = {p.partition: decode_head(p.head) for p in partials if p.head is not None}
    completeness = completeness_of(heads, partitions, silent_partitions(heads, wall_ms))
    caught_up = completeness.partitions_current == partitions
    ends = {head.window_end_ms for head in heads.values() if head.window_end_ms > NEVER_MS}
    return Snapshot(
        as_of_ms=min(ends) if ends else None,
        live_ms=max(ends) if caught_up and ends else None,
        coherent=len(ends) <= 1,
        current=caught_up and len(ends) == 1
        and all(head.windows_current and head.window_end_ms > NEVER_MS for head in heads.values()),
        completeness=completeness,
        positions=_positions(heads),
        records={},
    )  # fmt: skip


def records_of(
    snapshot: Snapshot, partials: Sequence[Partial], windows: Collection[str]
) -> dict[str, SnapshotRecord]:
    """Add up the sums of these windows over all partitions: a record for each segment that has counts."""
    if snapshot.as_of_ms is None:
        return {}
    tables = [partial.windows for partial in partials]
    sums = add_up(tables, windows)
    # The whole of a site always has a record, also in windows in which nothing is left to count.
    sites = {parse_window_field(field)[1] for field in set[str]().union(*tables)}
    for place in product(windows, sites):
        sums.setdefault((*place, ALL), ({}, {}))
    return make_records(sums, snapshot.as_of_ms, snapshot.completeness)


def silent_partitions(heads: Mapping[int, PartitionHead], wall_ms: int) -> list[int]:
    """Those nobody looks after."""
    return [n for n, head in heads.items() if wall_ms - head.written_at_ms > _SILENT_AFTER_MS]


def completeness_of(
    heads: Mapping[int, PartitionHead], partitions: int, silent: Sequence[int]
) -> Completeness:
    """How much of the input the numbers hold. An empty partition hides nothing and slows nobody.

    What was lost stays lost: the status never becomes `complete` again in this namespace.
    """
    lost = sum(range_.records for head in heads.values() for range_ in head.lost)
    current = [head for n, head in heads.items() if n not in silent and not head.behind]
    progress = [h.progress.progress_ms for h in heads.values() if h.progress.progress_ms > NEVER_MS]
    if heads and len(silent) == len(heads):
        status = "stale"
    elif len(heads) < partitions or silent or lost:
        status = "partial"
    else:
        status = "complete" if len(current) == partitions else "catching_up"
    holding = [h for h in heads.values() if h.held_by is not None]
    slowest = min(holding, key=lambda h: h.progress.progress_ms) if holding else None
    return Completeness(
        status=status,
        partitions=partitions,
        partitions_current=len(current),
        slowest_progress=rfc3339(min(progress)) if progress else None,
        lag_records=sum(head.progress.lag_records() for head in heads.values()),
        late_records=sum(head.accounting.late for head in heads.values()),
        refused_records=sum(head.accounting.refused for head in heads.values()),
        lost_records=lost,
        held_by=slowest.held_by if slowest else None,
    )


def _positions(heads: Mapping[int, PartitionHead]) -> dict[str, dict[int, int]]:
    return {
        topic: {n: max(0, head.progress.topics[index].position) for n, head in heads.items()}
        for index, topic in enumerate(INPUT_TOPICS)
    }


def add_up(
    tables: Sequence[Mapping[str, bytes]], windows: Collection[str]
) -> dict[tuple[str, str, str], Sums]:
    """(window, site, segment) -> the sums over all partitions."""
    total: dict[str, Sums] = {}
    for table in tables:
        for field, value in table.items():
            if field.partition("|")[0] not in windows:
                continue
            now, before = _decode_sums(value)
            sums = total.get(field)
            if sums is None:
                total[field] = now, before
            else:
                add(sums[0], now)
                add(sums[1], before)
    return {parse_window_field(field): sums for field, sums in total.items()}


def make_records(
    sums: Mapping[tuple[str, str, str], Sums], as_of_ms: int, completeness: Completeness
) -> dict[str, SnapshotRecord]:
    """A record for every (window, site, segment) that has counts, and for every whole site."""
    records: dict[str, SnapshotRecord] = {}
    for (window, site_id, segment), (now, before) in sums.items():
        if not now and not before and segment != ALL:
            continue
        everyone = sums[window, site_id, ALL]
        dimension, _, value = segment.partition("=")
        kpis = results(window, dimension, now, everyone[0])
        if window != ALL_TIME:
            set_previous(kpis, results(window, dimension, before, everyone[1]))
        record = SnapshotRecord(
            site_id=site_id,
            window=_limits(window, as_of_ms),
            segment=SegmentName(dimension, None if segment == ALL else value),
            as_of=rfc3339(as_of_ms),
            published_at=rfc3339(as_of_ms),
            sequence=0,
            completeness=completeness,
            profile="latido",
            kpis=kpis,
        )
        records[record.key] = record
    return records


def set_previous(kpis: Mapping[str, Kpi], before: Mapping[str, Kpi]) -> None:
    """Put the values of the window before beside those of this one."""
    for name, kpi in kpis.items():
        if not KPIS[name].has_previous:
            continue
        other = before[name]
        if isinstance(kpi, Count):
            kpi.previous = other.value if isinstance(other, Count) else None
        else:
            kpi.previous = other.value


def _limits(window: str, as_of_ms: int) -> WindowLimits:
    if window == ALL_TIME:
        return WindowLimits(window, "all", None, rfc3339(as_of_ms))
    shape = WINDOWS[window]
    start_ms = shape.first_bucket(as_of_ms) * shape.bucket_ms
    return WindowLimits(window, "rolling", rfc3339(start_ms), rfc3339(as_of_ms))


def same_figures(a: SnapshotRecord, b: SnapshotRecord) -> bool:
    """Whether two records of one key say the same, apart from when."""
    return a.kpis == b.kpis and a.completeness.status == b.completeness.status


def encode_record(record: SnapshotRecord, sequence: int, published_at_ms: int) -> bytes:
    """The record as JSON, stamped with this publication."""
    record.sequence, record.published_at = sequence, rfc3339(published_at_ms)
    return _encode(record)


def encode_header(snapshot: Snapshot, sequence: int, published_at_ms: int) -> bytes:
    """The tick as JSON, for readers without Kafka."""
    return _encode(
        Header(
            sequence=sequence,
            as_of=None if snapshot.as_of_ms is None else rfc3339(snapshot.as_of_ms),
            published_at=rfc3339(published_at_ms),
            current=snapshot.current,
            completeness=snapshot.completeness,
            positions=snapshot.positions,
        )
    )


def decode_header(data: bytes) -> Header:
    """Raises msgspec.ValidationError on anything that `encode_header` did not write."""
    return msgspec.json.decode(data, type=Header)
