"""What the numbers should be: every figure recomputed from the whole log, the plain way.

It shares no code with what it checks (an import rule sees to that) and keeps no state between calls: read
everything, sort, count. One site's numbers are sums over partitions, because each partition has its own
clocks, visitors and respondents. Times are ms since the epoch.

Sessions beyond 10 000 events or a day (`overlong`) are outside what is recomputed here, and so are more
than 1000 values of one dimension: what is published is cut there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from schemas.events import Click, Impression
from schemas.keys import segment_name, snapshot_key
from stream.demo.plain_kpis import (
    Kpis,
    Span,
    arrival_kpis,
    click_kpis,
    goal_kpis,
    session_kpis,
    shown_of,
    survey_kpis,
    times_of,
    visitor_kpis,
)
from stream.demo.plain_log import DAY_MS, MINUTE_MS, Accepted, LogRecord, Rules, accept
from stream.demo.plain_statistics import Kpi, rate
from stream.demo.plain_visits import ANSWER_DIMENSIONS, Answer, Pair, Site, Visit, sites_of

HOUR_MS = 60 * MINUTE_MS
# name, width, and the bucket to which its beginning is rounded up
WINDOWS = (
    ("1m", MINUTE_MS, 10_000),
    ("5m", 5 * MINUTE_MS, 10_000),
    ("30m", 30 * MINUTE_MS, 10_000),
    ("1h", HOUR_MS, 10_000),
    ("24h", DAY_MS, MINUTE_MS),
    ("7d", 7 * DAY_MS, HOUR_MS),
    ("28d", 28 * DAY_MS, HOUR_MS),
    ("30d", 30 * DAY_MS, HOUR_MS),
    ("90d", 90 * DAY_MS, HOUR_MS),
)
# What is published in windows longer than a day.
OF_VISITORS = {
    "unique_visitors", "new_visitors", "returning_visitors", "new_visitor_rate", "new_session_rate",
    "visits_per_visitor", "time_between_visits_ms", "wau", "mau", "stickiness",
}  # fmt: skip
OF_ANSWERS = {"nps", "csat", "csat_score"}
LONG = {"7d": OF_VISITORS | OF_ANSWERS, "28d": OF_VISITORS, "30d": OF_ANSWERS, "90d": OF_ANSWERS}
# Visitors are counted where they were last seen: a window before has lost those who came back.
WITHOUT_PREVIOUS = {
    "unique_visitors", "active_visitors", "cvr_visitors", "returning_visitors", "new_visitor_rate",
    "new_session_rate", "visits_per_visitor", "dau", "wau", "mau", "stickiness",
}  # fmt: skip
# Published in these windows only.
ONLY_IN = {
    "active_visitors": {"5m"}, "dau": {"24h", "day"}, "wau": {"7d"}, "mau": {"28d"}, "stickiness": {"28d"},
    "visits_per_visitor": {"7d", "28d"}, "time_between_visits_ms": {"24h", "7d", "28d", "all", "hour", "day"},
}  # fmt: skip


VISIT_DIMENSIONS = ("channel", "campaign", "device", "country", "plan", "referrer")
ARRIVAL_DIMENSIONS = ("channel", "campaign", "device", "country", "plan")
"""By which first and further visits are told apart."""
PAGE_DIMENSIONS = ("landing_page", "exit_page")
"""Of visits that are over."""
PAGE_WINDOWS = ("24h", "all")
PAGE_BUCKET_MS = 15 * MINUTE_MS
"""To which the beginning of their day is rounded up."""
SHOWN_DIMENSIONS = ("position", "variant", "surface", "channel", "campaign")
WITHOUT_OPEN_RATE = ("position", "surface")


def recompute(records: Iterable[LogRecord], rules: Rules, as_of_ms: int) -> dict[str, Kpis]:
    """Every snapshot record's `kpis` at `as_of_ms`, by its key."""
    accepted, _ = accept(records, rules)
    return figures_at(sites_of(accepted, rules), rules, as_of_ms)


def spans(as_of_ms: int, segment: str = "all") -> dict[str, tuple[Span, Span | None]]:
    """The windows of a segment that end at `as_of_ms`, each with the window before, if there is one.

    They have no end of their own: what a clock that runs ahead sent counts now.
    """
    found: dict[str, tuple[Span, Span | None]] = {"all": (Span(-math.inf, math.inf), None)}
    for name, width_ms, narrow_ms in WINDOWS:
        bucket_ms = max(narrow_ms, PAGE_BUCKET_MS) if is_of_pages(segment) else narrow_ms
        start = math.ceil((as_of_ms - width_ms) / bucket_ms) * bucket_ms
        found[name] = Span(start, math.inf), Span(start - width_ms, start)
    return found


def figures_at(sites: Mapping[str, Site], rules: Rules, as_of_ms: int) -> dict[str, Kpis]:
    """The figures of every site, window and segment, by the key of the snapshot record."""
    found: dict[str, Kpis] = {}
    for site_id, site in sites.items():
        ended = [visit for visit in site.visits if as_of_ms - visit.last > rules.gap_ms]
        for segment, times, kpis in segments(site, ended, rules):
            for window, (now, before) in spans(as_of_ms, segment).items():
                if is_of_pages(segment) and window not in PAGE_WINDOWS:
                    continue
                found_in = times.of(window)
                if segment != "all" and not any(now.has(t) or (before and before.has(t)) for t in found_in):
                    continue
                figures = with_previous(kpis(now), kpis(before) if before else None)
                if segment == "all":
                    figures |= active_visitors(site, as_of_ms, figures["unique_visitors"])
                found[snapshot_key(site_id, window, segment)] = published(window, figures)
    return found


def is_of_pages(segment: str) -> bool:
    """Whether its dimension, or one of the two, is a page."""
    return bool({*segment.partition("=")[0].split("+")} & set(PAGE_DIMENSIONS))


def active_visitors(site: Site, as_of_ms: int, unique: Kpi) -> Kpis:
    """The names that unique visitors have in some windows, and what part of a month's are there today."""
    today, _ = spans(as_of_ms)["24h"]
    month, _ = spans(as_of_ms)["28d"]
    of_day, of_month = (sum(map(span.has, site.last_seen)) for span in (today, month))
    names = ("active_visitors", "dau", "wau", "mau")
    return dict.fromkeys(names, unique) | {"stickiness": rate(of_day, of_month, "monthly active visitors")}


def published(window: str, kpis: Kpis) -> Kpis:
    """The figures that a window has."""
    return {
        name: kpi
        for name, kpi in kpis.items()
        if (window not in LONG or name in LONG[window]) and window in ONLY_IN.get(name, {window})
    }


def with_previous(now: Kpis, before: Kpis | None) -> Kpis:
    """Each figure with that of the window before."""
    if before is None:
        return now
    return {
        name: kpi if name in WITHOUT_PREVIOUS else {**kpi, "previous": before[name]["value"]}
        for name, kpi in now.items()
    }


@dataclass(frozen=True)
class Times:
    """When there was something of a segment: visits, answers, and what only windows up to a day look at."""

    visits: Sequence[int] = ()
    answers: Sequence[int] = ()
    others: Sequence[int] = ()

    def of(self, window: str) -> list[int]:
        """Those that a window looks at."""
        told = LONG.get(window, {*OF_VISITORS, *OF_ANSWERS})
        found = [*(self.visits if told & OF_VISITORS else ()), *(self.answers if told & OF_ANSWERS else ())]
        return found if window in LONG else [*found, *self.others]


T = TypeVar("T")
V = TypeVar("V", bound=Hashable)
Segment = tuple[str, Times, Callable[[Span], Kpis]]


def segments(site: Site, ended: Sequence[Visit], rules: Rules) -> Iterator[Segment]:
    """Segment `all`, and every element, survey, goal and dimension value that occurs.

    Each by its name, the times of what it counts (it is there while one is in the window or the one
    before), and what its figures are in a span.
    """
    shown = [one for one in site.events if isinstance(one.event, Impression | Click)]
    yield (
        "all",
        Times(),
        lambda span: {
            **visitor_kpis(site, ended, span),
            **click_kpis(shown, site.pairs, span),
            **survey_kpis(site.answers, span),
        },
    )
    pairs_of = by_value((pair.element, pair) for pair in site.pairs)
    for element, mine in by_value((shown_of(one).element_id, one) for one in shown).items():
        pairs = pairs_of.get(element, [])
        yield segment_name("element", element), Times(others=times_of(mine)), partial(click_kpis, mine, pairs)
    for dimension in {*SHOWN_DIMENSIONS, *VISIT_DIMENSIONS}:
        yield from dimension_segments(site, ended, shown, dimension)
    for page in PAGE_DIMENSIONS:
        yield from visit_segments(page, [(visit.value(page), visit) for visit in ended], ended)
    for one, other in rules.pairs:
        yield from visit_segments(f"{one}+{other}", both_values(site, ended, one, other), ended)
    for funnel, steps in rules.funnels:
        yield from funnel_segments(funnel, [(visit.last, visit.steps(steps)) for visit in ended], len(steps))
    for survey in {answer.survey for answer in site.answers}:
        answers = [answer for answer in site.answers if answer.survey == survey]
        times = Times(answers=[answer.t for answer in answers])
        yield segment_name("survey", survey), times, partial(survey_kpis, answers)
    for goal, converted in site.conversions.items():
        ends = [visit.last for visit in ended if goal in visit.goals]
        yield (
            segment_name("goal", goal),
            Times(others=converted + ends),
            partial(goal_kpis, site, goal, ended),
        )


def dimension_segments(
    site: Site, ended: Sequence[Visit], shown: Sequence[Accepted], dimension: str
) -> Iterator[Segment]:
    """Every value of a dimension: its visits by where they came from, what was shown and answered by its
    own event."""
    of_visits, of_shown = dimension in VISIT_DIMENSIONS, dimension in SHOWN_DIMENSIONS
    of_answers = dimension in ANSWER_DIMENSIONS
    visits = by_value((visit.value(dimension), visit) for visit in site.visits if of_visits)
    seen = by_value((getattr(shown_of(one), dimension), one) for one in shown if of_shown)
    are_ended = {id(visit) for visit in ended}
    answers = by_value((answer.value(dimension), answer) for answer in site.answers if of_answers)
    pairs_of = by_value((getattr(pair.first, dimension), pair) for pair in site.pairs if of_shown)
    for value in {*visits, *seen, *answers}:
        mine = visits.get(value, [])
        over = [visit for visit in mine if id(visit) in are_ended]
        elements = seen.get(value, [])
        pairs = pairs_of.get(value, [])
        given = answers.get(value, [])

        def kpis(
            span: Span, mine: Sequence[Visit] = mine, over: Sequence[Visit] = over,
            elements: Sequence[Accepted] = elements, pairs: Sequence[Pair] = pairs,
            given: Sequence[Answer] = given,
        ) -> Kpis:  # fmt: skip
            sessions = session_kpis(mine, over, span) if of_visits else {}
            if dimension in ARRIVAL_DIMENSIONS:
                sessions |= arrival_kpis(mine, span)
            clicks = click_kpis(elements, pairs, span) if of_shown else {}
            if dimension in WITHOUT_OPEN_RATE:
                clicks.pop("open_rate")
                clicks.pop("mails_delivered")
            return sessions | clicks | (survey_kpis(given, span) if of_answers else {})

        began = [visit.first for visit in mine if dimension in ARRIVAL_DIMENSIONS]
        left = [visit.last for visit in mine]
        times = Times(
            visits=began + left if began else (),
            answers=[answer.t for answer in given],
            others=left + times_of(elements),
        )
        yield segment_name(dimension, str(value)), times, kpis


def by_value(items: Iterable[tuple[V | None, T]]) -> dict[V, list[T]]:
    """The items of each value, in their order; those of none are left out."""
    found: dict[V, list[T]] = {}
    for value, item in items:
        if value is not None:
            found.setdefault(value, []).append(item)
    return found


def both_values(site: Site, ended: Sequence[Visit], one: str, other: str) -> list[tuple[str | None, Visit]]:
    """The visits by two dimensions at once; one that has no value of either counts nowhere."""
    found: list[tuple[str | None, Visit]] = []
    for visit in ended if {one, other} & set(PAGE_DIMENSIONS) else site.visits:
        values = [visit.value(one), visit.value(other)]
        said = [value.replace("%", "%25").replace("+", "%2B") for value in values if value is not None]
        found.append(("+".join(said) if len(said) == 2 else None, visit))
    return found


def visit_segments(
    dimension: str, visits: Sequence[tuple[str | None, Visit]], ended: Sequence[Visit]
) -> Iterator[Segment]:
    """The segments of a dimension that only visits have."""
    are_ended = {id(visit) for visit in ended}
    for value, mine in by_value(visits).items():
        over = [visit for visit in mine if id(visit) in are_ended]
        times = Times(others=[visit.last for visit in mine])
        yield segment_name(dimension, value), times, partial(session_kpis, mine, over)


def funnel_segments(name: str, ended: Sequence[tuple[int, int]], length: int) -> Iterator[Segment]:
    """A funnel and its steps, from when each visit ended and how far it came."""
    started = [(t, taken) for t, taken in ended if taken]
    times = Times(others=[t for t, _ in started])

    def whole(span: Span) -> Kpis:
        inside = [taken for t, taken in started if span.has(t)]
        finished = inside.count(length)
        of = "ended sessions that started"
        return {
            "funnel_started": {"type": "count", "value": len(inside)},
            "funnel_conversion": rate(finished, len(inside), of),
            "funnel_abandonment": rate(len(inside) - finished, len(inside), of),
        }

    def step(number: int, span: Span) -> Kpis:
        inside = [taken for t, taken in started if span.has(t)]
        reached = sum(taken >= number for taken in inside)
        before = sum(taken >= number - 1 for taken in inside)
        return {
            "funnel_step_sessions": {"type": "count", "value": reached},
            "funnel_step_conversion": rate(reached, before, "sessions at the step before"),
            "funnel_step_overall": rate(reached, len(inside), "ended sessions that started"),
        }

    yield segment_name("funnel", name), times, whole
    for number in range(1, length + 1):
        yield segment_name("funnel_step", f"{name}#{number}"), times, partial(step, number)
