"""The records as the pipeline holds them and as the contract's models describe them: one and the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from schemas import churn, results, sessions, snapshots
from schemas.times import parse_time, to_ms
from stream.core import kpi
from stream.core.policy import DAY_MS, Goal, Policy
from stream.pipeline import churn_record, session_record, take_results, take_snapshot
from stream.pipeline.take_snapshot import encode_record
from tests.builders import BASE_MS, Lane, event

PAIRS = [
    (session_record.SessionRecord, sessions.Session),
    (session_record.Source, sessions.Source),
    (take_snapshot.SnapshotRecord, snapshots.KpiSnapshot),
    (take_snapshot.WindowLimits, snapshots.Window),
    (take_results.ResultRecord, results.KpiResult),
    (take_results.ResultWindow, results.ResultWindow),
    (churn_record.SignalRecord, churn.ChurnSignal),
    (churn_record.PartRecord, churn.Part),
    (churn_record.Crossing, churn.NextCrossing),
    (take_snapshot.SegmentName, snapshots.Segment),
    (take_snapshot.Completeness, snapshots.Completeness),
    (kpi.Count, snapshots.CountKpi),
    (kpi.Mean, snapshots.MeanKpi),
    (kpi.Rate, snapshots.RateKpi),
    (kpi.Score, snapshots.ScoreKpi),
]


@pytest.mark.parametrize(("struct", "model"), PAIRS, ids=lambda c: c.__name__)
def test_the_fields_are_the_same_in_both(struct: type[msgspec.Struct], model: type[BaseModel]) -> None:
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    written = {field.encode_name for field in info.fields}
    if info.tag_field is not None:
        written.add(info.tag_field)
        assert model.model_fields[info.tag_field].default == info.tag
    assert written == set(model.model_fields)


@pytest.mark.parametrize(("struct", "model"), PAIRS, ids=lambda c: c.__name__)
def test_what_a_model_requires_is_always_written(
    struct: type[msgspec.Struct], model: type[BaseModel]
) -> None:
    may_be_absent = {field.name for field in msgspec.structs.fields(struct) if not field.required}
    for name, field in model.model_fields.items():
        if field.is_required():
            assert name not in may_be_absent, name


def busy_lane() -> Lane:
    """A lane that has seen one of everything, and every state of a session."""
    lane = Lane(Policy(goals=(Goal("thanks", page="/thanks*"),)))
    lane.wall_ms = BASE_MS + 2 * DAY_MS + 3_600_000
    rich: dict[str, Any] = {
        "customer_id": "c-1", "channel": "email", "campaign": "otono", "device": "mobile", "country": "ES",
        "plan": "pro", "referrer": "https://user:secret@Mail.example:8080/inbox?who=me",
    }  # fmt: skip
    lane.append(
        event("V", 0, "old"),
        event("V", 2 * DAY_MS, "a", "w", url="/thanks/1?x=\u2603", **rich),
        event("impression", 2 * DAY_MS + 1, "b", "w", position=1),
        event("page_ping", 2 * DAY_MS + 2, "d", "w"),
        event("V", 2 * DAY_MS + 3_600_000, "e", "x|1", site_id="other|site"),
        event("C", 2 * DAY_MS + 5, "c", "w"),
        event("C", 2 * DAY_MS + 6, "c2", "w", element_id="never=shown"),
        event("F", 2 * DAY_MS + 3_600_000, "f", "x|1", site_id="other|site"),
        event("S", 2 * DAY_MS, "s", "w"),
        event("S", 2 * DAY_MS, "s2", "w", survey_kind="csat", score=2, survey_id="care"),
    )
    lane.know_ends()
    for letter in "VCFS":
        lane.fetch(letter)
    lane.tick(lane.wall_ms + 1000)
    return lane


def test_every_session_record_is_one_of_the_contract() -> None:
    lane = busy_lane()
    records = lane.published() + [json.loads(msgspec.json.encode(record)) for record in lane.unfinished()]
    assert {record["state"] for record in records} == {"final", "ended", "open"}
    for output, record in zip(lane.outputs, lane.published(), strict=True):
        model = sessions.Session.model_validate_json(json.dumps(record))
        assert (output.key, output.id) == (model.key.encode(), model.identity)
        assert output.partition == record["source"]["partition"]
    full = [sessions.Session.model_validate_json(json.dumps(r)) for r in records if r["visitor_id"] == "w"][
        -1
    ]
    assert full.referrer_host == "mail.example"
    assert (full.entry_page, full.exit_page, full.goals) == ("/thanks/1", "/thanks/1", ["thanks"])
    assert (full.customer_id, full.channel, full.campaign, full.plan) == ("c-1", "email", "otono", "pro")
    assert (full.clicks, full.impressions, full.engaged_ms, full.is_active) == (2, 1, 1000, True)


def test_every_snapshot_record_is_one_of_the_contract() -> None:
    snapshot = busy_lane().snapshot()
    assert snapshot.complete
    segments = set()
    for key, record in snapshot.records.items():
        data = encode_record(record, 48_211, BASE_MS)
        model = snapshots.KpiSnapshot.model_validate_json(data)
        assert (model.key, model.sequence, to_ms(parse_time(model.published_at))) == (key, 48_211, BASE_MS)
        assert json.loads(data) == msgspec.to_builtins(record)
        segments.add((model.site_id, model.segment.name))
    assert segments >= {
        ("default", "all"), ("other|site", "all"), ("default", "element=e"), ("default", "position=1"),
        ("default", "element=never=shown"), ("default", "survey=s"), ("default", "survey=care"),
        ("default", "goal=thanks"),
    }  # fmt: skip


def test_an_empty_partition_publishes_nothing_and_says_so() -> None:
    lane = Lane(Policy())
    lane.empty("VCFS")
    snapshot = lane.snapshot()
    assert (snapshot.as_of_ms, snapshot.records) == (None, {})
