"""The figures of a span of time from visits, events and answers, the plain way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from schemas.events import Click, Event, FormSubmission, Impression, PageView
from stream.demo.plain_log import MINUTE_MS, Accepted
from stream.demo.plain_statistics import Kpi, mean, percentile, rate, score
from stream.demo.plain_visits import Answer, Pair, Site, Visit

Kpis = dict[str, Kpi]
HOUR_MS = 60 * MINUTE_MS

# The lowest satisfied score of the usual scales; of others it begins the upper quarter.
SATISFIED_FROM = {
    (1, 5): 4, (0, 5): 4, (1, 7): 6, (1, 10): 9, (0, 10): 9, (1, 4): 3, (1, 3): 3, (1, 2): 2, (0, 1): 1
}  # fmt: skip


@dataclass(frozen=True)
class Span:
    """Times from `start` to before `end`."""

    start: float
    end: float

    def has(self, t: int) -> bool:
        return self.start <= t < self.end

    def count(self, times: Iterable[int]) -> Kpi:
        return {"type": "count", "value": sum(map(self.has, times))}


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
        "mails_delivered": {"type": "count", "value": len(mails)},
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
        "csat_score": mean_score(csat),
    }


def mean_score(answers: Sequence[Answer]) -> Kpi:
    """Each score on a scale from 1 to 5, to the hundredth."""
    hundredths = [math.floor(Fraction(100) + _share_of_scale(one) * 400 + Fraction(1, 2)) for one in answers]
    found = mean(hundredths, "counted answers") | {"p50": None, "p95": None}
    moved = {name: found[name] for name in ("value", "low", "high", "sd")}
    found |= {name: None if one is None else one / 100 for name, one in moved.items()}
    if found["sd"] is not None:
        found["low"], found["high"] = max(1.0, found["low"]), min(5.0, found["high"])
    return found


def _share_of_scale(answer: Answer) -> Fraction:
    low, high = answer.scale
    return Fraction((answer.score or 0) - low, high - low)


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
