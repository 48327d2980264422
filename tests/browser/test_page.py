"""The page in a real browser: its numbers are those published, and everybody can get at them."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Route, expect

from stream.core.policy import Policy
from stream.dashboard.openapi import PATHS
from stream.demo.processes import DashboardProcess
from stream.pipeline.ports import Table
from tests.alerts.standing import HOSTILE, kept_of
from tests.browser.feed import Publisher
from tests.browser.shop import STATES, a_day_at_the_shop, published, signals
from tests.browser.sight import Sight, looking
from tests.builders import Lane

pytestmark = pytest.mark.asyncio(loop_scope="module")

DASH: Final = "\u2013"
SCHEMES: Final = ("light", "dark")


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


async def test_numbers_are_those_published(publisher: Publisher, sight: Sight) -> None:
    records = await published()
    publisher.put(records)
    await sight.open(window="1h", answers="30d")
    whole = {one["window"]["name"]: one["kpis"] for one in records if one["segment"]["dimension"] == "all"}
    hour = whole["1h"]
    await sight.shows("active_visitors", str(whole["5m"]["active_visitors"]["value"]))
    assert whole["5m"]["active_visitors"]["value"] == 10
    await sight.shows("sessions_open", str(hour["sessions"]["open"]))
    await sight.shows("page_views", str(hour["page_views"]["value"]))
    assert hour["page_views"]["value"] == 14
    await sight.shows("new_visitors", str(hour["new_visitors"]["value"]))
    nps = whole["30d"]["nps"]
    await sight.shows("nps", str(nps["rounded"]))
    for part, n in (("promoters", 3), ("passives", 1), ("detractors", 1)):
        assert nps[part] == n
        await sight.shows(part, str(n))


async def test_a_table_has_the_counts_the_rate_and_its_interval(publisher: Publisher, sight: Sight) -> None:
    records = await published()
    publisher.put(records)
    await sight.open(window="1h")
    await sight.page.locator("#engagement").scroll_into_view_if_needed()
    [element] = [
        one for one in records
        if one["segment"] == {"dimension": "element", "value": "cta-top"} and one["window"]["name"] == "1h"
    ]  # fmt: skip
    ctr = element["kpis"]["ctr"]
    assert (ctr["numerator"], ctr["denominator"]) == (4, 10)
    row = sight.page.locator(".clicks tbody tr")
    await expect(row).to_have_count(1)
    cells = [" ".join(text.split()) for text in await row.locator("th, td").all_inner_texts()]
    interval = f"{percent(ctr['low'])}{DASH}{percent(ctr['high'])} %"
    assert cells == ["cta-top", "10", "4", f"{percent(ctr['value'])} %", "", interval]
    drawn = await row.locator("svg").get_attribute("aria-label")
    assert drawn == f"{percent(ctr['value'])} %, 95 % interval {interval.replace(DASH, ' to ')}"


async def test_the_latest_scores_stand_there_and_nobody_who_gave_them(
    publisher: Publisher, sight: Sight
) -> None:
    hostile = "<img src=x onerror=alert(1)>\u202e"
    lane = Lane(Policy())
    lane.know_ends()
    answer = partial(lane.feed, "S", visitor="ana", site_id="shop-es")
    answer(0, score=3, survey_id=hostile, channel="Email", plan="pro")
    answer(1000, survey_kind="csat", score=4, scale_min=1, scale_max=5)
    await publisher.answered(lane.store.partition(0).tables[Table.ANSWERS])
    publisher.put(await published())
    await sight.open()
    await sight.page.locator("#voice").scroll_into_view_if_needed()
    rows = sight.page.locator(".latest tbody tr")
    await expect(rows).to_have_count(2)
    cells = [" ".join(cell.split()) for cell in await rows.locator("td").all_inner_texts()]
    assert cells == ["4 of 5", "satisfied", "s", "", "3 of 10", "detractor", hostile, "Email \u00b7 pro"]
    assert "ana" not in await sight.page.locator(".latest").inner_text()


async def test_before_its_answer_is_there_nobody_knows_that_there_is_nothing(
    publisher: Publisher, sight: Sight
) -> None:
    answers = asyncio.Event()

    async def late(route: Route) -> None:
        await answers.wait()
        await route.continue_()

    await publisher.answered({})
    publisher.put([*await published("shop-es"), *await published("shop-fr")])
    await sight.page.route("**/api/v1/scores?*", late)
    await sight.open(site="shop-es")
    await sight.page.locator("#voice").scroll_into_view_if_needed()
    card = sight.page.locator(".latest .nothing")
    await expect(card).to_have_text("Not known yet.")
    answers.set()
    await expect(card).to_contain_text("No answer")
    answers.clear()
    await sight.page.get_by_label("Site", exact=True).select_option("shop-fr")
    await expect(card).to_have_text("Not known yet.")
    answers.set()
    await expect(card).to_contain_text("No answer")


async def test_another_choice_is_not_answered_by_what_was_there_before(
    publisher: Publisher, sight: Sight
) -> None:
    answers = asyncio.Event()

    async def late(route: Route) -> None:
        await answers.wait()
        await route.continue_()

    publisher.put(await published())
    await sight.open(window="1h")
    await sight.page.locator("#engagement").scroll_into_view_if_needed()
    rows = sight.page.locator(".clicks tbody tr")
    await expect(rows).to_have_count(1)
    await sight.page.route("**/api/v1/kpis/stream?*", late)
    await sight.page.get_by_role("radio", name="30 m").check()
    for area in ("clicks", "device", "goals", "tile"):
        await expect(sight.page.locator(f".{area} .nothing").first).to_have_text("Not known yet.")
    answers.set()
    await expect(rows).to_have_count(1)
    unknown = sight.page.locator("#pulse .nothing, #engagement .nothing").get_by_text("Not known yet.")
    await expect(unknown).to_have_count(0)


async def test_customers_stand_there_by_state_with_their_latest_signals(
    publisher: Publisher, sight: Sight
) -> None:
    publisher.put(await published())
    await publisher.signalled(signals("ana", HOSTILE))
    await sight.open()
    await sight.page.locator("#customers").scroll_into_view_if_needed()
    for state, n in STATES.items():
        await expect(sight.page.locator(f"[data-customers={state}]")).to_have_text(f"{n:,}")
    drawn = sight.page.locator(".states svg")
    await expect(drawn).to_have_attribute("aria-label", "1,204 healthy, 57 watch, 12 at risk, 140 lost")
    rows = sight.page.locator(".signals tbody tr")
    await expect(rows).to_have_count(10)
    cells = [" ".join(cell.split()) for cell in await rows.nth(0).locator("th, td").all_inner_texts()]
    why = "Latest NPS answer is 2"
    assert cells == [HOSTILE, "10", "healthy \u2192 at risk", "an answer", why, "2025-04-12 00:00:00"]
    said = " ".join((await sight.page.locator(".signals").inner_text()).split())
    assert "at risk \u2192 lost silence No visit for " in said
    assert "lost \u2192 healthy came back" in said
    assert await sight.page.locator(".signals img").count() == 0


async def test_without_customers_it_says_how_they_are_kept(publisher: Publisher, sight: Sight) -> None:
    records = await published()
    publisher.put({name: one[name] for name in one if name != "customers"} for one in records)
    await publisher.signalled({})
    await sight.open()
    await sight.page.locator("#customers").scroll_into_view_if_needed()
    await expect(sight.page.locator(".states .nothing")).to_contain_text("live = true")
    await expect(sight.page.locator(".signals .nothing")).to_have_text("No customer's state has changed.")


async def test_alerts_stand_there_firing_ones_first_whatever_they_are_called(
    publisher: Publisher, sight: Sight
) -> None:
    await publisher.alerted(kept_of())
    publisher.put(await published())
    await sight.open()
    await sight.page.locator("#health").scroll_into_view_if_needed()
    rows = sight.page.locator(".alerts tbody tr")
    await expect(rows).to_have_count(3)
    assert await rows.locator("th").all_inner_texts() == ["critical", "pending", "resolved"]
    said = await rows.locator("td:last-child").all_inner_texts()
    assert said[0].startswith("Click-through rate of channel=Email, site shop-es, window 1h: 1.00 %")
    assert said[1] == f"site shop-es, channel={HOSTILE}"
    assert await sight.page.locator(".alerts img").count() == 0


async def test_changes_arrive_and_what_is_gone_goes(publisher: Publisher, sight: Sight) -> None:
    records = await published()
    publisher.put(records)
    await sight.open(window="1h")
    await sight.page.locator("#engagement").scroll_into_view_if_needed()
    await expect(sight.page.locator(".clicks tbody tr")).to_have_count(1)
    for record in records:
        if "active_visitors" in record["kpis"]:
            record["kpis"]["active_visitors"]["value"] = 11
    publisher.put(one for one in records if one["segment"]["dimension"] != "element")
    await sight.shows("active_visitors", "11")
    await expect(sight.page.locator(".clicks tbody tr")).to_have_count(0)
    await expect(sight.page).to_have_title("11 active · latido")


async def test_started_sessions_are_counted_by_how_their_number_grows(
    publisher: Publisher, sight: Sight
) -> None:
    records = await published()
    publisher.put(records)
    await sight.open()
    await expect(sight.kpi("sessions_started")).to_have_text("0")
    for record in records:
        if record["window"]["name"] == "all" and "sessions" in record["kpis"]:
            record["kpis"]["sessions"]["value"] += 20
    publisher.put(records)
    await expect(sight.kpi("sessions_started")).to_have_text(re.compile("[1-9]"))
    await expect(sight.kpi("sessions_ended_now")).to_have_text("0")


async def test_pickers_are_kept_in_the_address(publisher: Publisher, sight: Sight) -> None:
    publisher.put([*await published("shop-es"), *await published("shop-fr")])
    await sight.open()
    await sight.page.get_by_label("Site", exact=True).select_option("shop-fr")
    await sight.page.get_by_role("radio", name="1 h").check()
    await sight.page.get_by_label("Visits by", exact=True).select_option("device")
    await expect(sight.page).to_have_url(re.compile(r"\?site=shop-fr&window=1h&dimension=device$"))
    await sight.page.reload()
    await expect(sight.page.get_by_label("Site", exact=True)).to_have_value("shop-fr")
    await expect(sight.page.get_by_role("radio", name="1 h")).to_be_checked()
    await sight.page.locator("#engagement").scroll_into_view_if_needed()
    await expect(sight.page.get_by_role("heading", name="Visits by device")).to_be_visible()
    await expect(sight.page.locator(".whole tbody th").first).to_have_text("mobile")
    await sight.page.go_back()
    await sight.page.go_back()
    await expect(sight.page.get_by_role("radio", name="5 m")).to_be_checked()


async def test_before_the_first_event_it_says_how_to_send_one(publisher: Publisher, sight: Sight) -> None:
    await sight.page.goto(sight.url)
    await expect(sight.page.locator("pre")).to_contain_text("curl -X POST")
    publisher.put(await published())
    await sight.shows("active_visitors", "10")


async def test_a_number_is_explained_on_demand(publisher: Publisher, sight: Sight) -> None:
    publisher.put(await published())
    await sight.open(window="1h")
    asked = sight.page.get_by_role("button", name="What is NPS?")
    await asked.click()
    dialog = sight.page.get_by_role("dialog")
    await expect(dialog).to_contain_text(
        "How many more of those who answered would recommend than would not."
    )
    await expect(dialog).to_contain_text("100 x (3 promoters - 1 detractors) / 5")
    await sight.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(asked).to_be_focused()


async def test_an_hour_s_number_is_explained_on_demand(publisher: Publisher, sight: Sight) -> None:
    publisher.put(await published())
    await publisher.settle(a_day_at_the_shop())
    await sight.open()
    await sight.page.locator("#voice").scroll_into_view_if_needed()
    await sight.page.locator(".over-time").get_by_role("button").click()
    dialog = sight.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("hour of UTC: from ")
    await expect(dialog).to_contain_text("100 x (3 promoters - 1 detractors) / 5")


async def test_every_table_can_be_had_as_a_file(publisher: Publisher, sight: Sight) -> None:
    publisher.put(await published())
    await sight.open(window="1h")
    links = await sight.page.locator("a.csv").evaluate_all("(all) => all.map((one) => one.href)")
    assert {urlsplit(link).path for link in links} == {
        one.path for one in PATHS if one.media_type == "text/csv"
    }
    for link in links:
        answer = await sight.page.request.get(link)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8"), link


async def test_a_wall_screen_has_large_numbers_no_controls_and_no_scrolling(
    publisher: Publisher, sight: Sight
) -> None:
    publisher.put(await published())
    for width, height in ((1920, 1080), (3840, 2160)):
        await sight.page.set_viewport_size({"width": width, "height": height})
        await sight.open(wall="1")
        await expect(sight.page.locator(".clicks tbody tr")).to_have_count(1)
        assert await sight.page.locator("button, input, select, summary, .csv").count() == 0
        font = await sight.kpi("active_visitors").evaluate("(one) => getComputedStyle(one).fontSize")
        assert float(font.removesuffix("px")) > height / 12
        last = await sight.page.locator(".card").last.bounding_box()
        assert last is not None
        assert last["y"] + last["height"] <= height


async def test_no_width_makes_it_scroll_sideways(publisher: Publisher, sight: Sight) -> None:
    publisher.put(await published())
    await publisher.signalled(signals("a customer with a long name " * 20))
    await sight.page.set_viewport_size({"width": 360, "height": 12_000})
    await sight.open(window="1h")
    await expect(sight.page.locator(".clicks tbody tr")).to_have_count(1)
    await expect(sight.page.locator(".surveys tbody tr")).to_have_count(1)
    await expect(sight.page.locator(".signals tbody tr").first).to_be_visible()
    for width in (360, 768, 1280, 3840):
        await sight.page.set_viewport_size({"width": width, "height": 12_000})
        assert await sight.page.evaluate("document.documentElement.scrollWidth") <= width


# What a control is called; radio buttons are one control, whose arrows choose.
DESCRIBE: Final = """(one) => one.type === "radio" ? `radio ${one.name}` : [
    one.tagName, one.getAttribute("aria-label") ?? one.textContent, one.getAttribute("href")].join(" ")"""


async def test_every_control_is_reached_by_keyboard(publisher: Publisher, sight: Sight) -> None:
    publisher.put(await published())
    await sight.page.set_viewport_size({"width": 1280, "height": 5000})
    await sight.open(window="1h")
    await expect(sight.page.locator(".clicks tbody tr")).to_have_count(1)
    await expect(sight.page.locator(".surveys tbody tr")).to_have_count(1)
    await sight.page.evaluate(
        f"""window.reached = []; const describe = {DESCRIBE};
        document.addEventListener("focusin", (event) => window.reached.push(describe(event.target)))"""
    )
    wanted = await sight.page.locator("a[href], button, input, select, summary").evaluate_all(
        f"(all) => all.filter((one) => one.checkVisibility()).map({DESCRIBE})"
    )
    assert len(wanted) > 40
    for _ in range(len(wanted)):
        await sight.page.keyboard.press("Tab")
    assert set(wanted) - set(await sight.page.evaluate("window.reached")) == set()
    await sight.page.get_by_role("radio", name="5 m").focus()
    await sight.page.keyboard.press("ArrowRight")
    await expect(sight.page.get_by_role("radio", name="30 m")).to_be_checked()


async def test_the_colours_are_the_system_s_until_chosen(
    publisher: Publisher, browser: Browser, dashboard: DashboardProcess
) -> None:
    publisher.put(await published())
    found: dict[str, str] = {}
    paper = "getComputedStyle(document.body).backgroundColor"
    for scheme in SCHEMES:
        async with looking(browser, dashboard.url, color_scheme=scheme) as seen:
            await seen.open()
            found[scheme] = await seen.page.evaluate(paper)
            if scheme == "dark":
                await seen.page.get_by_role("button", name="Colours: system").click()
                await seen.page.reload()
                assert await seen.page.evaluate(paper) == found["light"]
    assert found["light"] != found["dark"]
