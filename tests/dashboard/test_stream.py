"""What a viewer is sent: a snapshot, then changes, each second a sign of life, and where it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

import pytest

from stream.dashboard import feed, reader
from stream.dashboard.events import PIECE_BYTES, events
from stream.dashboard.reader import TooManyViewers
from stream.dashboard.selection import Selection
from tests.dashboard.feeding import Stage, key_of, record

LIMIT_S = 10.0
CHANNELS = Selection(dimensions=("channel",), limit=2)


class Event(NamedTuple):
    id: str
    name: str
    body: dict[str, Any]

    @property
    def keys(self) -> list[str]:
        return [key_of(one) for one in self.body["records"]]


class Viewer:
    """Reads a stream event by event."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._text = ""

    async def next(self) -> Event:
        async with asyncio.timeout(LIMIT_S):
            while "data:" not in self._text or not self._text.endswith("\n\n"):
                self._text += (await anext(self._pieces)).decode()
        fields = dict(line.split(": ", 1) for line in self._text.strip().split("\n") if line)
        self._text = ""
        return Event(fields["id"], fields["event"], json.loads(fields["data"]))


@asynccontextmanager
async def viewer(
    stage: Stage, selection: Selection | None = None, last_id: str | None = None
) -> AsyncIterator[Viewer]:
    with stage.reader.viewing(selection or Selection()) as shared:
        async with aclosing(events(stage.reader, shared, last_id)) as pieces:  # type: ignore[type-var]
            yield Viewer(pieces)


def channel(value: str, sessions: int) -> dict[str, Any]:
    return record("shop-es", "5m", "channel", value, sessions=sessions)


async def test_first_everything_then_what_changes(stage: Stage) -> None:
    await stage.publish(record(), record(window="1h"))
    async with viewer(stage) as one:
        first = await one.next()
        assert (first.name, first.keys) == ("snapshot", ["shop-es|5m|all", "shop-es|1h|all"])
        assert first.body == (await stage.get("kpis")).json()
        await stage.publish(record(window="1h", sessions=7), channel("Email", 1))
        second = await one.next()
        assert (second.name, second.keys, second.body["gone"]) == ("change", ["shop-es|1h|all"], [])
        assert second.body["records"][0]["kpis"]["sessions"]["value"] == 7
        assert second.body["header"]["sequence"] == first.body["header"]["sequence"] + 1
        await stage.publish(gone=["shop-es|1h|all"])
        third = await one.next()
        assert (third.name, third.keys, third.body["gone"]) == ("change", [], ["shop-es|1h|all"])


async def test_what_is_not_chosen_is_only_a_sign_of_life(stage: Stage) -> None:
    await stage.publish(record(), record("shop-de"))
    async with viewer(stage, Selection(sites=("shop-de",))) as one:
        await one.next()
        await stage.publish(record(sessions=7))
        event = await one.next()
        assert (event.name, list(event.body)) == ("state", ["state"])


async def test_only_the_kpis_chosen_are_sent(stage: Stage) -> None:
    async with viewer(stage, Selection(kpis=("nps",))) as one:
        assert (await one.next()).body["records"] == []
        await stage.publish(record())
        assert list((await one.next()).body["records"][0]["kpis"]) == ["nps"]


async def test_who_enters_the_largest_is_sent_and_who_leaves_them_is_gone(stage: Stage) -> None:
    await stage.publish(channel("a", 3), channel("b", 2), channel("c", 1), channel("(other)", 9))
    async with viewer(stage, CHANNELS) as one:
        first = await one.next()
        assert [key[-1] for key in first.keys] == ["a", "b", ")"]
        await stage.publish(channel("b", 0))
        second = await one.next()
        assert second.keys == ["shop-es|5m|channel=c"]  # unchanged itself
        assert second.body["gone"] == ["shop-es|5m|channel=b"]


async def test_a_slow_viewer_is_told_everything_at_once_and_only_the_newest(stage: Stage) -> None:
    await stage.publish(channel("a", 3), channel("b", 2))
    async with viewer(stage, CHANNELS) as one:
        await one.next()
        for number in range(10):
            await stage.publish(channel("a", number))
        await stage.publish(channel("d", 50), gone=["shop-es|5m|channel=a"])
        await stage.publish(channel("a", 60))
        event = await one.next()
        assert event.name == "change"
        newest = {one["segment"]["value"]: one["kpis"]["sessions"]["value"] for one in event.body["records"]}
        assert newest == {"a": 60, "d": 50}
        assert event.body["gone"] == ["shop-es|5m|channel=b"]


async def test_a_broken_connection_goes_on_where_it_was(stage: Stage) -> None:
    await stage.publish(record(), record(window="1h"))
    async with viewer(stage) as one:
        last = await one.next()
    await stage.publish(record(window="1h", sessions=7))
    await stage.publish(gone=["shop-es|5m|all"])
    async with viewer(stage, last_id=last.id) as again:
        event = await again.next()
        assert (event.name, event.keys, event.body["gone"]) == (
            "change", ["shop-es|1h|all"], ["shop-es|5m|all"]
        )  # fmt: skip
    async with viewer(stage, last_id=event.id) as nothing_new:
        assert (await nothing_new.next()).name == "state"


@pytest.mark.parametrize(
    "last_id", ["", "x", "0-0", "{run}-", "{run}-x", "{run}-99", "{run}-\u0661", "{run}--1"]
)
async def test_who_cannot_go_on_begins_anew(stage: Stage, last_id: str) -> None:
    await stage.publish(record())
    async with viewer(stage, last_id=last_id.replace("{run}", stage.reader.run_id)) as one:
        assert (await one.next()).name == "snapshot"


async def test_who_is_too_far_behind_begins_anew(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "STEPS_KEPT", 3)
    await stage.publish(*(channel(str(n), n) for n in range(20)))
    selection = Selection(dimensions=("channel",))
    async with viewer(stage, selection) as one:
        ids = [(await one.next()).id]
        for number in range(4):
            await stage.publish(channel("1", 100 + number))
            ids.append((await one.next()).id)
        for place, expected in enumerate(("snapshot", "change", "change", "change", "state")):
            async with viewer(stage, selection, ids[place]) as other:
                assert (await other.next()).name == expected


async def test_the_memory_of_large_changes_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "KEYS_KEPT", 15)
    everything = [channel(str(n), n) for n in range(10)]
    await stage.publish(*everything)
    selection = Selection(dimensions=("channel",))
    async with viewer(stage, selection) as one:
        first = await one.next()
        for number in range(4):
            await stage.publish(*(channel(str(n), n + number + 1) for n in range(10)))
            last = await one.next()
        await stage.publish(channel("1", 0))
        for last_id, expected in ((first.id, "snapshot"), (last.id, "change")):
            async with viewer(stage, selection, last_id) as other:
                assert (await other.next()).name == expected


async def test_silence_and_age_are_told_without_news(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BEAT_S", 0.01)
    await stage.publish(record())
    running = asyncio.create_task(stage.reader.run())
    try:
        async with viewer(stage) as one:
            assert (await one.next()).body["state"]["status"] == "complete"
            stage.now_ms += 3_001
            async with asyncio.timeout(LIMIT_S):
                while (event := await one.next()).body["state"]["status"] != "stale":
                    assert event.name == "state"
            assert event.body["state"]["age_ms"] == 3_001
            async with viewer(stage) as late:  # what was framed while it was fresh is not sent any more
                assert (await late.next()).body["state"]["status"] == "stale"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_silence_is_told_while_the_store_does_not_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BEAT_S", 0.01)
    monkeypatch.setattr(reader, "SHORTEST_PAUSE_S", 0.0)
    monkeypatch.setattr(reader, "LONGEST_PAUSE_S", 0.0)
    await stage.publish(record())
    asked, answered = asyncio.Event(), asyncio.Event()

    async def hanging() -> bytes | None:
        asked.set()
        await answered.wait()
        return None

    monkeypatch.setattr(stage.board, "read_header", hanging)
    running = asyncio.create_task(stage.reader.run())
    try:
        async with viewer(stage) as one, asyncio.timeout(LIMIT_S):
            await asked.wait()
            stage.now_ms += 3_001
            while (await one.next()).body["state"]["status"] != "stale":
                pass
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_nobody_comes_back_to_is_forgotten(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.publish(record())
    async with viewer(stage) as one:
        last = await one.next()
        stage.reader._forget_feeds()
        assert list(stage.reader._feeds) == [Selection()]
    stage.reader._forget_feeds()
    async with viewer(stage, last_id=last.id) as again:
        assert (await again.next()).name == "state"
    for number in range(40):
        async with viewer(stage, Selection(sites=(str(number),))):
            pass
    stage.reader._forget_feeds()
    assert len(stage.reader._feeds) == reader.FEEDS_KEPT
    assert Selection(sites=("39",)) in stage.reader._feeds
    monkeypatch.setattr(reader, "COMES_BACK_WITHIN_S", -1.0)
    stage.reader._forget_feeds()
    assert not stage.reader._feeds


async def test_viewers_of_the_same_share_every_byte(stage: Stage) -> None:
    await stage.publish(record())
    with stage.reader.viewing(Selection()) as one, stage.reader.viewing(Selection()) as other:
        now = stage.reader.told
        assert one is other
        assert one.snapshot(now) is other.snapshot(now)
        await stage.publish(record(sessions=7))
        later = stage.reader.told
        assert one.change(now.version, later) is other.change(now.version, later)
        assert one.snapshot(later) != one.snapshot(now)


async def test_a_large_snapshot_is_written_in_pieces(stage: Stage) -> None:
    await stage.publish(*(channel(f"{n:0100}", n) for n in range(100)))
    with stage.reader.viewing(Selection(dimensions=("channel",))) as shared:
        async with aclosing(events(stage.reader, shared, None)) as pieces:  # type: ignore[type-var]
            sizes, text = [], b""
            while not text.endswith(b"}\n\n"):
                piece = await anext(pieces)
                sizes.append(len(piece))
                text += piece
    assert max(sizes) == PIECE_BYTES
    assert len(sizes) > 3
    assert len(json.loads(text.partition(b"data: ")[2])["records"]) == 100


async def test_no_data_breaks_out_of_its_event(stage: Stage) -> None:
    await stage.publish(record("\n\nevent: evil\ndata: {}\r\n\r\n"))
    async with viewer(stage) as one:
        assert (await one.next()).body["sites"] == ["\n\nevent: evil\ndata: {}\r\n\r\n"]


async def test_all_places_taken() -> None:
    stage = Stage(viewers=2)
    await stage.publish(record())
    async with viewer(stage) as one, viewer(stage, CHANNELS):
        await one.next()
        with pytest.raises(TooManyViewers), stage.reader.viewing(Selection()):
            pass
        answer = await stage.get("kpis/stream")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "all places" in answer.json()["error"]
    async with viewer(stage) as again:
        assert (await again.next()).name == "snapshot"


async def test_when_the_process_ends_streams_do(stage: Stage) -> None:
    async with viewer(stage) as one:
        await one.next()
        stage.reader.close()
        with pytest.raises(StopAsyncIteration):
            await one.next()
