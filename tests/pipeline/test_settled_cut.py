"""Hours and days with more values of a dimension than are published: the largest, and what is left of it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings

from stream.kafka.results_publisher import _output
from stream.pipeline.publish_results import ResultsState, next_step, unpack_records
from stream.pipeline.take_results import ResultRecord, results_of_one
from stream.tables.memory import MemoryBoard
from tests.builders import BASE_MS, Lane, now
from tests.oracle.judging import judge
from tests.pipeline.histories import UNITS, Draft, build, drafts, play_replay
from tests.pipeline.test_following import LIMIT, cut_of
from tests.pipeline.test_results import at, happen, live
from tests.settled_reading import expected, read_results
from tests.snapshot_reading import counts_of, published_of


@settings(max_examples=40)
@given(made=drafts(), unit=UNITS)
def test_the_cut_is_what_the_facts_say(made: list[Draft], unit: int) -> None:
    logs = build(made, unit, None)
    lane = logs.lane()
    play_replay(lane, [])
    head = lane.partition.head
    assert head is not None
    records = list(results_of_one(head, lane.store.partition(0).tables, lane.policy.zone_of, LIMIT))
    verdict = judge(lane.logs, logs.rules)
    live_ms = lane.partition.state.progress.live_ms
    for kind in ("hour", "day"):
        got = read_results(records, kind, logs.rules)
        for window, segments in expected(verdict.counted, logs.rules, live_ms, kind).items():
            wanted = cut_of({("", segment): counts for segment, counts in segments.items()})
            assert {segment for _, segment in wanted} <= got[window].keys()
            for segment, kpis in got[window].items():
                counts = wanted.get(("", segment), Counter())
                assert counts_of(kpis) == published_of(kpis, counts), (kind, window, segment)


class Publisher:
    """Publishes the hours and days of a lane with one value of each dimension."""

    def __init__(self, lane: Lane) -> None:
        self.board, self.state = MemoryBoard(lane.store), ResultsState()
        self.epoch, _ = now(self.board.take_results_token(BASE_MS))

    def step(self) -> dict[str, tuple[str, int]]:
        """Campaign -> (state, revision) of what is new of its hour; what a reader of the topic sees of it."""
        stored = now(self.board.result_windows())
        step = now(next_step(self.board, self.state, stored, 1, BASE_MS, 1))
        assert now(self.board.write_results(self.epoch, step.write))
        self.state = step.state
        found = {}
        for record in step.records:
            sent = _output(record.key, step.write.outbox[record.key], 0)
            assert sent.id == f"{record.key}/{record.revision}"
            assert (sent.value is None) is (record.state == "gone")
            if record.window.kind == "hour" and record.segment.dimension == "campaign":
                found[record.segment.value or ""] = (record.state, record.revision)
        return found

    def standing(self) -> dict[str, ResultRecord]:
        """Segment -> record of the hour that is shown to readers of the store."""
        packs = [
            unpack_records(pack) for field, pack in self.board.store.board.results.items()
            if field.startswith("hour")
        ]  # fmt: skip
        return {name: one for pack in packs for name, one in pack.items() if name.startswith("campaign")}


def test_a_value_that_leaves_the_cut_is_withdrawn_and_comes_back_as_another_revision() -> None:
    lane = live()
    happen(lane, "V", 10, campaign="a")
    publisher = Publisher(lane)
    assert publisher.step() == {"a": ("running", 1)}
    for visitor in ("b1", "b2"):
        happen(lane, "V", 11, visitor=visitor, campaign="b")
    assert publisher.step() == {"a": ("gone", 2), "b": ("running", 1), "(other)": ("running", 1)}
    shown = publisher.standing()
    assert shown.keys() == {"campaign=b", "campaign=(other)"}
    assert shown["campaign=(other)"].truncated == 2
    assert publisher.step() == {}
    for visitor in ("a2", "a3"):
        happen(lane, "V", 12, visitor=visitor, campaign="a")
    assert publisher.step() == {"a": ("running", 3), "b": ("gone", 2), "(other)": ("running", 2)}
    at(lane, 27 * 60)
    assert publisher.step() == {"a": ("final", 4), "(other)": ("final", 3)}


def test_a_late_event_that_changes_the_cut_corrects_what_comes_in() -> None:
    lane = live()
    happen(lane, "V", 10, campaign="b")
    happen(lane, "V", 10, visitor="a1", campaign="a")
    at(lane, 27 * 60)
    publisher = Publisher(lane)
    assert publisher.step() == {"a": ("final", 1), "(other)": ("final", 1)}
    happen(lane, "V", 11, visitor="b2", campaign="b")
    corrected = publisher.step()
    assert corrected == {"b": ("corrected", 1), "a": ("gone", 2)}
    assert publisher.step() == {}
