"""The events that are measured, and the memory of them from which the right answer is recomputed.

Every workload is a function of its size and a seed: the same events in the same order each time, apart
from when they happened.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from schemas.times import rfc3339
from schemas.topics import CLICKS, FORM_SUBMISSIONS, PAGE_VIEWS, SURVEY_ANSWERS

PARTITIONS: Final = 4
RECORD_BYTES: Final = 233
"""Of a page view of `session-2m`."""
OUT_OF_ORDER_MS: Final = 30_000
ENDED_AGO_MS: Final = 3_600_000
"""The newest event of a backlog happened so long ago: no event is from the future of its arrival."""

KINDS: Final = ("page_view", "impression", "click", "form_submission", "survey_answer")
VIEW, IMPRESSION, CLICK, FORM, ANSWER = range(len(KINDS))
TOPIC_OF_KIND: Final = (PAGE_VIEWS, PAGE_VIEWS, CLICKS, FORM_SUBMISSIONS, SURVEY_ANSWERS)
SHARES: Final = {"session-2m": (100, 0, 0, 0, 0), "mixed": (58, 20, 15, 5, 2)}
"""Percent of each kind."""
PAGES: Final = 1_000
SURVEYS: Final = ("post-buy", "newsletter", "support")


class Message(NamedTuple):
    """One record to produce."""

    topic: str
    partition: int
    key: bytes
    value: bytes


class Workload:
    """`events` events, `step_ms` of event time apart, up to 30 s out of order.

    visitors: how many there are to draw from. `messages` may be read once or more; it fills the columns
    `visitors`, `times`, `kinds` and `scores`, one entry per event, in the order produced.
    """

    def __init__(
        self, name: str, events: int, visitors: int, now_ms: int, *, step_ms: float = 20, seed: int = 1,
        each_once: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.events = events
        self.visitor_count = visitors
        self.start_ms = now_ms - ENDED_AGO_MS - int(events * step_ms)
        self.step_ms = step_ms
        self._seed = seed
        self._each_once = each_once
        self._shares = SHARES[name]
        self.visitors, self.times, self.kinds, self.scores = array("I"), array("q"), array("B"), array("b")

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that get something."""
        used = (TOPIC_OF_KIND[kind] for kind, share in enumerate(self._shares) if share)
        return tuple(dict.fromkeys(used))

    def messages(self) -> Iterator[Message]:
        """The records, in the order to produce them."""
        self._forget()
        draw = random.Random(self._seed).random  # int(draw() * n) takes a third of the time of randrange(n)
        kinds = [kind for kind, share in enumerate(self._shares) for _ in range(share)]
        for number in range(self.events):
            visitor = number if self._each_once else int(draw() * self.visitor_count)
            t = self.start_ms + int(number * self.step_ms) - int(draw() * OUT_OF_ORDER_MS)
            kind = kinds[int(draw() * 100)]
            score = int(draw() * 11) if kind == ANSWER else -1
            self._remember(visitor, t, kind, score)
            page = int(PAGES * draw() ** 2)  # some pages are seen far more often than others
            yield message(kind, number, visitor, t, page, score)

    def _forget(self) -> None:
        for column in (self.visitors, self.times, self.kinds, self.scores):
            del column[:]

    def _remember(self, visitor: int, t: int, kind: int, score: int) -> None:
        self.visitors.append(visitor)
        self.times.append(t)
        self.kinds.append(kind)
        self.scores.append(score)


def partition_of(visitor: int) -> int:
    """All events of a visitor go to one partition, of whatever topic."""
    return visitor % PARTITIONS


def visitor_id(visitor: int) -> str:
    return f"v-{visitor:07d}"


def message(kind: int, number: int, visitor: int, t: int, page: int = 0, score: int = -1) -> Message:
    """The record of one event that happened at `t`."""
    name = visitor_id(visitor)
    own = _OWN_FIELDS[kind](number, page, score)
    text = (
        f'{{"event_id":"e-{number:08d}","type":"{KINDS[kind]}","visitor_id":"{name}",'
        f'"occurred_at":"{rfc3339(t)}",{own}}}'
    )
    return Message(TOPIC_OF_KIND[kind], partition_of(visitor), name.encode(), text.encode())


def _view(_number: int, page: int, _score: int) -> str:
    return (
        f'"url":"https://shop.example/products/item-{page:03d}","referrer":"https://compass.example/",'
        '"channel":"organic","device":"mobile"'
    )


def _impression(number: int, page: int, _score: int) -> str:
    return (
        f'"url":"https://shop.example/products/item-{page:03d}","element_id":"cta-{number % 20}",'
        f'"position":{number % 5},"device":"mobile"'
    )


def _click(number: int, page: int, _score: int) -> str:
    return (
        f'"url":"https://shop.example/products/item-{page:03d}","element_id":"cta-{number % 20}",'
        f'"target_url":"https://shop.example/basket","position":{number % 5}'
    )


def _form(number: int, _page: int, _score: int) -> str:
    return f'"url":"https://shop.example/basket","form_id":"form-{number % 3}","fields":["name","mail"]'


def _answer(number: int, _page: int, score: int) -> str:
    return f'"survey_id":"{SURVEYS[number % len(SURVEYS)]}","survey_kind":"nps","score":{score}'


_OWN_FIELDS: Final[tuple[Callable[[int, int, int], str], ...]] = (_view, _impression, _click, _form, _answer)
