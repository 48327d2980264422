"""What is held back is handed out as soon as there is room: nothing waits for the next record to arrive."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, cast

from aiokafka.consumer.fetcher import Fetcher
from faust.types import TP

from schemas.topics import CLICKS
from stream.kafka.assignment import Assignment
from stream.kafka.lane import Lane
from stream.kafka.transport import BatchConsumer, BatchThread

_FETCH_LIMIT_S = 20.0
_PLACE = TP(CLICKS, 0)


def _thread(loop: asyncio.AbstractEventLoop) -> tuple[BatchThread, Any]:
    """A consumer's thread with aiokafka's own fetcher, and nothing on the network."""
    fetcher = cast(Any, object.__new__(Fetcher))
    fetcher._loop, fetcher._closed, fetcher._fetch_waiters = loop, False, set()
    fetcher._subscriptions = SimpleNamespace(reassignment_in_progress=False, is_assigned=lambda tp: True)
    fetcher._records = OrderedDict({_PLACE: "held back"})
    thread = cast(Any, object.__new__(BatchThread))
    thread.thread_loop, thread.full, thread.held = loop, {_PLACE}, set()
    thread._ensure_consumer = lambda: SimpleNamespace(_fetcher=fetcher)
    return thread, fetcher


def _waiting_fetch(look_again: Any) -> float:
    """How long a fetch with nothing to hand out waits, s, until `look_again(thread)` is called elsewhere."""
    loop = asyncio.new_event_loop()
    thread, fetcher = _thread(loop)
    started = time.monotonic()

    async def wait() -> None:
        fetching = asyncio.ensure_future(fetcher.fetched_records({TP("other", 1)}, timeout=_FETCH_LIMIT_S))
        while not fetcher._fetch_waiters:
            await asyncio.sleep(0)
        [waiter] = fetcher._fetch_waiters
        threading.Thread(target=look_again, args=(thread,)).start()
        await asyncio.wait_for(asyncio.shield(waiter), _FETCH_LIMIT_S / 2)
        fetching.cancel()

    loop.run_until_complete(wait())
    loop.close()
    return time.monotonic() - started


def test_when_the_queue_has_room_again() -> None:
    def drop(thread: BatchThread) -> None:
        consumer = cast(Any, object.__new__(BatchConsumer))
        consumer._thread = thread
        consumer.on_buffer_drop(_PLACE)
        assert not thread.full

    assert _waiting_fetch(drop) < _FETCH_LIMIT_S / 2


def test_when_a_topic_is_held_no_longer() -> None:
    def free(thread: BatchThread) -> None:
        assignment = cast(Any, object.__new__(Assignment))
        assignment._thread = lambda: thread
        lane = Lane(0, frozenset({CLICKS}), assignment)
        thread.held.add(_PLACE)
        assignment.hold(lane, set())
        assert not thread.held

    assert _waiting_fetch(free) < _FETCH_LIMIT_S / 2
