"""Text out of events is shown and never obeyed: no node, no dialog, no request, under a strict policy."""

from __future__ import annotations

import copy
from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser.feed import Publisher, Record, records_of
from tests.browser.shop import event, signals
from tests.browser.sight import Sight

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE: Final = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "\u202egnihsif\u202c <b>x</b>",
    "=HYPERLINK(1)",
    "${alert(1)} {{7*7}}",
)
"""Short enough for every field."""
NODES: Final = (
    "script:not([src]), img, iframe, object, embed, b > b, a[href^=javascript], [onerror], [onload]"
)


def hostile_events() -> list[dict[str, object]]:
    """Each text in every field that may be text; nine sites, so that the picker shows them."""
    events: list[dict[str, object]] = []
    for text in HOSTILE:
        page = {"site_id": text, "channel": text, "campaign": text, "plan": text, "country": text}
        for kind, fields in (
            ("page_view", {"url": f"/{text}", "title": text, "referrer": text, "user_agent": text}),
            ("impression", {"element_id": text, "variant": text}),
            ("click", {"element_id": text, "variant": text, "target_url": text}),
            ("form_submission", {"form_id": text, "fields": [text]}),
            ("survey_answer", {"survey_id": text, "survey_kind": "nps", "score": 9, "comment": text}),
        ):
            events.append(event(len(events), kind, text, 100, **page, **fields))
    return events


def with_ten_kilobytes(records: list[Record]) -> list[Record]:
    """A value longer than any event may bring, as another program on the store could."""
    [element] = [
        one for one in records
        if (one["site_id"], one["window"]["name"]) == (HOSTILE[0], "1h")
        and one["segment"]["dimension"] == "element"
    ]  # fmt: skip
    longest = copy.deepcopy(element)
    longest["segment"]["value"] = "<script>alert(1)</script>" * 400
    return [*records, longest]


@pytest.mark.parametrize("site", HOSTILE)
async def test_no_text_becomes_anything_but_text(publisher: Publisher, sight: Sight, site: str) -> None:
    records = with_ten_kilobytes(await records_of(hostile_events()))
    assert {one["site_id"] for one in records} == set(HOSTILE)  # all of it was counted
    publisher.put(records)
    await publisher.signalled(signals(*HOSTILE, site=site))
    await sight.open(site=site, window="1h", dimension="campaign", answers="all")
    await sight.page.locator("#engagement").scroll_into_view_if_needed()
    names = sight.page.locator(".clicks tbody th .name")
    await expect(names.first).to_have_text(site)
    await expect(sight.page.locator(".whole tbody th .name").first).to_have_text(site)
    await sight.page.locator("#customers").scroll_into_view_if_needed()
    await expect(sight.page.locator(".signals tbody th bdi").first).to_have_text(HOSTILE[-1])
    await sight.page.locator("#health").scroll_into_view_if_needed()
    await expect(sight.page.get_by_label("Site", exact=True)).to_have_value(site)
    assert await sight.page.locator(NODES).count() == 0
    assert await sight.page.evaluate("document.documentElement.scrollWidth") <= 1280


async def test_the_longest_text_is_cut_and_pushes_nothing_aside(publisher: Publisher, sight: Sight) -> None:
    publisher.put(with_ten_kilobytes(await records_of(hostile_events())))
    await sight.open(site=HOSTILE[0], window="1h")
    await sight.page.locator("#engagement").scroll_into_view_if_needed()
    await expect(sight.page.locator(".clicks tbody tr")).to_have_count(2)
    heights = await sight.page.locator(".clicks tbody tr").evaluate_all(
        "(rows) => rows.map((row) => row.getBoundingClientRect().height)"
    )
    assert max(heights) < 60


async def test_a_hostile_address_is_only_a_name_that_nobody_has(publisher: Publisher, sight: Sight) -> None:
    publisher.put(await records_of(hostile_events()))
    sight.forgiven = ("400",)  # there is no dimension <b>
    await sight.page.goto(f"{sight.url}?site=<img src=x onerror=alert(1)>\"'&window=<script>&dimension=<b>")
    await expect(sight.page.locator(".chip")).to_be_visible()
    await expect(sight.page.get_by_role("radio", name="5 m")).to_be_checked()
    assert await sight.page.locator(NODES).count() == 0
