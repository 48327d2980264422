"""Which records of whole logs count, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import urlsplit

from schemas.dead_letters import InvalidRecord
from schemas.events import (
    Click,
    Event,
    FormSubmission,
    PageView,
    event_time_ms,
    parse_record,
)
from schemas.topics import INPUT_TOPICS, SURVEY_ANSWERS
from tests.builders import Item

FOREVER = 10**18
# Browsers and what they run on, and bots: known to whoever writes them into a test.
DEVICES = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0": "desktop",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148": "mobile",
}
BOTS = ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "curl/8.5.0")


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
