"""The page when a worker, its server or the store fail: it says so, looks it, and recovers by itself."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, expect

from stream.demo.child_process import free_port
from stream.demo.processes import DashboardProcess
from stream.demo.servers import EmbeddedStore
from stream.pipeline.take_snapshot import Completeness
from tests.browser.feed import COMPLETE, Publisher
from tests.browser.shop import published
from tests.browser.sight import Sight, looking

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMESPACE = "outage"
SAYS_SO_WITHIN_MS: Final = 5_000
"""Of a worker's death, and of a stream that broke: the page must not look as if nothing had happened."""


@contextlib.contextmanager
def paused(process: DashboardProcess) -> Iterator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def test_silence_looks_stale_and_the_page_recovers(publisher: Publisher, sight: Sight) -> None:
    publisher.put(await published())
    await sight.open()
    chip = sight.page.locator(".chip")
    await expect(chip).to_contain_text("complete")
    publisher.silent = True
    await expect(chip).to_contain_text("stale", timeout=SAYS_SO_WITHIN_MS)
    await expect(sight.page.locator(".active .tag")).to_contain_text("stale · ")
    await expect(sight.page.locator(".card:not(.old)")).to_have_count(0)
    await expect(sight.page.locator(".banner")).to_contain_text("latido worker")
    publisher.silent = False
    await expect(chip).to_contain_text("complete")
    await expect(sight.page.locator(".card.old")).to_have_count(0)


@pytest.mark.parametrize(("status", "words"), [("partial", "partial"), ("catching_up", "catching up")])
async def test_incomplete_numbers_look_it(
    publisher: Publisher, sight: Sight, status: str, words: str
) -> None:
    publisher.put(await published())
    await sight.open()
    publisher.behind_ms = 20_000
    publisher.completeness = Completeness(status, 4, 2, None, 1204, 3, 1)
    await expect(sight.page.locator(".active .tag")).to_contain_text(words, timeout=SAYS_SO_WITHIN_MS)
    await expect(sight.page.locator(".card:not(.old)")).to_have_count(0)
    publisher.completeness, publisher.behind_ms = COMPLETE, 0
    await expect(sight.page.locator(".card.old")).to_have_count(0)


async def test_a_few_records_to_be_read_are_no_alarm(publisher: Publisher, sight: Sight) -> None:
    """While events come there are always some."""
    publisher.put(await published())
    await sight.open()
    publisher.completeness = Completeness("catching_up", 4, 0, None, 12, 3, 1)
    await expect(sight.page.locator(".chip")).to_contain_text("catching up")
    await expect(sight.page.locator(".card.old, .banner")).to_have_count(0)


async def test_a_page_without_its_server_says_so_and_recovers(
    publisher: Publisher, dashboard: DashboardProcess, sight: Sight
) -> None:
    publisher.put(await published())
    sight.forgiven = ("ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY")
    await sight.open()
    await expect(sight.page.locator(".plot canvas")).to_be_visible()  # everything is loaded
    dashboard.kill()
    try:
        await expect(sight.page.locator(".chip")).to_contain_text("no connection", timeout=SAYS_SO_WITHIN_MS)
        await expect(sight.page.locator(".card:not(.old)")).to_have_count(0)
    finally:
        await dashboard.start_async()
    await expect(sight.page.locator(".chip")).to_contain_text("complete")
    sight.complaints[:] = [
        one for one in sight.complaints if "ERR_CONNECTION" not in one and "ERR_INCOMPLETE" not in one
    ]


async def test_a_paused_server_is_noticed_by_the_page_itself(
    publisher: Publisher, dashboard: DashboardProcess, sight: Sight
) -> None:
    """The connection stays open and nothing comes: only the page's own clock can tell."""
    publisher.put(await published())
    await sight.open()
    with paused(dashboard):
        await expect(sight.page.locator(".chip")).to_contain_text("no connection", timeout=SAYS_SO_WITHIN_MS)
        await expect(sight.page.locator(".card:not(.old)")).to_have_count(0)
    await expect(sight.page.locator(".chip")).to_contain_text("complete")


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
