"""Traffic of a few hours, made from a seed: visits, answers, and everything trackers do wrong.

Decided before anything is sent: the same seed gives the same records. Event times keep their spacing; the
records are only *sent* faster than they happened. They end at `end_ms`, so that at the end some sessions
are final, some ended and some open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any

import msgspec

from schemas.times import rfc3339
from schemas.topics import INPUT_TOPICS, TOPIC_OF_TYPE

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

Event = dict[str, Any]

encode = msgspec.json.Encoder().encode

GOALS = [{"name": "signup", "form_id": "signup"}, {"name": "thanked", "page": "/thanks*"},
         {"name": "top", "element_id": "cta-top"}]  # fmt: skip
# The funnel and the pairs of dimensions of the same runs, as variables.
SEGMENTS = {
    "LATIDO_FUNNELS": '[{"name": "order", "steps": [{"element_id": "cta-top"}, {"page": "/thanks*"}]}]',
    "LATIDO_DIMENSION_PAIRS": "channel+device,landing_page+channel",
}
PAGES = (
    *("/", "/ofertas", "/producto/alpha?ref=1", "/producto/beta#top", "/blog/nps"),
    "https://shop.example/cart?x=1",
)
ELEMENTS = ("hero", "cta-top", "offer-1", "offer-2", "offer-3", "footer", "élément {4}", "a|b=c:d")
CHANNELS = ("organic", "email", "paid", "direct")
REFERRERS = ("https://search.example/?q=zapatos", "https://mail.example/inbox", "not a url", None)
ODD_VISITORS = (
    "a:b",
    "{x}",
    "a|b|c",
    "7|default",
    "emoji-\U0001f600",
    "nul-\x00-inside",
    "x" * 128,
    "é" * 128,
)
# Of 100 events: clicks 15, forms 5, surveys 2; the rest is page views, impressions and pings.
KINDS = ("page_view", "impression", "page_ping", "click", "form_submission", "survey_answer")
CUMULATIVE_WEIGHTS = tuple(accumulate((38, 25, 15, 15, 5, 2)))


@dataclass(frozen=True)
class Sent:
    """One record to send."""

    topic: str
    key: bytes | None
    value: bytes | None


def mixed(seed: int, count: int, end_ms: int, span_ms: int = 4 * HOUR_MS, visitors: int = 6000) -> list[Sent]:
    """`count` records in the order in which they are sent."""
    random = Random(seed)
    sent: list[tuple[int, int, Sent]] = []
    events = _visits(random, end_ms, span_ms, visitors)
    while len(sent) < count:
        _send(random, *next(events), sent)
    # Cutting the list here keeps visits whole but for the last one: they are made in no order of time.
    ordered = sorted(sent[:count], key=lambda one: one[:2])
    return [record for _, _, record in ordered]


def _visits(random: Random, end_ms: int, span_ms: int, visitors: int) -> Iterator[tuple[int, Event]]:
    """Visits with their events' times, all over the span; a visitor may come several times, also at once."""
    number = 0
    while True:
        visitor = random.randrange(visitors)
        name = ODD_VISITORS[visitor] if visitor < len(ODD_VISITORS) else f"v-{visitor}"
        about: Event = {"visitor_id": name, "site_id": "shop-es" if visitor % 7 == 0 else "default"}
        if visitor % 3 == 0:
            about["customer_id"] = f"c-{visitor}"
        if random.random() < 0.005:
            about["consent"] = "denied"
        t = end_ms - random.randrange(span_ms)
        for _ in range(1 + int(random.expovariate(1 / 11))):
            if t > end_ms:
                break
            number += 1
            yield t, _event(random, about, number, t)
            t += _pause_ms(random)


def _pause_ms(random: Random) -> int:
    """Mostly seconds; sometimes about the inactivity gap, also exactly that."""
    if random.random() < 0.03:
        return 30 * MINUTE_MS + random.choice((-1, 0, 1, -20 * SECOND_MS, 20 * SECOND_MS))
    return int(random.expovariate(1 / 40_000))


def _event(random: Random, about: Event, number: int, t: int) -> Event:
    kind = random.choices(KINDS, cum_weights=CUMULATIVE_WEIGHTS)[0]
    event: Event = {"event_id": f"e{number}", "type": kind, **about, "occurred_at": rfc3339(t)}
    if random.random() < 0.3:
        event["channel"] = random.choice(CHANNELS)
    if random.random() < 0.1:
        event |= {"campaign": "otoño", "device": "mobile", "country": "ES", "plan": "pro"}
    page = random.choice(PAGES)
    if kind == "page_view":
        event["url"] = "/thanks/1" if random.random() < 0.03 else page
        event["referrer"] = random.choice(REFERRERS)
    elif kind == "page_ping":
        event |= {"url": page, "engaged_ms": random.randrange(20_000)}
    elif kind in ("impression", "click"):
        event |= {"element_id": random.choice(ELEMENTS), "position": random.choice((None, 1, 2, 3))}
        event |= {"url": page} if random.random() < 0.9 else {"surface": "mail"}
    elif kind == "form_submission":
        event |= {"form_id": random.choice(("signup", "contact")), "url": page, "fields": ["email"]}
    else:
        event |= _answer(random, about)
    return event


def _answer(random: Random, about: Event) -> Event:
    """Visitors answer the same survey again and again: most answers change an earlier one."""
    answer: Event = {"survey_id": random.choice(("after-visit", "checkout")), "survey_kind": "nps"}
    chance = random.random()
    if chance < 0.05:
        answer["respondent_id"] = ""
    elif chance < 0.4:
        # Few enough to answer often. Within one visitor: other visitors live in other partitions.
        answer["respondent_id"] = f"{about['visitor_id'][:60]}-{random.randrange(3)}"
    if random.random() < 0.3:
        answer["survey_kind"] = "csat"
    if random.random() < 0.15:
        return answer | {"skipped": True}
    top = 10 if answer["survey_kind"] == "nps" else 5
    return answer | {"score": random.randint(int(top == 5), top)}


def _send(random: Random, t: int, event: Event, sent: list[tuple[int, int, Sent]]) -> None:
    """The event on its way: up to 30 s out of order, a few much later, some twice, some changed."""
    delay_ms = random.randrange(30 * SECOND_MS) if random.random() < 0.5 else 0
    chance = random.random()
    if chance < 0.003:  # late, and still counted: extends or merges sessions that have ended
        delay_ms = random.randrange(MINUTE_MS, 25 * MINUTE_MS)
    elif chance < 0.004:  # too late
        delay_ms = random.randrange(40 * MINUTE_MS, 2 * HOUR_MS)
    elif chance < 0.005 and event["type"] == "survey_answer":
        event = {**event, "occurred_at": rfc3339(t - random.randrange(10, 20) * DAY_MS)}
    record = _record(event)
    sent.append((t + delay_ms, len(sent), record))
    again = random.random()
    if again < 0.01:
        sent.append((t + delay_ms + random.randrange(20 * SECOND_MS), len(sent), record))
    elif again < 0.0105:
        changed = _record({**event, "channel": "changed"})
        sent.append((t + delay_ms + random.randrange(20 * SECOND_MS), len(sent), changed))
    elif again < 0.0115:
        sent.append((t, len(sent), _broken(random, event)))


def _record(event: Event) -> Sent:
    return Sent(TOPIC_OF_TYPE[event["type"]], event["visitor_id"].encode(), encode(event))


def _broken(random: Random, event: Event) -> Sent:
    """Something that must be refused."""
    good = _record(event)
    other = random.choice([topic for topic in INPUT_TOPICS if topic != good.topic])
    return random.choice((
        Sent(good.topic, good.key, b'{"type": "page_'),
        Sent(good.topic, good.key, None),
        Sent(good.topic, b"somebody-else", good.value),
        Sent(other, good.key, good.value),
        _record({**event, "occurred_at": "2999-01-01T00:00:00Z"}),
        Sent(good.topic, good.key, encode({**event, "type": "page_wiew"})),
        _record({**event, "site_id": ""}),
    ))  # fmt: skip
