"""Click-through rate: gross by event time, unique by (visitor, element) pairs; open rate of mails.

A pair on a page lives in a session; a pair in a mail, an ad or a push lives until seven days pass
without it (`Exposure`). A pair counts as seen at its first impression, and there (position, campaign and
so on) where that was; it is clicked or opened if that happened at any time of its life: so it is a function
of the events, not of their order. One that was never seen has the place of its first click.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, TypeAlias

import msgspec

from stream.core.kpi import OURS, WAA, WHOLE, Count, Definition, Rate
from stream.core.statistics import rate
from stream.core.windows import Counts

IMPRESSIONS = "impressions"
CLICKS = "clicks"
PAIRS_SEEN = "pairs_seen"
PAIRS_CLICKED = "pairs_clicked"
UNMATCHED_CLICKS = "unmatched_clicks"
MAILS = "mails"  # pairs seen in mails: delivered
MAILS_OPENED = "mails_opened"

MAIL = "mail"


class Place(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Where something was shown or clicked, as the event says it."""

    surface: str
    position: int | None = None
    variant: str | None = None
    channel: str | None = None
    campaign: str | None = None


class Shown(Protocol):
    """An impression or a click."""

    @property
    def surface(self) -> str: ...
    @property
    def position(self) -> int | None: ...
    @property
    def variant(self) -> str | None: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def campaign(self) -> str | None: ...


# A site shows its elements in few places, and many times in each: one object for each place.
_place = lru_cache(16_384)(Place)


def place_of(event: Shown) -> Place:
    """Where the event says that it happened."""
    return _place(event.surface, event.position, event.variant, event.channel, event.campaign)


@lru_cache(16_384)
def dimensions_of(place: Place) -> tuple[tuple[str, str], ...]:
    """(dimension, value) of everything that is known of a place."""
    position = None if place.position is None else str(place.position)
    said = (("surface", place.surface), ("position", position), ("variant", place.variant),
            ("channel", place.channel), ("campaign", place.campaign))  # fmt: skip
    return tuple((dimension, value) for dimension, value in said if value is not None)


class Pair(msgspec.Struct, array_like=True, gc=False):
    """One visitor and one element. Times in ms, None where it never happened."""

    seen_ms: int | None = None  # first impression
    clicked_ms: int | None = None  # first click
    clicks: int = 0
    # Of the earliest impression by (time, id); while never seen, of the earliest click.
    first_id: str = ""
    place: Place | None = None  # None in tables of 0.1.0: such a pair counts by element only
    opened: bool = False  # an impression said so


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


def seen(t: int, event_id: str, place: Place, *, opened: bool = False) -> Pair:
    """The pair of one impression."""
    return Pair(seen_ms=t, first_id=event_id, place=place, opened=opened)


def clicked(t: int, event_id: str, place: Place) -> Pair:
    """The pair of one click."""
    return Pair(clicked_ms=t, clicks=1, first_id=event_id, place=place)


def merge_pair(a: Pair, b: Pair) -> Pair:
    first = a if _rank(a) <= _rank(b) else b
    return Pair(_first(a.seen_ms, b.seen_ms), _first(a.clicked_ms, b.clicked_ms), a.clicks + b.clicks,
                first.first_id, first.place, a.opened or b.opened)  # fmt: skip


def _rank(pair: Pair) -> tuple[bool, int, str]:
    """Which of two pairs says where it was: the earlier impression, and any impression before clicks."""
    if pair.seen_ms is None:
        return True, pair.clicked_ms or 0, pair.first_id
    return False, pair.seen_ms, pair.first_id


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
    counts = {PAIRS_SEEN: 1, PAIRS_CLICKED: 1} if pair.clicks else {PAIRS_SEEN: 1}
    if pair.place is not None and pair.place.surface == MAIL:
        counts[MAILS] = 1
        if pair.opened:
            counts[MAILS_OPENED] = 1
    return pair.seen_ms, counts


def counts_the_same(before: Pair, after: Pair) -> bool:
    """Whether an event changed nothing of what the pair contributes: most repeated impressions do not."""
    return before.place == after.place and pair_counts(before) == pair_counts(after)


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


def open_rate(counts: Counts, _: Counts) -> Rate:
    """Mails opened / mails delivered, each counted once however often it was opened."""
    return rate(counts.get(MAILS_OPENED, 0), counts.get(MAILS, 0), of="mails delivered")


_SHOWN = frozenset({WHOLE, "element", "position", "variant", "surface", "channel", "campaign"})

KPIS = (
    Definition(
        id="impressions", label="Impressions", unit="events",
        meaning="How often something that can be clicked was shown.",
        source="IAB and MRC, Ad Impression Measurement Guidelines (2004)",
        formula="impression events", dimensions=_SHOWN,
        compute=lambda counts, _: Count(counts.get(IMPRESSIONS, 0)),
    ),
    Definition(
        id="clicks", label="Clicks", unit="events", better="up",
        meaning="How often something was clicked.",
        source="IAB and MRC, Click Measurement Guidelines 1.0 (2009)",
        formula="click events", dimensions=_SHOWN,
        compute=lambda counts, _: Count(counts.get(CLICKS, 0)),
    ),
    Definition(
        id="ctr", label="Click-through rate", unit="share from 0 to 1", better="up",
        meaning="How many clicks there were for each impression.",
        source=f"{WAA}: click-through rate",
        formula="clicks / impressions", dimensions=_SHOWN,
        compute=gross,
    ),
    Definition(
        id="unique_ctr", label="Unique CTR", unit="share from 0 to 1", better="up",
        meaning="The share of those who saw an element that clicked it.",
        source=f"{OURS}KPIs",
        formula="(visitor, element) pairs clicked / pairs seen; a pair lives for a session on a page, "
                "for seven days in mails, ads and pushes, and counts where and when it was first seen",
        dimensions=_SHOWN, compute=unique,
    ),
    Definition(
        id="mails_delivered", label="Mails delivered", unit="mails",
        meaning="How many mails arrived: what the open rate is a share of.",
        source=f"{OURS}KPIs",
        formula="(visitor, element) pairs seen on the surface mail",
        dimensions=_SHOWN - {"position", "surface"}, compute=lambda counts, _: Count(counts.get(MAILS, 0)),
    ),
    Definition(
        id="open_rate", label="Open rate", unit="share from 0 to 1", better="up",
        meaning="The share of the delivered mails that were opened.",
        source="Twilio SendGrid documentation, glossary, Open Rate: unique opens",
        formula="mails opened / mails delivered: (visitor, element) pairs seen on the surface mail, and of "
                "these the ones with an impression that says opened",
        dimensions=_SHOWN - {"position", "surface"}, compute=open_rate,
    ),
)  # fmt: skip
