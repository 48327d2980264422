"""A real browser on the real page: Debian's chromium, driven by Playwright, with `scripts/test --real`."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from stream.demo.processes import DashboardProcess
from stream.demo.servers import EmbeddedStore
from tests.browser.feed import COMPLETE, Publisher
from tests.browser.sight import Sight, looking

CHROMIUM = "chromium"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them need a browser, but those that only read files."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for a module. A missing one is an error, never a skip."""
    executable = shutil.which(CHROMIUM)
    if executable is None:
        pytest.fail("there is no chromium; scripts/real installs it", pytrace=False)
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # chromium's own does not work as root
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=sandbox)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def board(store: EmbeddedStore, request: pytest.FixtureRequest) -> AsyncIterator[Publisher]:
    """The module's board, and a publisher that is heard."""
    made = Publisher(store.url, _namespace(request))
    async with made.beating():
        yield made


@pytest.fixture
def publisher(board: Publisher) -> Publisher:
    """The publisher, with nothing published yet."""
    board.put([])
    board.silent, board.completeness, board.behind_ms = False, COMPLETE, 0
    return board


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dashboard(
    store: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[DashboardProcess]:
    """The server, a process as in life, on the board of `publisher`."""
    settings = {"REDIS": store.url, "NAMESPACE": _namespace(request)}
    async with DashboardProcess(tmp_path_factory.mktemp("dashboard"), settings) as process:
        yield process


@pytest_asyncio.fixture(loop_scope="module")
async def sight(browser: Browser, dashboard: DashboardProcess) -> AsyncIterator[Sight]:
    """A tab; at the end nothing may have been complained about that the test did not expect."""
    async with looking(browser, dashboard.url) as found:
        yield found
        complaints = await found.collect()
    assert complaints == []


def _namespace(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).rpartition("/")[2].removesuffix(".py").replace("_", "-")
