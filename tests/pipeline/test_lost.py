"""Input that Kafka deleted before it was counted: passed over, remembered, and shown as missing."""

from __future__ import annotations

from schemas.topics import CLICKS, PAGE_VIEWS
from stream.core.policy import Policy
from stream.pipeline.partition_state import LostRange
from tests.builders import BASE_MS, Lane, event


def test_what_was_lost_is_passed_over_and_stays_said() -> None:
    lane = Lane(Policy())
    lane.wall_ms = BASE_MS + 60_000
    lane.append(*(event("V", n, f"e{n}") for n in range(10)))
    lane.fetch(PAGE_VIEWS, 3)
    lane.partition.lose(PAGE_VIEWS, 7)
    lane.fetch(PAGE_VIEWS)
    lane.open()  # all of it was committed
    assert lane.partition.lost == [LostRange(PAGE_VIEWS, 3, 6)]
    assert lane.partition.positions[PAGE_VIEWS] == 10
    assert lane.partition.state.accounting.counted == 6

    lane.partition.lose(CLICKS, 5)
    lane.know_ends()
    lane.tick(lane.wall_ms + 2_000)
    lane.open()
    assert lane.partition.lost == [LostRange(PAGE_VIEWS, 3, 6), LostRange(CLICKS, 0, 4)]


def test_the_snapshot_says_partial_though_everything_readable_is_in() -> None:
    lane = Lane(Policy())
    lane.wall_ms = BASE_MS + 60_000
    lane.append(event("V", 0, "e0"))
    lane.fetch(PAGE_VIEWS)
    lane.empty("VCFS")
    lane.tick(lane.wall_ms + 2_000)
    before = lane.snapshot()
    assert (before.completeness.status, before.completeness.lost_records) == ("complete", 0)
    lane.partition.lose(CLICKS, 5)
    lane.empty("VCFS")
    lane.tick(lane.wall_ms + 2_000)
    after = lane.snapshot()
    assert (after.completeness.status, after.completeness.lost_records) == ("partial", 5)
    assert after.current, "windows still end together, and readers may rely on it"
    assert all(record.completeness.status == "partial" for record in after.records.values())
