"""One tab of the browser, and everything in it that a page of ours must not do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

from playwright.async_api import Browser, Locator, Page, expect

WITHIN_MS: Final = 30_000
"""Where something is only waited for: long, because a busy machine is no failure of the page."""
expect.set_options(timeout=WITHIN_MS)
DESK: Final = (1280, 900)

# Remembers what the policy forbade, and when the first number stood there (ms since the page was asked for).
_WATCH: Final = """
window.forbidden = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.forbidden.push(`${event.violatedDirective}: ${event.blockedURI}`);
});
window.firstNumberMs = null;
new MutationObserver(() => {
  const text = document.querySelector("[data-kpi=active_visitors]")?.textContent ?? "";
  if (window.firstNumberMs === null && /[0-9]/.test(text)) window.firstNumberMs = performance.now();
}).observe(document, { subtree: true, childList: true, characterData: true });
"""


class Sight:
    """`complaints`: errors, policy violations, dialogs, windows, and requests to anywhere else.

    `forgiven`: words in complaints that the test itself brings about.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.forgiven: tuple[str, ...] = ()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._asked)
        page.on("request", lambda request: self._requested(request.url))
        page.on("popup", lambda popup: self.complaints.append(f"window: {popup.url}"))

    async def open(self, /, **query: str) -> None:
        """Open the page and wait for its first number."""
        await self.page.goto(f"{self.url}?{urlencode(query)}" if query else self.url)
        await expect(self.kpi("active_visitors")).not_to_have_text("\u2013")

    def kpi(self, name: str) -> Locator:
        """The number of the whole site that is shown as this KPI."""
        return self.page.locator(f"p [data-kpi={name}]").first

    async def shows(self, name: str, text: str) -> None:
        await expect(self.kpi(name)).to_have_text(text)

    async def collect(self) -> list[str]:
        """All complaints, with what the page itself noticed, but for those with a word in `forgiven`."""
        noticed = [f"policy: {one}" for one in await self.page.evaluate("window.forbidden")]
        found = self.complaints + noticed
        return [one for one in found if not any(word in one for word in self.forgiven)]

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    async def _asked(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _requested(self, url: str) -> None:
        self.requests.append(url)
        if not url.startswith(self.url):
            self.complaints.append(f"request: {url}")


@contextlib.asynccontextmanager
async def looking(
    browser: Browser, url: str, size: tuple[int, int] = DESK, **options: Any
) -> AsyncIterator[Sight]:
    """A tab of `size` pixels. options: of a browser context, such as color_scheme."""
    context = await browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    await context.add_init_script(_WATCH)
    page = await context.new_page()
    page.set_default_timeout(WITHIN_MS)
    try:
        yield Sight(page, url)
    finally:
        await context.close()
