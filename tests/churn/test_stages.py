"""Both stages, in memory: the signals are those of a plain computation, whatever happens on the way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.churn import ChurnSignal
from schemas.topics import INPUT_TOPICS
from stream.core.bgnbd import Parameters
from stream.core.churn_settings import ChurnSettings, Limits
from stream.core.policy import DAY_MS, MINUTE_MS, Goal, Policy
from stream.pipeline.churn_record import encode_signal
from stream.pipeline.latest_signals import KEPT
from stream.pipeline.ports import StoreUnreachable, Table
from tests.builders import now
from tests.churn.lives import START_MS, Life, days, happened, roaming
from tests.churn.plain import plain_signals
from tests.churn.stages import CustomerLane, FedLane, Stages

FEW = max(5, settings().max_examples // 10)  # each of these is a season of several customers
PARTITIONS = 2
DAYS = 60
UNTIL = 160  # silence included
POLICY = Policy(goals=(Goal("thanks", page="/thanks"),), grid_ms=1)
LIMITS = Limits(bgnbd=Parameters(r=0.243, alpha_days=31.0, a=0.793, b=2.426), high_value_conversions=2)
SETTINGS = ChurnSettings(LIMITS, live=True)


def season(chance: random.Random) -> list[dict[str, Any]]:
    """Events of two months in order of time; the last ones end it in every partition."""
    regular, lapsing, nobody = Life("regular"), Life("lapsing", plan="premium"), Life(None, "nobody")
    for day in days(chance, 4, 0, DAYS):
        regular.visit(day)
    for day in days(chance, 2, 0, DAYS / 3):
        lapsing.visit(day)
        nobody.visit(day)
    lives = [regular, lapsing, nobody, *(roaming(number, chance, DAYS) for number in range(2))]
    events = sorted((one for life in lives for one in life.events), key=lambda one: one[0])
    return [event for _, event in events]


def ends(day: float) -> list[dict[str, Any]]:
    """A visit of somebody unknown in each partition."""
    clocks = [Life(None, f"clock-{number}") for number in range(20)]
    for clock in clocks:
        clock.visit(day)
    return [event for clock in clocks for _, event in clock.events]


def place(signal: dict[str, Any]) -> tuple[str, int]:
    return signal["customer_id"], signal["transition"]


def in_order(signals: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    found = {place(one): one for one in signals}
    assert len(found) == len(signals), "a signal came twice"
    return found


def expected(events: list[dict[str, Any]], churn: ChurnSettings, until: float) -> list[dict[str, Any]]:
    until_ms = START_MS + round(until * DAY_MS)
    return [json.loads(encode_signal(one)) for one in plain_signals(events, POLICY.gap_ms, churn, until_ms)]


def settle(stages: Stages) -> None:
    """Read all there is."""
    for lane in stages.events:
        lane.know_ends()
        for topic in INPUT_TOPICS:
            lane.fetch(topic)
        lane.wall_ms = (lane.wall_ms or 0) + MINUTE_MS
        lane.know_ends()
        lane.tick()
    for number in range(stages.partitions):
        stages.carry(number)
    for customers in stages.customers:
        customers.fetch()
        customers.tick()


def restarted(lane: FedLane | CustomerLane) -> None:
    lane.open()
    lane.release()


def answered(lane: FedLane | CustomerLane, chance: random.Random, work: Callable[[], None]) -> None:
    """The step, though its commit may get no answer at first, written or not."""
    lane.tables.lose = chance.choice([None, None, "request", "reply"])
    try:
        work()
    except StoreUnreachable:
        now(lane.partition.resume())
        work()
    lane.tables.lose = None


def step(stages: Stages, chance: random.Random) -> None:
    """Anything that may happen between two stages."""
    lane = chance.choice(stages.events)
    lane.wall_ms = (lane.wall_ms or 0) + chance.choice([0, 6_000])
    lane.know_ends()
    what = chance.random()
    if what < 0.5:
        topic, count, back = chance.choice(INPUT_TOPICS), chance.randrange(1, 60), chance.randrange(3)
        answered(lane, chance, lambda: lane.fetch(topic, count, back=back))
    elif what < 0.6:
        restarted(lane)
    elif what < 0.8:
        stages.carry(lane.number, again=chance.randrange(4))
    else:
        customers = chance.choice(stages.customers)
        if chance.random() < 0.2:
            restarted(customers)
        count, back = chance.randrange(1, 50), chance.randrange(5)
        answered(customers, chance, lambda: customers.fetch(count, back=back))


def check(stages: Stages, events: list[dict[str, Any]], churn: ChurnSettings) -> None:
    """Exactly the signals of a plain computation, as far as both have come."""
    assert {lane.partition.state.accounting.late for lane in stages.events} == {0}
    found, wanted = in_order(stages.signals), in_order(expected(events, churn, UNTIL))
    assert {name: one for name, one in found.items() if one["changed_at"] < happened(UNTIL)} == wanted
    for lane in stages.customers:
        kept = lane.store.partition(lane.number).tables[Table.SIGNALS].get("default", b"\x90")
        told = sorted(
            lane.signals, key=lambda one: (one["changed_at"], one["transition"], one["customer_id"])
        )
        assert [place(one) for one in msgspec.msgpack.decode(kept)] == [place(one) for one in told[-KEPT:]]
    for one in found.values():
        ChurnSignal.model_validate_json(json.dumps(one))


@settings(max_examples=FEW, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_a_backlog_gives_the_signals_of_a_plain_computation(seed: int, anonymous: bool) -> None:
    """Topics and partitions are read in any order, as far apart as they like."""
    chance = random.Random(seed)
    patient = 2 * UNTIL * DAY_MS
    churn = msgspec.structs.replace(SETTINGS, anonymous=anonymous, order_within_ms=patient)
    stages, events = Stages(PARTITIONS, POLICY, churn), season(chance)
    stages.append([*events, *ends(DAYS + 1), *ends(3 * UNTIL)])
    for _ in range(40):
        step(stages, chance)
    settle(stages)
    check(stages, [*events, *ends(DAYS + 1)], churn)


@settings(max_examples=FEW, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([0, DAY_MS]))
def test_events_as_they_come_give_the_signals_of_a_plain_computation(
    seed: int, anonymous: bool, order_within_ms: int
) -> None:
    """Signals leave on the way, though no partition is read faster than events come."""
    chance = random.Random(seed)
    churn = msgspec.structs.replace(SETTINGS, anonymous=anonymous, order_within_ms=order_within_ms)
    stages, events = Stages(PARTITIONS, POLICY, churn), season(chance)
    coming = [*events, *ends(DAYS + 1)]
    while coming:
        count = chance.randrange(1, 30)
        stages.append(coming[:count])
        coming = coming[count:]
        for _ in range(chance.randrange(8)):
            step(stages, chance)
    stages.append(ends(UNTIL + 2))
    settle(stages)
    check(stages, [*events, *ends(DAYS + 1)], churn)
