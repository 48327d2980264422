"""Make docs/monitor.png, the picture of the page in the README, from a run of the demo: scripts/picture."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright, expect

from stream.demo.processes import environment

PICTURE: Final = Path(__file__).resolve().parents[2] / "docs/monitor.png"
SIZE: Final = (1280, 1040)
DEMO_S: Final = 180
SEEN_AFTER_S: Final = 120
"""So that lines have a course, and visits have ended."""
ADDRESS: Final = re.compile(r"the live page: (http://\S+)")


async def take(file: Path) -> None:
    """Run the demo and write what its page looks like. Raises RuntimeError when the demo ends early."""
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream", "demo", "--no-browser", "--seconds", str(DEMO_S)),
        stdout=PIPE, stderr=STDOUT, env=environment({}),
    )  # fmt: skip
    try:
        url = await _address(demo)
        drain = asyncio.create_task(_read_on(demo))
        async with async_playwright() as playwright:
            sandbox = [] if os.geteuid() else ["--no-sandbox"]
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=sandbox)
            page = await browser.new_page(
                viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light"
            )
            await page.goto(f"{url}&answers=24h")
            await asyncio.sleep(SEEN_AFTER_S)
            with contextlib.suppress(AssertionError):  # a busy machine may always have some records to read
                await expect(page.locator(".chip")).to_have_attribute("data-status", "complete")
            await page.screenshot(path=file)
            await browser.close()
        drain.cancel()
    finally:
        if demo.returncode is None:
            demo.terminate()
        await demo.wait()


async def _address(demo: Process) -> str:
    """Where the demo says that its page is."""
    assert demo.stdout is not None
    said = ""
    while line := (await demo.stdout.readline()).decode():
        said += line
        if found := ADDRESS.search(line):
            return found[1]
    raise RuntimeError(f"the demo ended: {said[-500:]}")


async def _read_on(demo: Process) -> None:
    assert demo.stdout is not None
    while await demo.stdout.read(65536):
        pass


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE))
