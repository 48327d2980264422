"""What there is to tell, as it was read from Kafka, and who wants to hear it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

import msgspec

from schemas.headers import alert_identity, churn_identity
from schemas.keys import churn_key, segment_name
from schemas.topics import ALERTS, CHURN_SIGNALS

TEST: Final = "alert.test"
"""The type of a message that nothing happened for."""
SEVERITIES: Final = ("info", "warning", "critical")


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is told. `rules`: patterns as in a shell; `churn`: states whose signals it hears of."""

    name: str
    kind: Literal["webhook", "alertmanager", "apprise"]
    url: str
    secret: str | None = None
    allow_private: bool = False
    rules: tuple[str, ...] = ("*",)
    least_severity: str = "info"
    churn: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Receiver({self.name!r})"  # addresses hold secrets

    @property
    def fingerprint(self) -> str:
        """Of name and address: another address is another receiver, which nobody has switched off."""
        return f"{self.name}/{hashlib.sha256(self.url.encode()).hexdigest()[:16]}"

    def wants(self, news: News) -> bool:
        if isinstance(news.about, SignalNews):
            return news.about.state in self.churn
        about = news.about
        loud_enough = SEVERITIES.index(about.severity) >= SEVERITIES.index(self.least_severity)
        return loud_enough and any(fnmatchcase(about.rule, pattern) for pattern in self.rules)


class _Segment(msgspec.Struct):
    dimension: str
    value: str | None = None


class AlertNews(msgspec.Struct):
    """Of an alert what delivery needs; schemas/alerts.py says what each field means."""

    site_id: str
    rule: str
    kpi: str
    window: str
    segment: _Segment
    dedupe_key: str
    sequence: int
    state: Literal["firing", "resolved"]
    severity: Literal["info", "warning", "critical"]
    fired_at: str
    changed_at: str
    summary: str
    reasons: list[str]
    explain: str
    link: str | None = None

    @property
    def segment_name(self) -> str:
        return segment_name(self.segment.dimension, self.segment.value)


class _Part(msgspec.Struct):
    reason: str
    is_tripped: bool


class SignalNews(msgspec.Struct):
    """The same of a churn signal: schemas/churn.py."""

    site_id: str
    customer_id: str
    transition: int
    state: str
    cause: str
    changed_at: str
    health_score: int
    parts: list[_Part]


class News(NamedTuple):
    """One message. The same one has the same `id`, however often and by whomever it is delivered."""

    id: str
    type: str
    about: AlertNews | SignalNews
    record: bytes
    told_ms: int
    """When it was written to Kafka."""

    @property
    def title(self) -> str:
        """One line for people; what comes from events is in it as it came."""
        about = self.about
        if isinstance(about, AlertNews):
            state = about.severity if about.state == "firing" else "resolved"
            return f"[{'test' if self.type == TEST else state}] {about.rule}: {about.summary}"
        return f"[churn] customer {about.customer_id} of {about.site_id} is {about.state.replace('_', ' ')}"

    @property
    def text(self) -> str:
        about = self.about
        if isinstance(about, AlertNews):
            return "\n".join([*about.reasons, about.link or about.explain])
        reasons = [part.reason for part in about.parts if part.is_tripped]
        return "\n".join([f"Health {about.health_score} of 100.", *reasons])


class NotNews(ValueError):
    """A record that is not of the contract."""


_decode_alert = msgspec.json.Decoder(AlertNews).decode
_decode_signal = msgspec.json.Decoder(SignalNews).decode


def read_alert(value: bytes, told_ms: int) -> News:
    about = _decode_alert(value)
    return News(
        message_id(ALERTS, alert_identity(about.dedupe_key, about.sequence)),
        f"alert.{about.state}", about, value, told_ms,
    )  # fmt: skip


def read_signal(value: bytes, told_ms: int) -> News:
    about = _decode_signal(value)
    identity = churn_identity(churn_key(about.site_id, about.customer_id), about.transition)
    return News(message_id(CHURN_SIGNALS, identity), f"churn.{about.state}", about, value, told_ms)


READ: Final[dict[str, Callable[[bytes, int], News]]] = {ALERTS: read_alert, CHURN_SIGNALS: read_signal}


def read_news(topic: str, value: bytes, told_ms: int) -> News:
    """One record of a topic. Raises NotNews."""
    try:
        value.decode()  # what is not looked at below must be text too
        return READ[topic](value, told_ms)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotNews(str(error)) from None


def message_id(topic: str, identity: str) -> str:
    """Of plain characters only, whatever sites and customers are called: it becomes a header."""
    return f"msg_{hashlib.sha256(f'{topic}|{identity}'.encode()).hexdigest()[:32]}"
