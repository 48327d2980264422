"""What most tests show: ten visitors of a shop, of whom some click, convert and answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from stream.core.policy import Goal
from stream.pipeline.ports import Table
from stream.tables.memory import MemoryTables
from tests.browser.feed import Record, records_of
from tests.builders import now
from tests.churn.keeping import keep
from tests.churn.lives import Life

STATES: Final = {"healthy": 1204, "watch": 57, "at_risk": 12, "lost": 140}
"""How many customers of the shop stand how."""


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
    records = await records_of(a_day_at_the_shop(site), (Goal("signup", form_id="signup"),))
    [everything] = (
        one for one in records if (one["window"]["name"], one["segment"]["dimension"]) == ("all", "all")
    )
    everything["customers"] = dict(STATES)
    return records


def signals(*unhappy: str, site: str = "shop-es") -> Mapping[str, bytes]:
    """Latest signals as they are stored: of who leaves, of who comes back, then one of each unhappy one."""
    leaving, returning = Life("leaving", site_id=site), Life("returning", site_id=site)
    for day in range(0, 57, 7):
        leaving.visit(day)
    for day in (0, 7, 14, 21, 60):
        returning.visit(day)
    others = [Life(customer, f"v-{number}", site_id=site) for number, customer in enumerate(unhappy)]
    for number, life in enumerate(others):
        life.answer(100 + number, 2)
    tables = MemoryTables()
    now(keep(tables, "shop", [one for life in (leaving, returning, *others) for _, one in life.events], 110))
    return tables.store.partition(0).tables[Table.SIGNALS]
