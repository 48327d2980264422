"""What a visit changes in the counts of visitors: who is new, returns, was last seen when, and converted.

Each visit counts by those before it. A visit that is merged, moved or put between others takes back what it
and all later ones counted, and they count again.
"""

from __future__ import annotations

from stream.core import conversion, engagement, loyalty
from stream.core.policy import HOUR_MS
from stream.core.sessions import ENDED, Session, Visitor
from stream.core.visitors import before, hours_before, is_known, latest_conversion, visit_number
from stream.core.windows import TEN_SECONDS_MS
from stream.pipeline.partition_state import PartitionState, Site

_TENS_PER_HOUR = HOUR_MS // TEN_SECONDS_MS


def count_visits(state: PartitionState, site: Site, visitor: Visitor, start: int, sign: int) -> None:
    """Add (or with sign -1 retract) the visitor's visits from session number `start` on."""
    for index in range(start, len(visitor.sessions)):
        count_visit(state, site, visitor, index, sign)


def count_visit(state: PartitionState, site: Site, visitor: Visitor, index: int, sign: int) -> None:
    """Add (or with sign -1 retract) what one visit changes, given those before it."""
    session, cap = visitor.sessions[index], state.policy.dimension_values
    earlier, past = before(visitor, index, state.policy.visitor_memory_ms)
    everyone, began = site.everyone.rows, session.first_ms // TEN_SECONDS_MS
    everyone[session.last_ms // TEN_SECONDS_MS][engagement.VISITORS] += sign
    left_ms = earlier[0].last_ms if earlier else None if past is None else past.last_ms
    if left_ms is None:
        site.arrivals_of(session.origin, cap).rows[began][loyalty.NEW] += sign
    else:
        everyone[left_ms // TEN_SECONDS_MS][engagement.VISITORS] -= sign
        for hour, visits in hours_before(session, earlier, past):
            everyone[hour * _TENS_PER_HOUR][loyalty.VISIT_PAIRS] += sign * visits
        row = site.arrivals_of(session.origin, cap).rows[began]
        loyalty.add_return(row, session.first_ms - left_ms, sign)
    for goal, bucket in (session.converted or {}).items():
        rows = site.segment("goal", goal, cap).rows
        rows[bucket][conversion.CONVERTED_VISITORS] += sign
        former = latest_conversion(goal, earlier, past)
        if former is not None:
            rows[former][conversion.CONVERTED_VISITORS] -= sign


def count_conversion(
    state: PartitionState, site: Site, visitor: Visitor, session: Session, goal: str, bucket: int
) -> None:
    """A goal was reached in a visit that is counted: the visitor converted where they did so last."""
    converted = session.converted
    if converted is None:
        converted = session.converted = {}
    former = converted.get(goal)
    if former is not None and former >= bucket:
        return
    converted[goal] = bucket
    index, memory_ms = visitor.sessions.index(session), state.policy.visitor_memory_ms
    if _converts_later(visitor, index, goal, memory_ms):
        return
    if former is None:
        former = latest_conversion(goal, *before(visitor, index, memory_ms))
    rows = site.segment("goal", goal, state.policy.dimension_values).rows
    rows[bucket][conversion.CONVERTED_VISITORS] += 1
    if former is not None:
        rows[former][conversion.CONVERTED_VISITORS] -= 1


def _converts_later(visitor: Visitor, index: int, goal: str, memory_ms: int) -> bool:
    """Whether the known visitor reaches the goal in a later visit, too."""
    seen_ms = visitor.sessions[index].last_ms
    for later in visitor.sessions[index + 1 :]:
        if not is_known(seen_ms, later, memory_ms):
            return False
        if later.converted is not None and goal in later.converted:
            return True
        seen_ms = later.last_ms
    return False


def published_numbers(state: PartitionState, visitor: Visitor, start: int) -> dict[int, int]:
    """Object id -> visit number of the published visits from session number `start` on."""
    memory_ms = state.policy.visitor_memory_ms
    return {
        id(session): visit_number(visitor, session, memory_ms)
        for session in visitor.sessions[start:]
        if session.publication.ids and session.phase == ENDED
    }


def publish_renumbered(state: PartitionState, visitor: Visitor, numbers: dict[int, int]) -> None:
    """Visits that stand in the topic under another number get another revision."""
    for session in visitor.sessions:
        number = numbers.get(id(session))
        if number is not None and number != visit_number(visitor, session, state.policy.visitor_memory_ms):
            session.change = session.change or "visit_number"
            state.unpublished[id(session)] = (visitor, session)
