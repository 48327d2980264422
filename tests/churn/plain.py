"""What customers did, computed plainly from all events at once: sessions by the gap, and whose they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.times import parse_time, to_ms
from stream.core.churn import Book, Key, Signal
from stream.core.churn_settings import ChurnSettings
from stream.core.customers import Activity, Answered, Converted, VisitEnded, VisitStarted

Event = Mapping[str, Any]
GOAL_PAGE = "/thanks"


class Known(NamedTuple):
    """An activity, and from when on it is known."""

    known_ms: int
    rank: int  # at the same instant a visit begins first
    key: Key
    activity: Activity


def known_activities(events: Iterable[Event], gap_ms: int, *, anonymous: bool = False) -> list[Known]:
    """All of them, in order of time. The page GOAL_PAGE is the goal `thanks`."""
    of_visitor: dict[Key, list[tuple[int, Event]]] = defaultdict(list)
    for event in events:
        site_id = event.get("site_id", "default")
        of_visitor[site_id, event["visitor_id"]].append((to_ms(parse_time(event["occurred_at"])), event))
    found: list[Known] = []
    for key, several in of_visitor.items():
        several.sort(key=lambda one: (one[0], one[1]["event_id"]))
        found += _of_visitor(key, several, gap_ms, anonymous)
    return sorted(found, key=lambda one: one[:3])


def _of_visitor(
    visitor: Key, events: list[tuple[int, Event]], gap_ms: int, anonymous: bool
) -> Iterable[Known]:
    visits: list[list[tuple[int, Event]]] = []
    for t, event in events:
        if event["type"] != "survey_answer":
            if visits and t - visits[-1][-1][0] <= gap_ms:
                visits[-1].append((t, event))
            else:
                visits.append([(t, event)])
    spans = []
    for visit in visits:
        first_ms, last_ms = visit[0][0], visit[-1][0]
        named = [(t, event["customer_id"]) for t, event in visit if event.get("customer_id")]
        if named:
            from_ms, owner = named[0]
        else:
            from_ms, owner = last_ms + gap_ms, visitor[1] if anonymous else None
        spans.append((first_ms, last_ms + gap_ms, from_ms, owner))
        if owner is None:
            continue
        key = visitor[0], owner
        engaged_ms = sum(event.get("engaged_ms", 0) for _, event in visit)
        yield Known(from_ms, 0, key, VisitStarted(first_ms, visit[0][1].get("plan")))
        yield Known(last_ms + gap_ms, 1, key, VisitEnded(last_ms, engaged_ms))
        for t, event in visit:
            if event.get("url") == GOAL_PAGE:
                yield Known(max(t, from_ms), 1, key, Converted(t, "thanks"))
    for t, event in events:
        if event["type"] == "survey_answer":
            around = [span for span in spans if span[0] <= t <= span[1]]
            _, _, from_ms, owner = around[0] if around else (0, 0, t, visitor[1] if anonymous else None)
            if event.get("customer_id"):
                from_ms, owner = t, event["customer_id"]
            if owner is not None:
                answer = Answered(t, event["survey_id"], event["survey_kind"], event["score"])
                yield Known(max(t, from_ms), 1, (visitor[0], owner), answer)


def plain_signals(
    events: Iterable[Event], gap_ms: int, settings: ChurnSettings, until_ms: int
) -> list[Signal]:
    """The signals of all that, up to this time."""
    book, found = Book(settings), list[Signal]()
    for one in known_activities(events, gap_ms, anonymous=settings.anonymous):
        if one.known_ms <= until_ms:
            found += book.apply(one.key, one.activity, one.known_ms).signals
    return found + book.advance(until_ms).signals
