"""Laws of every KPI in the registry: nothing gives nothing, adding and taking back leaves no trace."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core import csat, engagement, loyalty, nps, registry
from stream.core.ctr import CLICKS, IMPRESSIONS, PAIRS_CLICKED, PAIRS_SEEN, UNMATCHED_CLICKS
from stream.core.dimensions import SESSION_DIMENSIONS
from stream.core.kpi import WHOLE, Count, Definition
from stream.core.loyalty import VISITORS_OF_DAY
from stream.core.sessions import Session
from stream.core.windows import UP_TO_A_DAY, Counts, add
from tests.kpi_laws import check_kpi

NUMBERS = st.integers(0, 10**6)
SESSIONS = st.builds(
    lambda pages, ms, clicks, forms, engaged, goal: Session(
        0, "a", 0, ms, "b", 0, events=pages + clicks + forms, page_views=pages, clicks=clicks,
        form_submissions=forms, engaged_ms=engaged, goals=("signup",) if goal else (),
    ),
    st.integers(0, 300), st.integers(0, 10**8), st.integers(0, 9), st.integers(0, 3),
    st.integers(0, 10**7), st.booleans(),
)  # fmt: skip
ONE_BY_ONE = [*registry.KPIS.values()]
ROOT = Path(__file__).resolve().parents[2]


def add_visitor(row: defaultdict[str, int], away_ms: list[int]) -> None:
    """A visitor with one visit, and another after each of these times."""
    row[engagement.VISITORS] += 1
    row[loyalty.NEW] += 1
    row[engagement.OPEN] += 1 + len(away_ms)
    row[loyalty.VISIT_PAIRS] += len(away_ms) * (len(away_ms) + 1) // 2
    for ms in away_ms:
        loyalty.add_return(row, ms, 1)


@st.composite
def tallies(draw: st.DrawFn) -> Counts:
    """Counts as traffic leaves them: of sessions, clicks and answers."""
    row: defaultdict[str, int] = defaultdict(int)
    for session in draw(st.lists(SESSIONS, max_size=8)):
        engagement.add_ended(row, session, 1)
        row[engagement.VISITORS] += 1
        row[loyalty.NEW] += 1
    for score in draw(st.lists(st.integers(0, 10), max_size=8)):
        add(row, nps.counts(score))
        add(row, csat.counts(score, 0, 10))
    row[IMPRESSIONS], row[CLICKS] = draw(NUMBERS), draw(NUMBERS)
    row[PAIRS_SEEN] = draw(NUMBERS)
    row[PAIRS_CLICKED] = draw(st.integers(0, row[PAIRS_SEEN]))
    row[UNMATCHED_CLICKS] = draw(NUMBERS)
    for away in draw(st.lists(st.lists(st.integers(0, 10**10), max_size=4), max_size=6)):
        add_visitor(row, away)
    row[VISITORS_OF_DAY] = draw(st.integers(0, row[engagement.VISITORS]))
    return {metric: n for metric, n in row.items() if n}


@pytest.mark.parametrize("one", ONE_BY_ONE, ids=lambda one: one.id)
def test_it_says_what_it_is(one: Definition) -> None:
    assert one.meaning.endswith(".")
    assert one.label
    assert one.unit
    assert one.formula
    assert one.dimensions


@pytest.mark.parametrize("one", ONE_BY_ONE, ids=lambda one: one.id)
def test_of_nothing_it_is_nothing(one: Definition) -> None:
    found = one.compute({}, {})
    assert found.value == (0 if isinstance(found, Count) else None)
    check_kpi(one.id, found)


@given(tallies(), tallies())
def test_adding_and_taking_back_leaves_no_trace(some: Counts, more: Counts) -> None:
    counts = dict(some)
    add(counts, more)
    both = registry.results("5m", WHOLE, counts, counts)
    add(counts, more, -1)
    assert counts == some
    assert registry.results("5m", WHOLE, counts, counts) == registry.results("5m", WHOLE, some, some)
    turned = dict(more)
    add(turned, some)
    assert registry.results("5m", WHOLE, turned, turned) == both


LONG = [one for one in ONE_BY_ONE if not one.windows <= UP_TO_A_DAY]


@pytest.mark.parametrize("one", LONG, ids=lambda one: one.id)
@given(counts=tallies())
def test_it_is_computed_from_the_counts_it_names(one: Definition, counts: Counts) -> None:
    """Longer than a day only these are kept."""
    kept = {metric: n for metric, n in counts.items() if metric in one.metrics}
    assert one.compute(kept, kept) == one.compute(counts, counts)


@given(st.lists(SESSIONS, max_size=12))
def test_sessions_taken_back_in_another_order_leave_nothing(sessions: list[Session]) -> None:
    row: defaultdict[str, int] = defaultdict(int)
    for session in sessions:
        engagement.add_ended(row, session, 1)
    for session in sorted(sessions, key=lambda one: (one.page_views, one.last_ms)):
        engagement.add_ended(row, session, -1)
    assert not any(row.values())


@given(tallies())
def test_every_result_can_be_written(counts: Counts) -> None:
    for dimension in (WHOLE, "element", "goal", "survey", *SESSION_DIMENSIONS):
        for name, kpi in registry.results("all", dimension, counts, counts).items():
            assert msgspec.json.decode(msgspec.json.encode(kpi))["type"] in ("count", "mean", "rate", "score")
            assert dimension in registry.KPIS[name].dimensions
            check_kpi(name, kpi)


def test_a_window_may_have_kpis_of_its_own() -> None:
    assert "active_visitors" in registry.results("5m", WHOLE, {}, {})
    assert "active_visitors" not in registry.results("1h", WHOLE, {}, {})


@given(some=tallies(), site=tallies())
def test_only_shares_of_the_site_change_with_the_site(some: Counts, site: Counts) -> None:
    """The publisher makes the others anew only when their own segment changes."""
    for one in ONE_BY_ONE:
        if not one.of_site:
            assert one.compute(some, site) == one.compute(some, {}), one.id


@pytest.mark.parametrize("one", ONE_BY_ONE, ids=lambda one: one.id)
def test_everybody_can_look_up_whose_definition_it_is(one: Definition) -> None:
    """A title and where it is published; of our own the page and the section, which exist."""
    assert ", " in one.source
    if "latido" in one.source:
        found = re.match(r"latido: (docs/[a-z]+\.md), section ([^;]+)", one.source)
        assert found, one.source
        page = (ROOT / found[1]).read_text(encoding="utf-8")
        assert f"\n## {found[2]}" in page
