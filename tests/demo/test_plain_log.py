"""Which events count: one record after another."""

from __future__ import annotations

from schemas.topics import PAGE_VIEWS
from stream.demo.plain_log import Accounting, Rules, accept, path_of
from tests.demo.logs import MINUTE_MS, LogWriter

HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def counted(log: LogWriter, rules: Rules = Rules()) -> Accounting:  # noqa: B008 - frozen
    accepted, accounting = accept(log.records, rules)
    assert len(accepted) == accounting.counted
    parts = vars(accounting).copy()
    assert parts.pop("read") == sum(parts.values()) == len(log.records)
    return accounting


def test_an_event_is_late_by_more_than_gap_and_grace_behind_its_topics_clock() -> None:
    log = LogWriter()
    log.view(35 * MINUTE_MS)
    log.view(0, arrival_ms=35 * MINUTE_MS)
    log.view(-1, arrival_ms=35 * MINUTE_MS)
    assert counted(log) == Accounting(read=3, counted=2, late=1)


def test_a_clock_belongs_to_one_topic_and_partition() -> None:
    log = LogWriter()
    log.view(2 * HOUR_MS)
    log.view(0, "v2", arrival_ms=2 * HOUR_MS, partition=1)
    log.click(0, "a", arrival_ms=2 * HOUR_MS)
    assert counted(log) == Accounting(read=3, counted=3)


def test_a_clock_does_not_pass_the_arrival_and_moves_with_late_and_repeated_events() -> None:
    log = LogWriter()
    log.view(4 * MINUTE_MS, arrival_ms=0)  # ahead, but within what is allowed: the clock stands at 0
    log.view(-35 * MINUTE_MS, arrival_ms=0)
    log.view(HOUR_MS, consent="denied")  # forgotten, but it was noon past one
    log.view(24 * MINUTE_MS, arrival_ms=HOUR_MS)
    assert counted(log) == Accounting(read=4, counted=2, late=1, no_consent=1)


def test_an_event_further_ahead_than_five_minutes_is_refused_and_moves_nothing() -> None:
    log = LogWriter()
    log.view(5 * MINUTE_MS, arrival_ms=0)
    log.view(5 * MINUTE_MS + 1, arrival_ms=0)
    assert counted(log) == Accounting(read=2, counted=1, refused=1)


def test_a_repeat_is_a_duplicate_with_other_content_a_conflict_and_in_another_topic_an_event() -> None:
    log = LogWriter()
    log.view(0, event_id="x", received_at="2026-11-25T12:00:00Z")
    log.view(0, event_id="x", received_at="2026-11-25T12:00:01Z")
    log.view(0, event_id="x", url="/other")
    log.view(1000, event_id="x")  # sent again with a new time
    log.click(0, "a", event_id="x")
    log.view(0, "v2", event_id="x")
    log.view(0, event_id="x", site_id="other")
    assert counted(log) == Accounting(read=7, counted=4, duplicates=1, conflicts=2)


def test_what_is_no_event_of_its_topic_is_refused() -> None:
    log = LogWriter()
    log.raw(value=b"{")
    log.raw(value=None)
    log.view(0, url="")
    log.raw(key=b"v9", value=b'{"type":"page_view","event_id":"e","visitor_id":"v1","url":"/",'
            b'"occurred_at":"2026-11-25T12:00:00Z"}')  # fmt: skip
    log.raw(PAGE_VIEWS, value=b'{"type":"click","event_id":"e","visitor_id":"v1","element_id":"a",'
            b'"occurred_at":"2026-11-25T12:00:00Z"}')  # fmt: skip
    assert counted(log) == Accounting(read=5, refused=5)


def test_a_survey_answer_is_late_half_its_tolerance_behind_its_own_topic_or_never() -> None:
    log = LogWriter()
    log.nps(15 * DAY_MS, 9)
    log.nps(0, 9, "v2", arrival_ms=15 * DAY_MS)
    log.nps(-1, 9, "v3", arrival_ms=15 * DAY_MS)
    assert counted(log) == Accounting(read=3, counted=2, late=1)
    assert counted(log, Rules(survey_tolerance_ms=None)) == Accounting(read=3, counted=3)


def test_a_goals_page_is_the_path() -> None:
    assert path_of("/thanks/1?from=a#b") == "/thanks/1"
    assert path_of("https://shop.example/thanks?x=1") == "/thanks"
    assert path_of("https://shop.example") == "/"
    assert path_of("http://[") == "http://["
