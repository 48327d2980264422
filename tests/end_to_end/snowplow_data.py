"""Snowplow's rows as events. Consent and custom events have no counterpart and are left out."""

from __future__ import annotations

from typing import NamedTuple

from tests.end_to_end.real_data import DATA, Event, rows_of

PING_MS = 10_000  # the tracker's usual heartbeat


class Row(NamedTuple):
    event_id: str
    kind: str
    at: str
    arrived: str
    visitor: str
    session: str
    url: str
    campaign: str
    label: str

    def event(self) -> Event:
        kind = {"page_view": "page_view", "page_ping": "page_ping"}.get(self.kind, "click")
        own: Event = {"engaged_ms": PING_MS} if kind == "page_ping" else {}
        if kind == "click":
            own = {"element_id": "link"}
        return {
            "type": kind, "event_id": self.event_id, "visitor_id": self.visitor, "url": self.url,
            "occurred_at": self.at, "received_at": self.arrived, "campaign": self.campaign or None, **own,
        }  # fmt: skip


def snowplow_rows() -> list[Row]:
    """Those with a counterpart, in the order in which they arrived."""
    found = [
        Row(
            row["event_id"], row["event_name"], _time(row["derived_tstamp"]), _time(row["collector_tstamp"]),
            row["domain_userid"], row["domain_sessionid"], row["page_url"], row["mkt_campaign"],
            row["user_id"],
        )
        for row in rows_of(DATA / "snowplow_web" / "events.csv.gz")
        if row["event_name"] in ("page_view", "page_ping", "link_click", "object_click")
    ]  # fmt: skip
    return sorted(found, key=lambda row: row.arrived)


def _time(text: str) -> str:
    return text.replace(" ", "T") + "Z"
