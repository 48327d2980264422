"""The fold under the profile `latido` is what the pipeline computes while events arrive, in any order."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import msgspec
from hypothesis import given

from stream.core.profiles import LATIDO, PROFILES, Profile
from stream.pipeline.profile_views import Accepted, Views
from tests.builders import Lane
from tests.pipeline.histories import (
    STEPS,
    TOLERANCES,
    UNITS,
    Draft,
    Logs,
    Step,
    build,
    drafts,
    play_replay,
)

# How a session came to be as it is: the fold sees only what it is.
HISTORY = ("revision", "supersedes", "change")
# A survey answer may come when the session it would make active is final and published.
MARKED = "is_active"
COMPUTED = ("sessions", "pages_per_session", "session_duration_ms", "bounce_rate", "engaged_session_rate")


def played(logs: Logs, steps: list[Step]) -> tuple[Lane, Accepted]:
    lane = logs.lane()
    accepted = Accepted(lane.partition.state)
    # After a restart nobody would be listening; that restarts change nothing is another law.
    quiet = [step._replace(accident="tick" if step.accident == "tick" else "none") for step in steps]
    play_replay(lane, quiet)
    return lane, accepted


def latido(logs: Logs) -> Profile:
    return msgspec.structs.replace(LATIDO, gap_ms=logs.policy.gap_ms)


def by_start(records: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    found = {(r["site_id"], r["visitor_id"], r["started_at"]): r for r in records}
    assert len(found) == len(records)
    return found


@given(made=drafts(), unit=UNITS, tolerance=TOLERANCES, steps=STEPS)
def test_latido_folded_is_latido_computed(
    made: list[Draft], unit: int, tolerance: int | None, steps: list[Step]
) -> None:
    logs = build(made, unit, tolerance)
    lane, accepted = played(logs, steps)
    views = Views(lane.partition.state, accepted, latido(logs), UTC, until_final=False)
    folded = by_start([json.loads(line) for line in views.lines()])
    pipeline = [record for record in lane.published() if record["state"] == "final"]
    pipeline += [json.loads(msgspec.json.encode(record)) for record in lane.unfinished()]
    computed = by_start(pipeline)
    assert folded.keys() == computed.keys()
    for key, record in computed.items():
        other = folded[key]
        assert record[MARKED] <= other[MARKED]
        said = {name: value for name, value in record.items() if name not in (*HISTORY, MARKED, "source")}
        assert {name: other[name] for name in said} == said


@given(made=drafts(), unit=UNITS, tolerance=TOLERANCES, steps=STEPS)
def test_the_session_figures_of_a_snapshot_are_the_same(
    made: list[Draft], unit: int, tolerance: int | None, steps: list[Step]
) -> None:
    logs = build(made, unit, tolerance)
    lane, accepted = played(logs, steps)
    views = Views(lane.partition.state, accepted, latido(logs), UTC, until_final=False)
    for record in lane.snapshot().records.values():
        before = msgspec.to_builtins(record)["kpis"]
        views.rewrite(record)
        after = msgspec.to_builtins(record)["kpis"]
        assert after.keys() <= before.keys()
        for name, kpi in after.items():
            if name in COMPUTED:
                # The window before is not computed again.
                assert kpi == {field: value for field, value in before[name].items() if field != "previous"}
            else:
                assert kpi == before[name]


@given(made=drafts(), unit=UNITS)
def test_no_profile_loses_an_accepted_event(made: list[Draft], unit: int) -> None:
    logs = build(made, unit, None)
    lane, accepted = played(logs, [])
    counted = sum(map(len, accepted.steps.values()))
    for profile in PROFILES.values():
        lines = Views(lane.partition.state, accepted, profile, UTC, until_final=True).lines()
        records = [json.loads(line) for line in lines]
        if profile.pings == "member":
            assert sum(r["page_views"] + r["clicks"] + r["form_submissions"] for r in records) <= counted
        views = sum(step.alone.page_views for steps in accepted.steps.values() for step in steps)
        assert sum(record["page_views"] for record in records) == views
        assert {record["profile"] for record in records} <= {profile.name}
        assert {record["state"] for record in records} <= {"final"}


def test_a_session_that_ends_where_a_window_begins_is_in_it() -> None:
    """10 minutes of events, one at the very first instant of the window of 5 minutes."""
    logs = build([Draft("page_view", tick, tick, 0, 0, "fine") for tick in (300, 600)], 1000, None)
    lane, accepted = played(logs, [])
    views = Views(lane.partition.state, accepted, latido(logs), UTC, until_final=False)
    for record in lane.snapshot().records.values():
        if record.window.name == "5m" and record.segment.value is None:
            before = msgspec.to_builtins(record)["kpis"]["sessions"]["value"]
            views.rewrite(record)
            assert msgspec.to_builtins(record)["kpis"]["sessions"]["value"] == before == 2
            return
    raise AssertionError("there is no window of 5 minutes")
