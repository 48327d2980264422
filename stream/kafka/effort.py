"""How much of the worker's only thread a recurring task may take: it rests in proportion to what it cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from stream.core.event_time import has_passed

# A round that costs no more than this is followed by the next one as planned.
_LIGHT_MS = 50.0
# After a harder one, of the time at least nineteen twentieths are for reading events.
_REST_PER_WORK = 19.0


class Effort:
    """The processor time of a task's rounds, and until when it rests."""

    def __init__(self) -> None:
        self._spent_ms = 0.0
        self._since_ms = self._rest_ms = 0

    @contextmanager
    def work(self) -> Iterator[None]:
        """Count what is done inside. Must not await: others' work would be counted, too."""
        before_s = time.thread_time()
        try:
            yield
        finally:
            self._spent_ms += (time.thread_time() - before_s) * 1000

    def end_round(self, wall_ms: int) -> None:
        """Rest from now on, as long as the round was hard."""
        hard = self._spent_ms > _LIGHT_MS
        self._since_ms, self._rest_ms = wall_ms, int(self._spent_ms * _REST_PER_WORK) if hard else 0
        self._spent_ms = 0.0

    def is_rested(self, wall_ms: int) -> bool:
        return has_passed(wall_ms, self._since_ms, self._rest_ms)
