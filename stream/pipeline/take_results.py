"""Settled results: the counts of hours and days of all partitions, added up and turned into KPIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from schemas.keys import result_key
from schemas.times import rfc3339
from stream.core.calendar import Window, calendar_of
from stream.core.kpi import Kpi, Mean
from stream.core.registry import results
from stream.core.windows import Counts
from stream.pipeline.cut import cut_segments
from stream.pipeline.partition_state import ALL, PartitionHead
from stream.pipeline.ports import Table
from stream.pipeline.settle import parse_closed_field, read_open, unpack
from stream.pipeline.take_snapshot import Completeness, SegmentName, completeness_of

RUNNING, FINAL, CORRECTED = "running", "final", "corrected"
# What is left in the store of a record whose value left the cut: its revision. Readers of the topic get a
# tombstone.
GONE = "gone"

_encode = msgspec.json.Encoder().encode


class ResultWindow(msgspec.Struct):
    kind: str
    start: str
    end: str
    zone: str


class ResultRecord(msgspec.Struct):
    """schemas/results.py says what each field means; a test holds both equal."""

    site_id: str
    window: ResultWindow
    segment: SegmentName
    state: str
    revision: int
    reason: str | None
    previous: dict[str, float | None] | None
    published_at: str
    completeness: Completeness
    profile: str
    kpis: dict[str, Kpi]
    truncated: int | msgspec.UnsetType = msgspec.UNSET  # of `(other)`: how many values there were

    @property
    def segment_name(self) -> str:
        return ALL if self.segment.value is None else f"{self.segment.dimension}={self.segment.value}"

    @property
    def key(self) -> str:
        return result_key(self.site_id, self.window.start, self.window.kind, self.segment_name)


decode_result = msgspec.json.Decoder(ResultRecord).decode


def settled_kpis(kind: str, segment: str, counts: Counts, everyone: Counts) -> dict[str, Kpi]:
    """Every KPI of a segment from the counts of a settled window, and those of its whole site in it."""
    kpis = results(kind, segment.partition("=")[0], counts, everyone)
    for kpi in kpis.values():
        if isinstance(kpi, Mean):
            # Of the visits that still go on a settled window counts how many there are, not their pages.
            kpi.with_open = msgspec.UNSET
    return kpis


def result_records(
    site_id: str, window: Window, zone: str, segments: Mapping[str, Counts], state: str,
    completeness: Completeness, published_at_ms: int, limit: int | None = None,
) -> Iterator[ResultRecord]:  # fmt: skip
    """A record for each segment of one window, as its first revision. The whole site is always one.

    `limit`: how many values of a dimension have records of their own; None: all of them.
    """
    segments, truncated = cut_segments(segments, len(segments) if limit is None else limit)
    kind, start = window
    limits = ResultWindow(kind, rfc3339(start), rfc3339(calendar_of(zone).end(window)), zone)
    everyone = segments.get(ALL, {})
    for name in sorted({ALL, *segments}):
        dimension, _, value = name.partition("=")
        yield ResultRecord(
            site_id=site_id,
            window=limits,
            segment=SegmentName(dimension, None if name == ALL else value),
            state=state,
            revision=1,
            reason=None,
            previous=None,
            published_at=rfc3339(published_at_ms),
            completeness=completeness,
            profile="latido",
            kpis=settled_kpis(kind, name, segments.get(name, {}), everyone),
            truncated=truncated.get(name, msgspec.UNSET),
        )


def results_of_one(
    head: PartitionHead, tables: Mapping[Table, Mapping[str, bytes]], zone_of: Callable[[str], str],
    limit: int | None = None,
) -> Iterator[ResultRecord]:  # fmt: skip
    """Every settled result of a partition that is all there is, by site, time and segment."""
    counts = read_open([tables[Table.SETTLING]])
    counts |= {parse_closed_field(field): unpack(value) for field, value in tables[Table.SETTLED].items()}
    completeness = completeness_of({0: head}, 1, [])
    for site_id, window in sorted(counts, key=lambda place: (place[0], place[1][1], place[1][0])):
        zone = zone_of(site_id)
        final = calendar_of(zone).end(window) <= head.final_through_ms
        yield from result_records(
            site_id, window, zone, counts[site_id, window], FINAL if final else RUNNING, completeness,
            max(0, head.progress.live_ms), limit,
        )  # fmt: skip


def follow(before: ResultRecord | None, now: ResultRecord, reason: str | None) -> ResultRecord | None:
    """The record to publish after `before`, None when there is nothing new.

    `now` says running or final. What changes after final is a correction, for `reason`.
    """
    if before is None or before.state == GONE:
        now.revision = 1 if before is None else before.revision + 1
        if reason is not None and now.state == FINAL:
            now.state, now.reason, now.previous = CORRECTED, reason, {}
        return now
    same = (before.kpis, before.truncated) == (now.kpis, now.truncated)
    if before.state != RUNNING:
        if same:
            return None
        now.state, now.reason = CORRECTED, reason or "late_event"
        now.previous = {name: kpi.value for name, kpi in before.kpis.items() if now.kpis.get(name) != kpi}
    elif same and now.state == RUNNING:
        return None
    now.revision = before.revision + 1
    return now


def withdraw(before: ResultRecord) -> ResultRecord:
    """What is left of a record whose value is no longer among the largest: its counts are in `(other)`."""
    return msgspec.structs.replace(
        before, state=GONE, revision=before.revision + 1, reason=None, previous=None, kpis={}
    )


def encode_result(record: ResultRecord) -> bytes:
    return _encode(record)
