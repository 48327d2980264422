"""Profiles: each hand-worked case under each profile, and the laws of the fold."""

from __future__ import annotations

import random
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.commands.replay import ProfileName
from stream.core.profiles import LATIDO, PROFILES, Profile
from stream.core.profiles_compare import compare
from stream.core.profiles_fold import Step, Visit, is_over, is_settled, visits_of
from tests.core.profile_cases import (
    CASES,
    as_markdown,
    described,
    expected,
    steps,
    visits,
    zone_of,
)

DOCS = Path(__file__).parents[2] / "docs" / "profiles.md"
RULES = {"boundary", "midnight", "campaign", "maximum length", "engaged", "bounce", "duration", "page pings"}
TICK_S = 300


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['rule']}: {case['case']}")
def test_case(case: dict[str, Any], name: str) -> None:
    profile = PROFILES[name]
    got = [described(visit, profile) for visit in visits(case, profile)]
    wanted = expected(case, name)
    assert [{key: one[key] for key in two} for one, two in zip(got, wanted, strict=True)] == wanted


def test_every_rule_has_a_case() -> None:
    assert {case["rule"] for case in CASES} == RULES


def test_the_page_shows_the_cases_that_run_here() -> None:
    assert as_markdown() in DOCS.read_text("utf-8")


def test_the_command_offers_all_profiles() -> None:
    assert [one.value for one in ProfileName] == list(PROFILES)


# ---------------------------------------------------------------- laws

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("page_view", "page_view", "page_ping", "click")),
        st.integers(0, 400),
        st.sampled_from((None, None, None, "spring", "autumn")),
    ),
    max_size=30,
)
ANY = st.sampled_from(tuple(PROFILES.values()))


def some_steps(events: list[tuple[str, int, str | None]]) -> list[Step]:
    found = []
    for number, (kind, tick, campaign) in enumerate(events):
        minutes = tick * TICK_S // 60
        at = f"{minutes // 60}:{minutes % 60:02}:00"
        [step] = steps({"events": [[kind, at, {"event_id": f"e{number}", "campaign": campaign}]]})
        found.append(step)
    return found


def facts(found: list[Visit]) -> list[Any]:
    return [(visit.start, visit.begins, visit.ends, visit.session) for visit in found]


@given(events=EVENTS, profile=ANY, dice=st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(events: Any, profile: Profile, dice: random.Random) -> None:
    given_steps = some_steps(events)
    shuffled = dice.sample(given_steps, len(given_steps))
    assert visits_of(given_steps, profile, UTC) == visits_of(shuffled, profile, UTC)


@given(events=EVENTS, profile=ANY)
def test_every_event_is_in_one_session_or_is_a_ping_outside(events: Any, profile: Profile) -> None:
    given_steps = some_steps(events)
    found, outside = visits_of(given_steps, profile, UTC)
    sums = [sum(getattr(visit.session, name) for visit in found) for name in ("page_views", "clicks")]
    kinds = [kind for kind, _, _ in events]
    assert sums == [kinds.count("page_view"), kinds.count("click")]
    inside = sum(len(times) for visit in found for times in visit.beats.values())
    assert inside <= kinds.count("page_ping") - outside  # two pings of one instant are one beat
    assert outside == 0 or profile.pings != "member"
    starts = [visit.start for visit in found]
    assert starts == sorted(starts)


@given(events=EVENTS, profile=ANY)
def test_a_session_keeps_its_rules(events: Any, profile: Profile) -> None:
    found, _ = visits_of(some_steps(events), profile, UTC)
    for visit in found:
        length_ms = visit.session.last_ms - visit.session.first_ms
        assert profile.longest_ms is None or length_ms <= profile.longest_ms
        if profile.at_midnight:
            first, heard = visit.session.first_ms, visit.heard_ms
            assert first // 86_400_000 == heard // 86_400_000
    for before, after in pairwise(found):
        assert before.ends == after.begins
        assert (after.begins == "silence") is not profile.joins(after.silence_ms)


@given(visitors=st.lists(EVENTS, max_size=3))
def test_the_differences_add_up(visitors: list[Any]) -> None:
    """Sessions of a profile are latido's, and those more, and without those fewer."""
    traffic = {("s", f"v{n}"): some_steps(events) for n, events in enumerate(visitors)}
    latido, *others = compare(traffic, UTC)
    assert latido.profile == LATIDO.name
    assert set(latido.against_latido.more.values()) == {0}
    for one in others:
        difference = one.against_latido
        changed = sum(difference.more.values()) - sum(difference.fewer.values())
        assert one.sessions == latido.sessions + changed
        assert one.page_views == latido.page_views
        assert difference.cut_alike <= min(one.sessions, latido.sessions)


@pytest.mark.parametrize(
    ("case", "more", "fewer"),
    [
        (
            "silence of exactly 30 minutes",
            {"ga4": "boundary", "matomo": "boundary", "snowplow": "boundary"},
            {},
        ),
        ("one millisecond more", {}, {"plausible": "boundary"}),
        ("in Madrid it is midnight at 23:00 UTC", {"matomo": "midnight"}, {}),
        ("a visit from another site does not", {"matomo": "campaign"}, {}),
        ("a view each 20 minutes for 24 h 20 min", {"matomo": "midnight", "posthog": "length"}, {}),
        ("a ping in the middle of 45 minutes", {"matomo": "pings"}, {}),
        (
            "a ping before the first view",
            {"matomo": "pings", "plausible": "pings"},
            {"matomo": "pings", "plausible": "pings"},
        ),
    ],
)
def test_why_a_case_differs_from_latido(case: str, more: dict[str, str], fewer: dict[str, str]) -> None:
    [found] = [one for one in CASES if one["case"] == case]
    got: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for one in compare({("s", "v"): steps(found)}, zone_of(found)):
        for kind, reasons in zip(got, (one.against_latido.more, one.against_latido.fewer), strict=True):
            assert set(reasons.values()) <= {0, 1}
            for why in (why for why, n in reasons.items() if n):
                assert kind.setdefault(one.profile, why) == why
    assert got == (more, fewer)


def test_another_gap_of_latido_is_a_reason() -> None:
    [case] = [one for one in CASES if one["case"] == "two views five minutes apart"]
    shorter = msgspec.structs.replace(LATIDO, gap_ms=60_000)
    latido, *others = compare({("s", "v"): steps(case)}, UTC, shorter)
    assert latido.sessions == 2
    assert all(one.against_latido.fewer["boundary"] == 1 for one in others)


@pytest.mark.parametrize("name", PROFILES)
def test_settled_is_what_no_accepted_event_can_reach(name: str) -> None:
    """The earliest event still accepted joins a visit for as long as it is not settled, and not after."""
    profile, lateness_ms = PROFILES[name], 1000
    [case] = [one for one in CASES if one["case"] == "one view"]
    [visit] = visits(case, profile)
    last_ms = visit.session.last_ms
    reach_ms = max(ms for ms in (1_799_999, 1_800_000, 1_859_999) if profile.joins(ms))
    if not profile.inclusive:
        reach_ms += 1  # one instant of caution
    assert not is_settled(visit, profile, last_ms + reach_ms + lateness_ms, lateness_ms)
    assert is_settled(visit, profile, last_ms + reach_ms + lateness_ms + 1, lateness_ms)


@pytest.mark.parametrize("name", PROFILES)
def test_a_visit_is_over_when_the_next_event_would_not_join(name: str) -> None:
    profile = PROFILES[name]
    [case] = [one for one in CASES if one["case"] == "one view"]
    [visit] = visits(case, profile)
    for silence_ms in (0, 1_799_999, 1_800_000, 1_800_001, 1_859_999, 1_860_000):
        assert is_over(visit, profile, visit.heard_ms + silence_ms) is not profile.joins(silence_ms)
    visit.ends = "campaign"
    assert is_over(visit, profile, visit.heard_ms)


def test_zones_are_those_of_the_case() -> None:
    assert {str(zone_of(case)) for case in CASES} == {"UTC", "Europe/Madrid"}
