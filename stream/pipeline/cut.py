"""The cut of a dimension to its largest values: by sessions, then by what was shown and clicked, then by
answers, then by name. The rest is one value, `(other)`, whose counts are complete.

It is made when counts are read, so it is a function of them, whatever was published before.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping

from schemas.keys import segment_name
from stream.core import csat, ctr, engagement, nps
from stream.core.packed import spelled_out
from stream.core.windows import Counts, add
from stream.pipeline.partition_state import OTHER

_SESSIONS = (engagement.OPEN, engagement.ENDED)
_SHOWN = (ctr.IMPRESSIONS, ctr.CLICKS)
_ANSWERS = (nps.PROMOTERS, nps.PASSIVES, nps.DETRACTORS, csat.ANSWERS)


def cut(values: Collection[str], counts_of: Callable[[str], Counts], limit: int) -> set[str] | None:
    """The largest values of a dimension, None when all of them fit."""
    if len(values) <= limit or sum(1 for _ in _named(values)) <= limit:
        return None
    return set(heapq.nsmallest(limit, _named(values), key=lambda value: (*_size(counts_of(value)), value)))


def _named(values: Collection[str]) -> Iterator[str]:
    return (value for value in values if value != OTHER)


def _size(counts: Counts) -> tuple[int, ...]:
    """Orders the larger first."""
    counts = spelled_out(counts)
    return tuple([-sum(counts.get(metric, 0) for metric in kind) for kind in (_SESSIONS, _SHOWN, _ANSWERS)])


def cut_segments(segments: Mapping[str, Counts], limit: int) -> tuple[dict[str, Counts], dict[str, int]]:
    """The segments of one window, each dimension cut, and how many values a segment `(other)` stands among.

    A segment without counts takes no place of another and stays.
    """
    found, values = dict(segments), defaultdict[str, dict[str, Counts]](dict)
    truncated: dict[str, int] = {}
    if len(segments) <= limit:
        return found, truncated
    for name, counts in segments.items():
        dimension, named, value = name.partition("=")
        if named and counts:
            values[dimension][value] = counts
    for dimension, of_values in values.items():
        kept = cut(of_values, of_values.__getitem__, limit)
        if kept is None:
            continue
        rest: Counts = {}
        for value, counts in of_values.items():
            if value not in kept:
                add(rest, counts)
                del found[segment_name(dimension, value)]
        other = segment_name(dimension, OTHER)
        found[other] = rest
        truncated[other] = sum(1 for _ in _named(of_values))
    return found, truncated
