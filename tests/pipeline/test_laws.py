"""The laws: the results are a function of the accepted events, and the logs say which those are.

Each history is held against the oracle, figure by figure, so that two histories of the same logs that
both pass are also equal to each other.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.sessions import Session
from schemas.times import parse_time, to_ms
from schemas.topics import INPUT_TOPICS
from stream.core.settled import Waiting
from stream.pipeline.batch import Output
from stream.pipeline.ports import Table
from stream.pipeline.settle import unpack
from tests.builders import Lane
from tests.oracle.facts import facts
from tests.oracle.judging import FOREVER, Rules, judge
from tests.oracle.visits import Visit, visits, visits_of_visitors
from tests.pipeline.histories import (
    FATES,
    MEMORIES,
    STEPS,
    TOLERANCES,
    UNITS,
    Draft,
    Step,
    build,
    drafts,
    play_live,
    play_replay,
)
from tests.settled_reading import check_results
from tests.snapshot_reading import check_snapshot, check_tally, check_visits, counts_of, read

WITHOUT_CONFLICT = [fate for fate in FATES if fate != "conflict"]  # there the first content counts
TWO_DAYS_MS = 2 * 86_400_000  # what the settings allow
ACCOUNTING = (
    "read",
    "counted",
    "duplicates",
    "conflicts",
    "late_own_topic",
    "late_other_topic",
    "refused",
    "no_consent",
    "bots",
)


def session_records(lane: Lane) -> list[dict[str, Any]]:
    """Every session in its last state, as the contract's model reads it."""
    published = [json.loads(msgspec.json.encode(record)) for record in lane.unfinished()]
    published += [record for record in lane.published() if record["state"] == "final"]
    ids = Counter(record["session_id"] for record in published)
    assert all(n == 1 for n in ids.values()), "a session is final once, and forgotten"
    for record in [*published, *lane.published()]:
        Session.model_validate_json(json.dumps(record))
    return published


def check_sessions(lane: Lane, expected: list[Visit]) -> None:
    got = {}
    for record in session_records(lane):
        started, ended = (to_ms(parse_time(record[name])) for name in ("started_at", "last_event_at"))
        key = (record["site_id"], record["visitor_id"], started)
        assert key not in got
        got[key] = record | {"started_ms": started, "last_ms": ended}
    wanted = {(v.record()["site_id"], v.record()["visitor_id"], v.first): v for v in expected}
    assert got.keys() == wanted.keys()
    for key, visit in wanted.items():
        said = visit.record()
        assert {name: got[key][name] for name in said} == said
        assert visit.must_be_active <= got[key]["is_active"] <= visit.may_be_active
        assert got[key]["overlong"] is False


def check_waiting(lane: Lane) -> None:
    """What the windows wait for is what a count of the sessions in memory gives."""
    state = lane.partition.state
    again = Waiting(state.policy)
    again.rest(state.progress.live_ms)
    for site in state.sites.values():
        for visitor in site.visitors.values():
            for session in visitor.sessions:
                again.count(session, 1)
    assert state.waiting.earliest_ms() == again.earliest_ms()
    assert state.waiting._starts == again._starts


def check(lane: Lane, rules: Rules) -> None:
    """Everything the lane says is what its logs say, apart from what other topics made late."""
    late = lane.late()
    by_others = {place for place, reason in late.items() if reason == "other_topic"}
    verdict = judge(lane.logs, rules, by_others)
    assert late.keys() - by_others == verdict.own_late
    accounting = lane.partition.state.accounting
    assert {name: getattr(accounting, name) for name in ACCOUNTING} == {
        name: verdict.sums[name] for name in ACCOUNTING
    }
    assert accounting.balances()
    check_sessions(lane, visits(verdict.counted, rules))
    state = lane.partition.state
    for site in state.sites.values():
        for tally in site.segments.values():
            check_tally(tally, state.window_end_ms)
    snapshot = lane.snapshot()
    if lane.wall_ms is not None and verdict.highest_clock > -FOREVER:
        assert snapshot.as_of_ms == max(state.progress.live_ms, verdict.highest_clock)
    check_snapshot(snapshot, facts(verdict.counted, rules, state.progress.live_ms))
    check_visits(snapshot, visits_of_visitors(visits(verdict.counted, rules)))
    if rules.memory >= TWO_DAYS_MS:  # or somebody may be new twice on one day
        check_results(lane, verdict.counted, rules)
    check_waiting(lane)


@given(made=drafts(), unit=UNITS, tolerance=TOLERANCES, steps=STEPS, every=st.booleans(), memory=MEMORIES)
def test_fold_and_replay(
    made: list[Draft], unit: int, tolerance: int | None, steps: list[Step], every: bool, memory: int | None
) -> None:
    """Any interleaving, batching, redelivery, crash or restart: exactly what is not late in its own topic."""
    logs = build(made, unit, tolerance, every=every, memory=memory)
    lane = logs.lane()
    play_replay(lane, steps)
    assert "other_topic" not in lane.late().values()
    check(lane, logs.rules)


@given(made=drafts(), unit=UNITS, tolerance=TOLERANCES, steps=STEPS, every=st.booleans(), memory=MEMORIES)
def test_live(
    made: list[Draft], unit: int, tolerance: int | None, steps: list[Step], every: bool, memory: int | None
) -> None:
    """A live run counts what a replay counts, but for what it reports late by another topic."""
    logs = build(made, unit, tolerance, every=every, memory=memory)
    lane = logs.lane()
    play_live(lane, steps, unit)
    check(lane, logs.rules)


@given(made=drafts(WITHOUT_CONFLICT), unit=UNITS, steps=STEPS, shuffled=st.randoms(use_true_random=False))
def test_order(made: list[Draft], unit: int, steps: list[Step], shuffled: Any) -> None:
    """If nothing is late, every order of the records gives the same."""
    logs = build(made, unit, None, grace=1000)
    for log in logs.items.values():
        shuffled.shuffle(log)
        log[:] = [record._replace(offset=offset) for offset, record in enumerate(log)]
    lane = logs.lane()
    play_replay(lane, steps)
    assert lane.late() == {}
    check(lane, logs.rules)
    straight = build(made, unit, None, grace=1000).lane()
    play_replay(straight, [])
    assert {r["session_id"] for r in session_records(lane)} == {
        r["session_id"] for r in session_records(straight)
    }


@given(made=drafts(), unit=UNITS, tolerance=TOLERANCES, steps=STEPS, every=st.booleans(), memory=MEMORIES)
def test_a_restored_partition_goes_on_as_if_nothing_had_happened(
    made: list[Draft], unit: int, tolerance: int | None, steps: list[Step], every: bool, memory: int | None
) -> None:
    """The same outputs, byte for byte, and the same tables, with restarts between any two commits."""
    logs = build(made, unit, tolerance, every=every, memory=memory)
    steady, shaken = logs.lane(), logs.lane()
    steps = [*steps, *(Step(t, 10**9, 0, "none") for t in range(4))]
    for step in steps:
        for lane in (steady, shaken):
            lane.know_ends()
            lane.fetch(*_place(step), back=step.back)
            lane.tick()
        if step.accident != "none":
            shaken.open()
    for lane in (steady, shaken):
        lane.know_ends()
        lane.tick()
    assert _by_entry(steady) == _by_entry(shaken)
    figures, again = (
        {key: counts_of(kpis) for key, kpis in read(lane.snapshot()).items()} for lane in (steady, shaken)
    )
    assert {key: n for key, n in figures.items() if n} == {key: n for key, n in again.items() if n}
    assert _kept(steady) == _kept(shaken)


def _kept(lane: Lane) -> dict[str, dict[str, Any]]:
    """What is in memory, and the tables with one spelling (dedupe fields have random names; sums of nothing
    and whether a session has ended need not be written)."""
    tables = lane.store.partition(0).tables
    kept: dict[str, dict[str, Any]] = {
        table: {field: msgspec.msgpack.decode(value) for field, value in tables[table].items()}
        for table in (Table.BUCKETS, Table.TOTALS, Table.SEEN)
    }
    kept["answers"] = dict(tables[Table.ANSWERS])
    kept["settling"] = {f: msgspec.msgpack.decode(value) for f, value in tables[Table.SETTLING].items()}
    kept["settled"] = {field: unpack(value) for field, value in tables[Table.SETTLED].items()}
    kept["closed"] = dict(tables[Table.CLOSED])
    kept["final"] = {"through": lane.partition.state.final_through_ms}
    for site in lane.partition.state.sites.values():
        kept[f"visitors of {site.site_id}"] = msgspec.to_builtins(site.visitors)
        kept[f"totals of {site.site_id}"] = {
            name: tally.total for name, tally in site.segments.items() if tally.total
        }
    return {name: what for name, what in kept.items() if what}


def _by_entry(lane: Lane) -> dict[int, list[Output]]:
    """What each commit released, by key: in one commit the order of different keys says nothing."""
    return {
        entry: sorted(outputs, key=lambda o: (o.topic, o.key or b""))
        for entry, outputs in lane.released.items()
    }


def _place(step: Step) -> tuple[str, int]:
    return INPUT_TOPICS[step.topic], step.records
