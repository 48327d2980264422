"""Things to look at when a clock reaches a time: bins of a second, or of what suits, visited in order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Items by deadline. An item may be filed again later instead of being moved: look, then decide."""

    def __init__(self, bin_ms: int = 1000) -> None:
        self._bin_ms = bin_ms
        self._bins: dict[int, list[T]] = {}
        self._order: list[int] = []

    def file(self, deadline_ms: int, item: T) -> None:
        index = deadline_ms // self._bin_ms
        items = self._bins.get(index)
        if items is None:
            self._bins[index] = [item]
            heapq.heappush(self._order, index)
        else:
            items.append(item)

    def due(self, now_ms: int) -> Iterator[T]:
        """Take out every item whose bin has begun by `now_ms`.

        The last bin may hold items with a deadline still ahead: the caller files them again, which
        puts them back into a bin that this call no longer visits.
        """
        last = now_ms // self._bin_ms
        taken: list[list[T]] = []
        while self._order and self._order[0] <= last:
            taken.append(self._bins.pop(heapq.heappop(self._order)))
        for items in taken:
            yield from items
