"""The demo's own traffic: the pipeline and the plain recomputation agree on every figure."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest

from schemas.topics import PAGE_VIEWS
from stream.core.policy import Funnel, Goal, Policy, Step
from stream.demo import plain_log
from stream.demo.compare import Comparison
from stream.demo.plain_results import add_results, results
from stream.demo.recorded import read_views, split
from stream.demo.truth import recompute
from stream.demo.visitors import crowd
from stream.pipeline.publish_results import final_records
from tests.demo.rehearsal import Rehearsal, Sent

START_MS = 1_795_000_000_000
GOALS = (
    Goal("signup", form_id="signup"),
    Goal("thanks", page="/thanks*"),
    Goal("mail", element_id="mail-button"),
)
RULES = plain_log.Rules(
    goals=(
        plain_log.Goal("signup", "form", "signup"),
        plain_log.Goal("thanks", "page", "/thanks*"),
        plain_log.Goal("mail", "element", "mail-button"),
    ),
    funnels=(
        (
            "order",
            (plain_log.Goal("see", "page", "/producto/*"), plain_log.Goal("buy", "element", "buy-alpha")),
        ),
    ),
    pairs=(("channel", "device"), ("landing_page", "exit_page")),
)
POLICY = Policy(
    goals=GOALS,
    funnels=(Funnel("order", (Step(page="/producto/*"), Step(element_id="buy-alpha"))),),
    dimension_pairs=("channel+device", "landing_page+exit_page"),
)


def traffic(seed: int, seconds: int) -> list[Sent]:
    past, live, now_ms = split(read_views())
    shift_ms = START_MS - now_ms
    sent = [Sent(START_MS, PAGE_VIEWS, v.visitor.encode(), v.event(shift_ms)) for v in past]
    later = [Sent(v.time_ms + shift_ms, PAGE_VIEWS, v.visitor.encode(), v.event(shift_ms)) for v in live]
    steps = itertools.takewhile(lambda step: step.at_ms < seconds * 1000, crowd(START_MS + 1000, seed))
    later += [Sent(START_MS + 1000 + step.at_ms, step.topic, step.key, step.value) for step in steps]
    end_ms = START_MS + 1000 + seconds * 1000
    return sent + sorted((one for one in later if one.arrival_ms < end_ms), key=lambda one: one.arrival_ms)


@pytest.mark.parametrize(
    ("seed", "seconds", "pause_s"), [(1, 60, 3), (2, 10, 45), (3, 30, 2400), (4, 10, 20_000)]
)
async def test_every_figure_agrees(seed: int, seconds: int, pause_s: int) -> None:
    rehearsal = Rehearsal(POLICY)
    sent = traffic(seed, seconds)
    snapshot = await rehearsal.run(sent, sent[-1].arrival_ms + pause_s * 1000)
    assert snapshot.current
    assert snapshot.as_of_ms is not None
    expected = recompute(rehearsal.log_records(), RULES, snapshot.as_of_ms)
    published = json.loads(msgspec.json.encode({key: r.kpis for key, r in snapshot.records.items()}))
    comparison = Comparison()
    for key in sorted({*expected, *published}):
        comparison.add(key, expected.get(key), published.get(key))
    assert [str(one) for one in comparison.differences[:20]] == []
    assert comparison.figures > 1000
    records = await final_records(rehearsal.board, len(rehearsal.partitions))
    accepted, _ = plain_log.accept(rehearsal.log_records(), RULES)
    settled = Comparison()
    kpis = json.loads(msgspec.json.encode({record.key: record.kpis for record in records}))
    add_results(settled, results(accepted, RULES), kpis)
    assert [str(one) for one in settled.differences[:20]] == []
    assert settled.figures > 100 or pause_s < 20_000, "an hour of the traffic is final"


async def test_the_accounting_agrees() -> None:
    rehearsal = Rehearsal(POLICY)
    sent = traffic(5, 60)
    await rehearsal.run(sent, sent[-1].arrival_ms)
    _, plain = plain_log.accept(rehearsal.log_records(), RULES)
    parts = [partition.state.accounting for partition in rehearsal.partitions]
    for name in ("read", "counted", "duplicates", "conflicts", "late", "refused", "no_consent", "bots"):
        assert sum(getattr(one, name) for one in parts) == getattr(plain, name), name
        assert getattr(plain, name) > 0, f"the demo shows nothing {name}"
    assert sum(one.late_other_topic for one in parts) == 0
