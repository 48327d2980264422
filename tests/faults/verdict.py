"""The comparison at the end of every run: records, sessions, dead letters, figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.keys import split_key
from schemas.times import parse_time, to_ms
from schemas.topics import INPUT_TOPICS
from stream.demo.compare import Comparison
from stream.demo.plain_log import LogRecord, Rules
from stream.demo.plain_results import add_results, results
from stream.pipeline.publish_results import final_records
from stream.pipeline.take_snapshot import Header, decode_header
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from tests.faults.cluster import PARTITIONS, Cluster, wait_until
from tests.faults.oracle import Expected, SessionKey, Truth, all_time_figures, judge, sessions
from tests.faults.readback import Letters, hot_sessions, read_letters, read_log, read_sessions

SHOWN = 5
"""How many differences a message lists."""
PUBLISHED_WITHIN_S = 40.0


@dataclass(frozen=True)
class Board:
    """The published records of window `all`, and the moment they speak of.

    A record may be older than that: one whose figures stay the same is not written again.
    """

    as_of_ms: int
    records: Mapping[str, dict[str, Any]]


async def read_board(cluster: Cluster, ends: Mapping[str, Mapping[int, int]]) -> Board:
    """The first tick that holds everything up to `ends`, of one instant in all partitions."""
    client = connect(cluster.redis_url)
    board = RedisBoard(client, cluster.namespace)
    header: Header | None = None

    async def tick() -> Board | None:
        nonlocal header
        data = await board.read_header()
        records = await board.read_records()
        if data is None or data != await board.read_header():
            return None  # there was another tick meanwhile
        header = decode_header(data)
        positions = {
            topic: {p: end for p, end in of.items() if end} for topic, of in header.positions.items()
        }
        if not header.current or positions != ends or header.as_of is None:
            return None
        all_time = {key: one for key, one in map(_parsed, records.items()) if one["window"]["name"] == "all"}
        return Board(to_ms(parse_time(header.as_of)), all_time)

    try:
        found: Board = await wait_until(
            tick, PUBLISHED_WITHIN_S, lambda: f"a complete snapshot: {header}\n{cluster.logs()}"
        )
    finally:
        await client.aclose()
    return found


def _parsed(item: tuple[str, bytes]) -> tuple[str, dict[str, Any]]:
    return item[0], json.loads(item[1])


def ends_of(log: list[LogRecord]) -> dict[str, dict[int, int]]:
    """topic -> partition -> the offset behind its last record, where there is one."""
    ends: dict[str, dict[int, int]] = {topic: {} for topic in INPUT_TOPICS}
    for one in log:
        ends[one.topic][one.partition] = max(one.offset + 1, ends[one.topic].get(one.partition, 0))
    return ends


@dataclass
class Verdict:
    """What a run is reported with, after everything was found equal."""

    truth: Truth
    letters: Letters
    states: Counter[str]
    session_records: int
    session_repeats: int

    def __str__(self) -> str:
        accounting = ", ".join(f"{name} {count}" for name, count in sorted(self.truth.accounting.items()))
        return (
            f"records {self.truth.records} ({accounting}; late by another topic "
            f"{len(self.letters.late_by_other_topic)}), sessions {dict(self.states)}, dead letters "
            f"{len(self.letters.by_place)}, lost 0, double 0 "
            f"(outputs sent again after a crash, identical: {self.session_repeats + self.letters.repeats})"
        )


async def check(cluster: Cluster, rules: Rules, log: list[LogRecord] | None = None) -> Verdict:
    """Compare everything. The workers are stopped, or nothing happens any more.

    AssertionError: what differs, with examples.
    """
    log = await read_log(cluster.broker) if log is None else log
    letters = await read_letters(cluster.broker, cluster.letters_after)
    truth = judge(log, rules, letters.late_by_other_topic)
    await _check_accounting(cluster, truth)
    _check_letters(truth, letters, log)
    states, records, repeats = await _check_sessions(cluster, truth)
    await _check_results(cluster, truth)
    return Verdict(truth, letters, states, records, repeats)


async def _check_accounting(cluster: Cluster, truth: Truth) -> None:
    heads = [head for head in await cluster.heads() if head is not None]
    got: Counter[str] = Counter()
    for head in heads:
        parts = head.accounting
        assert head.accounting.balances(), parts
        got["read"] += parts.read
        for name in ("counted", "duplicates", "conflicts", "late", "refused", "no_consent", "bots"):
            got[name] += getattr(parts, name)
    assert +got == Counter({"read": truth.records, **truth.accounting}), (got, truth.accounting)
    assert got["read"] == truth.records, f"{truth.records} records in the logs, {got['read']} counted as read"


def _check_letters(truth: Truth, letters: Letters, log: list[LogRecord]) -> None:
    got = {place: letter.code for place, letter in letters.by_place.items()}
    missing, extra = truth.refused.items() - got.items(), got.items() - truth.refused.items()
    assert not missing, f"{len(missing)} dead letters are missing: {sorted(missing)[:SHOWN]}"
    assert not extra, f"{len(extra)} dead letters too many: {sorted(extra)[:SHOWN]}"
    originals = {(one.topic, one.partition, one.offset): (one.key, one.value) for one in log}
    changed = [p for p, letter in letters.by_place.items() if originals[p] != (letter.key, letter.value)]
    assert not changed, f"dead letters that are not the original: {changed[:SHOWN]}"


async def _check_sessions(cluster: Cluster, truth: Truth) -> tuple[Counter[str], int, int]:
    expected = sessions(truth)
    topic = await read_sessions(cluster)
    published, hot = topic.by_start(), await hot_sessions(cluster)
    moments = await _moments(cluster, truth)
    states: Counter[str] = Counter()
    wrong: list[str] = []
    for key, one in expected.items():
        state = one.state(*moments[one.partition], truth.rules)
        states[state] += 1
        wrong += _differences(key, one, state, published.get(key), hot.get(key))
    wrong += [f"{key}: published, but there is no such session" for key in published.keys() - expected.keys()]
    wrong += [f"{key}: in the tables, but there is no such session" for key in hot.keys() - expected.keys()]
    assert not wrong, f"{len(wrong)} of {len(expected)} sessions:\n" + "\n".join(wrong[:SHOWN])
    ids = [session["session_id"] for session in published.values()]
    assert len(ids) == len(set(ids)), "two sessions with one id"
    return states, topic.records, topic.repeats


async def _check_results(cluster: Cluster, truth: Truth) -> None:
    """Every hour and day that is final."""
    client = connect(cluster.redis_url)
    try:
        records = await final_records(RedisBoard(client, cluster.namespace), PARTITIONS)
    finally:
        await client.aclose()
    comparison = Comparison()
    kpis = json.loads(msgspec.json.encode({record.key: record.kpis for record in records}))
    add_results(comparison, results(truth.accepted, truth.rules), kpis)
    assert not comparison.differences, f"{comparison}\n" + "\n".join(map(str, comparison.differences[:SHOWN]))


async def _moments(cluster: Cluster, truth: Truth) -> dict[int, tuple[int, int]]:
    """(progress, live clock) of each partition. Everything is read: progress is the highest clock."""
    moments = {}
    for number, head in enumerate(await cluster.heads()):
        if head is not None and number in truth.clocks:
            moments[number] = (head.progress.progress_ms, head.progress.live_ms)
            assert head.progress.progress_ms == truth.clocks[number], f"progress of partition {number}"
    return moments


def _differences(
    key: SessionKey, one: Expected, state: str, published: dict[str, Any] | None, hot: dict[str, Any] | None
) -> list[str]:
    """Why a session is not where, or not what, it should be."""
    wrong = []
    if state == "open" and published is not None:
        # Published as ended, then extended by a late event: the topic hears of it when it ends again.
        if published["state"] != "ended" or published["last_event_at"] >= one.fields["last_event_at"]:
            wrong.append(f"{key}: open, but in the topic: {published}")
        published = None
    elif state != "open" and (published is None or published["state"] != state):
        wrong.append(f"{key}: {state}, but in the topic: {published}")
    if (hot is not None) is not (state != "final"):
        wrong.append(f"{key}: {state}, but in the tables: {hot}")
    for where, got in (("topic", published), ("tables", hot)):
        for name, value in one.fields.items():
            if name == "is_active" and state == "final" and one.answered_only:
                continue
            if got is not None and got[name] != value:
                wrong.append(f"{key} in the {where}: {name} is {got[name]!r}, should be {value!r}")
    return wrong


def check_figures(board: Board, truth: Truth, cut: Collection[str] = ()) -> Comparison:
    """Every figure of window `all`, NPS among them, against the recomputed one.

    cut: dimensions with more values than are published, which the recomputation does not cut.
    """
    expected = all_time_figures(truth.sites(), truth.rules, board.as_of_ms)
    comparison = Comparison()
    for key in sorted(expected.keys() | board.records.keys()):
        if split_key(key)[2].partition("=")[0] in cut:
            continue
        record = board.records.get(key)
        comparison.add(key, expected.get(key), None if record is None else record["kpis"])
    assert not comparison.differences, f"{comparison}\n" + "\n".join(map(str, comparison.differences[:SHOWN]))
    return comparison
