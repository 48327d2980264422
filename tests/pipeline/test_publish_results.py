"""What is published of hours and days: running, final, corrected, over partitions, restarts and takeovers."""

from __future__ import annotations

from typing import Any

from schemas.results import KpiResult
from stream.core.event_time import FOREVER_MS
from stream.pipeline.publish_results import ResultsState, decode_state, next_step, unpack_records
from stream.pipeline.take_results import ResultRecord, encode_result
from stream.tables.memory import MemoryBoard, MemoryStore
from tests.builders import BASE_MS, Lane, event, now
from tests.pipeline.test_results import at, happen, live


class Publisher:
    """Steps of publishing over lanes that are partitions of one store."""

    def __init__(self, *lanes: Lane) -> None:
        self.store = MemoryStore()
        for number, lane in enumerate(lanes):
            self.store.partitions[number] = lane.store.partition(0)
        self.partitions = len(lanes)
        self.board = MemoryBoard(self.store)
        self.take_over()

    def take_over(self) -> None:
        self.epoch, data = now(self.board.take_results_token(BASE_MS))
        self.state: ResultsState = decode_state(data)

    def step(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Publish; returns (kind, segment) -> record, as the contract's own model reads it."""
        stored = now(self.board.result_windows())
        step = now(next_step(self.board, self.state, stored, self.partitions, BASE_MS))
        assert now(self.board.write_results(self.epoch, step.write))
        self.state = step.state
        found = {}
        for record in step.records:
            model = KpiResult.model_validate_json(encode_result(record))
            assert step.write.outbox[record.key] == encode_result(record)
            key = (record.window.kind, record.segment_name)
            assert key not in found, "one window of each kind in these tests"
            found[key] = model.model_dump(mode="json")
        return found

    def standing(self) -> dict[str, ResultRecord]:
        """Key -> record as the store holds it."""
        packs = self.store.board.results.values()
        return {record.key: record for pack in packs for record in unpack_records(pack).values()}


def said(record: dict[str, Any]) -> tuple[str, int, str | None]:
    return record["state"], record["revision"], record["reason"]


def test_a_window_runs_then_is_final_then_is_corrected() -> None:
    lane = live()
    happen(lane, "V", 10, channel="Email")
    publisher = Publisher(lane)
    first = publisher.step()
    assert {key: said(one) for key, one in first.items()} == {
        (kind, segment): ("running", 1, None)
        for kind in ("hour", "day")
        for segment in ("all", "channel=Email")
    }
    assert publisher.step() == {}
    happen(lane, "V", 12, visitor="w", channel="Email")
    assert said(publisher.step()["hour", "all"]) == ("running", 2, None)
    at(lane, 27 * 60)
    final = publisher.step()
    assert {said(final["hour", segment]) for segment in ("all", "channel=Email")} == {("final", 3, None)}
    assert said(final["hour", "landing_page=/"]) == ("final", 1, None)  # counted when visits end
    assert final["hour", "all"]["kpis"]["sessions"]["ended"] == 2
    assert publisher.step() == {}
    happen(lane, "V", 14, visitor="x", channel="Email")
    corrected = publisher.step()
    assert said(corrected["hour", "all"]) == ("corrected", 4, "late_event")
    assert corrected["day", "all"]["previous"]["page_views"] == 2
    assert corrected["day", "all"]["kpis"]["page_views"]["value"] == 3
    assert publisher.step() == {}


def test_only_what_changed_is_corrected() -> None:
    lane = live()
    happen(lane, "V", 10)
    happen(lane, "S", 10, score=3, respondent_id="r", survey_id="care")
    at(lane, 27 * 60)
    publisher = Publisher(lane)
    publisher.step()
    happen(lane, "S", 12, score=9, respondent_id="r", survey_id="care")
    corrected = publisher.step()
    assert {key: said(one) for key, one in corrected.items()} == {
        (kind, segment): ("corrected", 2, "answer_changed")
        for kind in ("hour", "day") for segment in ("all", "survey=care")
    }  # fmt: skip
    assert corrected["hour", "all"]["previous"] == {"nps": -100.0}


def test_a_segment_that_comes_or_goes_after_final_is_corrected() -> None:
    lane = live()
    happen(lane, "V", 10, channel="Direct")
    at(lane, 27 * 60)
    publisher = Publisher(lane)
    publisher.step()
    happen(lane, "V", 9, channel="Email")
    found = publisher.step()
    assert said(found["hour", "channel=Email"]) == ("corrected", 1, "late_event")
    assert found["hour", "channel=Email"]["previous"] == {}
    assert said(found["hour", "channel=Direct"]) == ("corrected", 2, "late_event")
    assert found["hour", "channel=Direct"]["kpis"]["sessions"]["value"] == 0


def test_it_is_final_when_it_is_in_every_partition_and_their_counts_are_added_up() -> None:
    quiet, busy = live(), live()
    happen(quiet, "V", 10)
    happen(busy, "V", 11, visitor="w")
    at(quiet, 27 * 60)
    publisher = Publisher(quiet, busy)
    first = publisher.step()
    assert said(first["hour", "all"]) == ("running", 1, None)
    assert first["hour", "all"]["kpis"]["page_views"]["value"] == 2
    at(busy, 27 * 60)
    final = publisher.step()
    assert said(final["hour", "all"]) == ("final", 2, None)
    assert final["hour", "all"]["kpis"]["unique_visitors"]["value"] == 2


def test_nothing_is_final_while_a_partition_has_said_nothing_yet() -> None:
    lane = live()
    happen(lane, "V", 10)
    at(lane, 27 * 60)
    publisher = Publisher(lane)
    publisher.partitions = 2
    assert said(publisher.step()["day", "all"]) == ("running", 1, None)
    publisher.partitions = 1
    assert said(publisher.step()["day", "all"]) == ("final", 2, None)


def test_a_correction_while_nobody_published_is_published_later_with_its_reason() -> None:
    lane = live()
    happen(lane, "V", 10)
    at(lane, 27 * 60)
    publisher = Publisher(lane)
    publisher.step()
    happen(lane, "V", 12, visitor="w")
    publisher.take_over()
    lane.open()
    assert said(publisher.step()["hour", "all"]) == ("corrected", 2, "late_event")
    publisher.take_over()
    assert publisher.step() == {}


def test_what_closed_while_nobody_published_is_final_not_corrected() -> None:
    lane = live()
    happen(lane, "V", 10)
    at(lane, 27 * 60)
    happen(lane, "V", 12, visitor="w")
    assert {said(one) for one in Publisher(lane).step().values()} == {("final", 1, None)}


def test_what_a_takeover_finds_running_becomes_final() -> None:
    lane = live()
    happen(lane, "V", 10)
    publisher = Publisher(lane)
    publisher.step()
    at(lane, 27 * 60)
    publisher.take_over()
    assert {said(one)[0] for one in publisher.step().values()} == {"final"}
    assert publisher.step() == {}
    assert {record.state for record in publisher.standing().values()} == {"final"}


def test_windows_beyond_correction_leave_the_store() -> None:
    lane = live()
    happen(lane, "V", 10)
    publisher = Publisher(lane)
    for days in range(1, 36):
        at(lane, days * 24 * 60)
        happen(lane, "V", days * 24 * 60)
        stored = now(publisher.board.result_windows())
        step = now(next_step(publisher.board, publisher.state, stored, 1, BASE_MS))
        assert now(publisher.board.write_results(publisher.epoch, step.write))
        publisher.state = step.state
    starts = sorted(record.window.start for record in publisher.standing().values())
    assert starts[0] > "2001-09-10"
    assert (
        len({record.window.start for record in publisher.standing().values() if record.window.kind == "day"})
        < 35
    )


def test_until_then_every_window_of_a_quiet_site_stays() -> None:
    lane = live()
    lane.append(event("V", 0, "only", "v"))
    lane.fetch("V")
    publisher = Publisher(lane)
    publisher.step()
    lane.partition.state.final_through_ms = FOREVER_MS
    lane.tick()
    assert {said(one)[0] for one in publisher.step().values()} == {"final"}
    assert publisher.standing()
