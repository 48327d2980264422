"""What every visit, event and answer adds to which segment, and when: sums of these are the figures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from schemas.events import (
    Click,
    Event,
    FormSubmission,
    Impression,
    PageView,
    SurveyAnswer,
)
from tests.oracle.judging import DEVICES, Counted, Rules
from tests.oracle.visits import Visit, by_visitor, is_member, runs, visits, visits_of_visitors

# By these there are new and returning visitors.
ARRIVALS = ("channel", "campaign", "device", "country", "plan")
DIMENSIONS = {name: name for name in ("channel", "campaign", "device", "country", "plan")} | {
    "referrer": "referrer_host", "landing_page": "entry_page", "exit_page": "exit_page",
}  # fmt: skip
SATISFIED_FROM = {(1, 5): 4, (1, 7): 6, (0, 10): 9, (1, 2): 2}


class Fact(NamedTuple):
    """At time t, `n` of `metric` in one segment of one site."""

    site: str
    segment: str
    t: int
    metric: str
    n: int


def facts(counted: Sequence[Counted], rules: Rules, live_ms: int) -> list[Fact]:
    """Everything that is counted, each dated by the time that puts it into a window."""
    found: list[Fact] = []
    for visit in visits(counted, rules):
        found += session_facts(visit, rules, ended=live_ms - visit.last > rules.gap)
    for some in visits_of_visitors(visits(counted, rules)).values():
        for known in some:
            found += visitor_facts([one for visit in known for one in visit.events], rules)
    for one in counted:
        found += event_facts(one)
    return found + pair_facts(counted, rules) + answer_facts(counted, rules)


def pair_facts(counted: Sequence[Counted], rules: Rules) -> list[Fact]:
    """Visitors and elements, on pages by session and elsewhere."""
    found = []
    for visit in visits(counted, rules):
        found += _pair_facts([one for one in visit.events if getattr(one.event, "surface", None) == "page"])
    for events in by_visitor(counted).values():
        found += _elsewhere_facts(events, rules)
    return found


def session_facts(visit: Visit, rules: Rules, *, ended: bool) -> list[Fact]:
    fields, views = visit.record(), visit.count(PageView)
    site, engaged_ms = fields["site_id"], fields["engaged_ms"]
    numbers = {"open": 1, "open_pages": views}
    if ended:
        numbers = {"ended": 1, "ended_pages": views, "ended_ms": visit.last - visit.first,
                   "bounces": int(visit.is_bounce), "engaged": int(fields["is_engaged"]),
                   "active": int(visit.must_be_active), "converted": int(bool(visit.goals)),
                   "pinged": int(bool(engaged_ms)), "engaged_ms": engaged_ms}  # fmt: skip
    values = {name: fields[field] for name, field in DIMENSIONS.items() if fields[field] is not None}
    if not ended:
        values = {name: value for name, value in values.items() if not name.endswith("_page")}
    segments = ["all", *(f"{name}={value}" for name, value in values.items())]
    segments += [
        f"{one}+{other}={_encoded(values[one])}+{_encoded(values[other])}"
        for one, other in rules.pairs
        if one in values and other in values
    ]
    found = [Fact(site, segment, visit.last, name, n) for segment in segments for name, n in numbers.items()]
    begun = {"new": 1} if visit.number == 1 else {"returns": 1, "away_ms": visit.away}
    arrived = ["all", *(f"{name}={values[name]}" for name in ARRIVALS if name in values)]
    found += [Fact(site, segment, visit.first, name, n) for segment in arrived for name, n in begun.items()]
    if ended:
        for funnel, steps in rules.funnels:
            found += _funnel_facts(visit, rules, funnel, steps)
    goals = visit.goals if ended else ()
    return found + [Fact(site, f"goal={goal}", visit.last, "converted_sessions", 1) for goal in goals]


def _funnel_facts(visit: Visit, rules: Rules, funnel: str, steps: tuple[tuple[str, str], ...]) -> list[Fact]:
    """What a session contributes: it goes on to a step at the first event after the step before."""
    site, left, events = visit.events[0].event.site_id, list(steps), [one.event for one in visit.events]
    while left and (places := [i for i, event in enumerate(events) if rules.fits(event, left[0])]):
        events, left = events[places[0] + 1 :], left[1:]
    reached = len(steps) - len(left)
    if not reached:
        return []
    found = [Fact(site, f"funnel={funnel}", visit.last, "started", 1)]
    found += [Fact(site, f"funnel={funnel}", visit.last, "finished", int(not left))]
    for number in range(1, len(steps) + 1):
        numbers = {"started": 1, "reached": int(reached >= number), "before": int(reached + 1 >= number)}
        segment = f"funnel_step={funnel}#{number}"
        found += [Fact(site, segment, visit.last, metric, n) for metric, n in numbers.items()]
    return found


def _encoded(value: str) -> str:
    return value.replace("%", "%25").replace("+", "%2B")


def visitor_facts(events: Sequence[Counted], rules: Rules) -> list[Fact]:
    events = [one for one in events if is_member(one.event)]
    if not events:
        return []
    site = events[0].event.site_id
    found = [Fact(site, "all", events[-1].t, "visitors", 1)]
    for goal, _, _ in rules.goals:
        times = [one.t for one in events if goal in rules.reached(one.event)]
        found += [Fact(site, f"goal={goal}", t, "conversions", 1) for t in times]
        found += [Fact(site, f"goal={goal}", t, "converted_visitors", 1) for t in times[-1:]]
    return found


def event_facts(one: Counted) -> list[Fact]:
    site, event = one.event.site_id, one.event
    if isinstance(event, PageView | FormSubmission):
        metric = "page_views" if isinstance(event, PageView) else "form_submissions"
        return [Fact(site, "all", one.t, metric, 1)]
    if not isinstance(event, Impression | Click):
        return []
    segments = ["all", f"element={event.element_id}", *_place_segments(event)]
    metric = "clicks" if isinstance(event, Click) else "impressions"
    return [Fact(site, segment, one.t, metric, 1) for segment in segments]


def _place_segments(event: Event) -> list[str]:
    """Where something was shown or clicked."""
    names = ("surface", "position", "variant", "channel", "campaign")
    said = {name: getattr(event, name) for name in names}
    return [f"{name}={value}" for name, value in said.items() if value is not None]


def _elsewhere_facts(events: Sequence[Counted], rules: Rules) -> list[Fact]:
    """Pairs in mails, ads and pushes: as long as no more than the attribution time passes without."""
    places: dict[tuple[str, str], list[Counted]] = defaultdict(list)
    for one in events:
        if isinstance(one.event, Impression | Click) and one.event.surface != "page":
            places[one.event.surface, one.event.element_id].append(one)
    return [
        fact
        for near in places.values()
        for run in runs([one.t for one in near], rules.attribution)
        for fact in _pair_facts([near[i] for i in run])
    ]


def _pair_facts(events: Sequence[Counted]) -> list[Fact]:
    """One visitor's impressions and clicks that belong together: a pair per element."""
    elements: dict[str, list[Counted]] = defaultdict(list)
    for one in events:
        if isinstance(one.event, Impression | Click):
            elements[one.event.element_id].append(one)
    found = []
    for element, near in elements.items():
        site = near[0].event.site_id
        seen = [one for one in near if isinstance(one.event, Impression)]
        clicked = [one for one in near if isinstance(one.event, Click)]
        first = min(seen or clicked, key=lambda one: (one.t, one.event_id))
        if seen:
            numbers = {"pairs_seen": 1, "pairs_clicked": int(bool(clicked))}
        else:
            numbers = {"unmatched_clicks": len(clicked)}
        if seen and getattr(first.event, "surface", None) == "mail":
            opened = any(isinstance(one.event, Impression) and one.event.opened for one in seen)
            numbers |= {"mails": 1, "mails_opened": int(opened)}
        found += [
            Fact(site, segment, first.t, metric, n)
            for segment in ("all", f"element={element}", *_place_segments(first.event))
            for metric, n in numbers.items()
        ]
    return found


def respondent(event: SurveyAnswer) -> tuple[str, ...]:
    if event.respondent_id is not None:
        return ("r", event.respondent_id) if event.respondent_id else ("e", event.visitor_id, event.event_id)
    return ("v", event.visitor_id) if event.customer_id is None else ("c", event.customer_id)


def _answer_order(one: Counted) -> tuple[Any, ...]:
    """By time and id; what two visitors said for one respondent under the same of both, by content."""
    event = one.event
    if not isinstance(event, SurveyAnswer) or event.score is None:
        return one.t, one.event_id, -10_000
    said = [(value is not None, value or "") for value in _answer_dimensions(event).values()]
    return one.t, one.event_id, event.score, event.scale_min, event.scale_max, said


def _answer_dimensions(event: SurveyAnswer) -> dict[str, str | None]:
    """What the answer itself says: no channel is derived for it."""
    device = event.device or DEVICES.get(event.user_agent or "")
    return {"channel": event.channel, "campaign": event.campaign, "device": device,
            "country": event.country, "plan": event.plan}  # fmt: skip


def _answer_segments(event: SurveyAnswer) -> list[str]:
    said = _answer_dimensions(event).items()
    return ["all", f"survey={event.survey_id}", *(f"{name}={v}" for name, v in said if v is not None)]


def answer_facts(counted: Iterable[Counted], rules: Rules) -> list[Fact]:
    found: list[Fact] = []
    latest: dict[tuple[Any, ...], Counted] = {}
    for one in sorted(counted, key=_answer_order):
        event = one.event
        if not isinstance(event, SurveyAnswer):
            continue
        if event.score is None:
            if event.survey_kind == "nps":  # of csat no skips are published
                segments = _answer_segments(event)
                found += [Fact(event.site_id, segment, one.t, "nps_skipped", 1) for segment in segments]
        else:
            who = (len(latest),) if rules.every_answer else respondent(event)
            latest[event.site_id, event.survey_id, event.survey_kind, *who] = one
    for one in latest.values():
        event = one.event
        assert isinstance(event, SurveyAnswer)
        found += [
            Fact(event.site_id, segment, one.t, metric, n)
            for segment in _answer_segments(event)
            for metric, n in _score_metrics(event).items()
        ]
    return found


def _score_metrics(event: SurveyAnswer) -> dict[str, int]:
    score = event.score or 0
    if event.survey_kind == "nps":
        return {"promoters" if score >= 9 else "passives" if score >= 7 else "detractors": 1}
    width = event.scale_max - event.scale_min
    points = int(100 + 400 * (score - event.scale_min) / width + 0.5)  # hundredths, from 1 to 5
    satisfied = score >= SATISFIED_FROM[event.scale_min, event.scale_max]
    return {"csat_answers": 1, "csat_satisfied": int(satisfied), "csat_points": points}


def add_up(found: Iterable[Fact], low_ms: int, high_ms: int) -> dict[tuple[str, str], Counter[str]]:
    """(site, segment) -> sums of the facts with low_ms <= t < high_ms."""
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for fact in found:
        if low_ms <= fact.t < high_ms and fact.n:
            sums[fact.site, fact.segment][fact.metric] += fact.n
    return sums
