"""What was handed out and never arrived is read again, also when nothing comes after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from faust.types import TP

from schemas.topics import INPUT_TOPICS, PAGE_VIEWS
from stream.core.policy import Policy
from stream.kafka.assignment import Assignment
from stream.kafka.fetched import Fetched, Place
from stream.kafka.lane import Lane
from stream.kafka.producer import Capabilities
from stream.kafka.stage import Stage
from stream.kafka.transport import BatchThread
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.batch import Batch
from stream.pipeline.partition import Partition
from stream.tables.memory import MemoryStore, MemoryTables


class _Thread:
    """Placements without a consumer."""

    def __init__(self) -> None:
        self.placed: dict[TP, Place] = {}
        self.held: set[TP] = set()

    def reply(self, tp: TP) -> None:
        return None

    async def place(self, offsets: Mapping[TP, int], ticket: int) -> bool:
        self.placed.update({tp: Place(offset, ticket) for tp, offset in offsets.items()})
        return True

    def applied(self, fetched: Fetched) -> None:
        pass


class _Scene:
    """One lane of partition 0, live, placed at 0."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.thread = _Thread()
        settings = WorkerSettings(
            client_options={"bootstrap_servers": "127.0.0.1:1"}, namespace="n", group="g", policy=Policy()
        )
        tables = self.tables = MemoryTables(MemoryStore())
        stage = Stage("", INPUT_TOPICS, tables, lambda claim: Partition.open(tables, claim, Policy()))
        self.assignment = Assignment(
            settings, stage, Capabilities(transactions=False),
            lambda: cast(BatchThread, cast(Any, self.thread)), lambda: self.now_ms, self._broken,
        )  # fmt: skip

    def _broken(self, error: BaseException) -> None:
        raise error

    async def go_live(self) -> Lane:
        lane = Lane(0, frozenset(INPUT_TOPICS), self.assignment)
        lane.partition = await Partition.open(self.tables, await self.tables.claim(0, "me", 1, 0), Policy())
        lane.tickets = dict.fromkeys(INPUT_TOPICS, 0)
        await self.thread.place({TP(topic, 0): 0 for topic in INPUT_TOPICS}, 0)
        for topic in INPUT_TOPICS:
            lane.partition.begin(topic, 0)
        self.assignment.lanes = {0: lane}
        return lane

    def hand_out(self, end: int) -> Fetched:
        place = self.thread.placed[TP(PAGE_VIEWS, 0)]
        fetched = Fetched(Batch(PAGE_VIEWS, 0, (), place.position, end, end), place.ticket)
        place.position = end
        return fetched

    async def later(self, milliseconds: int) -> Place:
        self.now_ms += milliseconds
        await self.assignment.tick(None)
        return self.thread.placed[TP(PAGE_VIEWS, 0)]


async def test_a_lost_batch_is_read_again() -> None:
    scene = _Scene()
    lane = await scene.go_live()
    await scene.assignment.process(scene.hand_out(10))
    lost = scene.hand_out(20)
    assert (await scene.later(4_000)).position == 20
    again = await scene.later(2_000)
    assert again.position == 10
    assert again.ticket == lane.tickets[PAGE_VIEWS] != lost.ticket

    await scene.assignment.process(scene.hand_out(20))
    await scene.assignment.process(lost)  # it was only slow: void now
    assert lane.partition is not None
    assert lane.partition.positions[PAGE_VIEWS] == 20


async def test_nothing_is_read_again_while_batches_arrive() -> None:
    scene = _Scene()
    await scene.go_live()
    waiting = [scene.hand_out(end) for end in (10, 20, 30)]
    for number, fetched in enumerate(waiting):
        assert (await scene.later(4_000)).position == 30, number
        await scene.assignment.process(fetched)
    assert (await scene.later(60_000)).position == 30
