"""Settled results are a function of the accepted events, also of those that came after they were final."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import INPUT_TOPICS
from stream.pipeline.ports import Table
from tests.oracle.judging import judge
from tests.pipeline.histories import KINDS, Draft, build
from tests.settled_reading import check_results, results

TICK_MS = 13 * 60_000
EARLY, LATE = (0, 40), (200, 300)  # ticks; lateness is 12, and 40 are less than nine hours


def drafts() -> st.SearchStrategy[list[Draft]]:
    """A morning, something days later that makes it final, and what comes of the morning after that."""
    one = st.builds(
        Draft,
        kind=st.sampled_from((*KINDS, *("survey_answer",) * 12, *("impression",) * 4)),
        tick=st.one_of(st.integers(*EARLY), st.integers(*EARLY), st.integers(*LATE)),
        visitor=st.integers(0, 1),
        site=st.integers(0, 1),
        choice=st.integers(0, 59),
        fate=st.sampled_from(("fine", "fine", "fine", "again")),
    )
    return st.lists(one, min_size=4, max_size=24)


@given(
    made=drafts(), every=st.booleans(), shuffled=st.randoms(use_true_random=False),
    restarts=st.sets(st.integers(0, 12)), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
)  # fmt: skip
def test_late_answers_and_clicks_correct_what_was_final(
    made: list[Draft], every: bool, shuffled: Any, restarts: set[int], sizes: list[int]
) -> None:
    logs = build(sorted(made, key=lambda d: d.tick), TICK_MS, None, every=every)
    answers = logs.items[INPUT_TOPICS[3]]
    shuffled.shuffle(answers)
    answers[:] = [record._replace(offset=offset) for offset, record in enumerate(answers)]
    lane = logs.lane()
    lane.know_ends()
    for topic in INPUT_TOPICS[:3]:
        lane.fetch(topic, 3)  # the others hold progress
    for topic in INPUT_TOPICS[:3]:
        lane.fetch(topic)
    lane.tick()
    step = 0
    while lane.partition.positions[INPUT_TOPICS[3]] < len(answers):
        lane.know_ends()
        lane.fetch(INPUT_TOPICS[3], sizes[step % len(sizes)])
        if step in restarts:
            lane.open()
        step += 1
    lane.know_ends()
    lane.tick()
    by_others = {place for place, reason in lane.late().items() if reason == "other_topic"}
    verdict = judge(lane.logs, logs.rules, by_others)
    check_results(lane, verdict.counted, logs.rules)
    _check_tables(lane)


def _check_tables(lane: Any) -> None:
    """A window is open or closed, never both; each closed one is in both tables and is final."""
    tables, state = lane.store.partition(0).tables, lane.partition.state
    assert tables[Table.CLOSED].keys() == tables[Table.SETTLED].keys()
    assert len(state.closed) == len(tables[Table.CLOSED])
    for site_id, site in state.sites.items():
        for window in site.settled.windows:
            assert (site_id, window) not in state.closed
            assert site.settled.calendar.end(window) > state.final_through_ms
    for site_id, window in state.closed:
        assert state.sites[site_id].settled.calendar.end(window) <= state.final_through_ms
    assert all(record.state in ("running", "final") for record in results(lane))
