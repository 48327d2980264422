"""One snapshot: the window sums of all partitions added up, and turned into KPIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from schemas.keys import snapshot_key
from schemas.times import rfc3339
from schemas.topics import INPUT_TOPICS
from stream.core.dimensions import shape_of
from stream.core.event_time import NEVER_MS
from stream.core.kpi import Count, Kpi
from stream.core.policy import SECOND_MS
from stream.core.registry import results, results_before
from stream.core.windows import ALL_TIME
from stream.pipeline.partition_state import ALL, PartitionHead
from stream.pipeline.sums import Place, Sums

# An owner writes at least once a second: silent for this long, nobody looks after the partition.
_SILENT_AFTER_MS = 5 * SECOND_MS


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
    truncated: int | msgspec.UnsetType = msgspec.UNSET  # of `(other)`: how many values there were
    customers: dict[str, int] | msgspec.UnsetType = msgspec.UNSET  # state -> how many; of all, at any time

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
    customers: Mapping[str, dict[str, int]] = {}  # site -> state -> how many

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


def look_at_heads(heads: Mapping[int, PartitionHead], partitions: int, wall_ms: int) -> Snapshot:
    """The snapshot without its records: when it is of, and how much of the input it will hold.

    `partitions` is how many there should be.
    """
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


def make_record(place: Place, value: str, sums: Sums, everyone: Sums, snapshot: Snapshot) -> SnapshotRecord:
    """The record of one segment from its sums and those of its whole site."""
    as_of_ms, (now, before) = snapshot.as_of_ms or 0, sums
    kpis = results(place.window, place.dimension, now, everyone[0])
    if place.window != ALL_TIME:
        set_previous(kpis, results_before(place.window, place.dimension, before, everyone[1]))
    return SnapshotRecord(
        site_id=place.site_id,
        window=_limits(place, as_of_ms),
        segment=SegmentName(place.dimension, None if place.dimension == ALL else value),
        as_of=rfc3339(as_of_ms),
        published_at=rfc3339(as_of_ms),
        sequence=0,
        completeness=snapshot.completeness,
        profile="latido",
        kpis=kpis,
        customers=_customers(place, snapshot),
    )


def _customers(place: Place, snapshot: Snapshot) -> dict[str, int] | msgspec.UnsetType:
    if place.window != ALL_TIME or place.dimension != ALL:
        return msgspec.UNSET
    return snapshot.customers.get(place.site_id, msgspec.UNSET)


def set_previous(kpis: Mapping[str, Kpi], before: Mapping[str, Kpi]) -> None:
    """Put the values of the window before beside those of this one."""
    for name, other in before.items():
        kpi = kpis[name]
        if isinstance(kpi, Count):
            kpi.previous = other.value if isinstance(other, Count) else None
        else:
            kpi.previous = other.value


def _limits(place: Place, as_of_ms: int) -> WindowLimits:
    if place.window == ALL_TIME:
        return WindowLimits(place.window, "all", None, rfc3339(as_of_ms))
    shape = shape_of(place.window, place.dimension)
    start_ms = shape.first_bucket(as_of_ms) * shape.bucket_ms
    return WindowLimits(place.window, "rolling", rfc3339(start_ms), rfc3339(as_of_ms))


def same_figures(a: SnapshotRecord, b: SnapshotRecord) -> bool:
    """Whether two records of one key say the same, apart from when."""
    return (
        a.kpis == b.kpis
        and a.truncated == b.truncated
        and a.customers == b.customers
        and a.completeness.status == b.completeness.status
    )


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
