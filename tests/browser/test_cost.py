"""A real worker behind the page: from a click to the page, what loading costs, and a worker that dies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from playwright.async_api import Browser, expect

from schemas.times import rfc3339
from schemas.topics import PAGE_VIEWS
from stream.demo.processes import DashboardProcess, WorkerProcess
from stream.demo.servers import embedded_servers
from stream.kafka.topics import create_topics
from tests.browser.feed import now_ms
from tests.browser.sight import looking

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLICKS: Final = 25
SLOWEST_P95_MS: Final = 3000
"""Only a broken wake-up or a quadratic takes so long; the figures are printed."""
SAYS_SO_WITHIN_MS: Final = 5_000
MOST_REQUESTS: Final = 45
MOST_BYTES: Final = 400_000
# The moment (wall clock, ms) at which each text of the big number stood there.
WATCH: Final = """
window.stoodAt = {};
new MutationObserver(() => {
  const text = document.querySelector("[data-kpi=active_visitors]")?.textContent;
  if (text) window.stoodAt[text] ??= Date.now();
}).observe(document, { subtree: true, childList: true, characterData: true });
"""
LOADED: Final = """(() => {
  const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  const bytes = all.reduce((sum, one) => sum + one.transferSize, 0);
  return {requests: all.length, bytes, first: window.firstNumberMs};
})()"""


class Whole(NamedTuple):
    """What runs behind the page at `url`."""

    producer: AIOKafkaProducer
    worker: WorkerProcess
    url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """Broker, store, worker and dashboard."""
    folder = tmp_path_factory.mktemp("whole")
    async with embedded_servers() as (broker, store):
        await create_topics({"bootstrap_servers": broker.address}, 2)
        settings = {"BROKER": broker.address, "REDIS": store.url, "NAMESPACE": "whole"}
        async with (
            WorkerProcess(folder / "worker", settings) as worker,
            DashboardProcess(folder / "dashboard", settings) as dashboard,
            AIOKafkaProducer(bootstrap_servers=broker.address, acks="all") as producer,
        ):
            yield Whole(producer, worker, dashboard.url)


async def visit(producer: AIOKafkaProducer, number: int) -> int:
    """One visitor opens a page; returns when, in ms."""
    at_ms = now_ms()
    visitor = f"visitor-{number}"
    view = {"event_id": visitor, "type": "page_view", "visitor_id": visitor, "url": "/"}
    view["occurred_at"] = rfc3339(at_ms)
    await producer.send_and_wait(PAGE_VIEWS, json.dumps(view).encode(), key=visitor.encode())
    return at_ms


async def test_a_click_is_on_the_page_soon_and_loading_is_cheap(
    whole: Whole, browser: Browser, record_property: Callable[[str, object], None]
) -> None:
    producer, _, url = whole
    await visit(producer, 1)
    async with looking(browser, url) as sight:
        await sight.page.context.add_init_script(WATCH)
        await sight.open()
        await sight.shows("active_visitors", "1")
        sent_ms = {}
        for number in range(2, CLICKS + 2):
            sent_ms[str(number)] = await visit(producer, number)
            await sight.shows("active_visitors", str(number))
        stood_ms = await sight.page.evaluate("window.stoodAt")
    took_ms = sorted(stood_ms[text] - at_ms for text, at_ms in sent_ms.items())
    p50, p95 = took_ms[len(took_ms) // 2], took_ms[int(0.95 * len(took_ms))]
    async with looking(browser, url) as sight:
        await sight.open()
        found = await sight.page.evaluate(LOADED)
    record_property("click to page", f"{CLICKS} clicks, p50 {p50} ms, p95 {p95} ms, slowest {took_ms[-1]} ms")
    loaded = f"{found['requests']} requests, {found['bytes']:,} bytes, {found['first']:.0f} ms"
    record_property("until the first number", loaded)
    assert p95 < SLOWEST_P95_MS
    assert found["requests"] <= MOST_REQUESTS
    assert found["bytes"] <= MOST_BYTES


async def test_a_worker_s_death_is_told_within_seconds_and_its_successor_heals_it(
    whole: Whole, browser: Browser
) -> None:
    await visit(whole.producer, 1)
    async with looking(browser, whole.url) as sight:
        await sight.open()
        chip = sight.page.locator(".chip")
        await expect(chip).to_contain_text("complete")
        whole.worker.kill()
        await expect(chip).to_contain_text("stale", timeout=SAYS_SO_WITHIN_MS)
        await expect(sight.page.locator(".card:not(.old)")).to_have_count(0)
        await whole.worker.start_async()
        await expect(chip).to_contain_text("complete")
        await expect(sight.page.locator(".card.old")).to_have_count(0)
        assert await sight.collect() == []
