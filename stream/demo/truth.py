"""What the numbers should be: every figure recomputed from the whole log, the plain way.

It shares no code with what it checks (an import rule sees to that) and keeps no state between calls: read
everything, sort, count. One site's numbers are sums over partitions, because each partition has its own
clocks, visitors and respondents. Times are ms since the epoch.

Sessions beyond 10 000 events or a day (`overlong`) are outside what is recomputed here, and so are more
than 10 000 values of one dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from schemas.events import Click, Event, FormSubmission, Impression, PageView
from schemas.keys import segment_name, snapshot_key
from stream.demo.plain_log import DAY_MS, MINUTE_MS, Accepted, LogRecord, Rules, accept
from stream.demo.plain_statistics import Kpi, mean, percentile, rate, score
from stream.demo.plain_visits import ANSWER_DIMENSIONS, Answer, Pair, Site, Visit, sites_of

Kpis = dict[str, Kpi]

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
OF_ANSWERS = {"nps", "csat"}
LONG = {"7d": OF_VISITORS | OF_ANSWERS, "28d": OF_VISITORS, "30d": OF_ANSWERS, "90d": OF_ANSWERS}
# The lowest satisfied score of the usual scales; of others it begins the upper quarter.
SATISFIED_FROM = {
    (1, 5): 4, (0, 5): 4, (1, 7): 6, (1, 10): 9, (0, 10): 9, (1, 4): 3, (1, 3): 3, (1, 2): 2, (0, 1): 1
}  # fmt: skip
# Visitors are counted where they were last seen: a window before has lost those who came back.
WITHOUT_PREVIOUS = {
    "unique_visitors", "active_visitors", "cvr_visitors", "returning_visitors", "new_visitor_rate",
    "new_session_rate", "visits_per_visitor", "dau", "wau", "mau", "stickiness",
}  # fmt: skip
# Published in these windows only.
ONLY_IN = {
    "active_visitors": {"5m"}, "dau": {"24h"}, "wau": {"7d"}, "mau": {"28d"}, "stickiness": {"28d"},
    "visits_per_visitor": {"7d", "28d"}, "time_between_visits_ms": {"24h", "7d", "28d", "all"},
}  # fmt: skip


VISIT_DIMENSIONS = ("channel", "campaign", "device", "country", "plan", "referrer")
ARRIVAL_DIMENSIONS = ("channel", "campaign", "device", "country", "plan")
"""By which first and further visits are told apart."""
PAGE_DIMENSIONS = ("landing_page", "exit_page")
"""Of visits that are over."""
PAGE_WINDOWS = ("1h", "24h", "all")
SHOWN_DIMENSIONS = ("position", "variant", "surface", "channel", "campaign")
WITHOUT_OPEN_RATE = ("position", "surface")


def recompute(records: Iterable[LogRecord], rules: Rules, as_of_ms: int) -> dict[str, Kpis]:
    """Every snapshot record's `kpis` at `as_of_ms`, by its key."""
    accepted, _ = accept(records, rules)
    return figures_at(sites_of(accepted, rules), rules, as_of_ms)


@dataclass(frozen=True)
class Span:
    """Times from `start` to before `end`."""

    start: float
    end: float

    def has(self, t: int) -> bool:
        return self.start <= t < self.end

    def count(self, times: Iterable[int]) -> Kpi:
        return {"type": "count", "value": sum(map(self.has, times))}


def spans(as_of_ms: int) -> dict[str, tuple[Span, Span | None]]:
    """The windows that end at `as_of_ms`, each with the window before, if there is one.

    They have no end of their own: what a clock that runs ahead sent counts now.
    """
    found: dict[str, tuple[Span, Span | None]] = {"all": (Span(-math.inf, math.inf), None)}
    for name, width_ms, bucket_ms in WINDOWS:
        start = math.ceil((as_of_ms - width_ms) / bucket_ms) * bucket_ms
        found[name] = Span(start, math.inf), Span(start - width_ms, start)
    return found


def figures_at(sites: Mapping[str, Site], rules: Rules, as_of_ms: int) -> dict[str, Kpis]:
    """The figures of every site, window and segment, by the key of the snapshot record."""
    found: dict[str, Kpis] = {}
    for site_id, site in sites.items():
        ended = [visit for visit in site.visits if as_of_ms - visit.last > rules.gap_ms]
        for segment, times, kpis in segments(site, ended, rules):
            for window, (now, before) in spans(as_of_ms).items():
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
    for element in {shown_of(one).element_id for one in shown}:
        mine = [one for one in shown if shown_of(one).element_id == element]
        pairs = [pair for pair in site.pairs if pair.element == element]
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
    visits = [(visit.value(dimension), visit) for visit in site.visits if of_visits]
    seen = [(getattr(shown_of(one), dimension), one) for one in shown if of_shown]
    are_ended = {id(visit) for visit in ended}
    answers = [(answer.value(dimension), answer) for answer in site.answers if of_answers]
    for value in {found for found, _ in [*visits, *seen, *answers] if found is not None}:
        mine = [visit for found, visit in visits if found == value]
        over = [visit for visit in mine if id(visit) in are_ended]
        elements = [one for found, one in seen if found == value]
        pairs = [pair for pair in site.pairs if of_shown and getattr(pair.first, dimension) == value]
        given = [answer for found, answer in answers if found == value]

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
            return sessions | clicks | (survey_kpis(given, span) if of_answers else {})

        began = [visit.first for visit in mine if dimension in ARRIVAL_DIMENSIONS]
        left = [visit.last for visit in mine]
        times = Times(
            visits=began + left if began else (),
            answers=[answer.t for answer in given],
            others=left + times_of(elements),
        )
        yield segment_name(dimension, str(value)), times, kpis


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
    for value in {found for found, _ in visits if found is not None}:
        mine = [visit for found, visit in visits if found == value]
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


def visitor_kpis(site: Site, ended: Sequence[Visit], span: Span) -> Kpis:
    """Sessions by their last event, views and forms by their own time, visitors by when last seen."""
    return {
        "page_views": span.count(times_of(site.events, PageView)),
        "form_submissions": span.count(times_of(site.events, FormSubmission)),
        "unique_visitors": span.count(site.last_seen),
        **session_kpis(site.visits, ended, span),
        **arrival_kpis(site.visits, span),
        **loyalty_kpis(site, span),
    }


def loyalty_kpis(site: Site, span: Span) -> Kpis:
    """Who is new, and how often visitors came: a visitor in the span has a visit that ends in it."""
    visits = [sum(span.has(visit.last) for visit in some) for some in site.known]
    visits = [n for n in visits if n]
    new = sum(span.has(some[0].first) for some in site.known)
    return {
        "returning_visitors": {"type": "count", "value": len(visits) - new},
        "new_visitor_rate": rate(new, len(visits), "unique visitors"),
        "visits_per_visitor": {**mean(visits, "unique visitors"), "p50": None, "p95": None},
    }


def arrival_kpis(visits: Sequence[Visit], span: Span) -> Kpis:
    """First and further visits, by their first event."""
    new = sum(visit.before is None and span.has(visit.first) for visit in visits)
    there = sum(span.has(visit.last) for visit in visits)
    return {
        "new_visitors": {"type": "count", "value": new},
        "new_session_rate": rate(new, there, "sessions, open and ended"),
        "time_between_visits_ms": away_kpi(visits, span),
    }


def away_kpi(visits: Sequence[Visit], span: Span) -> Kpi:
    """How long returning visitors had stayed away; percentiles by the hour."""
    away = [visit.away_ms for visit in visits if visit.before is not None and span.has(visit.first)]
    figures = mean(away, "returning visits")
    if away:
        hours = [(ms + HOUR_MS // 2) // HOUR_MS for ms in away]
        figures |= {f"p{percent}": percentile(hours, percent) * HOUR_MS for percent in (50, 95)}
    return figures


def session_kpis(visits: Sequence[Visit], ended: Sequence[Visit], span: Span) -> Kpis:
    """Sessions by their last event."""
    over = [visit for visit in ended if span.has(visit.last)]
    visits = [visit for visit in visits if span.has(visit.last)]
    pages = [visit.count(PageView) for visit in over]
    with_open = sum(visit.count(PageView) for visit in visits) / len(visits) if visits else None
    durations = [visit.last - visit.first for visit in over]
    engaged = [visit.engaged_ms for visit in over]
    sessions = {"value": len(visits), "open": len(visits) - len(over), "ended": len(over)}
    return {
        "sessions": {"type": "count", **sessions},
        "pages_per_session": mean(pages, "ended sessions", with_open=with_open),
        "session_duration_ms": mean(durations, "ended sessions"),
        "bounce_rate": rate(sum(visit.is_bounce for visit in over), len(over), "ended sessions"),
        "engaged_time_ms": mean([ms for ms in engaged if ms], "ended sessions with page pings"),
        "engaged_session_rate": rate(sum(visit.is_engaged for visit in over), len(over), "ended sessions"),
        "session_conversion_rate": rate(
            sum(bool(visit.goals) for visit in over), len(over), "ended sessions"
        ),
        "active_session_rate": rate(sum(visit.is_active for visit in over), len(over), "ended sessions"),
    }


def click_kpis(shown: Sequence[Accepted], pairs: Sequence[Pair], span: Span) -> Kpis:
    """Impressions and clicks by their own times, pairs by theirs."""
    in_span = [pair for pair in pairs if span.has(pair.t)]
    seen = [pair for pair in in_span if pair.seen]
    mails = [pair for pair in seen if pair.first.surface == "mail"]
    impressions = span.count(times_of(shown, Impression))
    clicks = span.count(times_of(shown, Click))
    unmatched = sum(pair.clicks for pair in in_span if not pair.seen)
    clicked = sum(pair.clicks > 0 for pair in seen)
    return {
        "impressions": impressions,
        "clicks": clicks,
        "ctr": rate(clicks["value"], impressions["value"], "impressions", unmatched_clicks=unmatched),
        "unique_ctr": rate(clicked, len(seen), "visitor and element pairs seen"),
        "open_rate": rate(sum(pair.opened for pair in mails), len(mails), "mails delivered"),
    }


def survey_kpis(answers: Sequence[Answer], span: Span) -> Kpis:
    """NPS and CSAT over the answers of the span that count."""
    given = [answer for answer in answers if span.has(answer.t)]
    nps = [answer.score for answer in given if answer.kind == "nps"]
    csat = [answer for answer in given if answer.kind == "csat" and answer.score is not None]
    return {
        "nps": score([one for one in nps if one is not None], skipped=nps.count(None)),
        "csat": rate(sum(map(is_satisfied, csat)), len(csat), "counted answers"),
    }


def goal_kpis(site: Site, goal: str, ended: Sequence[Visit], span: Span) -> Kpis:
    """Conversions by their own time, visitors by their latest one, sessions by their last event."""
    converted = sum(map(span.has, site.last_converted[goal]))
    over = [visit for visit in ended if span.has(visit.last)]
    reached = sum(goal in visit.goals for visit in over)
    return {
        "conversions": span.count(site.conversions[goal]),
        "cvr_visitors": rate(converted, sum(map(span.has, site.last_seen)), "unique visitors"),
        "cvr_sessions": rate(reached, len(over), "ended sessions"),
    }


def is_satisfied(answer: Answer) -> bool:
    low, high = answer.scale
    return answer.score is not None and answer.score >= SATISFIED_FROM.get(
        answer.scale, math.ceil((low + 3 * high) / 4)
    )


def shown_of(one: Accepted) -> Impression | Click:
    """The impression or click it is. Raises TypeError for another event."""
    if isinstance(one.event, Impression | Click):
        return one.event
    raise TypeError(f"{one.event.type} shows nothing")


def times_of(events: Iterable[Accepted], kind: type[Event] | None = None) -> list[int]:
    return [one.t for one in events if kind is None or isinstance(one.event, kind)]
