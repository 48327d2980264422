"""Generated visitors: what people do on a shop's pages and in its mails, from a fixed seed.

They click more what stands higher, leave early, send forms, answer surveys and change their minds. Their
trackers are as bad as real ones: some events come twice, late, from a wrong clock, or broken.
Everything is decided before anything is sent: the same seed gives the same steps.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from schemas.times import rfc3339
from schemas.topics import PAGE_VIEWS, SURVEY_ANSWERS, TOPIC_OF_TYPE
from stream.demo.agents import BOTS, BROWSERS

Way = Literal["kafka", "http"]

ARRIVALS_PER_S: Final = 5.0
HTTP_SHARE: Final = 0.3
SECOND_SITE_SHARE: Final = 0.1
MINUTE_MS: Final = 60_000

# page -> the elements on it, by position
PAGES: Final[dict[str, tuple[str, ...]]] = {
    "/": ("hero-banner", "cta-top", "newsletter", "footer-signup"),
    "/ofertas": ("offer-1", "offer-2", "offer-3", "offer-4", "offer-5"),
    "/producto/alpha": ("buy-alpha", "reviews", "also-bought"),
    "/producto/beta": ("buy-beta", "reviews", "also-bought"),
    "/blog/nps": ("cta-blog", "footer-signup"),
}
LANDING: Final = {"/": 5, "/ofertas": 3, "/blog/nps": 2, "/producto/alpha": 1}
# Most trackers leave it to the referrer, the tags and the user agent; the others name it as the rules do.
CHANNELS: Final = ("Organic Search", "Email", "Paid Search", *(None,) * 12)
SITE: Final = "https://shop.example"
# (referrer, query of the first page): how a visit begins
WAYS_IN: Final[tuple[tuple[str | None, str], ...]] = (
    ("", ""),
    (None, ""),
    ("https://www.google.es/", ""),
    ("https://www.google.com/", "?gclid=Cj0KCQ"),
    ("https://duckduckgo.com/", ""),
    ("https://l.facebook.com/", "?fbclid=IwAR"),
    ("https://t.co/", "?utm_source=twitter&utm_medium=paid_social&utm_campaign=Oto%C3%B1o%202026"),
    (None, "?utm_source=boletin&utm_medium=email&utm_campaign=otono"),
    ("https://blog.example/nps", ""),
    ("https://shop.example/before", ""),
)
# Each place down the page is clicked about a third less.
CLICK_SHARE: Final = (0.18, 0.12, 0.08, 0.05, 0.03)


@dataclass(frozen=True, order=True)
class Step:
    """One thing to send, `at_ms` after the start. `value` None is a tombstone."""

    at_ms: int
    number: int
    topic: str = field(compare=False)
    key: bytes | None = field(compare=False)
    value: bytes | None = field(compare=False)
    way: Way = field(compare=False, default="kafka")


def crowd(start_ms: int, seed: int = 7, arrivals_per_s: float = ARRIVALS_PER_S) -> Iterator[Step]:
    """All steps by time, without end. Event times are `start_ms` and later, but for those told late."""
    random = Random(seed)
    waiting: list[Step] = []
    arrival_ms, visitors, steps = 0.0, 0, 0
    while True:
        arrival_ms += random.expovariate(arrivals_per_s) * 1000
        while waiting and waiting[0].at_ms < arrival_ms:
            yield heapq.heappop(waiting)
        visitors += 1
        for step in Visit(random, start_ms, int(arrival_ms), visitors, steps).steps():
            steps = max(steps, step.number)
            heapq.heappush(waiting, step)


class Visit:
    """One visitor's doings, from the first page to the last answer."""

    def __init__(self, random: Random, start_ms: int, arrival_ms: int, number: int, steps: int) -> None:
        self._random = random
        self._start_ms = start_ms
        self._at_ms = arrival_ms
        self._steps = steps
        self._events = 0
        self._way: Way = "http" if random.random() < HTTP_SHARE else "kafka"
        self._visitor = f"visitor-{number}"
        self._common: dict[str, Any] = {"visitor_id": self._visitor}
        if random.random() < SECOND_SITE_SHARE:
            self._common["site_id"] = "shop-es"
        if random.random() < 0.4:
            self._common["customer_id"] = f"customer-{random.randrange(number // 2 + 1)}"
        if channel := random.choice(CHANNELS):
            self._common["channel"] = channel
        if random.random() < 0.8:
            self._common["user_agent"] = random.choice(BOTS if random.random() < 0.04 else (*BROWSERS,))
        if random.random() < 0.02:
            self._common["consent"] = "denied"

    def steps(self) -> Iterator[Step]:
        """Everything this visitor sends."""
        if self._random.random() < 0.06:
            yield self._broken()
        for event in self._doings():
            yield from self._sent(event)

    # ------------------------------------------------------------ what they do

    def _doings(self) -> Iterator[dict[str, Any]]:
        if self._random.random() < 0.15:
            yield from self._mail()
        page = self._random.choices(list(LANDING), weights=list(LANDING.values()))[0]
        referrer, query = self._random.choice(WAYS_IN)
        for _ in range(1 + int(self._random.expovariate(0.45))):
            yield from self._page(page, referrer, query)
            referrer, query = f"{SITE}{page}", ""
            page = self._random.choice(list(PAGES))
        if self._random.random() < 0.12:
            yield from self._sign_up()
        if self._random.random() < 0.25:
            yield from self._nps()
        if self._random.random() < 0.15:
            yield from self._csat()

    def _mail(self) -> Iterator[dict[str, Any]]:
        """A mail was delivered, perhaps opened and clicked; of some only the click is known."""
        about = {"element_id": "mail-button", "surface": "mail", "campaign": "otono"}
        if self._random.random() < 0.9:
            yield self._event("impression", **about)
            self._pause(1, 4)
            if self._random.random() < 0.6:
                yield self._event("impression", opened=True, **about)
        if self._random.random() < 0.4:
            self._pause(1, 4)
            yield self._event("click", target_url="/ofertas", **about)

    def _page(self, page: str, referrer: str | None, query: str) -> Iterator[dict[str, Any]]:
        yield self._event("page_view", url=f"{SITE}{page}{query}", referrer=referrer)
        self._pause(0.05, 0.4)
        shown = list(enumerate(PAGES[page], start=1))[: self._random.randint(1, 5)]
        for position, element in shown:
            if self._random.random() < 0.95:
                yield self._event("impression", url=page, element_id=element, position=position)
        if self._random.random() < 0.6:
            self._pause(3, 9)
            yield self._event("page_ping", url=page, engaged_ms=self._random.randint(500, 5000))
        for position, element in shown:
            if self._random.random() < CLICK_SHARE[position - 1]:
                self._pause(0.5, 4)
                yield self._event("click", url=page, element_id=element, position=position)
        self._pause(1, 6)

    def _sign_up(self) -> Iterator[dict[str, Any]]:
        yield self._event("form_submission", form_id="signup", url="/signup", fields=["email", "name"])
        if self._random.random() < 0.8:
            self._pause(0.2, 1)
            yield self._event("page_view", url=f"/thanks/{self._visitor}?from=signup")

    def _nps(self) -> Iterator[dict[str, Any]]:
        answer: dict[str, Any] = {"survey_id": "after-visit", "survey_kind": "nps"}
        if self._random.random() < 0.1:
            answer["respondent_id"] = ""  # asked without knowing who it is
        self._pause(1, 5)
        if self._random.random() < 0.2:
            yield self._event("survey_answer", skipped=True, **answer)
            return
        yield self._event("survey_answer", score=self._nps_score(), **answer)
        if self._random.random() < 0.2:
            self._pause(2, 8)
            yield self._event("survey_answer", score=self._nps_score(), **answer)

    def _nps_score(self) -> int:
        return self._random.choices(range(11), weights=(2, 1, 1, 2, 2, 4, 5, 9, 12, 14, 13))[0]

    def _csat(self) -> Iterator[dict[str, Any]]:
        self._pause(1, 5)
        about = {"survey_id": "checkout", "survey_kind": "csat"}
        if self._random.random() < 0.15:
            yield self._event("survey_answer", skipped=True, **about)
        elif self._random.random() < 0.3:
            yield self._event("survey_answer", score=self._random.randint(1, 7), scale_max=7, **about)
        else:
            yield self._event("survey_answer", score=self._random.randint(1, 5), **about)

    def _pause(self, least_s: float, most_s: float) -> None:
        self._at_ms += int(self._random.uniform(least_s, most_s) * 1000)

    def _event(self, kind: str, **own: Any) -> dict[str, Any]:
        self._events += 1
        about = {"type": kind, "event_id": f"{self._visitor}-{self._events}", **self._common, **own}
        return {**about, "occurred_at": rfc3339(self._start_ms + self._at_ms)}

    # ------------------------------------------------------------ how it is sent

    def _sent(self, event: dict[str, Any]) -> Iterator[Step]:
        """The event on its way: usually once and at once, sometimes twice, changed or late."""
        chance = self._random.random()
        topic, delay_ms = TOPIC_OF_TYPE[event["type"]], 0
        if chance < 0.05:  # a network that held it back, within what is waited for
            delay_ms = self._random.randint(500, 20_000)
        elif chance < 0.06 and topic == PAGE_VIEWS:  # out of a closed laptop: later than is waited for
            event = self._dated(event, -self._random.randint(60, 300))
        elif chance < 0.10 and topic == SURVEY_ANSWERS:  # answered on paper, typed in days later
            event = self._dated(event, -self._random.randint(60, 5 * 24 * 60))
        yield self._step(event, delay_ms)
        again = self._random.random()
        if again < 0.03:  # a retry
            yield self._step(event, delay_ms + self._random.randint(1, 5000))
        elif again < 0.035:  # the same id for something else
            yield self._step({**event, "campaign": "otra"}, delay_ms + self._random.randint(1, 5000))

    def _dated(self, event: dict[str, Any], minutes: int) -> dict[str, Any]:
        return {**event, "occurred_at": rfc3339(self._start_ms + self._at_ms + minutes * MINUTE_MS)}

    def _broken(self) -> Step:
        """Something that must be refused, whichever way it comes."""
        view = self._event("page_view", url="/")
        answer = self._event("survey_answer", survey_id="after-visit", survey_kind="nps", score=11)
        return self._random.choice(
            [
                self._step({**view, "type": "page_wiew"}, topic=PAGE_VIEWS),
                self._step({**view, "url": ""}),
                self._step({**view, "occurred_at": "yesterday"}),
                self._step(self._dated(view, 24 * 60)),
                self._step(answer),
                Step(self._at_ms, self._number(), PAGE_VIEWS, self._visitor.encode(), b'{"type": "page_'),
                Step(self._at_ms, self._number(), PAGE_VIEWS, self._visitor.encode(), None),
                Step(self._at_ms, self._number(), PAGE_VIEWS, b"somebody-else", _encoded(view)),
            ]
        )

    def _step(self, event: dict[str, Any], delay_ms: int = 0, topic: str | None = None) -> Step:
        where = topic or TOPIC_OF_TYPE[event["type"]]
        number = self._number()
        return Step(self._at_ms + delay_ms, number, where, self._visitor.encode(), _encoded(event), self._way)

    def _number(self) -> int:
        self._steps += 1
        return self._steps


def _encoded(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
