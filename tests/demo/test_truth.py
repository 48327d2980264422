"""The recomputation on logs so small that every figure can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from stream.demo.plain_log import Goal, Rules
from stream.demo.truth import recompute
from tests.demo.logs import MINUTE_MS, NOON_MS, LogWriter

HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
RULES = Rules(
    goals=(Goal("signup", "form", "signup"), Goal("thanks", "page", "/thanks*"), Goal("buy", "element", "b"))
)


def kpis(log: LogWriter, at_ms: int, window: str = "all", segment: str = "all") -> dict[str, Any]:
    return recompute(log.records, RULES, NOON_MS + at_ms)[f"default|{window}|{segment}"]


def test_silence_of_exactly_the_gap_stays_in_the_session() -> None:
    log = LogWriter()
    log.view(0)
    log.view(30 * MINUTE_MS)
    log.view(60 * MINUTE_MS + 1)
    assert kpis(log, 90 * MINUTE_MS)["sessions"] == {"type": "count", "value": 2, "open": 1, "ended": 1}


def test_a_session_is_open_until_the_gap_has_passed() -> None:
    log = LogWriter()
    log.view(0)
    assert kpis(log, 30 * MINUTE_MS)["sessions"]["open"] == 1
    assert kpis(log, 30 * MINUTE_MS + 1)["sessions"]["ended"] == 1


def test_pages_and_durations_are_over_ended_sessions() -> None:
    log = LogWriter()
    for at_ms in (0, 60_000, 120_000):
        log.view(at_ms, "v1")
    log.view(0, "v2")
    log.view(HOUR_MS, "v3")
    log.event("page_ping", HOUR_MS + 1000, "v3", url="/", engaged_ms=1000)
    found = kpis(log, HOUR_MS + 2000)
    pages, duration = found["pages_per_session"], found["session_duration_ms"]
    assert (pages["value"], pages["n"], pages["with_open"], pages["p50"], pages["p95"]) == (2, 2, 5 / 3, 1, 3)
    assert pages["sd"] == pytest.approx(2**0.5)
    assert pages["high"] == pytest.approx(2 + 12.706204736 * 2**0.5 / 2**0.5)
    # 120 000 ms falls into the bucket of 118 784 to 120 831
    assert (duration["value"], duration["n"], duration["p95"]) == (60_000, 2, 119_808)
    assert found["bounce_rate"]["numerator"] == 1
    assert found["unique_visitors"]["value"] == 3


def test_a_click_or_a_form_makes_no_bounce() -> None:
    log = LogWriter()
    for visitor in ("v1", "v2", "v3"):
        log.view(0, visitor)
    log.click(1, "a", "v1")
    log.event("form_submission", 1, "v2", form_id="f", url="/")
    assert kpis(log, HOUR_MS)["bounce_rate"]["numerator"] == 1
    assert kpis(log, HOUR_MS)["bounce_rate"]["denominator"] == 3


def test_windows_begin_at_a_whole_bucket_and_have_no_end() -> None:
    log = LogWriter()
    for at_ms in (-60_000, -50_001, -50_000, 0, 100_000):
        log.view(at_ms, arrival_ms=0)
    minute = kpis(log, 5_000, "1m")  # from -55 s: the first whole bucket begins at -50 s
    assert minute["page_views"] == {"type": "count", "value": 3, "previous": 2}
    assert kpis(log, 0, "1m")["page_views"] == {"type": "count", "value": 5, "previous": 0}
    assert "previous" not in kpis(log, 0)["page_views"]
    assert "previous" not in minute["unique_visitors"]


def test_active_visitors_are_those_of_five_minutes() -> None:
    log = LogWriter()
    log.view(0, "v1")
    log.view(0, "v2")
    log.view(4 * MINUTE_MS, "v1")
    assert kpis(log, 6 * MINUTE_MS, "5m")["active_visitors"] == {"type": "count", "value": 1}
    assert "active_visitors" not in kpis(log, 6 * MINUTE_MS, "1m")


def test_a_page_pair_lives_in_a_session_and_is_dated_by_its_first_impression() -> None:
    log = LogWriter()
    log.click(0, "a")
    log.seen(1000, "a")
    log.seen(2 * MINUTE_MS, "a")
    log.seen(HOUR_MS, "a")  # the next session
    log.click(HOUR_MS, "never-seen")
    log.click(HOUR_MS + MINUTE_MS, "never-seen")
    found = kpis(log, HOUR_MS + MINUTE_MS)
    assert (found["ctr"]["numerator"], found["ctr"]["denominator"], found["ctr"]["unmatched_clicks"]) == (
        3,
        3,
        2,
    )
    assert (found["unique_ctr"]["numerator"], found["unique_ctr"]["denominator"]) == (1, 2)
    recent = kpis(log, HOUR_MS + 90_000, "1m")  # the click is in it, the pair is older
    assert (recent["clicks"]["value"], recent["ctr"]["unmatched_clicks"]) == (1, 0)


def test_a_mail_pair_lives_until_a_week_passes_without_it() -> None:
    log = LogWriter()
    mail = {"surface": "mail"}
    log.seen(0, "m", url=None, **mail)
    log.click(7 * DAY_MS, "m", **mail)
    log.click(14 * DAY_MS + 1, "m", **mail)
    found = kpis(log, 15 * DAY_MS)
    assert (found["unique_ctr"]["numerator"], found["unique_ctr"]["denominator"]) == (1, 1)
    assert found["ctr"]["unmatched_clicks"] == 1
    assert found["ctr"]["suspect"] is True
    assert found["ctr"]["low"] is None
    assert found["sessions"]["value"] == 2  # clicks in a mail belong to sessions, impressions do not


def test_elements_and_positions_have_segments_while_they_occur() -> None:
    log = LogWriter()
    log.seen(0, "a", position=1)
    log.seen(0, "b")
    log.click(1000, "a", position=1)
    now = recompute(log.records, RULES, NOON_MS + 1000)
    assert now["default|1m|element=a"]["unique_ctr"]["numerator"] == 1
    assert now["default|1m|element=b"]["impressions"]["value"] == 1
    assert now["default|1m|position=1"]["ctr"]["value"] == 1
    assert now["default|1m|position=1"]["unique_ctr"]["denominator"] == 1
    assert "open_rate" not in now["default|1m|position=1"]
    later = recompute(log.records, RULES, NOON_MS + 100_000)
    assert later["default|1m|element=a"]["impressions"] == {"type": "count", "value": 0, "previous": 1}
    gone = recompute(log.records, RULES, NOON_MS + 140_000)
    assert "default|1m|element=a" not in gone
    assert "default|all|element=a" in gone
    assert "default|1m|all" in gone


def test_goals_count_events_visitors_and_ended_sessions() -> None:
    log = LogWriter()
    log.view(0, "v1")
    log.event("form_submission", 1000, "v1", form_id="signup", url="/")
    log.event("form_submission", 2000, "v1", form_id="signup", url="/")
    log.view(0, "v2")
    log.view(HOUR_MS, "v3", url="/thanks/3?x")
    signup = kpis(log, HOUR_MS, segment="goal=signup")
    assert signup["conversions"]["value"] == 2
    assert (signup["cvr_visitors"]["numerator"], signup["cvr_visitors"]["denominator"]) == (1, 3)
    assert (signup["cvr_sessions"]["numerator"], signup["cvr_sessions"]["denominator"]) == (1, 2)
    assert kpis(log, HOUR_MS, segment="goal=thanks")["cvr_sessions"]["numerator"] == 0
    assert "default|all|goal=buy" not in recompute(log.records, RULES, NOON_MS + HOUR_MS)


def test_the_latest_answer_of_a_respondent_counts_and_a_skip_replaces_nothing() -> None:
    log = LogWriter()
    log.nps(2000, 3)
    log.nps(1000, 9)  # older, though it came later
    log.nps(3000, None)
    log.nps(0, 10, "v2", customer_id="c")
    log.nps(1, 0, "v3", customer_id="c")
    log.nps(0, 7, "v4", respondent_id="")
    log.nps(0, 8, "v4", respondent_id="")
    nps = kpis(log, 4000, segment="survey=s")["nps"]
    assert (nps["promoters"], nps["passives"], nps["detractors"], nps["skipped"]) == (0, 2, 2, 1)
    assert (nps["value"], nps["rounded"]) == (-50, -50)


def test_a_customer_of_two_partitions_is_two_respondents() -> None:
    log = LogWriter()
    log.nps(0, 10, "v1", customer_id="c", partition=0)
    log.nps(0, 10, "v2", customer_id="c", partition=1)
    assert kpis(log, 0)["nps"]["n"] == 2


def test_equal_times_are_decided_by_the_event_id() -> None:
    log = LogWriter()
    log.nps(0, 10, event_id="b")
    log.nps(0, 0, event_id="a")
    assert kpis(log, 0)["nps"]["promoters"] == 1


def test_csat_is_the_top_of_each_scale() -> None:
    log = LogWriter()
    for visitor, score, scale_max in (
        ("v1", 4, 5),
        ("v2", 3, 5),
        ("v3", 6, 7),
        ("v4", 15, 20),
        ("v5", 16, 20),
    ):
        more = {"survey_kind": "csat", "survey_id": "c", "scale_max": scale_max}
        log.nps(0, score, visitor, **more)
    csat = kpis(log, 0)["csat"]
    assert (csat["numerator"], csat["denominator"]) == (3, 5)


def test_sites_are_apart() -> None:
    log = LogWriter()
    log.view(0)
    log.view(0, site_id="shop|es")
    found = recompute(log.records, RULES, NOON_MS)
    assert found["shop%7Ces|all|all"]["page_views"]["value"] == 1
    assert found["default|all|all"]["page_views"]["value"] == 1
