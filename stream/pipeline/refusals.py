"""Is what is refused still the exception? Judged per topic, since healthy topics hide a broken one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.dead_letters import ErrorCode
from stream.core.events import Event
from stream.pipeline.decode import BadRecord

# More refused records of one topic than this in a row: the code or the topic is wrong, not the data.
IN_A_ROW = 10_000
# The same for more than half of at least this many, when a good record now and then breaks the row.
JUDGED_RECORDS = 20_000


class TooManyDeadLetters(Exception):
    """So much of a topic was refused that it cannot be what it should be: look at its dead letters.

    Raised *after* the batch was committed, dead letters included: a worker that is started again goes on
    behind them, however many one fetch brought, and counts anew.
    """


class _Topic(msgspec.Struct):
    in_a_row: int = 0
    records: int = 0
    refused: int = 0


class Refusals:
    """Counts of one partition since its claim."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._topics: dict[str, _Topic] = {}
        self._alarm: str | None = None

    def in_a_row(self, topic: str) -> int:
        return self._of(topic).in_a_row

    def note(self, topic: str, events: Sequence[Event | BadRecord], refused: int, in_a_row: int) -> None:
        """One batch was folded; `in_a_row` counts the newest records of the topic, over batches."""
        one = self._of(topic)
        one.in_a_row = in_a_row
        one.records += len(events)
        one.refused += refused
        if in_a_row > IN_A_ROW:
            self._raise_alarm(topic, f"{in_a_row} records in a row were refused", events)
        elif one.records >= JUDGED_RECORDS:
            if 2 * one.refused > one.records:
                self._raise_alarm(topic, f"{one.refused} of {one.records} records were refused", events)
            one.records = one.refused = 0

    def check(self) -> None:
        """Raises TooManyDeadLetters, once per alarm."""
        if self._alarm is not None:
            alarm, self._alarm = self._alarm, None
            raise TooManyDeadLetters(alarm)

    def _of(self, topic: str) -> _Topic:
        return self._topics.setdefault(topic, _Topic())

    def _raise_alarm(self, topic: str, what: str, events: Sequence[Event | BadRecord]) -> None:
        newest = next((event for event in reversed(events) if isinstance(event, BadRecord)), None)
        code = ErrorCode.FUTURE_TIMESTAMP if newest is None else newest.code
        self._alarm = (
            f"{topic} partition {self._partition}: {what}, the newest as {code}; they are dead letters now: "
            f"see 'latido dead-letters list --topic {topic} --limit 20', mend what writes them, start again"
        )
        self._topics[topic] = _Topic()
