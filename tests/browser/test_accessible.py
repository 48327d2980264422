"""axe-core finds nothing serious, in light and dark, fresh and stale; what it cannot see is in test_page."""

from __future__ import annotations

from typing import Any, Final

import pytest
from playwright.async_api import Browser, expect

from stream.demo.processes import DashboardProcess
from tests.browser.feed import Publisher
from tests.browser.packages import AXE, fetched
from tests.browser.shop import published, signals
from tests.browser.sight import Sight, looking

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED: Final = ("serious", "critical")
TALL: Final = (1280, 4000)
"""So that every section is in sight, and asks for its numbers."""


async def findings(sight: Sight) -> list[str]:
    """What axe-core calls serious or critical, with where it is."""
    result: dict[str, Any] = await sight.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(result["passes"]) > 20, "axe-core looked at nothing"
    return [
        f"{one['impact']} {one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in result["violations"]
        if one["impact"] in REFUSED
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_serious_is_found(
    publisher: Publisher, browser: Browser, dashboard: DashboardProcess, scheme: str
) -> None:
    publisher.put(await published())
    await publisher.signalled(signals("ana"))
    async with looking(browser, dashboard.url, TALL, color_scheme=scheme) as sight:
        await sight.page.context.add_init_script(path=fetched(AXE) / "axe.min.js")
        await sight.open(window="1h")
        await expect(sight.page.locator(".clicks tbody tr")).to_have_count(1)
        await expect(sight.page.locator(".surveys tbody tr")).to_have_count(1)
        await expect(sight.page.locator(".signals tbody tr").first).to_be_visible()
        assert await findings(sight) == []
        await sight.page.get_by_role("button", name="What is NPS?").click()
        await expect(sight.page.get_by_role("dialog")).to_contain_text("Counts")
        assert await findings(sight) == []
        await sight.page.keyboard.press("Escape")
        publisher.silent = True
        await expect(sight.page.locator(".card:not(.old)")).to_have_count(0)
        assert await findings(sight) == []


async def test_nothing_serious_is_found_while_there_is_nothing(
    publisher: Publisher, browser: Browser, dashboard: DashboardProcess
) -> None:
    async with looking(browser, dashboard.url) as sight:
        await sight.page.context.add_init_script(path=fetched(AXE) / "axe.min.js")
        await sight.page.goto(sight.url)
        await expect(sight.page.locator("pre")).to_be_visible()
        assert await findings(sight) == []
