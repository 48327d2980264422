"""The one reader of the board: wakes at announcements, and tells every viewer what is new."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import structlog

from stream.dashboard.feed import Feed, Now
from stream.dashboard.history import History
from stream.dashboard.records import Difference, Records
from stream.dashboard.selection import Selection
from stream.dashboard.state import Sight, parse_header, published_ms, state_of
from stream.pipeline.ports import SnapshotBoard, StoreMisconfigured, StoreUnreachable
from stream.pipeline.take_snapshot import Header

log = structlog.get_logger(__name__)

SHORTEST_PAUSE_S: Final = 0.2
"""Five readings a second are as many as anybody sees."""
PAUSE_PER_COST: Final = 4
"""Of a large board a reading takes long: the pause after it is so many times as long, up to the longest."""
LONGEST_PAUSE_S: Final = 1.0
"""Without news a lost announcement is made up for, and an outage noticed."""
SUBSCRIBE_AGAIN_S: Final = 10.0
"""After a refusal; what an outage broke the board mends itself."""
BEAT_S: Final = 1.0
"""Viewers hear at least so often: the age of what they show moves on."""
COMES_BACK_WITHIN_S: Final = 15.0
"""A viewer whose connection broke goes on where it was, if it is back by then."""
FEEDS_KEPT: Final = 32
"""Of feeds without viewers."""


class TooManyViewers(Exception):
    """All places for open streams are taken."""


class BoardReader:
    """Holds what is published, and how old it is."""

    def __init__(
        self, board: SnapshotBoard, namespace: str, viewers: int, wall_ms: Callable[[], int] | None = None
    ) -> None:
        self._board = board
        self._namespace = namespace
        self._places = viewers
        self.wall_ms = wall_ms or _wall_ms
        self._records = Records()
        self._sight = Sight()
        self._history = History()
        self._version = 0
        self._feeds: dict[Selection, Feed] = {}
        self._header: bytes | None = None
        self._news = asyncio.Event()  # announced by the store
        self._tick = asyncio.Event()  # set when viewers are to be told something; a new one each time
        self.run_id = secrets.token_hex(4)  # versions of another process mean something else
        self.told = self.now()  # what they are told
        self.closed = False

    def now(self) -> Now:
        """What is known, with its age at this moment."""
        state = state_of(self._sight, self._namespace, self.wall_ms())
        return Now(self._version, state, self._sight.header, self._records)

    async def run(self) -> None:
        """Read until cancelled, or closed: in Python 3.11 the client may swallow a cancellation.

        Outages become the state `unreachable`.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._read_on())
            tasks.create_task(self._beat())

    def history(self, site: str, segment: str) -> dict[str, Any]:
        """The lines of the last minutes."""
        return self._history.answer(site, segment, self._records, self.wall_ms())

    def close(self) -> None:
        """Let all streams end: they have no other end."""
        self.closed = True
        self._tell()

    @property
    def tick(self) -> asyncio.Event:
        """Set when `told` is another, after a beat at the latest. Take it before looking."""
        return self._tick

    @contextlib.contextmanager
    def viewing(self, selection: Selection) -> Iterator[Feed]:
        """A place among the viewers, with the feed of the selection. Raises TooManyViewers."""
        if self._places <= 0:
            raise TooManyViewers
        feed = self._feeds.get(selection)
        if feed is None:
            feed = self._feeds[selection] = Feed(selection, self.told)
        self._places -= 1
        feed.viewers += 1
        try:
            yield feed
        finally:
            self._places += 1
            feed.viewers -= 1
            feed.left_at_s = time.monotonic()

    async def _listen(self) -> None:
        while not self.closed:
            try:
                async for _ in self._board.announcements():
                    self._news.set()
            except (StoreUnreachable, StoreMisconfigured) as error:
                log.warning("announcements cannot be heard; figures move each second", reason=str(error))
            await asyncio.sleep(SUBSCRIBE_AGAIN_S)

    async def _read_on(self) -> None:
        while not self.closed:
            started = time.perf_counter()
            self._news.clear()
            await self.read()
            cost_s = time.perf_counter() - started
            await asyncio.sleep(min(max(SHORTEST_PAUSE_S, PAUSE_PER_COST * cost_s), LONGEST_PAUSE_S))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LONGEST_PAUSE_S)

    async def _beat(self) -> None:
        while not self.closed:
            before = self._tick
            await asyncio.sleep(BEAT_S)
            self._forget_feeds()
            if before is self._tick:
                self._tell()

    def _forget_feeds(self) -> None:
        """Those nobody came back to, and of the others the longest left if there are many."""
        idle = (feed for feed in self._feeds.values() if not feed.viewers)
        left = sorted(idle, key=lambda one: one.left_at_s)
        late_s = time.monotonic() - COMES_BACK_WITHIN_S
        for place, feed in enumerate(reversed(left)):
            if feed.left_at_s < late_s or place >= FEEDS_KEPT:
                del self._feeds[feed.selection]

    async def read(self) -> None:
        """Look at the board once. Never raises for the store."""
        try:
            header = await self._board.read_header()
            if header is None or header != self._header or self._sight.problem is not None:
                # Both are written at once, the header anew each time; records may be the newer ones here.
                raw = await self._board.read_records()
                self._take(None if header is None else parse_header(header), raw)
                self._header = header
        except (StoreUnreachable, StoreMisconfigured) as error:
            self._fail(str(error))
        except (msgspec.MsgspecError, ValueError) as error:
            self._fail(f"what is published is of another version of latido ({error})")

    def _take(self, header: Header | None, raw: dict[str, bytes]) -> None:
        difference = self._records.replace(raw)
        before = self._sight
        if header == before.header and not difference.groups and before.problem is None:
            return
        now_ms = self.wall_ms()
        if header is None:
            heard_ms = now_ms
        elif before.header is None or before.problem is not None:
            heard_ms = min(now_ms, published_ms(header))  # not seen to be written: its own word counts
        else:
            heard_ms = now_ms if header != before.header else before.silent_since_ms
        self._sight = Sight(header, len(self._records), heard_ms)
        if header is not None:
            self._history.take(header, self._records)
        self._advance(difference)

    def _advance(self, difference: Difference) -> None:
        self._version += 1
        for feed in self._feeds.values():
            feed.advance(self.now(), difference)
        self._tell()

    def _fail(self, problem: str) -> None:
        if self._sight.problem is None:
            log.warning("the store cannot be read", reason=problem)
        self._sight = msgspec.structs.replace(self._sight, problem=problem)
        self._tell()

    def _tell(self) -> None:
        self.told = self.now()
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
