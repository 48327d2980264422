"""The mark of what has left: written with the outputs, read at a claim, compared with the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.topics import OUTPUT_MARKS, PAGE_VIEWS
from stream.core.policy import Policy
from stream.demo.servers import EmbeddedBroker
from stream.kafka import marks
from stream.kafka.marks import (
    Marks,
    StoreForgot,
    clear_marks,
    compare,
    make_mark,
    marked_namespaces,
    writer_of,
)
from stream.kafka.producer import OutputHeaders, OutputProducer
from stream.kafka.topics import create_topics
from stream.pipeline.ports import CUSTOMERS
from tests.builders import BASE_MS, Lane, event


def test_a_mark_goes_to_its_partition_under_its_namespace() -> None:
    mark = make_mark("shop", 3, 17)
    assert (mark.topic, mark.partition, mark.key, mark.value) == (
        OUTPUT_MARKS, 3, b"shop", b'{"through":17}',
    )  # fmt: skip
    assert OutputHeaders("shop").of(mark) == []


class _Fake:
    """Marks of one partition, without a broker."""

    def __init__(self, through: int) -> None:
        self.through = through

    async def read(self, writer: str, number: int) -> int:
        assert (writer, number) == ("shop", 0)
        return self.through


def _lane_with_outputs() -> Lane:
    """Two commits with outputs (dead letters), then one without."""
    lane = Lane(Policy())
    lane.wall_ms = BASE_MS + 60_000
    for number in range(2):
        lane.append({**event("V", number, f"e{number}"), "url": 5})
        lane.fetch(PAGE_VIEWS)
    lane.feed("C", 5)
    return lane


@pytest.mark.parametrize("marked", [0, 1, 2])
async def test_a_store_that_knows_what_has_left_is_used(marked: int) -> None:
    await compare(_Fake(marked), "shop", _lane_with_outputs().partition)


async def test_a_store_that_lost_a_commit_whose_outputs_have_left_is_refused() -> None:
    lane = Lane(Policy())
    lane.append({**event("V", 0, "e0"), "url": 5})
    lane.fetch(PAGE_VIEWS)
    before = lane.store.snapshot()
    lane.append({**event("V", 1, "e1"), "url": 5})
    lane.fetch(PAGE_VIEWS)
    marked = lane.partition.newest_output
    await compare(_Fake(marked), "shop", lane.partition)

    lane.store.restore(before)
    lane.open()
    with pytest.raises(
        StoreForgot, match=r"2 groups of outputs have left, it knows 1\).*Run: latido rebuild$"
    ):
        await compare(_Fake(marked), "shop", lane.partition)
    lane.store.flush()
    lane.open()
    with pytest.raises(StoreForgot, match="it knows 0"):
        await compare(_Fake(marked), "shop", lane.partition)


async def test_a_store_that_lost_only_what_nobody_was_told_is_used() -> None:
    lane = Lane(Policy())
    before = lane.store.snapshot()
    lane.feed("V", 0, 1, 2)
    lane.store.restore(before)
    lane.open()
    await compare(_Fake(0), "shop", lane.partition)


# ---------------------------------------------------------------- on a broker


@pytest.fixture
async def options(broker: EmbeddedBroker) -> dict[str, Any]:
    options = {"bootstrap_servers": broker.address}
    await create_topics(options, 2)
    return options


@pytest.fixture
async def reader(options: dict[str, Any]) -> AsyncIterator[Marks]:
    reader = Marks(options)
    yield reader
    await reader.stop()


async def _write(options: dict[str, Any], *found: tuple[str, int, int]) -> None:
    producer = OutputProducer(options, OutputHeaders("any"), None)
    await producer.produce([make_mark(*one) for one in found])
    await producer.stop()


async def test_the_newest_of_a_namespace_and_partition_counts(options: dict[str, Any], reader: Marks) -> None:
    assert await reader.read("a", 0) == 0
    await _write(options, ("a", 0, 1), ("b", 0, 90), ("a", 1, 50), ("a", 0, 7), ("b", 0, 91))
    assert [await reader.read(*place) for place in (("a", 0), ("a", 1), ("b", 0), ("b", 1))] == [7, 50, 91, 0]
    assert (await marked_namespaces(options))[1] == 2
    assert (await marked_namespaces(options))[0] >= {"a", "b"}
    await clear_marks(options, "a", 2)
    assert [await reader.read("a", number) for number in (0, 1)] == [0, 0]
    assert "a" not in (await marked_namespaces(options))[0]
    assert await reader.read("b", 0) == 91


async def test_each_stage_has_marks_of_its_own(options: dict[str, Any], reader: Marks) -> None:
    customers = writer_of("staged", CUSTOMERS)
    await _write(options, ("staged", 0, 5), (customers, 0, 2))
    assert [await reader.read(name, 0) for name in ("staged", customers)] == [5, 2]
    await clear_marks(options, "staged", 2)
    assert [await reader.read(name, 0) for name in ("staged", customers)] == [0, 0]
    assert not {name for name in (await marked_namespaces(options))[0] if name.startswith("staged")}


async def test_a_mark_far_from_the_end_is_found(
    options: dict[str, Any], reader: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "_TAIL", 5)
    await _write(options, ("quiet", 0, 3), *(("busy", 0, n) for n in range(1, 40)))
    assert await reader.read("busy", 0) == 39
    assert await reader.read("quiet", 0) == 3
    assert await reader.read("never", 0) == 0
