"""What the pipeline should say, recomputed from whole logs in the plainest way: read, sort, count.

It shares no code with stream/core or stream/pipeline; events are read with the pydantic models of the
contract. Times are ms since the epoch. Sessions long enough to be `overlong` are outside of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, NamedTuple
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
from schemas.topics import INPUT_TOPICS, SURVEY_ANSWERS
from stream.demo.plain_channels import campaign_of, channel_of, host_of
from tests.builders import Item

FOREVER = 10**18
# By these there are new and returning visitors.
ARRIVALS = ("channel", "campaign", "device", "country", "plan")
DIMENSIONS = {name: name for name in ("channel", "campaign", "device", "country", "plan")} | {
    "referrer": "referrer_host", "landing_page": "entry_page", "exit_page": "exit_page",
}  # fmt: skip
# Browsers and what they run on, and bots: known to whoever writes them into a test.
DEVICES = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0": "desktop",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148": "mobile",
}
BOTS = ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "curl/8.5.0")
SATISFIED_FROM = {(1, 5): 4, (1, 7): 6, (0, 10): 9, (1, 2): 2}


@dataclass(frozen=True)
class Rules:
    """Durations in ms; goals as (name, "page" pattern | "element" | "form", wanted)."""

    gap: int
    grace: int
    future: int
    survey_tolerance: int | None
    attribution: int
    goals: tuple[tuple[str, str, str], ...] = ()
    memory: int = 400 * 86_400_000
    every_answer: bool = False
    pairs: tuple[tuple[str, str], ...] = ()
    zones: tuple[tuple[str, str], ...] = ()  # (site, IANA name), elsewhere UTC
    funnels: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """Name, and ("page" pattern | "element" | "form", wanted) of each step."""

    def fits(self, event: Event, step: tuple[str, str]) -> bool:
        return Rules(0, 0, 0, 0, 0, (("step", *step),)).reached(event) == {"step"}

    def reached(self, event: Event) -> set[str]:
        what, said = None, ""
        if isinstance(event, PageView):
            what, said = "page", path(event.url)
        elif isinstance(event, Click):
            what, said = "element", event.element_id
        elif isinstance(event, FormSubmission):
            what, said = "form", event.form_id
        return {
            name
            for name, kind, wanted in self.goals
            if kind == what and (fnmatchcase(said, wanted) if kind == "page" else said == wanted)
        }


class Counted(NamedTuple):
    t: int
    event_id: str
    topic: int
    event: Event


@dataclass
class Verdict:
    """Where every record of the logs went."""

    counted: list[Counted] = field(default_factory=list)
    own_late: set[tuple[str, int]] = field(default_factory=set)
    sums: Counter[str] = field(default_factory=Counter)
    highest_clock: int = -FOREVER


def path(url: str) -> str:
    return (urlsplit(url).path or "/") if not url.startswith("/") else url.split("?")[0].split("#")[0]


def judge(
    logs: Mapping[str, Sequence[Item]], rules: Rules, refused_by_others: Collection[tuple[str, int]] = ()
) -> Verdict:
    """Read each log from its beginning. `refused_by_others` names (topic, offset) of what a live run
    counted late because another topic was ahead: the one thing that logs alone do not tell."""
    verdict = Verdict()
    for index, topic in enumerate(INPUT_TOPICS):
        clock, seen = -FOREVER, dict[tuple[str, str, str], Event]()
        for one in logs[topic]:
            verdict.sums["read"] += 1
            fate, event = _fate(topic, one, rules, clock, seen)
            if (topic, one.offset) in refused_by_others:
                assert fate not in ("refused", "no_consent", "bots", "late_own_topic")
                fate = "late_other_topic"
            verdict.sums[fate] += 1
            if event is None:
                continue
            t = event_time_ms(event)
            clock = max(clock, min(t, one.timestamp))
            if fate == "late_own_topic":
                verdict.own_late.add((topic, one.offset))
            if fate == "counted":
                seen[event.site_id, event.visitor_id, event.event_id] = _content(event)
                verdict.counted.append(Counted(t, event.event_id, index, event))
        verdict.highest_clock = max(verdict.highest_clock, clock)
    return verdict


def _fate(
    topic: str, one: Item, rules: Rules, clock: int, seen: Mapping[tuple[str, str, str], Event]
) -> tuple[str, Event | None]:
    try:
        event = parse_record(topic, one.key, one.value)
    except InvalidRecord:
        return "refused", None
    t = event_time_ms(event)
    tolerance = rules.gap + rules.grace
    if topic == SURVEY_ANSWERS:
        tolerance = FOREVER if rules.survey_tolerance is None else rules.survey_tolerance // 2
    if t > one.timestamp + rules.future:
        return "refused", None
    if event.consent == "denied":
        return "no_consent", event
    if event.user_agent in BOTS:
        return "bots", event
    if t < clock - tolerance:
        return "late_own_topic", event
    before = seen.get((event.site_id, event.visitor_id, event.event_id))
    if before is None:
        return "counted", event
    return ("duplicates" if before == _content(event) else "conflicts"), event


def _content(event: Event) -> Event:
    return event.model_copy(update={"received_at": None})


# ---------------------------------------------------------------- sessions


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


# ---------------------------------------------------------------- numbers


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
        found += _session_facts(visit, rules, ended=live_ms - visit.last > rules.gap)
    for some in visits_of_visitors(visits(counted, rules)).values():
        for known in some:
            found += _visitor_facts([one for visit in known for one in visit.events], rules)
    for one in counted:
        found += _event_facts(one)
    return found + pair_facts(counted, rules) + _answer_facts(counted, rules)


def pair_facts(counted: Sequence[Counted], rules: Rules) -> list[Fact]:
    """Visitors and elements, on pages by session and elsewhere."""
    found = []
    for visit in visits(counted, rules):
        found += _pair_facts([one for one in visit.events if getattr(one.event, "surface", None) == "page"])
    for events in by_visitor(counted).values():
        found += _elsewhere_facts(events, rules)
    return found


def _session_facts(visit: Visit, rules: Rules, *, ended: bool) -> list[Fact]:
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


def _visitor_facts(events: Sequence[Counted], rules: Rules) -> list[Fact]:
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


def _event_facts(one: Counted) -> list[Fact]:
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


def _answer_facts(counted: Iterable[Counted], rules: Rules) -> list[Fact]:
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
            Fact(event.site_id, segment, one.t, metric, 1)
            for segment in _answer_segments(event)
            for metric in _score_metrics(event)
        ]
    return found


def _score_metrics(event: SurveyAnswer) -> list[str]:
    score = event.score or 0
    if event.survey_kind == "nps":
        return ["promoters" if score >= 9 else "passives" if score >= 7 else "detractors"]
    satisfied = score >= SATISFIED_FROM[event.scale_min, event.scale_max]
    return ["csat_answers", "csat_satisfied"] if satisfied else ["csat_answers"]


def add_up(found: Iterable[Fact], low_ms: int, high_ms: int) -> dict[tuple[str, str], Counter[str]]:
    """(site, segment) -> sums of the facts with low_ms <= t < high_ms."""
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for fact in found:
        if low_ms <= fact.t < high_ms and fact.n:
            sums[fact.site, fact.segment][fact.metric] += fact.n
    return sums
