"""What there is to count in a log, computed plainly: visits, pairs, conversions and answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from schemas.events import Click, Event, FormSubmission, Impression, PagePing, PageView, SurveyAnswer
from schemas.topics import INPUT_TOPICS, TOPIC_OF_TYPE
from stream.demo.plain_channels import campaign_of, channel_of, device_of, host_of
from stream.demo.plain_log import Accepted, Goal, Rules, path_of

ANSWER_DIMENSIONS = ("channel", "campaign", "device", "country", "plan")
DERIVED = {"channel": channel_of, "campaign": campaign_of, "device": device_of}


@dataclass
class Visit:
    """One session."""

    events: list[Accepted]
    goals: set[str] = field(default_factory=set)
    before: Visit | None = None  # the visitor's visit before this one, if they were still known
    _values: dict[str, str | None] = field(default_factory=dict)

    @property
    def first(self) -> int:
        return self.events[0].t

    @property
    def last(self) -> int:
        return self.events[-1].t

    @cached_property
    def _kinds(self) -> Counter[type[Event]]:
        """Asked for in every segment and window the visit is in, once it is complete."""
        return Counter(type(one.event) for one in self.events)

    def count(self, kind: type[Event]) -> int:
        return self._kinds[kind]

    @property
    def is_bounce(self) -> bool:
        return self.count(PageView) == 1 and not self.is_active

    @property
    def is_active(self) -> bool:
        return self.count(Click) + self.count(FormSubmission) > 0

    @property
    def is_engaged(self) -> bool:
        return self.count(PageView) >= 2 or self.last - self.first >= 10_000 or bool(self.goals)

    @property
    def away_ms(self) -> int:
        """How long the visitor had stayed away. Raises ValueError for a first visit."""
        if self.before is None:
            raise ValueError("there was no visit before")
        return self.first - self.before.last

    @cached_property
    def engaged_ms(self) -> int:
        return sum(one.event.engaged_ms for one in self.events if isinstance(one.event, PagePing))

    def steps(self, steps: Sequence[Goal]) -> int:
        """How many of these were taken in order, one event for each at most."""
        taken = 0
        for one in self.events:
            if taken < len(steps) and steps[taken].is_reached_by(one.event):
                taken += 1
        return taken

    def value(self, dimension: str) -> str | None:
        """Where the visit came from, by its first event, and the page by which it was left."""
        if dimension not in self._values:
            self._values[dimension] = self._value_of(dimension)
        return self._values[dimension]

    def _value_of(self, dimension: str) -> str | None:
        event = self.events[0].event
        if dimension == "landing_page":
            url = getattr(event, "url", None)
            return None if url is None else path_of(url)
        if dimension == "exit_page":
            views = [one.event.url for one in self.events if isinstance(one.event, PageView)]
            return path_of(views[-1]) if views else None
        if dimension == "referrer":
            return host_of(event.referrer) if isinstance(event, PageView) else None
        if dimension in DERIVED:
            return DERIVED[dimension](event)
        said: str | None = getattr(event, dimension)
        return said


@dataclass(frozen=True)
class Pair:
    """A visitor and an element, dated and placed by the first impression, else by the first click."""

    element: str
    t: int
    seen: bool
    clicks: int
    first: Impression | Click
    opened: bool


@dataclass(frozen=True)
class Answer:
    """A score that counts, or a skip."""

    survey: str
    kind: str
    t: int
    score: int | None
    scale: tuple[int, int]
    event: SurveyAnswer

    def value(self, dimension: str) -> str | None:
        """What the answer itself says."""
        if dimension == "device":
            return device_of(self.event)
        said: str | None = getattr(self.event, dimension)
        return said


@dataclass
class Site:
    """Everything there is to count about one site. `known`: the visits of each visitor, by time."""

    events: list[Accepted] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    known: list[list[Visit]] = field(default_factory=list)
    last_converted: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    conversions: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    pairs: list[Pair] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def last_seen(self) -> list[int]:
        """When each visitor was there for the last time."""
        return [visits[-1].last for visits in self.known]


def sites_of(accepted: Sequence[Accepted], rules: Rules) -> dict[str, Site]:
    """Sessions, pairs, conversions and answers of every site."""
    sites: dict[str, Site] = defaultdict(Site)
    of_visitor: dict[tuple[int, str, str], list[Accepted]] = defaultdict(list)
    for one in accepted:
        sites[one.event.site_id].events.append(one)
        of_visitor[one.visitor].append(one)
    for (_, site_id, _), events in of_visitor.items():
        site = sites[site_id]
        members = sorted(filter(is_member, events), key=in_time)
        visits = [Visit(run) for run in runs(members, rules.gap_ms)]
        for visit in visits:
            reached = (
                goal.name for goal in rules.goals for one in visit.events if goal.is_reached_by(one.event)
            )
            visit.goals = set(reached)
            site.pairs += page_pairs(visit)
        site.visits += visits
        site.pairs += other_pairs(events, rules)
        known = known_together(visits, rules)
        site.known += known
        for goal in rules.goals:
            for some in known:
                events_of = [one for visit in some for one in visit.events]
                times = [one.t for one in events_of if goal.is_reached_by(one.event)]
                site.conversions[goal.name] += times
                site.last_converted[goal.name] += [max(times)] if times else []
    for site in sites.values():
        site.answers = answers_of(site.events, rules)
    return dict(sites)


def known_together(visits: Sequence[Visit], rules: Rules) -> list[list[Visit]]:
    """Cut a visitor's visits where they stayed away for so long that they are new when they come back."""
    found: list[list[Visit]] = []
    for visit in visits:
        if found and visit.first - found[-1][-1].last <= rules.visitor_memory_ms:
            visit.before = found[-1][-1]
            found[-1].append(visit)
        else:
            found.append([visit])
    return found


def in_time(one: Accepted) -> tuple[int, bytes, int]:
    """Events of one instant stand in the order of their ids, then of their topics."""
    return one.t, one.event.event_id.encode(), INPUT_TOPICS.index(TOPIC_OF_TYPE[one.event.type])


def is_member(one: Accepted) -> bool:
    """Whether the event is part of a session."""
    if isinstance(one.event, Impression):
        return one.event.surface == "page"
    return not isinstance(one.event, SurveyAnswer)


def runs(events: Iterable[Accepted], gap_ms: int) -> list[list[Accepted]]:
    """Cut events, sorted by time, where the silence is longer than the gap."""
    found: list[list[Accepted]] = []
    for one in events:
        if found and one.t - found[-1][-1].t <= gap_ms:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def page_pairs(visit: Visit) -> list[Pair]:
    """One pair per element that was seen or clicked on a page during the session."""
    of_element: dict[str, list[Accepted]] = defaultdict(list)
    for one in visit.events:
        if isinstance(one.event, Impression | Click) and one.event.surface == "page":
            of_element[one.event.element_id].append(one)
    return [pair_of(element, events) for element, events in of_element.items()]


def other_pairs(events: Iterable[Accepted], rules: Rules) -> list[Pair]:
    """One pair per element of a mail, ad or push and visitor, as long as it is not left alone for a week."""
    of_element: dict[tuple[str, str], list[Accepted]] = defaultdict(list)
    for one in sorted(events, key=lambda one: one.t):
        if isinstance(one.event, Impression | Click) and one.event.surface != "page":
            of_element[one.event.surface, one.event.element_id].append(one)
    return [
        pair_of(element, run)
        for (_, element), shown in of_element.items()
        for run in runs(shown, rules.attribution_ms)
    ]


def pair_of(element: str, events: Sequence[Accepted]) -> Pair:
    in_order = sorted(events, key=in_time)
    seen = [(one.t, one.event) for one in in_order if isinstance(one.event, Impression)]
    clicked = [(one.t, one.event) for one in in_order if isinstance(one.event, Click)]
    t, first = seen[0] if seen else clicked[0]
    opened = any(event.opened for _, event in seen)
    return Pair(element, t, bool(seen), len(clicked), first, opened)


def answers_of(events: Iterable[Accepted], rules: Rules) -> list[Answer]:
    """Each respondent's latest score per survey and kind (or every one), and every skip."""
    latest: dict[tuple[object, ...], tuple[tuple[object, ...], Answer]] = {}
    others: list[Answer] = []
    for one in events:
        event = one.event
        if not isinstance(event, SurveyAnswer):
            continue
        scale = (event.scale_min, event.scale_max)
        answer = Answer(event.survey_id, event.survey_kind, one.t, event.score, scale, event)
        if event.score is None or rules.every_answer:
            others.append(answer)
            continue
        respondent: object = event.respondent_id
        if respondent is None:
            customer = event.customer_id
            respondent = ("visitor", event.visitor_id) if customer is None else ("customer", customer)
        elif respondent == "":
            respondent = (event.visitor_id, event.event_id)
        who = (one.partition, event.survey_id, event.survey_kind, respondent)
        said = [(value is not None, value or "") for value in map(answer.value, ANSWER_DIMENSIONS)]
        order = (one.t, event.event_id, event.score, *scale, said)
        if who not in latest or latest[who][0] < order:
            latest[who] = (order, answer)
    return [answer for _, answer in latest.values()] + others
