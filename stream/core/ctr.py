"""Click-through rate: gross by event time, unique by (visitor, element) pairs.

A pair on a page lives in a session; a pair in a mail, an ad or a push lives until seven days pass
without it (`Exposure`). A pair counts as seen at its first impression, and as clicked if it was clicked
at any time of its life: so it is a function of the events, not of their order.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from stream.core.kpi import WHOLE, Count, Definition, Rate
from stream.core.statistics import rate
from stream.core.windows import Counts

IMPRESSIONS = "impressions"
CLICKS = "clicks"
PAIRS_SEEN = "pairs_seen"
PAIRS_CLICKED = "pairs_clicked"
UNMATCHED_CLICKS = "unmatched_clicks"


class Pair(msgspec.Struct, array_like=True, gc=False):
    """One visitor and one element. Times in ms, None where it never happened."""

    seen_ms: int | None = None  # first impression
    clicked_ms: int | None = None  # first click
    clicks: int = 0


Pairs: TypeAlias = dict[str, Pair]


class Exposure(msgspec.Struct, array_like=True, gc=False):
    """A pair outside pages: impressions and clicks no more than the attribution time apart."""

    surface: str
    element_id: str
    first_ms: int
    last_ms: int
    pair: Pair


def _first(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def see(pair: Pair, t: int) -> None:
    pair.seen_ms = _first(t, pair.seen_ms)


def click(pair: Pair, t: int) -> None:
    pair.clicked_ms = _first(t, pair.clicked_ms)
    pair.clicks += 1


def merge_pair(a: Pair, b: Pair) -> Pair:
    return Pair(_first(a.seen_ms, b.seen_ms), _first(a.clicked_ms, b.clicked_ms), a.clicks + b.clicks)


def merge_pairs(a: Pairs | None, b: Pairs | None) -> Pairs | None:
    """The union of two sessions' pairs. Inputs are not changed."""
    if not a or not b:
        return a or b
    merged = dict(a)
    for element, pair in b.items():
        merged[element] = merge_pair(merged[element], pair) if element in merged else pair
    return merged


def merge_exposure(a: Exposure, b: Exposure) -> Exposure:
    return Exposure(a.surface, a.element_id, min(a.first_ms, b.first_ms), max(a.last_ms, b.last_ms),
                    merge_pair(a.pair, b.pair))  # fmt: skip


def pair_counts(pair: Pair) -> tuple[int, Counts]:
    """What a pair contributes: (time in ms it is dated by, counts). Clicks never seen are unmatched."""
    if pair.seen_ms is None:
        return pair.clicked_ms or 0, {UNMATCHED_CLICKS: pair.clicks}
    if pair.clicks:
        return pair.seen_ms, {PAIRS_SEEN: 1, PAIRS_CLICKED: 1}
    return pair.seen_ms, {PAIRS_SEEN: 1}


def gross(counts: Counts, _: Counts) -> Rate:
    """Clicks / impressions.

    Above 1 (clicks whose impressions were never sent) it is published, marked `suspect`, and has no
    interval: impressions and clicks are then no trials and successes.
    """
    share = rate(counts.get(CLICKS, 0), counts.get(IMPRESSIONS, 0), of="impressions")
    share.unmatched_clicks = counts.get(UNMATCHED_CLICKS, 0)
    return share


def unique(counts: Counts, _: Counts) -> Rate:
    """Pairs clicked / pairs seen: here the interval belongs, impressions of one visitor are no trials."""
    return rate(counts.get(PAIRS_CLICKED, 0), counts.get(PAIRS_SEEN, 0), of="visitor and element pairs seen")


_SHOWN = frozenset({WHOLE, "element", "position", "variant", "surface", "channel", "campaign"})

KPIS = (
    Definition(
        id="impressions", label="Impressions", unit="events",
        meaning="How often something that can be clicked was shown.",
        formula="impression events", dimensions=_SHOWN,
        compute=lambda counts, _: Count(counts.get(IMPRESSIONS, 0)),
    ),
    Definition(
        id="clicks", label="Clicks", unit="events", better="up",
        meaning="How often something was clicked.",
        formula="click events", dimensions=_SHOWN,
        compute=lambda counts, _: Count(counts.get(CLICKS, 0)),
    ),
    Definition(
        id="ctr", label="Click-through rate", unit="share from 0 to 1", better="up",
        meaning="How many clicks there were for each impression.",
        formula="clicks / impressions", dimensions=_SHOWN,
        source="the click-through rate of advertising (IAB)", compute=gross,
    ),
    Definition(
        id="unique_ctr", label="Unique CTR", unit="share from 0 to 1", better="up",
        meaning="The share of those who saw an element that clicked it.",
        formula="(visitor, element) pairs clicked / pairs seen; a pair lives for a session on a page, "
                "for seven days in mails, ads and pushes",
        # A pair may be seen at several positions, in several campaigns: for these there is the gross rate.
        dimensions=frozenset({WHOLE, "element"}), compute=unique,
    ),
)  # fmt: skip
