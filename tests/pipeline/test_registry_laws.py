"""The laws over the whole registry: whatever KPI there is, or will be, is tested here without being named.

Traffic makes the counts, so that they are such as can occur; what a KPI says of them is only known to obey
the laws. That it is also the right number is what tests/pipeline/test_laws.py holds against the oracle.

The histories are drawn once for all KPIs. Each KPI then tells whether it broke a law, with the simplest
history in which one did.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core import registry
from stream.core.kpi import Count, Kpi, Rate
from stream.core.policy import DAY_MS
from stream.core.windows import ALL_TIME, Counts, add
from stream.pipeline.sums import ALL_WINDOWS
from tests.builders import BASE_MS, Lane
from tests.kpi_laws import check_kpi
from tests.pipeline.histories import (
    FATES,
    KINDS,
    STEPS,
    UNITS,
    Draft,
    Logs,
    Step,
    build,
    drafts,
    play_live,
    play_replay,
)

WITHOUT_CONFLICT = [fate for fate in FATES if fate != "conflict"]  # there the first content counts
NEVER_LATE = 1000  # ticks of grace
RECORDS = "(records)"  # stands for what is no KPI: which records there are, their windows and completeness

Figures = dict[tuple[str, str], object]  # (key of the record, KPI) -> what it says
Breaches = dict[str, set[str]]  # KPI -> laws that it broke


class Case(NamedTuple):
    """A history, and another one that must lead to the same."""

    law: str
    made: list[Draft]
    unit: int
    steps: list[Step]
    every: bool
    shuffle: Callable[[list[Any]], None]

    def logs(self) -> Logs:
        grace = NEVER_LATE if self.law == ORDER else 2
        return build(self.made, self.unit, None, grace=grace, every=self.every)


ORDER = "if nothing is late, every order, batching and repeat gives the same"
REPLAY = "every interleaving of fixed logs, every batching and restart gives the same"
LIVE = "if nothing is late by another topic, a live run gives what a replay gives"
RESTART = "what is stored gives the same again"
BOUNDS = "every figure that applies is there, and possible"
SUMS = "counts add, merge and retract to the integer"

CASES = st.builds(
    Case, st.sampled_from((ORDER, ORDER, REPLAY, LIVE)), drafts(WITHOUT_CONFLICT), UNITS, STEPS,
    st.booleans(),
    st.randoms(use_true_random=False).map(lambda dice: dice.shuffle),
)  # fmt: skip


@pytest.fixture(scope="module")
def breaches() -> dict[str, str]:
    """KPI -> the laws it broke, and the simplest history in which some KPI does."""
    found: Breaches = defaultdict(set)

    @given(case=CASES)
    def look(case: Case) -> None:
        found.clear()
        straight = case.logs().lane()
        play_replay(straight, [])
        _check_bounds(straight, found)
        _check_sums(straight, found)
        _check_histories(case, straight, found)
        assert not found

    try:
        look()
    except AssertionError as error:
        if not found:
            raise
        history = "\n".join(getattr(error, "__notes__", []))
        return {kpi: f"{'; '.join(sorted(laws))}\n{history}" for kpi, laws in found.items()}
    return {}


@pytest.mark.parametrize("kpi", [*registry.KPIS, RECORDS])
def test_it_obeys_every_law(kpi: str, breaches: dict[str, str]) -> None:
    assert kpi not in breaches, breaches[kpi]


def _check_histories(case: Case, straight: Lane, found: Breaches) -> None:
    """The history of the case against the straight one."""
    logs = case.logs()
    if case.law == ORDER:
        for log in logs.items.values():
            case.shuffle(log)
            log[:] = [record._replace(offset=offset) for offset, record in enumerate(log)]
    lane = logs.lane()
    if case.law != LIVE:
        play_replay(lane, case.steps)
        _compare(case.law, figures(lane, whole=case.law == ORDER),
                 figures(straight, whole=case.law == ORDER), found)  # fmt: skip
        before = figures(lane)
        lane.open()
        lane.know_ends()
        lane.tick()
        _compare(RESTART, figures(lane), before, found)
        return
    play_live(lane, case.steps, case.unit)
    if "other_topic" not in lane.late().values():
        for one in (lane, straight):
            _let_visits_end(one)
        _compare(LIVE, since_the_beginning(lane), since_the_beginning(straight), found)


def _let_visits_end(lane: Lane) -> None:
    """Ten days without an event: the live clocks of two histories differ, and so does who is still there."""
    for pause_ms in (0, 10 * DAY_MS):
        lane.wall_ms = (lane.wall_ms or BASE_MS) + pause_ms
        lane.know_ends()
        lane.tick()


def figures(lane: Lane, *, whole: bool = True) -> Figures:
    """Every figure as it would be published, and with `whole` what is told beside it of the input."""
    found: Figures = {}
    for key, record in lane.snapshot().records.items():
        completeness = record.completeness if whole else None
        found[key, RECORDS] = (record.window, record.segment, record.as_of, record.truncated, completeness)
        found |= {(key, name): kpi for name, kpi in record.kpis.items()}
    return found


def since_the_beginning(lane: Lane) -> Figures:
    """Every KPI of the window that does not move with the clock."""
    return {
        (key, name): kpi
        for key, record in lane.snapshot().records.items() if record.window.name == ALL_TIME
        for name, kpi in record.kpis.items()
    }  # fmt: skip


def _compare(law: str, one: Figures, other: Figures, found: Breaches) -> None:
    for place in one.keys() | other.keys():
        if one.get(place) != other.get(place):
            found[place[1]].add(law)


def _check_bounds(lane: Lane, found: Breaches) -> None:
    for record in lane.snapshot().records.values():
        applying = [one.id for one in registry.that_apply(record.window.name, record.segment.dimension)]
        if list(record.kpis) != applying:
            for name in {*applying} ^ {*record.kpis} or {RECORDS}:
                found[name].add(BOUNDS)
        _check_values(BOUNDS, record.kpis, found)


def _check_values(law: str, kpis: dict[str, Kpi], found: Breaches) -> None:
    for name, kpi in kpis.items():
        try:
            check_kpi(name, kpi)
        except AssertionError:
            found[name].add(law)


def tallies(lane: Lane) -> Iterator[tuple[str, str, list[Counts]]]:
    """(window, dimension, the counts of its segments), as partitions hand them in to be added up."""
    found: dict[tuple[str, str], list[Counts]] = defaultdict(list)
    for site in lane.partition.state.sites.values():
        for name, tally in site.segments.items():
            dimension = name.partition("=")[0]
            for window in ALL_WINDOWS:
                if registry.that_apply(window, dimension):
                    found[window, dimension].append(dict(tally.window(window)[0]))
    return ((*place, counts) for place, counts in found.items())


def _check_sums(lane: Lane, found: Breaches) -> None:
    for window, dimension, segments in tallies(lane):
        for one, other in pairwise([*segments, segments[0]]):
            _check_sum(window, dimension, one, other, found)


def _check_sum(window: str, dimension: str, one: Counts, other: Counts, found: Breaches) -> None:
    def results(counts: Counts) -> dict[str, Kpi]:
        return registry.results(window, dimension, counts, counts)

    assert all(type(n) is int and n > 0 for n in one.values())
    before = results(one)
    there, back = dict(one), dict(other)
    add(there, other)
    add(back, one)
    merged, other_way = results(there), results(back)
    _check_values(SUMS, merged, found)
    add(there, other, -1)
    assert there == one
    again = results(there)  # also: computing has changed nothing
    for name in before:
        if again[name] != before[name] or merged[name] != other_way[name]:
            found[name].add(SUMS)


# ---------------------------------------------------------------- and they hold for no want of numbers


@pytest.fixture(scope="module")
def moved() -> set[str]:
    """The KPIs that the traffic of these tests moves."""
    found: set[str] = set()
    for seed in range(12):
        dice = random.Random(seed)
        made = [
            Draft(dice.choice(KINDS), dice.randrange(300), dice.randrange(3), 0, dice.randrange(60), "fine")
            for _ in range(60)
        ]
        lane = build(made, (7_000, 13 * 60_000)[seed % 2], None, grace=NEVER_LATE).lane()
        play_replay(lane, [])
        for record in lane.snapshot().records.values():
            found |= {name for name, kpi in record.kpis.items() if _says_something(kpi)}
    return found


@pytest.mark.parametrize("kpi", registry.KPIS)
def test_the_traffic_of_these_tests_moves_it(kpi: str, moved: set[str]) -> None:
    assert kpi in moved


def _says_something(kpi: Kpi) -> bool:
    if isinstance(kpi, Rate):
        return kpi.numerator > 0
    return kpi.n > 0 if not isinstance(kpi, Count) else kpi.value > 0


def test_a_kpi_that_breaks_a_law_is_named() -> None:
    """Of two histories in which one KPI differs, that one; of an impossible figure its own."""
    found: Breaches = defaultdict(set)
    _compare(
        ORDER, {("k", "ctr"): Count(1), ("k", "nps"): 1}, {("k", "ctr"): Count(2), ("k", "nps"): 1}, found
    )
    _check_values(BOUNDS, {"clicks": Count(-1), "sessions": Count(1)}, found)
    assert found == {"ctr": {ORDER}, "clicks": {BOUNDS}}
