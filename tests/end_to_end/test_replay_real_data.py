"""Recorded data through `replay`: the figures of a plain count, in any order the data may arrive."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from schemas.sessions import Session
from schemas.snapshots import KpiSnapshot
from schemas.times import parse_time
from stream.core.policy import Policy
from stream.replay import What, run
from tests.end_to_end.real_data import (
    Answer,
    Event,
    View,
    carpentries_answers,
    lines,
    nasa_views,
    open_bandit,
    plain_nps,
    plain_sessions,
    sfo_answers,
)

ROOT = Path(__file__).parents[2]
UNLIMITED = Policy(survey_tolerance_ms=None)


async def printed(
    events: Iterable[Event], what: What, policy: Policy | None = None, *, until_final: bool = False
) -> list[dict[str, Any]]:
    found = await run([lines(events)], what=what, policy=policy or Policy(), until_final=until_final)
    return [json.loads(line) for line in found]


async def kpis(events: Sequence[Event], segment: str = "all", policy: Policy | None = None) -> dict[str, Any]:
    """The KPIs of window `all` in one segment."""
    records = [KpiSnapshot.model_validate(record) for record in await printed(events, "snapshot", policy)]
    [record] = [r for r in records if r.window.name == "all" and r.segment.name == segment]
    found: dict[str, Any] = record.model_dump(mode="json")["kpis"]
    return found


def adds_up(accounting: dict[str, int]) -> bool:
    return accounting["read"] == sum(n for name, n in accounting.items() if name != "read")


# ---------------------------------------------------------------- NASA: sessions


def within_five_minutes(views: Sequence[View]) -> list[View]:
    """As they would arrive when each is held up for anything up to five minutes."""
    dice = random.Random(19950701)
    return sorted(views, key=lambda view: view.at_s + dice.uniform(0, 300))


def each_twice(views: Sequence[View]) -> list[View]:
    return [view for view in views for _ in range(2)]


def all_twice(views: Sequence[View]) -> list[View]:
    return [*views, *views]


def as_tuples(sessions: Iterable[dict[str, Any]]) -> list[tuple[str, int, int, int]]:
    """(visitor, first second, last second, pages) of printed sessions."""
    found = []
    for record in sessions:
        session = Session.model_validate_json(json.dumps(record))
        first, last = (int(parse_time(t).timestamp()) for t in (session.started_at, session.last_event_at))
        found.append((session.visitor_id, first, last, session.page_views))
    return sorted(found)


ORDERS = [list, within_five_minutes, each_twice, all_twice]


@pytest.mark.parametrize("order", ORDERS, ids=lambda f: f.__name__)
async def test_nasa_gives_the_sessions_of_a_plain_computation(order: Any) -> None:
    views = nasa_views()
    expected = plain_sessions(views)
    assert (len(views), len(expected)) == (3440, 939)
    got = await printed((view.event() for view in order(views)), "sessions", until_final=True)
    assert {record["state"] for record in got} == {"final"}
    assert as_tuples(got) == expected


@pytest.mark.parametrize("order", ORDERS, ids=lambda f: f.__name__)
async def test_nasa_accounting_adds_up(order: Any) -> None:
    views = nasa_views()
    [accounting] = await printed((view.event() for view in order(views)), "accounting")
    assert adds_up(accounting)
    assert accounting["counted"] == len(views)
    assert accounting["read"] == len(order(views))
    assert accounting["conflicts"] == accounting["refused"] == accounting["no_consent"] == 0


async def test_nasa_without_waiting_leaves_the_last_sessions_open() -> None:
    views = nasa_views()
    got = await printed((view.event() for view in views), "sessions")
    assert as_tuples(got) == plain_sessions(views)
    end_s = max(view.at_s for view in views)
    for record in got:
        silent_s = end_s - int(parse_time(record["last_event_at"]).timestamp())
        final = silent_s * 1000 > 2 * Policy().gap_ms + Policy().grace_ms
        assert record["state"] == ("final" if final else "ended" if silent_s > 1800 else "open")


async def test_nasa_pages_per_session() -> None:
    views = nasa_views()
    sessions = plain_sessions(views)
    lines_ = await printed((view.event() for view in views), "snapshot", until_final=True)
    whole = [r for r in lines_ if r["segment"]["value"] is None]
    [all_time] = [r["kpis"] for r in whole if r["window"]["name"] == "all"]
    assert all_time["page_views"]["value"] == 3440
    assert all_time["sessions"] == {"type": "count", "value": 939, "open": 0, "ended": 939}
    assert all_time["unique_visitors"]["value"] == len({view.visitor for view in views})
    assert all_time["pages_per_session"]["value"] == 3440 / 939
    assert all_time["bounce_rate"]["numerator"] == sum(pages == 1 for *_, pages in sessions)
    seconds = sum(last - first for _, first, last, _ in sessions)
    assert all_time["session_duration_ms"]["value"] == 1000 * seconds / 939
    assert {parse_time(r["as_of"]).timestamp() for r in lines_} == {max(view.at_s for view in views)}


# ---------------------------------------------------------------- SFO and Carpentries: NPS


def reverse(answers: Sequence[Answer]) -> list[Answer]:
    return list(reversed(answers))


def shuffle(answers: Sequence[Answer]) -> list[Answer]:
    return random.Random(9).sample(answers, len(answers))


@pytest.mark.parametrize("order", [list, reverse, shuffle], ids=lambda f: f.__name__)
@pytest.mark.parametrize("read", [sfo_answers, carpentries_answers], ids=lambda f: f.__name__)
async def test_nps_is_that_of_a_plain_count(read: Any, order: Any) -> None:
    answers = read()
    expected = plain_nps(answers)
    assert expected["n"] > 300
    events = [answer.event("recommend") for answer in order(answers)]
    for segment in ("all", "survey=recommend"):
        got = (await kpis(events, segment, UNLIMITED))["nps"]
        assert {name: got[name] for name in expected} == expected


async def test_the_code_11_of_sfo_is_refused_and_blanks_are_no_answers() -> None:
    answers = sfo_answers()
    events = [answer.event("sfo") for answer in answers]
    [accounting] = await printed(events, "accounting", UNLIMITED)
    assert adds_up(accounting)
    assert accounting["refused"] == sum(a.score is not None and a.score > 10 for a in answers) > 0
    assert accounting["counted"] == len(answers) - accounting["refused"]
    letters = await printed(events, "dead-letters", UNLIMITED)
    assert len(letters) == accounting["refused"]
    assert {letter["error_code"] for letter in letters} == {"invalid_event"}


async def test_leaving_blanks_out_changes_nothing_but_the_skips() -> None:
    sent = [a.event("sfo") for a in sfo_answers() if a.score is not None]
    all_of_them = [a.event("sfo") for a in sfo_answers()]
    without, with_blanks = [(await kpis(e, "all", UNLIMITED))["nps"] for e in (sent, all_of_them)]
    assert without | {"skipped": 0} == with_blanks | {"skipped": 0}


async def test_a_respondent_without_a_name_is_one_of_its_own() -> None:
    answers = [a for a in carpentries_answers() if a.score is not None]
    nameless = sum(not a.respondent for a in answers)
    named = len({a.respondent for a in answers if a.respondent})
    assert nameless > 10
    got = (await kpis([a.event("it") for a in answers], "all", UNLIMITED))["nps"]
    assert got["n"] == nameless + named


async def test_with_the_default_tolerance_carpentries_reports_what_is_late() -> None:
    """Newest first: whatever is 15 days older than the first row is late by its own topic."""
    answers = carpentries_answers()
    newest = max(answers[:1], key=lambda a: a.at).at
    expected, clock = 0, newest
    for answer in answers:
        expected += (clock - answer.at).total_seconds() > 15 * 86_400
        clock = max(clock, answer.at)
    events = [answer.event("it") for answer in answers]
    [accounting] = await printed(events, "accounting")
    assert adds_up(accounting)
    assert accounting["late"] == expected > 800
    letters = await printed(events, "dead-letters")
    assert Counter(letter["error_code"] for letter in letters) == {"late": expected}
    got = (await kpis(events))["nps"]
    in_time = [a for a in answers if (newest - a.at).total_seconds() <= 15 * 86_400]
    assert got["n"] == plain_nps(in_time)["n"]


# ---------------------------------------------------------------- Open Bandit: CTR


async def test_ctr_by_item_and_position() -> None:
    shown = open_bandit()
    assert len(shown) == 20_000
    records = await printed([event for one in shown for event in one.events()], "snapshot")
    got = {
        f"{r['segment']['dimension']}={r['segment']['value']}": r["kpis"]
        for r in records
        if r["window"]["name"] == "all" and r["segment"]["dimension"] != "landing_page"
    }
    impressions: Counter[str] = Counter()
    clicks: Counter[str] = Counter()
    for one in shown:
        said = (f"position={one.position}", f"variant={one.arm}", "surface=page", "campaign=men")
        for segment in ("all=None", f"element={one.item}", *said):
            impressions[segment] += 1
            clicks[segment] += one.clicked
    assert got.keys() == impressions.keys()
    assert len(got) == 1 + 34 + 3 + 2 + 1 + 1
    for segment, n in impressions.items():
        ctr = got[segment]["ctr"]
        assert got[segment]["impressions"]["value"] == ctr["denominator"] == n
        assert got[segment]["clicks"]["value"] == ctr["numerator"] == clicks[segment]
        assert ctr["value"] == clicks[segment] / n
        assert ctr["unmatched_clicks"] == 0
        unique = got[segment]["unique_ctr"]  # every row is a visitor: pairs are impressions
        assert (unique["numerator"], unique["denominator"]) == (clicks[segment], n)


# ---------------------------------------------------------------- the command line


def command(*arguments: str, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "stream", "replay", *arguments],
        input=data, capture_output=True, cwd=ROOT, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def nasa_lines() -> bytes:
    return lines(view.event() for view in nasa_views()).getvalue()


def test_the_command_reads_gzip_and_standard_input_alike(nasa_lines: bytes, tmp_path: Path) -> None:
    file = tmp_path / "nasa day.jsonl.gz"
    file.write_bytes(gzip.compress(nasa_lines))
    from_file = command(str(file), "--print", "sessions", "--until-final")
    assert (from_file.returncode, from_file.stderr) == (0, b"")
    sessions = [json.loads(line) for line in from_file.stdout.splitlines()]
    assert as_tuples(sessions) == plain_sessions(nasa_views())
    piped = command("-", "--print", "sessions", "--until-final", data=gzip.compress(nasa_lines))
    assert piped.stdout == from_file.stdout


def test_the_command_prints_the_accounting_of_several_files(nasa_lines: bytes, tmp_path: Path) -> None:
    half = len(nasa_lines) // 2
    half = nasa_lines.index(b"\n", half) + 1
    (tmp_path / "a.jsonl").write_bytes(nasa_lines[:half])
    got = command(str(tmp_path / "a.jsonl"), "-", "--print", "accounting", data=nasa_lines[half:])
    assert (got.returncode, got.stderr) == (0, b"")
    assert json.loads(got.stdout) == {
        "read": 3440, "counted": 3440, "duplicates": 0, "conflicts": 0, "late": 0, "refused": 0,
        "no_consent": 0,
    }  # fmt: skip


def test_the_command_takes_durations(nasa_lines: bytes) -> None:
    got = command(
        "-", "--print", "sessions", "--gap", "5m", "--grace", "90s", "--until-final", data=nasa_lines
    )
    views = nasa_views()
    times: dict[str, list[int]] = {}
    for view in views:
        times.setdefault(view.visitor, []).append(view.at_s)
    runs = sum(1 + sum(b - a > 300 for a, b in pairwise(t)) for t in times.values())
    assert len(got.stdout.splitlines()) == runs


def test_the_snapshot_is_the_default(nasa_lines: bytes) -> None:
    got = command("-", data=nasa_lines)
    assert got.returncode == 0
    records = [KpiSnapshot.model_validate_json(line) for line in got.stdout.splitlines()]
    names = [record.window.name for record in records if record.segment.name == "all"]
    assert sorted(names) == sorted(["1m", "5m", "30m", "1h", "24h", "7d", "28d", "30d", "90d", "all"])


@pytest.mark.parametrize("broken", ["missing", "folder", "cut", "damaged"])
def test_a_file_that_cannot_be_read_is_one_clear_line(broken: str, nasa_lines: bytes, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl.gz"
    zipped = gzip.compress(nasa_lines)
    if broken == "folder":
        file.mkdir()
    elif broken != "missing":
        cut = zipped[: len(zipped) // 2]
        file.write_bytes(cut if broken == "cut" else cut + b"\0" * 1000)
    got = command(str(file), "--print", "accounting")
    said = got.stderr.decode()
    assert got.returncode == 1
    assert got.stdout == b""
    assert len(said.splitlines()) == 1
    assert "events.jsonl.gz" in said
    assert "unexpected" not in said
