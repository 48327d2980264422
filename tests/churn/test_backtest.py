"""The back-test: history out of recorded events, and scores of customers whose behaviour is known."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from schemas.churn import ChurnSignal
from stream.churn.backtest import STATE, Backtest, Score, backtest, play
from stream.churn.history import History, read_history
from stream.core.churn_settings import ChurnSettings, Limits
from stream.core.policy import DAY_MS, Goal, Policy
from stream.pipeline.churn_record import encode_signal
from tests.churn.lives import DAYS, START_MS, Life, lines, lives, roaming
from tests.churn.plain import GOAL_PAGE, known_activities

HORIZON_MS = 30 * DAY_MS
POLICY = Policy(goals=(Goal("news", page="/news"),))


def history(folder: Path, *several: Life, anonymous: bool = False, policy: Policy = Policy()) -> History:  # noqa: B008 (frozen)
    file = folder / "events.jsonl"
    file.write_bytes(lines(list(several)))
    return read_history([str(file)], policy=policy, anonymous=anonymous)


def judged(folder: Path, *several: Life, limits: Limits = Limits()) -> Backtest:  # noqa: B008 (frozen)
    return backtest(history(folder, *several), ChurnSettings(limits), HORIZON_MS)


def score(found: Backtest, rule: str, level: str) -> Score:
    return next(one for one in found.scores if (one.rule, one.level) == (rule, level))


def counts(one: Score) -> tuple[int, int, int, int, int]:
    """signals, right, wrong, undecided, late"""
    right, decided = one.precision.numerator, one.precision.denominator
    return one.signals, right, decided - right, one.undecided, one.late


def weekly(name: str, *spans: tuple[float, float]) -> Life:
    life = Life(name)
    for begin, end in spans:
        day = begin
        while day < end:
            life.visit(day)
            day += 7
    return life


def test_who_comes_to_the_end_is_never_signalled_and_who_left_is_in_time(tmp_path: Path) -> None:
    """Weekly, the last visit on day 56: at_risk after 7 x e^0.7 = 14.1 days, 15.9 before the horizon."""
    found = judged(tmp_path, weekly("stays", (0, DAYS)), weekly("left", (0, 60)))
    assert (found.customers, found.with_rhythm, found.stayed_away, found.returned) == (3, 2, 1, 0)
    overdue = score(found, "overdue", "at_risk")
    assert counts(overdue) == (1, 1, 0, 0, 0)
    assert (overdue.recall.numerator, overdue.recall.denominator) == (1, 1)
    assert overdue.lead_ms is not None
    assert overdue.lead_ms / DAY_MS == pytest.approx(30 - 14.1, abs=0.05)


def test_a_signal_disproved_by_a_visit_is_wrong(tmp_path: Path) -> None:
    """Three weeks of silence, then back for good."""
    found = judged(tmp_path, weekly("returns", (0, 57), (77, DAYS)))
    assert counts(score(found, "overdue", "at_risk")) == (1, 0, 1, 0, 0)
    assert (found.stayed_away, found.returned) == (0, 0)


def test_a_signal_the_history_cannot_decide_is_undecided(tmp_path: Path) -> None:
    found = judged(tmp_path, weekly("who knows", (0, DAYS - 20)))
    assert counts(score(found, "overdue", "at_risk")) == (1, 0, 0, 1, 0)


def test_a_signal_after_the_horizon_is_late_and_no_success(tmp_path: Path) -> None:
    patient = Limits(overdue=(4.5,))  # 7 x e^(4.5 x 0.35) = 33.8 days
    found = judged(tmp_path, weekly("left", (0, 60)), limits=patient)
    assert counts(one := score(found, "overdue", "watch")) == (1, 0, 0, 0, 1)
    assert (one.recall.numerator, one.recall.denominator, one.lead_ms) == (0, 1, None)


def test_an_early_warning_is_right_when_the_absence_begins_within_the_horizon(tmp_path: Path) -> None:
    soon, never = weekly("soon", (0, 60)), weekly("never", (0, DAYS))
    soon.answer(50, 2)
    never.answer(50, 2)
    detractor = score(judged(tmp_path, soon, never), "detractor", "at_risk")
    assert counts(detractor) == (2, 1, 1, 0, 0)
    assert detractor.lead_ms == HORIZON_MS, "it stood already when the absence began"


def test_a_signal_again_within_the_horizon_is_counted(tmp_path: Path) -> None:
    found = judged(tmp_path, weekly("twice", (0, 57), (72, 94), (109, DAYS)))
    state = score(found, STATE, "watch")
    assert (state.signals, state.repeated) == (2, 0)
    found = judged(tmp_path, weekly("flaps", (0, 57), (70, 71), (84, DAYS)))
    state = score(found, STATE, "watch")
    assert (state.signals, state.repeated) == (2, 1)


def test_every_kind_of_customer_is_found(tmp_path: Path) -> None:
    """Lapsing, returning and unhappy ones leave, 25 in all; who stays is not signalled at the last limit."""
    found = judged(tmp_path, *lives(5))
    assert (found.customers, found.stayed_away, found.returned) == (36, 25, 10)
    lost = score(found, STATE, "lost")
    assert lost.recall.value == lost.precision.value == 1.0
    assert score(found, "detractor", "at_risk").precision.numerator == 5
    watch, at_risk = (score(found, "overdue", level) for level in ("watch", "at_risk"))
    assert watch.signals > at_risk.signals > lost.signals == 25
    assert watch.lead_ms is not None
    assert lost.lead_ms is not None
    assert watch.lead_ms > lost.lead_ms


def test_visitors_without_a_customer_id_are_customers_only_if_wanted(tmp_path: Path) -> None:
    nobody = Life(None, "cookie")
    nobody.visit(1)
    nobody.answer(1.001, 3)
    found = history(tmp_path, nobody)
    assert (found.sessions, found.anonymous) == (2, 1)
    assert {one.key[1] for one in found.recorded} == {"end"}
    customers = history(tmp_path, nobody, anonymous=True).customers(1)
    assert customers["default", "cookie"].visits == 1
    assert customers["default", "cookie"].nps[0].score == 3


def test_what_is_anonymous_inside_a_customers_visit_is_theirs(tmp_path: Path) -> None:
    """The customer id comes with the second page; goal and answer of the same visit name nobody."""
    life = Life(None, "cookie")
    life.add(1, "page_view", url="/news")
    life.add(1.001, "page_view", url="/", customer_id="anna")
    life.answer(1.0005, 9)
    anna = history(tmp_path, life, policy=POLICY).customers(1)["default", "anna"]
    assert (anna.visits, anna.conversions, anna.nps[0].score) == (1, 1, 9)
    assert anna.first_ms == START_MS + DAY_MS


def test_two_devices_are_one_customer(tmp_path: Path) -> None:
    laptop, phone = Life("anna", "laptop"), Life("anna", "phone")
    laptop.visit(1)
    phone.visit(1.001)
    phone.visit(9)
    anna = history(tmp_path, laptop, phone).customers(30 * 60_000)["default", "anna"]
    assert (anna.visits, anna.rhythm.gaps) == (3, 1)


def test_the_order_of_the_lines_changes_no_signal(tmp_path: Path) -> None:
    """All on one day, the file sorted otherwise inside the grace: the same records are printed."""
    life = weekly("left", (0, 60))
    forward = history(tmp_path, life)
    life.events = [*life.events[1:2], life.events[0], *life.events[2:]]
    again = history(tmp_path, life)
    settings = ChurnSettings()
    first, second = ([encode_signal(one) for one in play(one, settings).signals] for one in (forward, again))
    assert first == second
    assert len(first) == 3


def test_every_signal_is_a_record_of_the_contract(tmp_path: Path) -> None:
    signals = play(history(tmp_path, *lives(3), policy=POLICY), ChurnSettings()).signals
    records = [ChurnSignal.model_validate_json(encode_signal(one)) for one in signals]
    assert {one.state for one in records} == {"healthy", "watch", "at_risk", "lost"}
    assert {one.cause for one in records} >= {"time", "returned", "answer", "high_value", "promoter"}
    assert len({one.identity for one in records}) == len(records)
    assert [one.changed_at for one in records] == sorted(one.changed_at for one in records)


def test_history_is_what_a_plain_computation_finds(tmp_path: Path) -> None:
    """Several devices, names that come late in a visit, goals and answers, with and without visitors."""
    chance = random.Random(11)
    several = [*lives(1), *(roaming(number, chance) for number in range(3))]
    file = tmp_path / "events.jsonl"
    file.write_bytes(lines(several))
    events = [json.loads(line) for line in file.read_bytes().splitlines()]
    policy = Policy(goals=(Goal("thanks", page=GOAL_PAGE),))
    for anonymous in (False, True):
        history = read_history([str(file)], policy=policy, anonymous=anonymous)
        plain = known_activities(events, policy.gap_ms, anonymous=anonymous)
        assert [(one.known_ms, one.key, one.activity) for one in history.recorded] == [
            (one.known_ms, one.key, one.activity) for one in plain
        ]
