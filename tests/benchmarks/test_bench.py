"""The parts of the bench that decide what is right: a wrong recomputation would accept a wrong product."""

from __future__ import annotations

import json

import pytest

from schemas.events import parse_record
from tests.benchmarks import options, report
from tests.benchmarks.figures import Figure, Section, percentiles
from tests.benchmarks.sampling import spent
from tests.benchmarks.truth import GAP_MS, Visit, nps_of, recompute, visits_of
from tests.benchmarks.workload import (
    ANSWER,
    CLICK,
    KINDS,
    OUT_OF_ORDER_MS,
    PARTITIONS,
    RECORD_BYTES,
    VIEW,
    Workload,
)

NOW_MS = 1_790_000_000_000


def workload_of(*events: tuple[int, int, int, int]) -> Workload:
    """Of (visitor, time, kind, score)."""
    workload = Workload("mixed", len(events), 10, NOW_MS)
    for visitor, t, kind, score in events:
        workload.visitors.append(visitor)
        workload.times.append(t)
        workload.kinds.append(kind)
        workload.scores.append(score)
    return workload


@pytest.mark.parametrize("name", ["session-2m", "mixed"])
def test_every_record_is_valid_and_every_kind_occurs(name: str) -> None:
    workload = Workload(name, 2_000, 300, NOW_MS)
    messages = list(workload.messages())
    for one in messages:
        parse_record(one.topic, one.key, one.value)
    seen = {json.loads(one.value)["type"] for one in messages}
    assert seen == ({"page_view"} if name == "session-2m" else set(KINDS))
    assert {one.partition for one in messages} == set(range(PARTITIONS))
    assert {one.topic for one in messages} == set(workload.topics)


def test_records_have_the_size_they_are_said_to_have() -> None:
    assert {len(one.value) for one in Workload("session-2m", 500, 90, NOW_MS).messages()} == {RECORD_BYTES}


def test_a_workload_is_the_same_each_time_and_as_much_out_of_order_as_said() -> None:
    workload = Workload("session-2m", 5_000, 90, NOW_MS)
    first = list(workload.messages())
    assert list(workload.messages()) == first
    delays = [workload.start_ms + 20 * n - t for n, t in enumerate(workload.times)]
    assert min(delays) >= 0
    assert OUT_OF_ORDER_MS * 0.99 < max(delays) < OUT_OF_ORDER_MS


def test_visits_are_cut_by_more_than_the_gap_whatever_the_order() -> None:
    events = [(1, 0, VIEW, -1), (1, 2 * GAP_MS + 1, VIEW, -1), (1, GAP_MS, CLICK, -1), (2, 5, CLICK, -1)]
    assert visits_of(workload_of(*events)) == {
        (1, 0): Visit(1, 0, GAP_MS, 1),
        (1, 2 * GAP_MS + 1): Visit(1, 2 * GAP_MS + 1, 2 * GAP_MS + 1, 1),
        (2, 5): Visit(2, 5, 5, 0),
    }


def test_an_answer_is_no_visit_and_the_latest_of_a_survey_counts() -> None:
    workload = workload_of((1, 50, ANSWER, 10), (1, 60, ANSWER, 7), (3, 60, ANSWER, 8), (1, 40, ANSWER, 0))
    assert visits_of(workload) == {}
    # The first and the fourth answer the same survey; the earlier one of them was sent later.
    assert nps_of(workload) == (1, 2, 0)
    assert recompute(workload).figures()["promoters"] == 1


def test_percentiles_are_nearest_rank() -> None:
    assert percentiles(range(1, 101)) == (100, 50, 95, 99, 100)
    assert percentiles([7.0]) == (1, 7.0, 7.0, 7.0, 7.0)
    with pytest.raises(ValueError, match="nothing"):
        percentiles([])


def test_time_is_told_apart_in_itself_and_below() -> None:
    stacks = (
        "main (/x/stream/a.py:1);fold (/x/stream/b.py:2);fold (/x/stream/b.py:2) 6\n"
        "main (/x/stream/a.py:1) 2\n"
        "main (/x/stream/a.py:1);EpollSelector.select (/usr/lib/python3.11/selectors.py:451) 99\n"
    )
    functions, samples = spent(stacks)
    assert samples == 8
    assert functions == [("fold (stream/b.py:2)", 6, 6), ("main (stream/a.py:1)", 2, 8)]


def test_the_document_has_a_table_per_section() -> None:
    section = Section("Speed", "How fast.", [Figure("a|b", "1", "2", "3")])
    text = "\n".join(report.document([section], [Figure("date", "today")]))
    assert "| date | today |" in text
    assert "## Speed\n\nHow fast.\n\n| figure | measured | target | ambition |\n|---|---|---|---|" in text
    assert "| a\\|b | 1 | 2 | 3 |" in text


def test_smoke_is_small_and_what_is_given_wins() -> None:
    smoke = options.parse(["--smoke", "--rate", "700"])
    assert (smoke.events, smoke.rate, smoke.scenarios) == (40_000, 700, options.SCENARIOS)
    with pytest.raises(SystemExit):
        options.parse(["--events", "10"])
