"""Sessions counted by dimensions that the stored state did not know, or knew and are no longer wanted.

Settings may name other pairs and funnels at any start. What is not final is in memory: it is counted into
what is new, and taken out of what is gone, so that every later change retracts exactly what was added.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from stream.core import engagement
from stream.core.dimensions import FIRST_DIMENSIONS, SESSION_DIMENSIONS, value_of
from stream.core.policy import Funnel, Policy, step_name
from stream.core.sessions import OPEN, Session
from stream.core.windows import TEN_SECONDS_MS
from stream.pipeline.join_session import count_funnels, count_open
from stream.pipeline.partition_state import PartitionState, Site


def further_dimensions(policy: Policy) -> tuple[str, ...]:
    """What sessions are counted by under a policy, besides the first dimensions."""
    return (*(name for name in SESSION_DIMENSIONS if name not in FIRST_DIMENSIONS), *policy.dimension_pairs)


def recount(state: PartitionState, before: Iterable[str]) -> None:
    """The stored sessions are counted by the dimensions `before`; count them by those of the policy."""
    wanted, counted = set(further_dimensions(state.policy)), set(before)
    for sign, dimensions in ((-1, counted - wanted), (1, wanted - counted)):
        if not dimensions:
            continue
        for site in state.sites.values():
            for visitor in site.visitors.values():
                for session in visitor.sessions:
                    for dimension in sorted(dimensions):
                        _count(state, site, session, dimension, sign)


def recount_funnels(state: PartitionState, before: Iterable[Funnel]) -> None:
    """Let go of what stored sessions reached of funnels that are no more, or have other steps now."""
    gone = tuple(funnel for funnel in before if funnel not in state.policy.funnels)
    if not gone:
        return
    old = msgspec.structs.replace(state.policy, funnels=gone)
    steps = {step_name(funnel.name, number + 1) for funnel in gone for number in range(len(funnel.steps))}
    for site in state.sites.values():
        for visitor in site.visitors.values():
            for session in visitor.sessions:
                if session.trail is None:
                    continue
                if session.phase != OPEN:
                    count_funnels(site, session, old, -1)
                session.trail = [match for match in session.trail if match.step not in steps] or None
                state.touch(visitor)


def _count(state: PartitionState, site: Site, session: Session, dimension: str, sign: int) -> None:
    value, bucket = value_of(session, dimension), session.last_ms // TEN_SECONDS_MS
    if value is None:
        return
    hour = site.settled.calendar.hour(session.first_ms)
    tally = site.segment(dimension, value, state.policy.dimension_values)
    if session.phase == OPEN:
        count_open(tally, bucket, session.page_views, sign)
        tally.hours[hour][engagement.OPEN] += sign
    else:
        engagement.add_ended(tally.sessions[bucket, hour], session, sign)
