"""The laws over the whole registry: whatever KPI there is, or will be, is tested here without being named.

Traffic makes the counts, so that they are such as can occur; what a KPI says of them is only known to obey
the laws. That it is also the right number is what tests/pipeline/test_laws.py holds against the oracle.
"""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stream.core import registry
from stream.core.kpi import Count, Kpi, Rate
from stream.core.windows import Counts, add
from stream.pipeline.sums import ALL_WINDOWS
from tests.builders import Lane
from tests.kpi_laws import check_kpi
from tests.pipeline.histories import FATES, KINDS, STEPS, UNITS, Draft, Step, build, drafts, play_replay

WITHOUT_CONFLICT = [fate for fate in FATES if fate != "conflict"]  # there the first content counts
NEVER_LATE = 1000  # ticks of grace


def records(lane: Lane) -> dict[str, dict[str, Any]]:
    """Every record as it would be published, without when and as which one."""
    found = {}
    for key, record in lane.snapshot().records.items():
        whole = msgspec.to_builtins(record)
        found[key] = {name: whole[name] for name in whole if name not in ("sequence", "published_at")}
    return found


def check_bounds(lane: Lane) -> None:
    """Every record holds the KPIs that apply, and every figure of it is possible."""
    for record in lane.snapshot().records.values():
        applying = registry.that_apply(record.window.name, record.segment.dimension)
        assert list(record.kpis) == [one.id for one in applying]
        for name, kpi in record.kpis.items():
            check_kpi(name, kpi)


def tallies(lane: Lane) -> dict[tuple[str, str], list[Counts]]:
    """(window, dimension) -> the counts of its segments, as partitions hand them in to be added up."""
    found: dict[tuple[str, str], list[Counts]] = defaultdict(list)
    for site in lane.partition.state.sites.values():
        for name, tally in site.segments.items():
            dimension = name.partition("=")[0]
            for window in ALL_WINDOWS:
                if registry.that_apply(window, dimension):
                    found[window, dimension].append(dict(tally.window(window)[0]))
    return found


@given(
    made=drafts(WITHOUT_CONFLICT), unit=UNITS, steps=STEPS, every=st.booleans(),
    shuffled=st.randoms(use_true_random=False),
)  # fmt: skip
def test_whole_records_do_not_depend_on_order_batches_repeats_and_restarts(
    made: list[Draft], unit: int, steps: list[Step], every: bool, shuffled: Any
) -> None:
    straight = build(made, unit, None, grace=NEVER_LATE, every=every).lane()
    play_replay(straight, [])
    mixed = build(made, unit, None, grace=NEVER_LATE, every=every)
    for log in mixed.items.values():
        shuffled.shuffle(log)
        log[:] = [record._replace(offset=offset) for offset, record in enumerate(log)]
    lane = mixed.lane()
    play_replay(lane, steps)
    assert records(lane) == records(straight)
    check_bounds(lane)
    lane.open()  # and once more from what is stored
    lane.know_ends()
    lane.tick()
    assert records(lane) == records(straight)


@given(made=drafts(), unit=UNITS)
def test_counts_are_integers_that_add_merge_and_retract_to_nothing(made: list[Draft], unit: int) -> None:
    lane = build(made, unit, None).lane()
    play_replay(lane, [])
    for place, segments in tallies(lane).items():
        for one, other in pairwise([*segments, segments[0]]):
            check_sum(place, one, other)


def check_sum(place: tuple[str, str], one: Counts, other: Counts) -> None:
    def results(counts: Counts) -> dict[str, Kpi]:
        return registry.results(*place, counts, counts)

    assert all(type(n) is int and n > 0 for n in one.values())
    before = results(one)
    assert results(one) == before  # computing changes nothing
    there, back = dict(one), dict(other)
    add(there, other)
    add(back, one)
    assert there == back
    assert results(there) == results(back)
    for name, kpi in results(there).items():
        check_kpi(name, kpi)
    add(there, other, -1)
    assert there == one
    assert results(there) == before
    add(there, one, -1)
    assert there == {}


def test_of_nothing_every_kpi_is_nothing() -> None:
    for definition in registry.KPIS.values():
        kpi = definition.compute({}, {})
        assert kpi.value == (0 if isinstance(kpi, Count) else None)
        check_kpi(definition.id, kpi)


def test_the_traffic_of_these_tests_moves_every_kpi() -> None:
    """Else a law would hold for want of numbers."""
    moved: set[str] = set()
    for seed in range(12):
        dice = random.Random(seed)
        made = [
            Draft(dice.choice(KINDS), dice.randrange(300), dice.randrange(3), 0, dice.randrange(60), "fine")
            for _ in range(60)
        ]
        lane = build(made, (7_000, 13 * 60_000)[seed % 2], None, grace=NEVER_LATE).lane()
        play_replay(lane, [])
        for record in lane.snapshot().records.values():
            moved |= {name for name, kpi in record.kpis.items() if _says_something(kpi)}
    assert set(registry.KPIS) - moved == set()


def _says_something(kpi: Kpi) -> bool:
    if isinstance(kpi, Rate):
        return kpi.numerator > 0
    return kpi.n > 0 if not isinstance(kpi, Count) else kpi.value > 0
