"""When too much of a topic is refused: the worker stops, after everything is committed."""

from __future__ import annotations

import pytest

from schemas.topics import PAGE_VIEWS
from stream.core.policy import Policy
from stream.pipeline import refusals
from stream.pipeline.ports import StoreUnreachable
from stream.pipeline.refusals import TooManyDeadLetters
from tests.builders import BASE_MS, Lane, event, now


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "IN_A_ROW", 10)
    monkeypatch.setattr(refusals, "JUDGED_RECORDS", 20)


def _lane() -> Lane:
    lane = Lane(Policy())
    lane.wall_ms = BASE_MS + 60_000
    return lane


def _append(lane: Lane, good: str) -> None:
    """One page view per letter: g is good, - has no url."""
    for number, kind in enumerate(good):
        body = event("V", number, f"e{len(lane.logs[PAGE_VIEWS])}")
        lane.append(body if kind == "g" else {**body, "url": 5})


def test_one_fetch_beyond_the_limit_is_committed_and_passed() -> None:
    lane = _lane()
    _append(lane, "-" * 25)
    with pytest.raises(
        TooManyDeadLetters, match=rf"^{PAGE_VIEWS} partition 0: 25 records in a row .*invalid_event"
    ):
        lane.fetch(PAGE_VIEWS)
    lane.open()  # started again
    assert lane.partition.positions[PAGE_VIEWS] == 25
    assert lane.partition.state.accounting.refused == 25
    lane.release()
    assert len(lane.refused()) == 25
    _append(lane, "-" * 9 + "g")
    lane.fetch(PAGE_VIEWS)


def test_good_records_of_other_topics_hide_nothing() -> None:
    lane = _lane()
    for _ in range(10):
        _append(lane, "-")
        lane.fetch(PAGE_VIEWS)
        lane.feed("C", 0)
    _append(lane, "-")
    with pytest.raises(TooManyDeadLetters, match="11 records in a row"):
        lane.fetch(PAGE_VIEWS)


def test_a_good_record_breaks_the_row() -> None:
    lane = _lane()
    _append(lane, "-" * 9 + "ggggggggggg" + "-" * 10)
    lane.fetch(PAGE_VIEWS, 9)
    lane.fetch(PAGE_VIEWS, 11)
    lane.fetch(PAGE_VIEWS)


def test_more_than_half_refused() -> None:
    lane = _lane()
    _append(lane, "-g" * 10)
    lane.fetch(PAGE_VIEWS)
    _append(lane, "-g-" * 7)
    with pytest.raises(TooManyDeadLetters, match="14 of 21 records were refused"):
        lane.fetch(PAGE_VIEWS)


def test_it_is_said_though_the_commit_was_answered_late() -> None:
    lane = _lane()
    _append(lane, "-" * 25)
    lane.tables.lose = "reply"
    with pytest.raises(StoreUnreachable):
        lane.fetch(PAGE_VIEWS)
    now(lane.partition.resume())
    with pytest.raises(TooManyDeadLetters):
        lane.tick()
    lane.tick()


def test_a_replay_goes_on() -> None:
    lane = Lane(Policy())
    _append(lane, "-" * 25)
    lane.fetch(PAGE_VIEWS)
