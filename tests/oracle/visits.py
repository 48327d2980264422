"""The visits of the events that count: cut by the gap, merged with nobody's help."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from schemas.events import (
    Click,
    Event,
    FormSubmission,
    Impression,
    PagePing,
    PageView,
    SurveyAnswer,
)
from stream.demo.plain_channels import campaign_of, channel_of, host_of
from tests.oracle.judging import DEVICES, Counted, Rules, path


@dataclass
class Visit:
    """One session: its events sorted by (time, id, topic)."""

    events: list[Counted]
    answers: list[int]
    goals: set[str]
    number: int = 1
    away: int = 0  # since the visit before, if this is not the first one

    @property
    def visitor(self) -> tuple[str, str]:
        return self.events[0].event.site_id, self.events[0].event.visitor_id

    @property
    def first(self) -> int:
        return self.events[0].t

    @property
    def last(self) -> int:
        return self.events[-1].t

    def count(self, kind: type[Event]) -> int:
        return len(self.of(kind))

    def of(self, kind: type[Event]) -> list[Counted]:
        return [one for one in self.events if isinstance(one.event, kind)]

    @property
    def is_bounce(self) -> bool:
        return self.count(PageView) == 1 and not self.count(Click) and not self.count(FormSubmission)

    def record(self) -> dict[str, Any]:
        """The fields of the session record that follow from the events."""
        first = self.events[0].event
        views = [one.event.url for one in self.events if isinstance(one.event, PageView)]
        customers = [one.event.customer_id for one in self.events if one.event.customer_id is not None]
        referrer = first.referrer if isinstance(first, PageView) else None
        entry = getattr(first, "url", None)
        return {
            "site_id": first.site_id,
            "visitor_id": first.visitor_id,
            "started_ms": self.first,
            "last_ms": self.last,
            "duration_ms": self.last - self.first,
            "customer_id": customers[-1] if customers else None,
            "page_views": len(views),
            "clicks": self.count(Click),
            "form_submissions": self.count(FormSubmission),
            "impressions": self.count(Impression),
            "engaged_ms": sum(one.event.engaged_ms for one in self.events if isinstance(one.event, PagePing)),
            "goals": sorted(self.goals),
            "visit_number": self.number,
            "is_bounce": self.is_bounce,
            "is_engaged": len(views) >= 2 or self.last - self.first >= 10_000 or bool(self.goals),
            "entry_page": None if entry is None else path(entry),
            "exit_page": path(views[-1]) if views else None,
            "referrer_host": host_of(referrer),
            "channel": channel_of(first),
            "campaign": campaign_of(first),
            "device": first.device or DEVICES.get(first.user_agent or ""),
            **{name: getattr(first, name) for name in ("country", "plan")},
        }

    @property
    def may_be_active(self) -> bool:
        return self.must_be_active or any(self.first <= t <= self.last for t in self.answers)

    @property
    def must_be_active(self) -> bool:
        return bool(self.count(Click) or self.count(FormSubmission))


def is_member(event: Event) -> bool:
    return not isinstance(event, SurveyAnswer) and not (
        isinstance(event, Impression) and event.surface != "page"
    )


def by_visitor(counted: Iterable[Counted]) -> dict[tuple[str, str], list[Counted]]:
    groups: dict[tuple[str, str], list[Counted]] = defaultdict(list)
    for one in sorted(counted, key=lambda c: (c.t, c.event_id.encode(), c.topic)):
        groups[one.event.site_id, one.event.visitor_id].append(one)
    return groups


def runs(times: Sequence[int], gap: int) -> list[range]:
    """Index ranges of sorted times without a silence longer than `gap`."""
    cuts = [i for i, (a, b) in enumerate(pairwise(times), 1) if b - a > gap]
    return [range(a, b) for a, b in pairwise([0, *cuts, len(times)]) if a < b]


def visits(counted: Iterable[Counted], rules: Rules) -> list[Visit]:
    found = []
    for events in by_visitor(counted).values():
        members = [one for one in events if is_member(one.event)]
        answers = [one.t for one in events if isinstance(one.event, SurveyAnswer)]
        for run in runs([one.t for one in members], rules.gap):
            inside = [members[i] for i in run]
            goals = set[str]().union(*(rules.reached(one.event) for one in inside))
            found.append(Visit(inside, answers, goals))
    for earlier, later in pairwise(found):
        away = later.first - earlier.last
        if earlier.visitor == later.visitor and away <= rules.memory:
            later.number, later.away = earlier.number + 1, away
    return found


def visits_of_visitors(found: Sequence[Visit]) -> dict[str, list[list[Visit]]]:
    """Site -> the visits of each of its visitors; one who stayed away for too long is another one."""
    groups: dict[str, list[list[Visit]]] = defaultdict(list)
    for visit in found:
        group = groups[visit.visitor[0]]
        if visit.number == 1:
            group.append([])
        group[-1].append(visit)
    return groups
