"""Settled results as they are published, for readers: windows of one kind since a time, by site and time."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from schemas.times import parse_time, to_ms
from stream.core.policy import HOUR_MS
from stream.pipeline.ports import ResultsBoard, StoreMisconfigured
from stream.pipeline.publish_results import EVERY_SEGMENT, unpack_records
from stream.pipeline.settle import parse_closed_field
from stream.pipeline.take_results import ResultRecord
from stream.telemetry import escape

LONGEST_MS: Final = {"hour": HOUR_MS, "day": 25 * HOUR_MS}
"""By kind; a day on which clocks are set back has 25 hours."""
_WINDOWS_AT_A_TIME: Final = 64
_SEGMENTS_NAMED: Final = 8  # of those there are, in a message


class Wanted(msgspec.Struct, frozen=True):
    """Which results: kind `hour` or `day`, of windows that end after `since_ms`. site None: every one."""

    kind: str
    since_ms: int
    site: str | None = None
    segment: str = EVERY_SEGMENT


async def results_of(board: ResultsBoard, wanted: Wanted) -> AsyncGenerator[ResultRecord]:
    """The records, by site, time and segment. Raises StoreUnreachable, StoreMisconfigured."""
    places = {field: parse_closed_field(field) for field in await board.result_windows()}
    # A window that has begun before and ends after it belongs to what is asked for.
    fields = sorted(
        (
            field for field, (site, (kind, start_ms)) in places.items()
            if kind == wanted.kind and wanted.site in (None, site)
            and start_ms > wanted.since_ms - LONGEST_MS[kind]
        ),
        key=lambda field: (places[field][0], places[field][1][1]),
    )  # fmt: skip
    for first in range(0, len(fields), _WINDOWS_AT_A_TIME):
        some = fields[first : first + _WINDOWS_AT_A_TIME]
        for records in await read_windows(board, some, wanted.segment):
            for _, record in sorted(records.items()):
                if to_ms(parse_time(record.window.end)) > wanted.since_ms:
                    yield record


async def read_windows(
    board: ResultsBoard, fields: Sequence[str], segment: str = EVERY_SEGMENT
) -> list[dict[str, ResultRecord]]:
    """The records of these windows, by segment. Raises StoreUnreachable, StoreMisconfigured."""
    try:
        return [unpack_records(pack, segment) for pack in await board.read_results(fields)]
    except (msgspec.MsgspecError, ValueError, zlib.error) as error:
        raise StoreMisconfigured(
            f"what is published cannot be read ({error}): use the version of the worker"
        ) from None


class NotPublished(Exception):
    """There is no such number; the message says where there is one, and can be shown as it is."""


class NothingYet(NotPublished):
    """No window of that kind is published at all."""


class SettledNumber(msgspec.Struct, frozen=True):
    """Which number of an hour or a day is meant."""

    kpi: str
    kind: str  # hour or day
    segment: str
    site: str | None = None  # None: the first one that has any
    at: datetime | None = None  # in the window; without an offset by the site's clocks. None: the newest


async def settled_record(board: ResultsBoard, wanted: SettledNumber) -> ResultRecord:
    """The record that holds the number. Raises NotPublished, StoreUnreachable, StoreMisconfigured."""
    places = {field: parse_closed_field(field) for field in await board.result_windows()}
    fields = {
        (site, start): field for field, (site, (kind, start)) in places.items()
        if kind == wanted.kind and wanted.site in (None, site)
    }  # fmt: skip
    if not fields:
        where = "" if wanted.site is None else f" of site {escape(wanted.site)}"
        raise NothingYet(f"no {wanted.kind}{where} is published yet")
    site = min(fields)[0]
    [records] = await read_windows(board, [fields[max(place for place in fields if place[0] == site)]])
    if wanted.at is not None:
        at_ms = _at_ms(wanted.at, records)
        before = [place for place in fields if place[0] == site and place[1] <= at_ms]
        [records] = await read_windows(board, [fields[max(before)]]) if before else [{}]
        if not any(to_ms(parse_time(one.window.end)) > at_ms for one in records.values()):
            raise NotPublished(
                f"no {wanted.kind} of {escape(site)} that holds {wanted.at.isoformat()} is published"
            )
    return _holding(records, wanted)


def _at_ms(at: datetime, records: Mapping[str, ResultRecord]) -> int:
    """The instant meant: of a time that names no offset, by the clocks of the site of these records."""
    zone = next(iter(records.values())).window.zone
    try:
        return to_ms(at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone)))
    except OverflowError:  # the first or the last day that can be written, in a zone in which it is another
        return -1


def _holding(records: Mapping[str, ResultRecord], wanted: SettledNumber) -> ResultRecord:
    record = records.get(wanted.segment)
    if record is not None and wanted.kpi in record.kpis:
        return record
    segments = sorted(name for name, one in records.items() if wanted.kpi in one.kpis)
    what = f"{wanted.kpi} of that {wanted.kind} is not published"
    if not segments:
        raise NotPublished(f"{what}: no such event was counted, or this KPI has no {wanted.kind}s")
    if len(segments) > _SEGMENTS_NAMED:
        segments[_SEGMENTS_NAMED:] = ["..."]
    named = ", ".join(map(escape, segments))
    raise NotPublished(f"{what} for segment {escape(wanted.segment)}; segments: {named}")


async def newest_window_ms(board: ResultsBoard, kind: str, site: str | None) -> int | None:
    """When the newest window of that kind began, None when there is none."""
    places = map(parse_closed_field, await board.result_windows())
    return max((start for of, (what, start) in places if what == kind and site in (None, of)), default=None)
