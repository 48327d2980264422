"""A task on the worker's only thread rests in proportion to what it cost."""

from __future__ import annotations

import time

from stream.kafka.effort import Effort


def spin(effort: Effort, seconds: float) -> None:
    with effort.work():
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass


def test_light_rounds_follow_one_another() -> None:
    effort = Effort()
    assert effort.is_rested(1_000)
    spin(effort, 0.005)
    effort.end_round(1_000)
    assert effort.is_rested(1_000)


def test_a_hard_round_is_followed_by_a_long_rest() -> None:
    effort = Effort()
    spin(effort, 0.06)
    spin(effort, 0.04)
    effort.end_round(1_000)
    assert not effort.is_rested(2_800)
    assert effort.is_rested(1_000 + 60_000)
    effort.end_round(90_000)  # nothing was done since
    assert effort.is_rested(90_000)


def test_a_clock_that_is_set_back_ends_the_rest() -> None:
    effort = Effort()
    spin(effort, 0.1)
    effort.end_round(1_000_000)
    assert effort.is_rested(999_000)
