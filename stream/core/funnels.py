"""Funnels: ordered steps through a visit, how many ended sessions reach each, and how many give up.

A step is reached by an event after that of the step before it, in the order of events (time, id, topic). What
is stored of a session are its events that fit some step, so any order of arrival leads to the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from stream.core.kpi import GA4, OURS, Count, Definition, Rate
from stream.core.policy import Funnel, step_name
from stream.core.statistics import rate
from stream.core.windows import Counts

FUNNEL = "funnel"  # the dimension of whole funnels
FUNNEL_STEP = "funnel_step"  # of their steps: `checkout#2`
STARTED = "funnel_started"
FINISHED = "funnel_finished"
REACHED = "step_reached"
REACHED_BEFORE = "step_before"  # the step before it; of the first step the same as `STARTED`


class Match(msgspec.Struct, array_like=True, gc=False, frozen=True, order=True):
    """An event that fits a step. Ordered as events are."""

    at_ms: int
    event_id: str
    topic: int
    step: str  # as `step_name` has it


def steps_reached(funnel: Funnel, trail: Iterable[Match]) -> int:
    """How many steps were reached in order. One event is one step, though it may fit several."""
    reached = 0
    last: tuple[int, str, int] | None = None
    for match in sorted(trail):
        event = (match.at_ms, match.event_id, match.topic)
        if event != last and match.step == step_name(funnel.name, reached + 1):
            reached, last = reached + 1, event
    return reached


def contributions(funnel: Funnel, trail: Iterable[Match]) -> list[tuple[str, str, Counts]]:
    """(dimension, value, counts) of what an ended session adds to a funnel and to each of its steps."""
    reached, length = steps_reached(funnel, trail), len(funnel.steps)
    if reached == 0:
        return []
    found = [(FUNNEL, funnel.name, {STARTED: 1, FINISHED: int(reached == length)})]
    for number in range(1, length + 1):
        counts = {STARTED: 1, REACHED: int(reached >= number), REACHED_BEFORE: int(reached >= number - 1)}
        found.append((FUNNEL_STEP, step_name(funnel.name, number), counts))
    return found


def conversion(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(FINISHED, 0), counts.get(STARTED, 0), of="ended sessions that started")


def abandonment(counts: Counts, _: Counts) -> Rate:
    started = counts.get(STARTED, 0)
    return rate(started - counts.get(FINISHED, 0), started, of="ended sessions that started")


def step_conversion(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(REACHED, 0), counts.get(REACHED_BEFORE, 0), of="sessions at the step before")


def step_overall(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(REACHED, 0), counts.get(STARTED, 0), of="ended sessions that started")


_FUNNEL = frozenset({FUNNEL})
_STEP = frozenset({FUNNEL_STEP})
_CLOSED_FUNNEL = f"{OURS}Funnels; after {GA4}Funnel exploration, closed funnels (answer 9327974)"

KPIS = (
    Definition(
        id="funnel_started", label="Funnel started", unit="sessions", better="up",
        meaning="How many visits took the first step.",
        source=_CLOSED_FUNNEL,
        formula="ended sessions that reached step 1", dimensions=_FUNNEL,
        compute=lambda counts, _: Count(counts.get(STARTED, 0)),
    ),
    Definition(
        id="funnel_conversion", label="Funnel conversion", unit="share from 0 to 1", better="up",
        meaning="The share of the visits that took the first step and went to the end, step by step.",
        source=_CLOSED_FUNNEL,
        formula="ended sessions that reached the last step / those that reached step 1",
        dimensions=_FUNNEL, compute=conversion,
    ),
    Definition(
        id="funnel_abandonment", label="Funnel abandonment", unit="share from 0 to 1", better="down",
        meaning="The share of the visits that began and gave up: of forms, carts, registrations.",
        source=_CLOSED_FUNNEL,
        formula="1 - ended sessions that reached the last step / those that reached step 1",
        dimensions=_FUNNEL, compute=abandonment,
    ),
    Definition(
        id="funnel_step_sessions", label="Step reached", unit="sessions", better="up",
        meaning="How many visits came as far as this step.",
        source=_CLOSED_FUNNEL,
        formula="ended sessions that reached the step, all before it in order", dimensions=_STEP,
        compute=lambda counts, _: Count(counts.get(REACHED, 0)),
    ),
    Definition(
        id="funnel_step_conversion", label="Step conversion", unit="share from 0 to 1", better="up",
        meaning="The share of the visits at the step before that went on to this one.",
        source=_CLOSED_FUNNEL,
        formula="ended sessions that reached the step / those that reached the step before",
        dimensions=_STEP, compute=step_conversion,
    ),
    Definition(
        id="funnel_step_overall", label="Step, overall", unit="share from 0 to 1", better="up",
        meaning="The share of the visits that took the first step and came as far as this one.",
        source=_CLOSED_FUNNEL,
        formula="ended sessions that reached the step / those that reached step 1",
        dimensions=_STEP, compute=step_overall,
    ),
)  # fmt: skip
