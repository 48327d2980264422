"""What is held back is handed out as soon as there is room: nothing waits for the next record to arrive."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, cast

from aiokafka.consumer.fetcher import Fetcher
from faust.types import TP

from schemas.topics import CLICKS
from stream.kafka.assignment import Assignment
from stream.kafka.fetched import Fetched, Place
from stream.kafka.lane import Lane
from stream.kafka.transport import BatchThread, _Wanted
from stream.pipeline.batch import Batch

_FETCH_LIMIT_S = 20.0
_PLACE = TP(CLICKS, 0)
_ROOM = 12


def _thread(loop: asyncio.AbstractEventLoop) -> tuple[BatchThread, Any]:
    """A consumer's thread with aiokafka's own fetcher, and nothing on the network."""
    fetcher = cast(Any, object.__new__(Fetcher))
    fetcher._loop, fetcher._closed, fetcher._fetch_waiters = loop, False, set()
    fetcher._subscriptions = SimpleNamespace(reassignment_in_progress=False, is_assigned=lambda tp: True)
    fetcher._records = OrderedDict({_PLACE: "held back"})
    thread = cast(Any, object.__new__(BatchThread))
    thread.thread_loop, thread.placed, thread.held = loop, {}, set()
    thread.consumer = SimpleNamespace(flow_active=True, settings=SimpleNamespace(buffered_batches=_ROOM))
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

    with contextlib.closing(loop):
        loop.run_until_complete(wait())
    return time.monotonic() - started


def _batch(tp: TP, start: int, end: int, ticket: int) -> Fetched:
    return Fetched(Batch(tp.topic, tp.partition, (), start, end, end), ticket)


def test_when_a_batch_was_applied() -> None:
    def apply(thread: BatchThread) -> None:
        thread.placed[_PLACE] = Place(10, 1, ahead=1)
        thread.applied(_batch(_PLACE, 0, 10, 1))

    assert _waiting_fetch(apply) < _FETCH_LIMIT_S / 2


def test_in_a_backlog_every_partition_moves() -> None:
    """Whoever has nothing waiting is read, however much the others have fetched."""
    thread, _ = _thread(cast(Any, None))  # nothing runs
    wanted = _Wanted(thread)
    places = [TP(CLICKS, number) for number in range(4)]
    thread.placed = {tp: Place(0, 1) for tp in places}
    for tp in places[:3]:
        thread.placed[tp].ahead = _ROOM
    assert [tp in wanted for tp in places] == [False, False, False, True]
    thread.placed[places[3]].ahead = 1
    assert not any(tp in wanted for tp in places)


def test_there_is_room_again_when_batches_were_applied_and_only_those_of_the_placement() -> None:
    thread, _ = _thread(cast(Any, None))  # nothing runs
    wanted = _Wanted(thread)
    thread.placed[_PLACE] = Place(0, 2, ahead=_ROOM)
    thread._applied(_batch(_PLACE, 0, 1, ticket=1))
    assert _PLACE not in wanted
    thread._applied(_batch(_PLACE, 0, 1, ticket=2))
    assert _PLACE in wanted


def test_when_a_topic_is_held_no_longer() -> None:
    def free(thread: BatchThread) -> None:
        assignment = cast(Any, object.__new__(Assignment))
        assignment._thread = lambda: thread
        lane = Lane(0, frozenset({CLICKS}), assignment)
        thread.held.add(_PLACE)
        assignment.hold(lane, set())
        assert not thread.held

    assert _waiting_fetch(free) < _FETCH_LIMIT_S / 2
