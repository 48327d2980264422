"""Activities of several sources in one order of time, whichever came first.

Each source numbers what it tells, and says from time to time up to where it has told everything. Activities
wait until every source has come that far, and are then taken in order of time: so what follows from them
depends neither on how sources overtake each other nor on batches, and a repeat is recognised by its number.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from stream.core.customers import LAST_MS, Activity
from stream.core.event_time import NEVER_MS
from stream.core.events import Name, SiteId


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a source tells: that a customer did something; without a key, how far it has told all."""

    number: Annotated[int, Meta(ge=1)]  # counts what the source tells
    # From when on the activity counts; of the source itself: nothing earlier will follow.
    known_ms: Annotated[int, Meta(le=LAST_MS)]
    key: tuple[SiteId, Name] | None = None
    activity: Activity | None = None


class Source(msgspec.Struct, array_like=True):
    """How far one source was heard."""

    number: int = 0
    clock_ms: int = NEVER_MS


Waiting = tuple[int, int, int]
"""(known since in ms, source, number): the order in which activities are taken."""


class Arrivals:
    """What has come of `count` sources, and waits. Sources and waiting activities are the state."""

    def __init__(
        self,
        count: int,
        sources: Mapping[int, Source] | None = None,
        waiting: Mapping[Waiting, Told] | None = None,
    ) -> None:
        self.sources = {number: Source() for number in range(count)} | dict(sources or {})
        self.waiting = dict(waiting or {})
        self._order = sorted(self.waiting)

    def take(self, source: int, told: Told) -> Waiting | None:
        """Returns its place among those that wait; None for a clock, and for a repeat."""
        heard = self.sources.get(source)
        if heard is None or told.number <= heard.number:
            return None
        heard.number = told.number
        if told.key is None or told.activity is None:
            heard.clock_ms = max(heard.clock_ms, told.known_ms)
            return None
        place = (told.known_ms, source, told.number)
        self.waiting[place] = told
        heapq.heappush(self._order, place)
        return place

    @property
    def clock_ms(self) -> int:
        """Up to here all sources have told everything; NEVER_MS while one of them was never heard."""
        return min(source.clock_ms for source in self.sources.values())

    def upcoming(self, until_ms: int, count: int) -> list[Waiting]:
        """The next activities up to `until_ms`, so many at most. They go on waiting."""
        found: list[Waiting] = []
        while self._order and self._order[0][0] <= until_ms and len(found) < count:
            found.append(heapq.heappop(self._order))
        for place in found:
            heapq.heappush(self._order, place)
        return found

    def release(self, place: Waiting) -> Told:
        """Take out the first in order, which is `place`."""
        heapq.heappop(self._order)
        return self.waiting.pop(place)
