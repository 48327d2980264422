"""Which events of a log count, judged one record after another, the plain way.

Per record: valid, not from the future, with consent, no bot, not late, not seen before. Only lateness
against an event's own topic can be told from a log; what a live run refused because another topic was ahead
it counts as such. Times are ms since the epoch.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import urlsplit

from schemas.dead_letters import InvalidRecord
from schemas.events import Click, Event, FormSubmission, PageView, event_time_ms, parse_record
from schemas.topics import SURVEY_ANSWERS
from stream.demo.agents import BOTS

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


@dataclass(frozen=True)
class LogRecord:
    """One record as it stands in the log; `arrival_ms` is its Kafka timestamp."""

    topic: str
    partition: int
    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Goal:
    """A view of a page whose path fits the shell pattern, a click on an element, or a form sent."""

    name: str
    kind: Literal["page", "element", "form"]
    wanted: str

    def is_reached_by(self, event: Event) -> bool:
        if self.kind == "page":
            return isinstance(event, PageView) and fnmatchcase(path_of(event.url), self.wanted)
        if self.kind == "element":
            return isinstance(event, Click) and event.element_id == self.wanted
        return isinstance(event, FormSubmission) and event.form_id == self.wanted


@dataclass(frozen=True)
class Rules:
    """The durations, goals, funnels and pairs of the run that is checked."""

    gap_ms: int = 30 * MINUTE_MS
    grace_ms: int = 5 * MINUTE_MS
    future_ms: int = 5 * MINUTE_MS
    survey_tolerance_ms: int | None = 30 * DAY_MS
    attribution_ms: int = 7 * DAY_MS
    visitor_memory_ms: int = 400 * DAY_MS
    goals: tuple[Goal, ...] = ()
    every_answer: bool = False
    funnels: tuple[tuple[str, tuple[Goal, ...]], ...] = ()
    """Name and steps, each as a goal."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Dimensions of sessions that are counted together."""


@dataclass
class Accounting:
    """Where every record read went: the other numbers add up to `read`."""

    read: int = 0
    counted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    late: int = 0
    refused: int = 0
    no_consent: int = 0
    bots: int = 0


@dataclass(frozen=True)
class Accepted:
    """An event that counts. Visitors of different partitions are different visitors."""

    partition: int
    t: int
    event: Event

    @property
    def visitor(self) -> tuple[int, str, str]:
        return self.partition, self.event.site_id, self.event.visitor_id


def accept(records: Iterable[LogRecord], rules: Rules) -> tuple[list[Accepted], Accounting]:
    """The events that count, and where the others went. Logs are read from their beginning, by offset."""
    accepted: list[Accepted] = []
    accounting = Accounting()
    clocks: dict[tuple[str, int], float] = {}
    seen: dict[tuple[int, str, str, str, str], Event] = {}
    for record in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
        accounting.read += 1
        try:
            event = parse_record(record.topic, record.key, record.value)
        except InvalidRecord:
            accounting.refused += 1
            continue
        t = event_time_ms(event)
        if t > record.arrival_ms + rules.future_ms:
            accounting.refused += 1
            continue
        log = (record.topic, record.partition)
        clock = clocks.get(log, -math.inf)
        clocks[log] = max(clock, min(t, record.arrival_ms))
        tolerance = tolerance_ms(record.topic, rules)
        identity = (record.partition, event.site_id, event.visitor_id, record.topic, event.event_id)
        if event.consent == "denied":
            accounting.no_consent += 1
        elif event.user_agent in BOTS:
            accounting.bots += 1
        elif t < clock - tolerance:
            accounting.late += 1
        elif identity in seen:
            repeated = seen[identity] == content_of(event)
            accounting.duplicates += repeated
            accounting.conflicts += not repeated
        else:
            seen[identity] = content_of(event)
            accounting.counted += 1
            accepted.append(Accepted(record.partition, t, event))
    return accepted, accounting


def content_of(event: Event) -> Event:
    """What an event says; when somebody received it is not part of that."""
    return event if event.received_at is None else event.model_copy(update={"received_at": None})


def tolerance_ms(topic: str, rules: Rules) -> float:
    """How far behind its own topic's clock an event still counts."""
    if topic != SURVEY_ANSWERS:
        return rules.gap_ms + rules.grace_ms
    return math.inf if rules.survey_tolerance_ms is None else rules.survey_tolerance_ms // 2


def path_of(url: str) -> str:
    """What a goal's page pattern is compared with: the path, without query and fragment."""
    if not url.startswith("/"):
        with contextlib.suppress(ValueError):
            return urlsplit(url).path or "/"
    return url.split("?")[0].split("#")[0]
