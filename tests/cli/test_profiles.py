"""`latido compare` and `latido replay --profile` as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream.core.profiles import PROFILES
from tests.cli.conftest import Run
from tests.end_to_end.real_data import lines
from tests.end_to_end.snowplow_data import snowplow_rows


@pytest.fixture(scope="module")
def events() -> bytes:
    return lines(row.event() for row in snowplow_rows()).getvalue()


def test_compare_shows_all_six_and_why_they_differ(latido: Run, events: bytes) -> None:
    done = latido("compare", "-", stdin=events)
    assert (done.returncode, done.stderr) == (0, "")
    assert "65 of 69 records counted (2 conflicting, 1 late, 1 refused)" in done.stdout
    assert "midnight of UTC" in done.stdout
    heading, sessions = (
        next(line for line in done.stdout.splitlines() if all(word in line for word in words))
        for words in (tuple(PROFILES), ("Sessions ", "26"))
    )
    assert heading.split() == list(PROFILES)
    assert sessions.split() == ["Sessions", "26", "26", "25", "26", "26", "23"]
    for why in ("midnight cuts", "a new campaign cuts", "page pings open no session", "bounces by its rule"):
        assert why in done.stdout


def test_compare_for_programs_is_one_object_per_profile(latido: Run, events: bytes) -> None:
    done = latido("compare", "-", "--json", "--timezone", "America/New_York", stdin=events)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["profile"] for one in found] == list(PROFILES)
    matomo = found[2]
    assert matomo["cuts"] == {"silence": 8, "midnight": 0, "campaign": 1, "length": 0}
    assert matomo["figures"]["engaged_rate"] is None
    assert matomo["figures"]["bounce_rate"]["denominator"] == matomo["sessions"]


def test_compare_names_another_gap(latido: Run, events: bytes) -> None:
    done = latido("compare", "-", stdin=events, LATIDO_GAP="5m")
    assert "30 minutes of silence cut here, 5m in latido" in done.stdout


def test_compare_needs_no_events(latido: Run) -> None:
    done = latido("compare", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 of 0 records counted" in done.stdout


def test_goals_make_sessions_engaged(latido: Run, events: bytes, tmp_path: Path) -> None:
    goals = tmp_path / "goals.toml"
    goals.write_text('[[goals]]\nname = "any"\npage = "*"\n', encoding="utf-8")
    counts = []
    for more in ((), ("--goals", str(goals))):
        done = latido("compare", "-", "--json", *more, stdin=events)
        ga4 = json.loads(done.stdout.splitlines()[1])
        counts.append(ga4["figures"]["engaged_rate"]["numerator"])
    assert counts == [7, 19]  # all but the seven sessions without a page view


def test_replay_prints_sessions_by_a_profile(latido: Run, events: bytes) -> None:
    done = latido("replay", "-", "--print", "sessions", "--profile", "matomo", "--until-final", stdin=events)
    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 25
    assert {record["profile"] for record in records} == {"matomo"}
    assert {record["ended_because"] for record in records} == {"inactivity", "midnight", "campaign"}
    assert all(record["is_engaged"] is None for record in records)
    longer = {record["profile_duration_ms"] - record["duration_ms"] for record in records}
    assert longer == {0, 1000}


def test_the_profile_latido_is_the_replay_itself(latido: Run, events: bytes) -> None:
    plain, named = (
        latido("replay", "-", "--print", "sessions", *more, stdin=events).stdout
        for more in ((), ("--profile", "latido"))
    )
    assert plain == named
    assert plain


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["compare", "-", "--timezone", "Mars/Base"], "latido: Invalid value for --timezone: 'Mars/Base' is"),
        (["compare", "-", "--timezone", "../etc"], "latido: Invalid value for --timezone: '../etc' is no"),
        (
            ["replay", "-", "--timezone", "Europe"],
            "latido: Invalid value for --timezone: 'Europe' is no time",
        ),
        (["replay", "-", "--profile", "omniture"], "latido: Invalid value for '--profile'"),
        (
            ["replay", "-", "--profile", "ga4", "--gap", "5m"],
            "latido: Invalid value for --gap: the profile ga4",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(latido: Run, arguments: list[str], line: str) -> None:
    done = latido(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(line)


def test_a_missing_file_is_one_line(latido: Run) -> None:
    done = latido("compare", "none.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("latido: none.jsonl: No such file or directory")


def test_help_says_that_the_worker_runs_latido(latido: Run) -> None:
    for command in ("replay", "compare"):
        assert "worker runs latido" in " ".join(latido(command, "--help").stdout.split())
