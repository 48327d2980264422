"""A view whose store client swallows the cancellation still ends."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from stream.demo import view
from stream.demo.cancellation import still_wanted
from stream.tables.memory import MemoryBoard

SETTINGS = {"REDIS": "redis://127.0.0.1:1/0", "NAMESPACE": "n"}


class Swallowing(MemoryBoard):
    """As redis-py, when the reply comes at the moment of the cancellation."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def read_records(self) -> dict[str, bytes]:
        self.asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return {}


async def test_the_view_ends_though_the_client_swallows_its_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(view, "LINE_EVERY_S", 0.0)
    board = Swallowing()
    async with asyncio.timeout(10), view.live_view(board, SETTINGS, "", ""):
        await board.asked.wait()


async def test_nothing_happens_to_a_task_that_is_wanted() -> None:
    still_wanted()
