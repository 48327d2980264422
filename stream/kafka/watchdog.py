"""Is anybody counting? The positions in the store against the ends of the logs, over every partition.

The group's lag is blind: it read 0 in a fault run while 62,000 events were not counted. So this looks at
what the store holds, also for partitions that nobody owns. When one of them does not move for longer than
a takeover can take, while broker and store answer, this worker says why and ends; its supervisor starts a
new one, which joins the group anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

import msgspec
import structlog
from aiokafka.structs import TopicPartition

from stream.kafka.errors import WorkerRefused
from stream.kafka.log_probe import LogProbe, ProbeFailed
from stream.pipeline.changes import decode_head
from stream.pipeline.ports import NOTHING_SEEN, SnapshotBoard, StoreUnreachable
from stream.pipeline.take_snapshot import look_at_heads

log = structlog.get_logger("latido.kafka")


class Stuck(WorkerRefused):
    """A partition has records to count, and nobody counts them."""


class _Watched(msgspec.Struct):
    positions: tuple[int, ...]
    since_s: float


class Watchdog:
    """`check` is called every few seconds."""

    def __init__(
        self, probe: LogProbe, board: SnapshotBoard, topics: Collection[str], partitions: int, limit_ms: int,
        wall_ms: Callable[[], int], monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._probe = probe
        self._board = board
        self._topics = tuple(topics)
        self._partitions = partitions
        self._limit_s = limit_ms / 1000
        self._wall_ms = wall_ms
        self._monotonic_s = monotonic_s
        self._watched: dict[int, _Watched] = {}

    async def check(self) -> None:
        """Raises Stuck. An outage of store or broker starts the clock anew: then waiting is right."""
        try:
            positions = await self._stored()
            ends = await self._ends()
        except (StoreUnreachable, ProbeFailed) as error:
            log.debug("the watchdog cannot see", reason=str(error))
            self._watched.clear()
            return
        now_s = self._monotonic_s()
        for number in range(self._partitions):
            self._look(number, positions[number], ends, now_s)

    def _look(
        self, number: int, stored: tuple[int, ...], ends: Mapping[TopicPartition, int], now_s: float
    ) -> None:
        behind = [
            f"{topic} at {position} of {ends[TopicPartition(topic, number)]}"
            for topic, position in zip(self._topics, stored, strict=True)
            if position < ends[TopicPartition(topic, number)]
        ]
        before = self._watched.get(number)
        if not behind or before is None or before.positions != stored:
            self._watched[number] = _Watched(stored, now_s)
        elif now_s - before.since_s > self._limit_s:
            raise Stuck(
                f"partition {number} has not moved for {now_s - before.since_s:.0f} s although broker and "
                f"store answer ({'; '.join(behind)}): ending, so that a fresh worker takes over"
            )

    async def _stored(self) -> list[tuple[int, ...]]:
        partials = await self._board.read_changes([NOTHING_SEEN] * self._partitions)
        heads = {one.partition: decode_head(one.head) for one in partials if one.head is not None}
        positions = look_at_heads(heads, self._partitions, self._wall_ms()).positions
        return [tuple(positions[topic].get(n, 0) for topic in self._topics) for n in range(self._partitions)]

    async def _ends(self) -> Mapping[TopicPartition, int]:
        return await self._probe.ends(
            [TopicPartition(t, n) for t in self._topics for n in range(self._partitions)]
        )
