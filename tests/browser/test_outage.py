"""The store goes away under a page that somebody looks at, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from stream.demo.child_process import free_port
from stream.demo.processes import DashboardProcess
from stream.demo.servers import EmbeddedStore
from tests.browser.feed import Publisher
from tests.browser.sight import looking
from tests.browser.test_page import published

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMESPACE = "outage"
SAYS_SO_WITHIN_MS = 5_000


async def test_without_its_store_the_page_says_so_and_recovers(browser: Browser, tmp_path: Path) -> None:
    records = await published()
    store = EmbeddedStore(tmp_path / "store", port=free_port())
    settings = {"REDIS": store.url, "NAMESPACE": NAMESPACE}
    async with (
        store,
        DashboardProcess(tmp_path / "dashboard", settings) as dashboard,
        looking(browser, dashboard.url) as sight,
    ):
        before = Publisher(store.url, NAMESPACE)
        before.put(records)
        async with before.beating():
            await sight.open()
            await expect(sight.page.locator(".chip")).to_contain_text("complete")
        store.kill()
        await expect(sight.page.locator(".chip")).to_contain_text("store gone", timeout=SAYS_SO_WITHIN_MS)
        await expect(sight.page.locator(".banner")).to_contain_text("The store cannot be read")
        await expect(sight.page.locator(".card:not(.old)")).to_have_count(0)
        await store.start_async()
        after = Publisher(store.url, NAMESPACE)
        after.put(records)
        async with after.beating():
            await expect(sight.page.locator(".chip")).to_contain_text("complete")
            await expect(sight.page.locator(".card.old")).to_have_count(0)
        sight.forgiven = ("503",)  # answers meanwhile
        assert await sight.collect() == []
