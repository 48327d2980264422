"""What is sent to whom: the body and the headers of one attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from standardwebhooks import Webhook

from schemas.times import parse_time
from stream import __version__
from stream.alerts.news import TEST, AlertNews, News, Receiver

JSON: Final = {"content-type": "application/json", "user-agent": f"latido/{__version__}"}
ALERTMANAGER_PATH: Final = "/api/v2/alerts"
TEST_LASTS: Final = timedelta(minutes=1)
LASTS: Final = timedelta(days=30)
"""Alertmanager ends an alert that it is not told of for minutes, unless it is told until when it lasts."""


class Message(NamedTuple):
    """One attempt: POST `body` to `url`."""

    url: str
    body: bytes
    headers: dict[str, str]


def message_for(receiver: Receiver, news: News, now_ms: int) -> Message:
    """The message of an attempt at `now_ms`; the signature covers that time."""
    if receiver.kind == "alertmanager":
        return Message(_alertmanager_url(receiver.url), _alertmanager_body(news), JSON)
    body = msgspec.json.encode({
        "type": news.type, "timestamp": news.about.changed_at, "data": msgspec.Raw(news.record),
    })  # fmt: skip
    return Message(receiver.url, body, JSON | _signed(receiver, news, body, now_ms))


def _signed(receiver: Receiver, news: News, body: bytes, now_ms: int) -> dict[str, str]:
    """The headers of the Standard Webhooks specification 1.0."""
    assert receiver.secret is not None, "settings refuse a webhook without a secret"
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    return {
        "webhook-id": news.id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": Webhook(receiver.secret).sign(news.id, at, body.decode()),
    }


def _alertmanager_url(url: str) -> str:
    return url.rstrip("/") + ALERTMANAGER_PATH if urlsplit(url).path in ("", "/") else url


def _alertmanager_body(news: News) -> bytes:
    about = news.about
    assert isinstance(about, AlertNews), "settings refuse churn signals for Alertmanager"
    ends = about.changed_at
    if about.state == "firing":
        lasts = TEST_LASTS if news.type == TEST else LASTS
        ends = (parse_time(about.fired_at) + lasts).isoformat()
    alert: dict[str, Any] = {
        "labels": {
            "alertname": about.rule, "severity": about.severity, "kpi": about.kpi, "window": about.window,
            "site": about.site_id, "segment": about.segment_name,
        },
        "annotations": {"summary": about.summary, "description": news.text},
        "startsAt": about.fired_at,
        "endsAt": ends,
    }  # fmt: skip
    if about.link is not None:
        alert["generatorURL"] = about.link
    return msgspec.json.encode([alert])
