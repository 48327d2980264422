"""Both case files through the real pipeline: partition, commits, restarts, on tables in memory."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from schemas.times import rfc3339
from schemas.topics import CLICKS, FORM_SUBMISSIONS, INPUT_TOPICS, PAGE_VIEWS, SESSIONS, SURVEY_ANSWERS
from stream.core.calendar import Window
from stream.core.packed import spelled_out
from stream.core.policy import Policy
from stream.core.sessions import Session, Visitor
from stream.pipeline import end_sessions
from stream.pipeline.batch import Batch
from stream.pipeline.partition import Partition
from stream.pipeline.ports import Table
from stream.pipeline.settle import parse_closed_field, unpack
from stream.replay import ReplayRecord
from stream.tables.memory import MemoryStore, MemoryTables

HERE = Path(__file__).parent
TOPIC = {"V": PAGE_VIEWS, "C": CLICKS, "F": FORM_SUBMISSIONS, "S": SURVEY_ANSWERS}
LETTER = {topic: letter for letter, topic in TOPIC.items()}
# The cases say what an hour is; ours has 3 600 000 ms.
HOUR_MS = 3_600_000
SCORES = {"promoters": 9, "detractors": 5}  # those the cases give


def event_json(letter: str, event: dict[str, Any]) -> bytes:
    own: dict[str, dict[str, Any]] = {
        "V": {"type": "page_view", "url": "/"},
        "C": {"type": "click", "element_id": "e"},
        "F": {"type": "form_submission", "form_id": "f", "url": "/"},
        "S": {"type": "survey_answer", "survey_id": "s", "survey_kind": "nps"},
    }
    body = own[letter] | {
        "event_id": event["id"], "visitor_id": event["v"], "occurred_at": rfc3339(event["t"]),
    }  # fmt: skip
    if letter == "S":
        body |= {"score": event["score"], "respondent_id": event["r"]}
    return json.dumps(body | ({"channel": event["ch"]} if "ch" in event else {})).encode()


class Run:
    """One history of a case, driven step by step; keeps what was published and forgotten."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.policy = Policy(
            gap_ms=case["gap"], grace_ms=case["grace"], survey_tolerance_ms=case["survey_tol"],
            grid_ms=1, unknown_after_ms=10**12,
        )  # fmt: skip
        self.store = MemoryStore()
        self.ends: dict[str, int] = dict.fromkeys(INPUT_TOPICS, 0)
        self.late: list[list[str]] = []
        self.published: list[list[Any]] = []
        self.final: list[tuple[Visitor, Session]] = []
        self._starts: dict[str, int] = {}

    async def open(self) -> None:
        tables = MemoryTables(self.store)
        self.partition = await Partition.open(tables, await tables.claim(0, "test", 1, 0), self.policy)
        for topic in INPUT_TOPICS:
            self.partition.begin(topic, 0)

    async def step(self, step: dict[str, Any]) -> None:
        if "restart" in step:
            await self.open()
        elif "tick" in step:
            await self.partition.tick(step["tick"], None)
        else:
            await self._fetch(step)
        self._collect()

    async def _fetch(self, step: dict[str, Any]) -> None:
        topic, wall_ms = TOPIC[step["fetch"]], step.get("wall")
        start = self.ends[topic]
        records = [
            ReplayRecord(start + i, event["t"], event["v"].encode(), event_json(step["fetch"], event))
            for i, event in enumerate(step["events"])
        ]
        end = start + len(records)
        self.ends[topic] = end
        await self.partition.process(
            Batch(topic, 0, records, start, end, max(end, step.get("hw", end))), wall_ms
        )
        if not records:  # an empty reply: only the end is news
            self.partition.replied(topic, max(end, step.get("hw", end)), wall_ms or 0)
            await self.partition.tick(wall_ms, None)

    def _collect(self) -> None:
        for entry, outputs in list(self.partition.outbox):
            for output in outputs:
                if output.topic == SESSIONS and output.value is not None:
                    self._keep(json.loads(output.value))
                elif output.topic.endswith(".dlq") and output.value is not None:
                    topic = output.topic.removesuffix(".dlq")
                    self.late.append([LETTER[topic], json.loads(output.value)["event_id"]])
            self.partition.produced(entry)

    def _keep(self, record: dict[str, Any]) -> None:
        from schemas.times import parse_time, to_ms

        start = to_ms(parse_time(record["started_at"]))
        self._starts[record["session_id"]] = start
        superseded = [self._starts[old] for old in record["supersedes"]]
        self.published.append([start, record["revision"], record["state"] == "final", superseded])

    def settled(self) -> dict[Window, defaultdict[str, int]]:
        """What the whole site counts in each settled window, open or closed."""
        tables = self.store.partition(0).tables
        found = {
            parse_closed_field(field)[1]: unpack(value) for field, value in tables[Table.SETTLED].items()
        }
        for site in self.partition.state.sites.values():
            found |= site.settled.windows
        return {
            window: defaultdict(int, spelled_out(segments.get("all", {})))
            for window, segments in found.items()
        }

    def sessions(self) -> list[list[Any]]:
        alive = [
            (visitor, session)
            for site in self.partition.state.sites.values()
            for visitor in site.visitors.values()
            for session in visitor.sessions
        ]
        return sorted(
            [v.visitor_id, s.first_ms, s.last_ms, s.events, s.first_id, s.origin.channel, s.last_id]
            for v, s in [*self.final, *alive]
        )


@pytest.fixture
def finals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Visitor, Session]]:
    """Sessions as they were when they became final and were forgotten."""
    kept: list[tuple[Visitor, Session]] = []
    publish = end_sessions.publish

    def spy(state: Any, visitor: Visitor, session: Session, name: str) -> None:
        publish(state, visitor, session, name)
        if name == "final":
            kept.append((visitor, copy.copy(session)))

    monkeypatch.setattr(end_sessions, "publish", spy)
    return kept


def in_our_hours(case: dict[str, Any]) -> dict[str, Any]:
    """The case with all its times stretched, so that its hours are ours."""
    times = HOUR_MS // case["hour"]

    def stretch(step: dict[str, Any]) -> dict[str, Any]:
        moved: dict[str, Any] = {name: step[name] * times for name in ("wall", "tick") if name in step}
        if "events" in step:
            moved["events"] = [event | {"t": event["t"] * times} for event in step["events"]]
        return step | moved

    expect = dict(case["expect"])
    for name in {"T", "L"} & expect.keys():
        expect[name] *= times
    if "sessions" in expect:
        expect["sessions"] = [[v, a * times, b * times, *rest] for v, a, b, *rest in expect["sessions"]]
    if "published" in expect:
        expect["published"] = [
            [start * times, revision, final, [old * times for old in superseded]]
            for start, revision, final, superseded in expect["published"]
        ]
    return case | {name: case[name] * times for name in ("gap", "grace", "survey_tol")} | {
        "expect": expect, "times": times,
        "histories": [[stretch(step) for step in history] for history in case["histories"]],
    }  # fmt: skip


def time_cases() -> list[Any]:
    cases = [in_our_hours(case) for case in json.loads((HERE / "time.json").read_text())["cases"]]
    return [
        pytest.param(case, history, id=f"{case['name']}-{n}")
        for case in cases
        for n, history in enumerate(case["histories"])
    ]


@pytest.mark.parametrize(("case", "history"), time_cases())
async def test_time_case(
    case: dict[str, Any], history: list[dict[str, Any]], finals: list[tuple[Visitor, Session]]
) -> None:
    run = Run(case)
    run.final = finals
    await run.open()
    for step in history:
        await run.step(step)
    expect, state = case["expect"], run.partition.state
    seen: dict[str, Any] = {
        "sessions": run.sessions(),
        "late": run.late,
        "T": state.progress.progress_ms,
        "L": state.progress.live_ms,
        "duplicates": state.accounting.duplicates,
        "late_reason": {"own": state.accounting.late_own_topic},
        "published": run.published,
    }
    for name, value in expect.items():
        if name in seen:
            assert seen[name] == value, name
    assert set(expect) <= {*seen, "windows", "final_hours"}, "an expectation nobody checks"
    await _check_windows(run, expect, case["times"])
    assert state.accounting.balances()


async def _check_windows(run: Run, expect: dict[str, Any], times: int) -> None:
    state = run.partition.state
    if "final_hours" in expect:
        hours = {start // HOUR_MS for kind, start in run.settled() if kind == "hour"}
        final = sorted(hour for hour in hours if (hour + 1) * HOUR_MS <= state.final_through_ms)
        assert final == expect["final_hours"]
    for index, counts in expect.get("windows", {}).items():
        got = run.settled().get(("hour", int(index) * HOUR_MS), defaultdict(int))
        seen = {"sessions": got["open"] + got["ended"], "events": got["page_views"], "uniq": got["visitors"],
                "ans": sum(got[name] for name in SCORES),
                "score": sum(score * got[name] for name, score in SCORES.items())}  # fmt: skip
        assert {name: seen[name] for name in counts if name in seen} == {
            name: n for name, n in counts.items() if name in seen
        }, f"window {index}"
    # What a session comes to is known when it has ended.
    state.progress.progress_ms = state.progress.highest_clock_ms() + run.policy.finality_ms + 1
    await run.partition.tick(None, None)
    for index, counts in expect.get("windows", {}).items():
        got = run.settled().get(("hour", int(index) * HOUR_MS), defaultdict(int))
        assert counts.get("sev", 0) in (0, got["ended_pages"])
        assert counts.get("dur", 0) * times in (0, got["ended_ms"])


@pytest.mark.parametrize(
    "case", json.loads((HERE / "sessions.json").read_text())["cases"], ids=lambda case: case["id"]
)
async def test_session_case(case: dict[str, Any], finals: list[tuple[Visitor, Session]]) -> None:
    # Nothing is late and nothing final in these suites: give the events all the grace there is.
    run = Run({"gap": case["gap_ms"], "grace": 10**12, "survey_tol": 1})
    run.final = finals
    await run.open()
    for letter in "CFS":
        await run.step({"fetch": letter, "events": []})
    events = [
        {"id": f"e{i}", "t": event["at_ms"], "v": event["visitor"]} for i, event in enumerate(case["events"])
    ]
    await run.step({"fetch": "V", "events": events})
    got = [
        {"visitor": v, "first_ms": first, "last_ms": last, "events": n}
        for v, first, last, n, *_ in run.sessions()
    ]
    assert got == case["sessions"]
