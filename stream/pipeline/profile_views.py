"""Sessions and session figures by a profile, over the events that the pipeline counted.

The pipeline itself computes `latido` only: the other profiles' rules look back to where a session began,
so they need all of a visitor's events, in the order in which they happened. A replay has them.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

import msgspec

from schemas.times import parse_time, to_ms
from stream.core.events import Event, SurveyAnswer
from stream.core.kpi import Count, Kpi
from stream.core.profiles import Profile
from stream.core.profiles_compare import figures
from stream.core.profiles_fold import Cut, Step, Visit, is_over, is_settled, step_of, visits_of
from stream.core.sessions import Visitor
from stream.pipeline.partition_state import PartitionState
from stream.pipeline.session_record import session_record
from stream.pipeline.take_snapshot import SnapshotRecord


class Accepted:
    """What the pipeline counts, by visitor: what profiles are computed from."""

    def __init__(self, state: PartitionState) -> None:
        self.steps: dict[tuple[str, str], list[Step]] = {}
        self.marks: dict[tuple[str, str], list[int]] = {}
        self._origins = state.origins
        self._goals = state.policy.goal_index
        state.witness = self._take

    def _take(self, topic: int, event: Event, t: int) -> None:
        key = (event.site_id, event.visitor_id)
        if isinstance(event, SurveyAnswer):
            self.marks.setdefault(key, []).append(t)
            return
        step = step_of(topic, event, t, self._origins.of(event), self._goals)
        if step is not None:
            self.steps.setdefault(key, []).append(step)


class Views:
    """Sessions and session figures by a profile, in place of the pipeline's own."""

    # KPIs whose value does not depend on where sessions are cut: in any segment, and of a whole site.
    # (In a segment such as channel=email, page views are those of the sessions that came from there.)
    _FREE = frozenset({
        "clicks", "impressions", "ctr", "conversions", "cvr_visitors", "nps", "csat", "csat_score",
        "new_visitors",
    })  # fmt: skip
    _FREE_OF_A_SITE = _FREE | {
        "active_visitors", "unique_visitors", "page_views", "form_submissions", "dau", "wau", "mau",
        "stickiness", "returning_visitors", "new_visitor_rate",
    }  # fmt: skip

    def __init__(
        self, state: PartitionState, events: Accepted, profile: Profile, zone: tzinfo, until_final: bool
    ) -> None:
        self._state = state
        self._marks = events.marks
        self._profile = profile
        self._until_final = until_final
        self._visits = {
            key: visits_of(steps, profile, zone)[0] for key, steps in sorted(events.steps.items())
        }

    def lines(self) -> list[str]:
        """A session record per visit, by site, visitor and time."""
        return [
            msgspec.json.encode(self._record(*key, visit)).decode()
            for key, visits in self._visits.items()
            for visit in visits
        ]

    def _record(self, site_id: str, visitor_id: str, visit: Visit) -> dict[str, Any]:
        profile, name = self._profile, self._name(visit)
        key = (site_id, visitor_id)
        sessions = tuple(one.session for one in self._visits[key])
        visitor = Visitor(site_id, visitor_id, sessions=sessions, marks=self._marks.get(key))
        record = session_record(self._state, visitor, visit.session, name)
        return {
            **msgspec.to_builtins(record),
            "is_bounce": profile.is_bounce(visit.session),
            "is_engaged": profile.is_engaged(visit.session),
            "ended_because": None if name == "open" else _ENDED_BECAUSE.get(visit.ends, "inactivity"),
            "profile": profile.name,
            "profile_duration_ms": profile.duration.of(visit.session),
        }

    def _name(self, visit: Visit) -> str:
        progress, policy = self._state.progress, self._state.policy
        if self._until_final or is_settled(visit, self._profile, progress.progress_ms, policy.lateness_ms):
            return "final"
        return "ended" if self._is_over(visit) else "open"

    def _is_over(self, visit: Visit) -> bool:
        return self._until_final or is_over(visit, self._profile, self._state.progress.live_ms)

    def rewrite(self, record: SnapshotRecord) -> None:
        """Put the profile's session figures into a snapshot record, and leave out what else depends on
        where sessions are cut."""
        record.profile = self._profile.name
        kept, computed = self._FREE, dict[str, Kpi]()
        if record.segment.value is None:
            start = record.window.start
            kept = self._FREE_OF_A_SITE
            computed = self._kpis(record.site_id, None if start is None else to_ms(parse_time(start)))
        # Each in the place where it stood.
        record.kpis = {
            name: computed.get(name, kpi)
            for name, kpi in record.kpis.items()
            if name in kept or name in computed
        }

    def _kpis(self, site_id: str, start_ms: int | None) -> dict[str, Kpi]:
        """Of the sessions whose last event lies in the window."""
        inside = [
            visit
            for (site, _), visits in self._visits.items() if site == site_id
            for visit in visits if start_ms is None or visit.session.last_ms >= start_ms
        ]  # fmt: skip
        ended = [visit for visit in inside if self._is_over(visit)]
        found = figures(ended, self._profile, of="ended sessions")
        pages = sum(visit.session.page_views for visit in inside)
        found.pages_per_session.with_open = pages / len(inside) if inside else None
        kpis: dict[str, Kpi] = {
            "sessions": Count(len(inside), open=len(inside) - len(ended), ended=len(ended)),
            "pages_per_session": found.pages_per_session,
            "session_duration_ms": found.session_duration_ms,
            "bounce_rate": found.bounce_rate,
        }
        if found.engaged_rate is not None:
            kpis["engaged_session_rate"] = found.engaged_rate
        return kpis


# What cut the next session off, as the cause that ended this one.
_ENDED_BECAUSE: dict[Cut | None, str] = {
    "midnight": "midnight", "campaign": "campaign", "length": "maximum_length",
}  # fmt: skip
