"""What is said of how far the figures can be trusted."""

from __future__ import annotations

import re

import pytest

from stream.dashboard.reader import BoardReader
from stream.pipeline.ports import StoreUnreachable
from stream.pipeline.take_snapshot import Completeness
from stream.tables.memory import MemoryBoard
from tests.dashboard.feeding import START_MS, Publisher, Stage, record


class Outage(MemoryBoard):
    """A board that can be out of reach."""

    out = False

    async def read_header(self) -> bytes | None:
        if self.out:
            raise StoreUnreachable("store at h:1 is gone")
        return await super().read_header()


def status(stage: Stage) -> str:
    return stage.reader.now().state.status


async def test_nothing_published_says_how_to_begin(stage: Stage) -> None:
    await stage.reader.read()
    state = (await stage.get("kpis")).json()["state"]
    assert (state["status"], state["age_ms"], state["as_of"]) == ("empty", None, None)
    assert "namespace shop" in state["text"]
    assert "latido worker" in state["what_to_do"]
    assert "latido send" in state["what_to_do"]
    await stage.publish()
    state = (await stage.get("kpis")).json()["state"]
    assert (state["status"], state["age_ms"]) == ("empty", 0)
    assert state["what_to_do"].startswith("Send an event")


async def test_a_silent_publisher_makes_it_stale_until_it_speaks(stage: Stage) -> None:
    await stage.publish(record())
    stage.now_ms += 3_000
    await stage.reader.read()
    assert status(stage) == "complete"
    stage.now_ms += 1
    state = stage.reader.now().state
    assert (state.status, state.age_ms) == ("stale", 3_001)
    assert "3 s" in state.text
    assert state.what_to_do is not None
    await stage.publish()  # no figure changed: only the header did
    assert status(stage) == "complete"


async def test_what_was_found_is_as_old_as_it_says(stage: Stage) -> None:
    await stage.publisher.publish(record(), at_ms=stage.now_ms - 60_000)
    await stage.reader.read()
    assert stage.reader.now().state.age_ms == 60_000
    assert status(stage) == "stale"


@pytest.mark.parametrize("ahead_ms", [-60_000, 60_000])
async def test_a_publisher_with_a_wrong_clock_is_judged_by_ours(stage: Stage, ahead_ms: int) -> None:
    await stage.publisher.publish(record(), at_ms=stage.now_ms + ahead_ms)
    await stage.reader.read()
    stage.now_ms += 1_000
    await stage.publisher.publish(record(), at_ms=stage.now_ms + ahead_ms)
    await stage.reader.read()
    assert (status(stage), stage.reader.now().state.age_ms) == ("complete", 0)
    stage.now_ms += 3_001
    assert status(stage) == "stale"


async def test_a_store_out_of_reach_shows_no_figures_and_recovers_by_itself(stage: Stage) -> None:
    board = Outage()
    stage.reader._board = board
    await Publisher(board).publish(record(), at_ms=START_MS)
    await stage.reader.read()
    board.out = True
    stage.now_ms += 1_000
    await stage.reader.read()
    for path in ("kpis", "kpis.csv", "explain?kpi=nps", "health"):
        answer = await stage.get(path)
        assert answer.status_code == 503
        assert set(answer.json()) == {"error", "state"}
        assert answer.json()["state"]["status"] == "unreachable"
        assert "store at h:1 is gone" in answer.json()["error"]
    board.out = False
    stage.now_ms += 10_000
    await stage.reader.read()
    assert status(stage) == "stale"  # it is there again, and still says what it said 11 s ago
    assert stage.reader.now().state.age_ms == 11_000


@pytest.mark.parametrize(
    ("found", "expected", "what_to_do"),
    [
        (Completeness("complete", 2, 2, None, 0, 0, 0), "complete", None),
        (Completeness("catching_up", 2, 1, None, 77, 0, 0), "catching_up", None),
        (Completeness("partial", 2, 1, None, 0, 0, 0), "partial", "every worker"),
        (Completeness("partial", 2, 2, None, 0, 0, 0, lost_records=5), "partial", "latido rebuild"),
        (Completeness("stale", 2, 0, None, 0, 0, 0), "stale", "latido worker"),
    ],
)  # fmt: skip
async def test_what_the_publisher_says_of_itself(
    stage: Stage, found: Completeness, expected: str, what_to_do: str | None
) -> None:
    stage.publisher.completeness = found
    await stage.publish(record())
    state = stage.reader.now().state
    assert state.status == expected
    assert state.what_to_do is None if what_to_do is None else what_to_do in (state.what_to_do or "")


@pytest.mark.parametrize("header", [b"", b"{}", b"\xff", '"published_at":"yesterday"', '"as_of":"noon"'])
async def test_what_another_version_published_is_no_figure(stage: Stage, header: bytes | str) -> None:
    await stage.publish(record())
    board, version = stage.board.store.board, stage.reader.now().version
    good = board.header or b""
    if isinstance(header, str):
        name = header.partition(":")[0].encode()
        header = re.sub(name + b':"[^"]*"', header.encode(), good)
    board.header = header

    await stage.reader.read()
    state = stage.reader.now().state
    assert state.status == "unreachable"
    assert "another version" in state.text
    board.header = good
    await stage.reader.read()
    assert status(stage) == "complete"
    assert stage.reader.now().version == version + 1


async def test_a_record_of_another_version_is_no_figure(stage: Stage) -> None:
    await stage.publish(record())
    stage.board.store.board.records["x"] = b"{}"
    await stage.publish(record(sessions=1))
    assert "another version" in stage.reader.now().state.text
    del stage.board.store.board.records["x"]
    await stage.reader.read()
    [one] = (await stage.get("kpis")).json()["records"]
    assert one["kpis"]["sessions"]["value"] == 1


async def test_an_unchanged_board_is_not_read_again(stage: Stage) -> None:
    reads = 0

    class Counting(MemoryBoard):
        async def read_records(self) -> dict[str, bytes]:
            nonlocal reads
            reads += 1
            return await super().read_records()

    board = Counting()
    reader = BoardReader(board, "shop", 1, lambda: START_MS)
    await Publisher(board).publish(record(), at_ms=START_MS)
    for _ in range(5):
        await reader.read()
    assert reads == 1
    assert reader.now().version == 1
