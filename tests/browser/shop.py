"""What most tests show: ten visitors of a shop, of whom some click, convert and answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from stream.core.policy import Goal
from tests.browser.feed import Record, records_of


def at(seconds: float) -> str:
    """So many seconds before now."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def event(number: int, kind: str, visitor: str, ago_s: float, **fields: Any) -> dict[str, Any]:
    about = {"event_id": f"e{number}", "type": kind, "visitor_id": visitor, "occurred_at": at(ago_s)}
    return about | {"url": "/"} | fields


def a_day_at_the_shop(site: str = "shop-es") -> list[dict[str, Any]]:
    """Ten visitors who see a button, four of whom click; five answer. Two converted."""
    events: list[dict[str, Any]] = []

    def add(kind: str, visitor: int, ago_s: float, **fields: Any) -> None:
        events.append(event(len(events), kind, f"v{visitor}", ago_s, site_id=site, **fields))

    for visitor in range(10):
        add(
            "page_view",
            visitor,
            100,
            referrer="https://www.google.es/",
            device="mobile" if visitor < 7 else None,
        )
        add("impression", visitor, 95, element_id="cta-top", campaign="spring")
        if visitor < 4:
            add("click", visitor, 90, element_id="cta-top", campaign="spring")
            add("page_view", visitor, 85, url="/pricing")
        if visitor < 2:
            add("form_submission", visitor, 80, form_id="signup")
        if visitor < 5:
            add(
                "survey_answer",
                visitor,
                70,
                survey_id="s",
                survey_kind="nps",
                score=(10, 9, 9, 8, 3)[visitor],
            )
    return sorted(events, key=lambda one: str(one["occurred_at"]))


async def published(site: str = "shop-es") -> list[Record]:
    return await records_of(a_day_at_the_shop(site), (Goal("signup", form_id="signup"),))
