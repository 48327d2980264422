"""How good the churn rules would have been: their signals against who really stayed away.

A customer stayed away when no visit followed a visit for the horizon or longer. Each limit of each rule is
judged by itself, and so is each state. A signal is right when such an absence was on, or began while the
signal stood and within the horizon after it; undecided when the history ends too soon to know; late when the
absence was that long already, so that it told nothing new.
"""

from __future__ import annotations

from statistics import median

import msgspec

from stream.churn.history import History
from stream.core.churn import STATES, Book, Key, Signal, Trip
from stream.core.churn_rules import RULES
from stream.core.churn_settings import ChurnSettings
from stream.core.customers import VisitEnded, VisitStarted
from stream.core.event_time import FOREVER_MS
from stream.core.kpi import Rate
from stream.core.statistics import rate

STATE = "state"
"""In place of a rule's name: all rules together."""

Occasions = list[tuple[int, int]]
"""(begin, last event) in ms, in order, none overlapping."""


class Score(msgspec.Struct, frozen=True):
    """One limit of one rule (or one state) over the whole history."""

    rule: str
    level: str  # watch, at_risk or lost
    signals: int
    undecided: int
    late: int
    repeated: int  # of the same customer within the horizon: flapping
    precision: Rate  # right / right and wrong
    recall: Rate  # silences that began a staying away and were told in time / all of them
    lead_ms: float | None  # median over those: how long before the horizon was over


class Backtest(msgspec.Struct, frozen=True):
    """What the history held, and the scores."""

    customers: int
    visits: int
    with_rhythm: int  # customers with enough gaps to have a rhythm of their own
    stayed_away: int  # silences of the horizon or longer
    returned: int  # of those, how many ended with a visit
    begin_ms: int | None
    end_ms: int | None
    horizon_ms: int
    scores: list[Score]


class Played(msgspec.Struct):
    """What the rules said, in order of time."""

    signals: list[Signal]
    trips: list[Trip]


def play(history: History, settings: ChurnSettings) -> Played:
    """All signals and trips of the history, silence up to its end included."""
    book, signals, trips = Book(settings), list[Signal](), list[Trip]()
    for one in history.recorded:
        outcome = book.apply(one.key, one.activity, one.known_ms)
        signals += outcome.signals
        trips += outcome.trips
    outcome = book.advance(history.end_ms)
    return Played(signals + outcome.signals, trips + outcome.trips)


def backtest(history: History, settings: ChurnSettings, horizon_ms: int) -> Backtest:
    """Judge every rule that has limits, and the states."""
    played = play(history, settings)
    occasions = _occasions(history, settings)
    customers = history.customers(settings.limits.occasion_ms).values()
    silences = [
        (index + 1 < len(visits), silence_ms)
        for visits in occasions.values()
        for index, silence_ms in enumerate(_silences(visits, history.end_ms))
    ]
    begins = [visits[0][0] for visits in occasions.values()]
    return Backtest(
        customers=len(occasions),
        visits=sum(one.visits for one in customers),
        with_rhythm=sum(one.rhythm.gaps >= settings.limits.least_gaps for one in customers),
        stayed_away=sum(silence_ms >= horizon_ms for _, silence_ms in silences),
        returned=sum(came_back and silence_ms >= horizon_ms for came_back, silence_ms in silences),
        begin_ms=min(begins, default=None),
        end_ms=history.end_ms if begins else None,
        horizon_ms=horizon_ms,
        scores=[
            _score(rule, level, spans, occasions, history.end_ms, horizon_ms)
            for (rule, level), spans in _spans(played, settings).items()
        ],
    )


def _occasions(history: History, settings: ChurnSettings) -> dict[Key, Occasions]:
    """Of each customer the times at which they were there, those of several devices together."""
    begins: dict[Key, list[int]] = {}
    ends: dict[Key, list[int]] = {}
    for one in history.recorded:
        if isinstance(one.activity, VisitStarted):
            begins.setdefault(one.key, []).append(one.activity.at_ms)
        elif isinstance(one.activity, VisitEnded):
            ends.setdefault(one.key, []).append(one.activity.at_ms)
    # Of intervals the n-th begin and the n-th end, each in order, give the same union.
    return {
        key: _union(list(zip(sorted(found), sorted(ends[key]), strict=True)), settings.limits.occasion_ms)
        for key, found in begins.items()
    }


def _union(visits: Occasions, occasion_ms: int) -> Occasions:
    found: Occasions = []
    for begin, last in visits:
        if found and begin - found[-1][1] <= occasion_ms:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((begin, last))
    return found


def _silences(visits: Occasions, end_ms: int) -> list[int]:
    """After each occasion, up to the next one or the end of the history."""
    nexts = [begin for begin, _ in visits[1:]] + [end_ms]
    return [following - last for (_, last), following in zip(visits, nexts, strict=True)]


Spans = dict[Key, list[tuple[int, int | None]]]
"""When a limit was reached and when no longer: [from, to) in ms, `to` None where it lasts."""


def _spans(played: Played, settings: ChurnSettings) -> dict[tuple[str, int], Spans]:
    """By rule and level, in the order of the rules; the states last."""
    steps = {
        "overdue": len(settings.limits.overdue),
        "declining": len(settings.limits.declining),
        "alive_probability": len(settings.limits.alive) if settings.limits.bgnbd else 0,
    }
    wanted = [
        (rule.name, level)
        for rule in RULES
        if rule.is_risk
        for level in (range(1, steps[rule.name] + 1) if rule.name in steps else (2,))
    ]
    found: dict[tuple[str, int], Spans] = {one: {} for one in wanted}
    found |= {(STATE, level): {} for level in (1, 2, 3)}
    for trip in played.trips:
        for (rule, level), spans in found.items():
            if rule == trip.rule:
                _step(spans, trip.key, trip.at_ms, trip.before >= level, trip.level >= level)
    for one in played.signals:
        for level in (1, 2, 3):
            was, now = one.previous_state >= level, one.state >= level
            _step(found[STATE, level], one.key, one.changed_ms, was, now)
    return found


def _step(spans: Spans, key: Key, at_ms: int, was: bool, now: bool) -> None:
    if now and not was:
        spans.setdefault(key, []).append((at_ms, None))
    elif was and not now and spans.get(key):
        begin, _ = spans[key][-1]
        spans[key][-1] = begin, at_ms


def _score(
    rule: str, level: int, spans: Spans, occasions: dict[Key, Occasions], end_ms: int, horizon_ms: int
) -> Score:
    right = wrong = undecided = late = repeated = away = 0
    leads: list[int] = []
    for key, visits in occasions.items():
        mine, silences = spans.get(key, []), _silences(visits, end_ms)
        absences = [
            (last, last + ms) for (_, last), ms in zip(visits, silences, strict=True) if ms >= horizon_ms
        ]
        open_ms = None if silences[-1] >= horizon_ms else visits[-1][1]  # an absence may yet come of it
        for index, (at_ms, off_ms) in enumerate(mine):
            repeated += index > 0 and at_ms - mine[index - 1][0] < horizon_ms
            by_ms = min(at_ms + horizon_ms, FOREVER_MS if off_ms is None else off_ms)
            if any(last < by_ms and at_ms < last + horizon_ms for last, _ in absences):
                right += 1
            elif any(last + horizon_ms <= at_ms <= back for last, back in absences):
                late += 1
            elif open_ms is not None and open_ms < by_ms:
                undecided += 1
            else:
                wrong += 1
        away += len(absences)
        leads += [lead for last, _ in absences for lead in _lead(mine, last, last + horizon_ms)]
    return Score(
        rule=rule,
        level=STATES[level],
        signals=sum(map(len, spans.values())),
        undecided=undecided,
        late=late,
        repeated=repeated,
        precision=rate(right, right + wrong, of="decided signals"),
        recall=rate(len(leads), away, of="silences of the horizon or longer"),
        lead_ms=median(leads) if leads else None,
    )


def _lead(mine: list[tuple[int, int | None]], last_ms: int, over_ms: int) -> list[int]:
    """How long before `over_ms` it was first told, as one number; none when it was not."""
    told = [max(begin, last_ms) for begin, end in mine if begin < over_ms and (end is None or end > last_ms)]
    return [over_ms - min(told)] if told else []
