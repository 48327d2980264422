"""Customers whose behaviour is known, as events: who leaves when, who comes back, who is unhappy."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from schemas.times import rfc3339

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000  # 2025-01-01
DAYS = 150


def happened(day: float) -> str:
    return rfc3339(START_MS + round(day * DAY_MS))


class Life:
    """The events of one customer; ids are numbered."""

    def __init__(self, customer: str | None, visitor: str | None = None, **fields: Any) -> None:
        self.events: list[tuple[float, dict[str, Any]]] = []
        self._common = {"visitor_id": visitor or f"v-{customer}", "customer_id": customer, **fields}

    def add(self, day: float, kind: str, **fields: Any) -> None:
        event_id = f"{self._common['visitor_id']}-{len(self.events)}"
        common = {"type": kind, "event_id": event_id, "occurred_at": happened(day)}
        self.events.append((day, {**common, **self._common, **fields}))

    def visit(self, day: float) -> None:
        """Two pages in five minutes."""
        self.add(day, "page_view", url="/")
        self.add(day + 5 / 1440, "page_view", url="/news")

    def answer(self, day: float, score: int) -> None:
        self.add(day, "survey_answer", survey_id="post-buy", survey_kind="nps", score=score)


def days(chance: random.Random, every: float, begin: float, end: float) -> Iterator[float]:
    """Visits about `every` so many days, between begin and end."""
    day = begin + chance.uniform(0, every)
    while day < end:
        yield day
        day += every * chance.lognormvariate(0, 0.3)


def lives(each: int = 5, seed: int = 6) -> list[Life]:
    """So many of each kind: regular, lapsing on day 60, away from day 40 to 110, unhappy before leaving."""
    chance, found = random.Random(seed), list[Life]()
    for number in range(each):
        for every in (2, 7):
            regular, lapsing = Life(f"regular-{every}-{number}"), Life(f"lapsing-{every}-{number}")
            returning = Life(f"returning-{every}-{number}")
            for day in days(chance, every, 0, DAYS):
                regular.visit(day)
            for day in days(chance, every, 0, 60):
                lapsing.visit(day)
            for begin, end in ((0, 40), (110, DAYS)):
                for day in days(chance, every, begin, end):
                    returning.visit(day)
            found += [regular, lapsing, returning]
        unhappy = Life(f"unhappy-{number}", plan="premium")
        for day in days(chance, 4, 0, 80):
            unhappy.visit(day)
        unhappy.answer(30, 9)
        unhappy.answer(75, 3)
        found.append(unhappy)
    nobody = Life(None, "nobody")
    nobody.visit(3)
    return [*found, nobody]


def roaming(number: int, chance: random.Random, until: float = DAYS) -> Life:
    """A customer with three devices who may say who they are on the second page only."""
    life = Life(f"roaming-{number}", f"r-{number}")
    for index, day in enumerate(days(chance, 3, 0, until * chance.choice([0.4, 0.8, 1.0]))):
        device = {"visitor_id": f"r-{number}-{chance.randrange(3)}"}
        life.add(day, "page_view", url="/", **device, customer_id=None if index % 3 else f"roaming-{number}")
        life.add(day + 2 / 1440, "page_view", url="/thanks" if chance.random() < 0.2 else "/news", **device)
        life.add(day + 3 / 1440, "page_ping", url="/news", engaged_ms=60_000, **device)
        if chance.random() < 0.2:
            life.answer(day + chance.choice([4, 400]) / 1440, chance.randrange(11))
    return life


def lines(several: list[Life]) -> bytes:
    """In order of time, as JSON lines; the last one ends the history for everybody."""
    events = [one for life in several for one in life.events]
    end = Life("end", "v-end")
    end.visit(DAYS)
    events = sorted(events + end.events, key=lambda one: one[0])
    return "".join(json.dumps(event) + "\n" for _, event in events).encode()
