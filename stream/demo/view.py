"""What the demo shows while it runs: the view of `latido watch` in a terminal, else a line now and then."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import sys
import webbrowser
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from schemas.keys import ALL, snapshot_key
from stream.demo import note
from stream.demo.cancellation import still_wanted
from stream.demo.processes import environment
from stream.pipeline.ports import SnapshotBoard
from stream.tables.redis_client import hide_credentials

LINE_EVERY_S: Final = 3.0
STOPPED_WITHIN_S: Final = 5.0
SITE: Final = "default"
SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY")
"""Where one of these is set, a window can be opened."""


def say(text: str) -> None:
    """One line of progress."""
    print(text, flush=True)


@contextlib.asynccontextmanager
async def live_view(
    board: SnapshotBoard, settings: Mapping[str, str], collector_url: str, page_url: str
) -> AsyncIterator[None]:
    """Show the numbers until the block ends.

    settings: of the worker, names without LATIDO_; among them REDIS and NAMESPACE.
    """
    showing = asyncio.create_task(_show(board, settings, where(settings, collector_url, page_url)))
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


async def _show(board: SnapshotBoard, settings: Mapping[str, str], foot: str) -> None:
    if sys.stdout.isatty():
        await _watch(settings, foot)
    while True:
        await asyncio.sleep(LINE_EVERY_S)
        records = await board.read_records()
        still_wanted()
        say(status_line(records))


def where(settings: Mapping[str, str], collector_url: str, page_url: str) -> str:
    """What the live view keeps at its foot: it covers the lines that were printed before it."""
    command = kpi_command(settings["REDIS"], settings["NAMESPACE"])
    return f"page: {page_url} · events: POST {collector_url}\n{command}"


def open_page(url: str) -> None:
    """Open the live page, where there is a screen and a browser; the address was printed anyway."""
    has_screen = sys.platform == "darwin" or any(os.environ.get(name) for name in SCREENS)
    if has_screen:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.get().open(url)


def kpi_command(redis: str, namespace: str) -> str:
    """A line to paste into another terminal. A password stays out of it: the screen may be shared."""
    return f"latido kpi --redis {shlex.quote(hide_credentials(redis))} --namespace {namespace}"


async def _watch(settings: Mapping[str, str], foot: str) -> None:
    """Give the terminal to `latido watch`; returns only when that ends by itself."""
    watch = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream", "watch"),
        stdin=asyncio.subprocess.DEVNULL,
        env={**environment(settings), note.VARIABLE: foot},
    )
    try:
        await watch.wait()
    finally:
        # As Ctrl-C would: it has to give the terminal back as it was.
        for number in (signal.SIGINT, signal.SIGKILL):
            if watch.returncode is None:
                with contextlib.suppress(ProcessLookupError, TimeoutError):
                    watch.send_signal(number)
                    await asyncio.wait_for(watch.wait(), STOPPED_WITHIN_S)


def status_line(records: Mapping[str, bytes]) -> str:
    """The most telling numbers of a snapshot in one line."""
    now = _kpis(records, "5m")
    total = _kpis(records, ALL)
    if not total:
        return "nothing published yet"
    figures = {
        "active now": _value(now, "active_visitors"),
        "page views": _value(total, "page_views"),
        "sessions": _value(total, "sessions"),
        "pages/session": _value(total, "pages_per_session"),
        "CTR": _percent(_value(total, "ctr")),
        "NPS": _value(total, "nps"),
        "CSAT": _percent(_value(total, "csat")),
    }
    return " · ".join(f"{name} {_shown(value)}" for name, value in figures.items())


def _kpis(records: Mapping[str, bytes], window: str) -> dict[str, Any]:
    record = records.get(snapshot_key(SITE, window, ALL))
    kpis: dict[str, Any] = {} if record is None else json.loads(record)["kpis"]
    return kpis


def _value(kpis: Mapping[str, Any], name: str) -> float | None:
    value: float | None = kpis.get(name, {}).get("value")
    return value


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.1f} %"


def _shown(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
