"""Metrics that nearly always move together, as the lanes of one integer: adding a session is one addition.

A whole number of any size holds 64 bits per lane, the first metric lowest. Lanes are signed: one that is
negative borrows from the next, and whatever is added later pays it back, so sums and differences of such
numbers are those of their lanes, and zero means that every lane is. To read them a constant is added that
lifts each lane above zero.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

LANE_BITS: Final = 64
_HALF: Final = 1 << (LANE_BITS - 1)


class Lanes:
    """Some metrics in one integer, which is a metric itself: `name` is none that a KPI reads.

    The order is part of the stored tables: new metrics come last.
    """

    def __init__(self, name: str, metrics: Iterable[str]) -> None:
        self.name = name
        self.metrics = tuple(metrics)
        self._unpack = struct.Struct(f"<{len(self.metrics)}Q").unpack
        self._bytes = len(self.metrics) * LANE_BITS // 8
        self._lift = sum(_HALF << (lane * LANE_BITS) for lane in range(len(self.metrics)))

    def one(self, metric: str) -> int:
        """1 in the lane of a metric."""
        return 1 << (self.metrics.index(metric) * LANE_BITS)

    def spell_out(self, packed: int) -> list[tuple[str, int]]:
        """(metric, count) of every lane that is not zero. Raises OverflowError when it holds other lanes."""
        lifted = self._unpack((packed + self._lift).to_bytes(self._bytes, "little"))
        return [(metric, n - _HALF) for metric, n in zip(self.metrics, lifted, strict=True) if n != _HALF]
