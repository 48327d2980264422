"""Settled results as they are published, for readers: windows of one kind since a time, by site and time."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from schemas.times import parse_time, to_ms
from stream.core.policy import HOUR_MS
from stream.pipeline.ports import ResultsBoard, StoreMisconfigured
from stream.pipeline.publish_results import EVERY_SEGMENT, unpack_records
from stream.pipeline.settle import parse_closed_field
from stream.pipeline.take_results import ResultRecord

LONGEST_MS: Final = {"hour": HOUR_MS, "day": 25 * HOUR_MS}
"""By kind; a day on which clocks are set back has 25 hours."""
_WINDOWS_AT_A_TIME: Final = 64


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


async def newest_window_ms(board: ResultsBoard, kind: str, site: str | None) -> int | None:
    """When the newest window of that kind began, None when there is none."""
    places = map(parse_closed_field, await board.result_windows())
    return max((start for of, (what, start) in places if what == kind and site in (None, of)), default=None)
