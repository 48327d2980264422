"""What should have come out: computed from the log as it stands in the broker, the plain way.

Shares no code with `stream/core` and `stream/pipeline`. Records are judged one after another by the rules of
the documentation, sessions are cut from sorted events. A live run may also refuse what was late against
another topic (docs/reliability.md): exactly the records that the dead letters name as such are left out.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from schemas.dead_letters import InvalidRecord
from schemas.events import (
    Click,
    Event,
    FormSubmission,
    Impression,
    PagePing,
    PageView,
    SurveyAnswer,
    event_time_ms,
    parse_record,
)
from schemas.keys import snapshot_key
from schemas.times import rfc3339
from stream.demo.plain_channels import campaign_of, channel_of, device_of
from stream.demo.plain_kpis import Kpis, Span
from stream.demo.plain_log import Accepted, LogRecord, Rules, content_of, path_of, tolerance_ms
from stream.demo.plain_visits import Site, is_member, runs, sites_of
from stream.demo.truth import published, segments

Place = tuple[str, int, int]
"""Topic, partition, offset."""
SessionKey = tuple[str, str, str]
"""Site, visitor, start."""

FINAL_AFTER_GAPS = 2
OVERLONG_EVENTS = 10_000
OVERLONG_MS = 24 * 3_600_000
GRID_MS = 1000
"""Shown time moves in steps of a second."""


@dataclass
class Truth:
    """The judgement of every record, and what follows from it."""

    rules: Rules
    records: int = 0
    accounting: Counter[str] = field(default_factory=Counter)
    refused: dict[Place, str] = field(default_factory=dict)
    """Place of every record that must have a dead letter, with its code."""
    accepted: list[Accepted] = field(default_factory=list)
    clocks: dict[int, float] = field(default_factory=dict)
    """Partition -> highest clock of its topics: progress, once everything is read."""

    def sites(self) -> dict[str, Site]:
        return sites_of(self.accepted, self.rules)


def judge(log: Iterable[LogRecord], rules: Rules, late_by_other_topic: Collection[Place] = ()) -> Truth:
    """Every record of the log, per topic and partition from its beginning."""
    truth = Truth(rules)
    clocks: dict[tuple[str, int], float] = defaultdict(lambda: -math.inf)
    seen: dict[tuple[object, ...], Event] = {}
    others = frozenset(late_by_other_topic)
    for record in sorted(log, key=lambda one: (one.topic, one.partition, one.offset)):
        truth.records += 1
        outcome = _judge(record, truth, clocks, seen, others)
        truth.accounting[outcome] += 1
    for (_, partition), clock in clocks.items():
        truth.clocks[partition] = max(clock, truth.clocks.get(partition, -math.inf))
    return truth


def _judge(
    record: LogRecord, truth: Truth, clocks: dict[tuple[str, int], float],
    seen: dict[tuple[object, ...], Event], late_by_other_topic: frozenset[Place],
) -> str:  # fmt: skip
    place = (record.topic, record.partition, record.offset)
    try:
        event = parse_record(record.topic, record.key, record.value)
    except InvalidRecord as invalid:
        truth.refused[place] = invalid.code.value
        return "refused"
    t = event_time_ms(event)
    if t > record.arrival_ms + truth.rules.future_ms:
        truth.refused[place] = "future_timestamp"
        return "refused"
    clock = clocks[record.topic, record.partition]
    clocks[record.topic, record.partition] = max(clock, min(t, record.arrival_ms))
    if event.consent == "denied":
        return "no_consent"
    if t < clock - tolerance_ms(record.topic, truth.rules) or place in late_by_other_topic:
        truth.refused[place] = "late"
        return "late"
    identity = (record.partition, record.topic, event.site_id, event.visitor_id, event.event_id)
    if identity in seen:
        return "duplicates" if seen[identity] == content_of(event) else "conflicts"
    seen[identity] = content_of(event)
    truth.accepted.append(Accepted(record.partition, t, event))
    return "counted"


# ---------------------------------------------------------------- sessions


@dataclass(frozen=True)
class Expected:
    """One session: what its record must say, whatever its state."""

    partition: int
    last_ms: int
    fields: Mapping[str, Any]
    answered_only: bool
    """Active by nothing but a survey answer. What comes when it is final is not in its record."""

    def state(self, progress_ms: float, live_ms: float, rules: Rules) -> str:
        """final by progress, ended by the shown time, else open."""
        if self.last_ms + 1 <= progress_ms - FINAL_AFTER_GAPS * rules.gap_ms - rules.grace_ms:
            return "final"
        return "ended" if live_ms // GRID_MS * GRID_MS - self.last_ms > rules.gap_ms else "open"


def sessions(truth: Truth) -> dict[SessionKey, Expected]:
    """Every session of the log."""
    of_visitor: dict[tuple[int, str, str], list[Accepted]] = defaultdict(list)
    for one in truth.accepted:
        of_visitor[one.visitor].append(one)
    found = {}
    for (partition, site_id, visitor_id), events in of_visitor.items():
        answered = [one.t for one in events if isinstance(one.event, SurveyAnswer)]
        members = sorted(filter(is_member, events), key=_order)
        number, left_ms = 0, -math.inf
        for run in runs(members, truth.rules.gap_ms):
            number = number + 1 if run[0].t - left_ms <= truth.rules.visitor_memory_ms else 1
            left_ms = run[-1].t
            fields = _fields(run, answered, truth.rules)
            fields |= {"site_id": site_id, "visitor_id": visitor_id, "visit_number": number}
            key = (site_id, visitor_id, fields["started_at"])
            acted = fields["clicks"] + fields["form_submissions"] > 0
            found[key] = Expected(partition, run[-1].t, fields, fields["is_active"] and not acted)
    return found


def _order(one: Accepted) -> tuple[int, bytes]:
    return one.t, one.event.event_id.encode()


def _fields(run: Sequence[Accepted], answered: Sequence[int], rules: Rules) -> dict[str, Any]:
    first, last = run[0], run[-1]
    events = [one.event for one in run]
    kinds = Counter(type(event) for event in events)
    named = [event.customer_id for event in events if event.customer_id is not None]
    views = [event for event in events if isinstance(event, PageView)]
    goals = {goal.name for goal in rules.goals for event in events if goal.is_reached_by(event)}
    entry_url = getattr(first.event, "url", None)
    acted = kinds[Click] + kinds[FormSubmission] > 0 or any(first.t <= t <= last.t for t in answered)
    return {
        "customer_id": named[-1] if named else None,
        "started_at": rfc3339(first.t),
        "last_event_at": rfc3339(last.t),
        "duration_ms": last.t - first.t,
        "engaged_ms": sum(event.engaged_ms for event in events if isinstance(event, PagePing)),
        "page_views": len(views),
        "clicks": kinds[Click],
        "form_submissions": kinds[FormSubmission],
        "impressions": kinds[Impression],
        "goals": sorted(goals),
        "is_bounce": len(views) == 1 and kinds[Click] == 0 and kinds[FormSubmission] == 0,
        "is_active": acted,
        "is_engaged": len(views) >= 2 or last.t - first.t >= 10_000 or bool(goals),
        "entry_page": None if entry_url is None else path_of(entry_url),
        "exit_page": path_of(views[-1].url) if views else None,
        "referrer_host": _host(first.event),
        "channel": channel_of(first.event),
        "campaign": campaign_of(first.event),
        "device": device_of(first.event),
        "country": first.event.country,
        "plan": first.event.plan,
        "overlong": len(run) > OVERLONG_EVENTS or last.t - first.t > OVERLONG_MS,
        "profile": "latido",
    }


def _host(event: Event) -> str | None:
    return urlsplit(event.referrer).hostname if isinstance(event, PageView) and event.referrer else None


# ---------------------------------------------------------------- figures


def all_time_figures(sites: Mapping[str, Site], rules: Rules, as_of_ms: int) -> dict[str, Kpis]:
    """The `kpis` of every snapshot record of window `all`, by its key."""
    found = {}
    ever = Span(-math.inf, math.inf)
    for site_id, site in sites.items():
        ended = [visit for visit in site.visits if as_of_ms - visit.last > rules.gap_ms]
        for segment, times, kpis in segments(site, ended, rules):
            if segment == "all" or times.of("all"):
                found[snapshot_key(site_id, "all", segment)] = published("all", kpis(ever))
    return found
