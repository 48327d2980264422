"""Health, states, signals: worked cases, and the same for any batching and restart."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.churn import (
    STATES,
    Book,
    Forgotten,
    Key,
    Outcome,
    Signal,
    Trip,
    Verdict,
    next_state,
    state_of,
    verdict,
)
from stream.core.churn_reasons import parts_of
from stream.core.churn_rules import LOST, NOTHING, levels
from stream.core.churn_settings import ChurnSettings, Limits
from stream.core.customer_codec import decode, encode
from stream.core.customers import Activity, Converted, Customer, VisitStarted, last_sign_ms
from stream.core.policy import DAY_MS
from tests.core.churn_cases import LIMITS, LIVES, WITH_MODEL, after, ms, nps

DEFAULTS = ChurnSettings()
FEW = settings().max_examples // 4  # each of these is a history of three customers
SETTINGS = ChurnSettings(WITH_MODEL)
ANNA: Key = ("shop", "anna")
WEEKLY = tuple(range(0, 57, 7))


def told(
    *activities: Activity, until: float | None = None, settings: ChurnSettings = DEFAULTS
) -> list[Signal]:
    book, found = Book(settings), list[Signal]()
    for activity in activities:
        found += book.apply(ANNA, activity, activity.at_ms).signals
    if until is not None:
        found += book.advance(ms(until)).signals
    return found


def short(signals: list[Signal]) -> list[tuple[str, str, float]]:
    """(state, cause, day)"""
    return [(STATES[one.state], one.cause, round((one.changed_ms - ms(0)) / DAY_MS, 1)) for one in signals]


def weekly() -> list[Activity]:
    return [VisitStarted(ms(day)) for day in WEEKLY]


def test_silence_leads_through_all_states_and_coming_back_out_of_them() -> None:
    """A visit a week, sigma 0.35: watch after 7 x e^0.525 = 11.8 days (declining counts too), and so on."""
    signals = told(*weekly(), VisitStarted(ms(120)), until=121)
    assert short(signals) == [
        ("watch", "time", 67.8),
        ("at_risk", "time", 70.1),
        ("lost", "time", 76.0),
        ("healthy", "returned", 120.0),
    ]
    assert [one.transition for one in signals] == [1, 2, 3, 4]
    assert [(one.state, one.previous_state) for one in signals][1] == (2, 1)


def test_who_comes_back_when_they_should_be_forgotten_is_somebody_new() -> None:
    """The order tells it: what is taken back must not take back what comes after it."""
    book = Book(ChurnSettings(remember_ms=30 * DAY_MS))
    book.apply(ANNA, nps(0, 3), ms(0))
    outcome = book.apply(ANNA, nps(40, 2), ms(40))
    forgotten, signal = outcome.told
    assert forgotten == Forgotten(ANNA, 1)
    assert isinstance(signal, Signal)
    assert (signal.transition, signal.state) == (1, 2)


def test_a_signal_says_what_silence_leads_to_next() -> None:
    signals = told(*weekly(), until=120)
    assert signals[0].next_state == (2, signals[1].changed_ms)
    assert signals[1].next_state == (LOST, signals[2].changed_ms)
    assert signals[2].next_state is None


def test_a_detractor_who_comes_is_watched_and_not_lost() -> None:
    signals = told(*weekly(), nps(56, 3), nps(57, 9), until=58)
    assert short(signals) == [("watch", "answer", 56), ("healthy", "answer", 57)]


def test_a_promoter_and_a_good_customer_are_told_once_though_no_state_changes() -> None:
    signals = told(*weekly(), nps(56, 9), nps(57, 10), *(Converted(ms(58)) for _ in range(5)), until=59)
    assert short(signals) == [("healthy", "promoter", 56), ("healthy", "high_value", 58)]
    assert [one.transition for one in signals] == [1, 2]


def test_health_is_the_weighted_mean_of_the_parts() -> None:
    """Overdue at_risk (25 x 0.35), declining still fine (100 x 0.15), a 4 (20 x 0.35): 30.75 / 0.85 = 36."""
    customer = after(*weekly(), nps(56, 4))
    parts = {part.rule: part for part in parts_of(customer, LIMITS, ms(70.2))}
    assert {rule: (part.weight, part.score, part.is_tripped) for rule, part in parts.items()} == {
        "overdue": (0.35, 25, True), "declining": (0.15, 60, True), "detractor": (0.35, 20, True),
    }  # fmt: skip
    assert verdict(customer, LIMITS, ms(70.2)).health == int((8.75 + 9 + 7) / 0.85 + 0.5) == 29


def test_reasons_are_sentences_with_evidence() -> None:
    customer = after(*weekly(), nps(50, 9), nps(56, 4), Converted(ms(56)))
    parts = {part.rule: part for part in parts_of(customer, WITH_MODEL, ms(70.2))}
    assert (
        parts["overdue"].reason == "No visit for 14 days; this customer usually returns every 7 days (8 gaps)"
    )
    assert parts["overdue"].threshold == "last visit + exp(mu + 2 sigma)"
    assert parts["overdue"].evidence["last_visit_at"] == ms(56)
    assert parts["detractor"].reason == "Latest NPS answer is 4 (9 before)"
    assert parts["declining"].reason.startswith("Visits of the last week are at ")
    assert parts["alive_probability"].reason.endswith(": returned 8 times in 70 days")
    assert "promoter" not in parts
    assert "high_value" not in parts


def test_segments_have_limits_of_their_own() -> None:
    patient = Limits(overdue=(4.0, 5.0, 6.0), declining=(0.01,))
    settings = ChurnSettings(LIMITS, (("plan=premium", patient), ("site=shop", LIMITS)))
    assert settings.of("shop", "premium") is patient
    assert settings.of("other", None) is LIMITS
    premium = [VisitStarted(ms(day), "premium") for day in WEEKLY]
    assert told(*premium, until=80, settings=settings) == []
    assert len(told(*weekly(), until=80, settings=settings)) == 3


def test_nothing_is_told_of_somebody_new() -> None:
    assert told(VisitStarted(ms(0)), until=1000, settings=SETTINGS) == []


@given(
    state=st.integers(0, 2),
    below=st.sampled_from([80, 50]),
    wobble=st.lists(st.integers(0, 4), min_size=1, max_size=30),
)
def test_inside_the_band_a_state_changes_once_at_most(state: int, below: int, wobble: list[int]) -> None:
    """The band of a limit is [limit, limit + band): who is above stays above, who is below stays below."""
    states = [state]
    for above in wobble:
        states.append(next_state(states[-1], below + above, False, LIMITS))
    assert len(set(states[1:])) == 1


@given(st.integers(0, 3), st.integers(0, 100), st.booleans())
def test_a_state_worsens_at_once_and_never_betters_beyond_what_the_score_says(
    state: int, health: int, absent: bool
) -> None:
    after_it = next_state(state, health, absent, LIMITS)
    assert after_it >= state_of(health, absent, LIMITS)
    assert next_state(after_it, health, absent, LIMITS) == after_it, "the same score changes nothing twice"
    if health == 100 and not absent:
        assert after_it == NOTHING


class Step(msgspec.Struct):
    """An activity of one of three customers."""

    key: Key
    activity: Activity


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """What three customers did, in order of time."""
    lives = [(("shop", name), draw(LIVES)) for name in "abc"]
    merged = sorted(((one.at_ms, key, one) for key, life in lives for one in life), key=lambda one: one[:2])
    return [Step(key, activity) for _, key, activity in merged]


def taken(book: Book, step: Step) -> Outcome:
    return book.apply(step.key, step.activity, step.activity.at_ms)


def replayed(steps: list[Step], until_ms: int) -> tuple[list[Signal], list[Trip]]:
    book, signals, trips = Book(SETTINGS), list[Signal](), list[Trip]()
    for step in steps:
        outcome = taken(book, step)
        signals, trips = signals + outcome.signals, trips + outcome.trips
    outcome = book.advance(until_ms)
    return signals + outcome.signals, trips + outcome.trips


def restarted(book: Book) -> Book:
    """Nothing survives but what is stored."""
    customers = {key: decode(encode(one)) for key, one in book.customers.items()}
    return Book(SETTINGS, customers, book.clock_ms)


@settings(max_examples=FEW)
@given(histories(), st.data())
def test_batching_and_restarts_change_no_signal(steps: list[Step], data: st.DataObject) -> None:
    until_ms = steps[-1].activity.at_ms + 300 * DAY_MS
    expected = replayed(steps, until_ms)
    book, signals, trips = Book(SETTINGS), list[Signal](), list[Trip]()
    for index, step in enumerate(steps):
        happens = data.draw(st.sampled_from(["", "", "restart", "tick"]))
        if happens == "restart":
            book = restarted(book)
        if happens == "tick":  # time passes before the next activity comes
            outcome = book.advance(data.draw(st.integers(book.clock_ms, step.activity.at_ms)) if index else 0)
            signals, trips = signals + outcome.signals, trips + outcome.trips
        outcome = taken(book, step)
        signals, trips = signals + outcome.signals, trips + outcome.trips
    outcome = restarted(book).advance(until_ms)
    assert (signals + outcome.signals, trips + outcome.trips) == expected


@settings(max_examples=FEW)
@given(histories(), st.integers(1, 40))
def test_who_is_silent_for_too_long_is_forgotten_and_begins_anew(steps: list[Step], days: int) -> None:
    book = Book(msgspec.structs.replace(SETTINGS, remember_ms=days * DAY_MS))
    for step in steps:
        taken(book, step)
    assert all(
        last_sign_ms(one) + days * DAY_MS > book.clock_ms for one in book.customers.values() if one.last_ms
    )
    outcome = book.advance(steps[-1].activity.at_ms + days * DAY_MS)
    assert not book.customers
    assert not book.deadlines
    assert len({one.key for one in outcome.forgotten}) == len(outcome.forgotten)
    again = book.apply(ANNA, VisitStarted(book.clock_ms + 1), book.clock_ms + 1)
    assert (again.signals, book.customers[ANNA].visits) == ([], 1)


@settings(max_examples=FEW)
@given(histories(), st.lists(st.integers(0, 100 * DAY_MS), min_size=1, max_size=5))
def test_at_any_time_everybody_stands_where_direct_evaluation_puts_them(
    steps: list[Step], waits: list[int]
) -> None:
    book = Book(SETTINGS)
    for step in steps:
        taken(book, step)
    now_ms = book.clock_ms
    for wait_ms in waits:
        now_ms += wait_ms
        book.advance(now_ms)
        for customer in book.customers.values():
            assert customer.standing.levels == levels(customer, WITH_MODEL, now_ms)


@settings(max_examples=FEW)
@given(histories())
def test_signals_are_numbered_without_a_gap_and_each_begins_where_the_last_one_ended(
    steps: list[Step],
) -> None:
    signals, _ = replayed(steps, steps[-1].activity.at_ms + 300 * DAY_MS)
    for name in "abc":
        mine = [one for one in signals if one.key == ("shop", name)]
        assert [one.transition for one in mine] == list(range(1, len(mine) + 1))
        states = [NOTHING, *(one.state for one in mine)]
        assert [one.previous_state for one in mine] == states[:-1]
        assert sorted(one.changed_ms for one in mine) == [one.changed_ms for one in mine]


def test_a_book_looks_only_at_who_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred customers who come each week; one stays away, and is the only one looked at."""
    book, looked = Book(DEFAULTS), list[Customer]()
    for day in (0, 7, 14, 21, 28):
        for index in range(500):
            if (day, index) != (28, 0):
                book.apply(("shop", f"c-{index}"), VisitStarted(ms(day)), ms(day))

    def looking(customer: Customer, limits: Limits, now_ms: int) -> Verdict:
        looked.append(customer)
        return verdict(customer, limits, now_ms)

    monkeypatch.setattr("stream.core.churn.verdict", looking)
    [signal] = book.advance(ms(35)).signals
    assert signal.key == ("shop", "c-0")
    assert 1 <= len(looked) <= 3
    assert all(one is book.customers["shop", "c-0"] for one in looked)
