"""Event time of one partition: the clock of each topic, progress T, and the live clock L.

T decides what is late and what is final; it is held back by every topic that is behind, so that a
backlog is never judged by the clock of a topic that was read first. L decides only what is shown.
"""

from __future__ import annotations

import msgspec

from stream.core.policy import Policy

# "Minus infinity" for clocks, small enough that no sum with a duration reaches a real time.
NEVER_MS = -(1 << 61)
# Beyond every real time; what unlimited tolerance adds up to lies above it.
FOREVER_MS = 1 << 60


class TopicProgress(msgspec.Struct):
    """How far one topic of a partition was applied. `end` is None while the topic is unknown."""

    position: int = -1  # end of the last batch applied, -1 before the first
    clock_ms: int = NEVER_MS  # highest min(event time, arrival time) of the valid records read
    end: int | None = None  # readable end of the log, by the newest fetch reply
    replied_at_ms: int = NEVER_MS  # wall clock of that reply


class Progress(msgspec.Struct):
    """Clocks of one partition's co-partitioned topics. `survey` is the index of the survey topic."""

    topics: list[TopicProgress]
    survey: int
    progress_ms: int = NEVER_MS  # T
    live_ms: int = NEVER_MS  # L
    anchor_live_ms: int = NEVER_MS  # L and wall clock when nothing was behind for the last time
    anchor_wall_ms: int = NEVER_MS

    def replied(self, topic: int, end: int, wall_ms: int) -> None:
        """A fetch reply (even an empty one) said where the readable log ends."""
        state = self.topics[topic]
        state.end, state.replied_at_ms = end, wall_ms

    def forget_replies(self) -> None:
        """A new assignment: every topic is unknown until it answers."""
        for state in self.topics:
            state.end, state.replied_at_ms = None, NEVER_MS

    def expire_replies(self, wall_ms: int, after_ms: int) -> None:
        """Topics that have not answered for `after_ms` become unknown again."""
        for state in self.topics:
            if state.end is not None and wall_ms - state.replied_at_ms > after_ms:
                state.end = None

    def is_behind(self, topic: int) -> bool:
        """Behind: not everything readable is applied, or nobody knows."""
        state = self.topics[topic]
        # Before its first batch an empty log (end 0) is applied as well as can be.
        return state.end is None or max(state.position, 0) < state.end

    def any_behind(self) -> bool:
        return any(self.is_behind(i) for i in range(len(self.topics)))

    def lag_records(self) -> int:
        """Offsets between what is applied and the readable ends known."""
        return sum(max(0, t.end - max(t.position, 0)) for t in self.topics if t.end is not None)

    def highest_clock_ms(self) -> int:
        return max(t.clock_ms for t in self.topics)

    def hold_ms(self, topic: int, policy: Policy) -> int:
        """Where a topic that is behind holds T: at its clock; surveys only half their tolerance later."""
        clock_ms = self.topics[topic].clock_ms
        # Of a topic without a clock nothing is known: it holds T where it is, however tolerant.
        return clock_ms + self.hold_extra_ms(topic, policy) if clock_ms > NEVER_MS else NEVER_MS

    def hold_extra_ms(self, topic: int, policy: Policy) -> int:
        """How far above its own clock a topic lets T go while it is behind."""
        if topic != self.survey:
            return 0
        return FOREVER_MS if policy.survey_tolerance_ms is None else policy.survey_tolerance_ms // 2

    def others(self, topic: int, policy: Policy) -> tuple[int | None, int]:
        """For the records of one topic: where the others hold T (None: nowhere), and their highest clock."""
        indices = [i for i in range(len(self.topics)) if i != topic]
        holds = [self.hold_ms(i, policy) for i in indices if self.is_behind(i)]
        highest = max((self.topics[i].clock_ms for i in indices), default=NEVER_MS)
        return (min(holds) if holds else None), highest

    def complete_ms(self) -> int:
        """Up to where all topics were read: L, or the lowest clock of those that are behind, surveys too."""
        behind = [self.topics[i].clock_ms for i in range(len(self.topics)) if self.is_behind(i)]
        return min([self.live_ms, *behind])

    def move(self, policy: Policy) -> None:
        """Move T to what the clocks allow now. T never goes back."""
        holds = [self.hold_ms(i, policy) for i in range(len(self.topics)) if self.is_behind(i)]
        # A hold only ever holds back: surveys allow more than any clock has reached.
        candidate = min([*holds, self.highest_clock_ms()])
        self.progress_ms = max(self.progress_ms, candidate)

    def held_by(self, policy: Policy) -> int | None:
        """The topic that holds T, or None when nothing is behind."""
        holds = [(self.hold_ms(i, policy), i) for i in range(len(self.topics)) if self.is_behind(i)]
        return min(holds)[1] if holds else None

    def shine(self, wall_ms: int | None, shared_ms: int | None = None) -> None:
        """Move L. With `wall_ms` None (a replay) or while behind, it only follows T.

        Caught up, it runs on with the wall clock from where it stood, but never ahead of it;
        `shared_ms` is the live time other partitions already show, so that all show the same instant.
        """
        live_ms = max(self.live_ms, self.progress_ms)
        if wall_ms is not None and not self.any_behind():
            if self.anchor_live_ms > NEVER_MS:
                live_ms = max(live_ms, min(wall_ms, self.anchor_live_ms + wall_ms - self.anchor_wall_ms))
            if shared_ms is not None:
                live_ms = max(live_ms, min(wall_ms, shared_ms))
            if live_ms > NEVER_MS:
                self.anchor_live_ms, self.anchor_wall_ms = live_ms, wall_ms
        self.live_ms = live_ms

    def window_end_ms(self, grid_ms: int) -> int:
        """Where rolling windows end: max(L, highest clock), floored to the grid; NEVER_MS before any."""
        end_ms = max(self.live_ms, self.highest_clock_ms())
        return end_ms if end_ms <= NEVER_MS else end_ms // grid_ms * grid_ms


def has_passed(wall_ms: int, since_ms: int, period_ms: int) -> bool:
    """Whether a period of the wall clock is over; also when the clock was set back behind its beginning.

    Else whatever is done once a period would rest for as long as the clock was wrong.
    """
    return not 0 <= wall_ms - since_ms < period_ms


def late_before_ms(topic_is_survey: bool, policy: Policy) -> tuple[int, int]:
    """Tolerances (against T, against the topic's own clock): an event is late when it is older by more.

    Unlimited tolerance is a duration no event reaches.
    """
    if not topic_is_survey:
        return policy.lateness_ms, policy.lateness_ms
    if policy.survey_tolerance_ms is None:
        return 4 * FOREVER_MS, 4 * FOREVER_MS
    return policy.survey_tolerance_ms, policy.survey_tolerance_ms // 2
