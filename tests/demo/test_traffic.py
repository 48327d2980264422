"""What the demo plays: the recorded log and the generated visitors."""

from __future__ import annotations

import itertools
import json
from collections import Counter

from schemas.dead_letters import InvalidRecord
from schemas.events import PageView, event_time_ms, parse_record
from schemas.topics import INPUT_TOPICS, PAGE_VIEWS
from stream.demo.agents import BOTS, BROWSERS
from stream.demo.plain_channels import channel_of
from stream.demo.recorded import is_page_view, read_views, split
from stream.demo.visitors import Step, crowd
from stream.pipeline.user_agents import Agent, agent_of

START_MS = 1_795_608_000_000


def steps(seconds: int, seed: int = 7) -> list[Step]:
    return list(itertools.takewhile(lambda step: step.at_ms < seconds * 1000, crowd(START_MS, seed)))


def test_assets_errors_and_posts_are_no_page_views() -> None:
    assert is_page_view("GET", "/history/apollo/", "200")
    assert is_page_view("GET", "/a.html?b.gif", "304")
    assert not is_page_view("GET", "/images/NASA-logosmall.GIF", "200")
    assert not is_page_view("GET", "/a.html", "404")
    assert not is_page_view("POST", "/a.html", "200")


def test_the_recorded_log_is_moved_as_a_whole() -> None:
    views = read_views()
    past, live, now_ms = split(views)
    assert (len(views), len(past), len(live)) == (3440, 2820, 620)
    assert past[-1].time_ms <= now_ms < live[0].time_ms
    shift_ms = START_MS - now_ms
    moved = [parse_record(PAGE_VIEWS, view.visitor.encode(), view.event(shift_ms)) for view in views]
    assert all(isinstance(event, PageView) for event in moved)
    assert [event_time_ms(event) - shift_ms for event in moved] == [view.time_ms for view in views]
    assert len({event.event_id for event in moved}) == len(views)


def test_the_same_seed_gives_the_same_steps_in_order_of_time() -> None:
    assert steps(20) == steps(20)
    assert steps(20) != steps(20, seed=8)
    assert steps(20) == sorted(steps(20))


def test_a_minute_has_some_of_everything() -> None:
    found: Counter[str] = Counter()
    sent: Counter[bytes | None] = Counter()
    for step in steps(60):
        found[step.topic] += 1
        found[step.way] += 1
        sent[step.value] += 1
        try:
            event = parse_record(step.topic, step.key, step.value)
        except InvalidRecord as refused:
            found[refused.code] += 1
            continue
        found[event.type] += 1
        lag_ms = START_MS + step.at_ms - event_time_ms(event)
        found["denied"] += event.consent == "denied"
        found["bots"] += event.user_agent in BOTS
        found[f"channel {channel_of(event)}"] += isinstance(event, PageView)
        found["future"] += lag_ms < -5 * 60_000
        found["late"] += lag_ms > 35 * 60_000
        found["held back"] += 0 < lag_ms < 35 * 60_000
    found["twice"] = sum(n > 1 for value, n in sent.items() if value is not None)
    wanted = [
        *(*INPUT_TOPICS, "kafka", "http", "page_view", "impression", "page_ping", "click", "form_submission"),
        *("survey_answer", "denied", "future", "late", "held back", "twice", "invalid_event", "invalid_json"),
        *(
            "bots",
            "channel Direct",
            "channel Organic Search",
            "channel Paid Search",
            "channel Organic Social",
        ),
        *("channel Paid Social", "channel Email", "channel Referral"),
    ]
    assert [name for name in wanted if not found[name]] == []
    assert found["late"] < found["page_view"] / 20


def test_the_lists_of_others_say_of_the_browsers_and_bots_what_the_demo_knows() -> None:
    assert {text: agent_of(text).device for text in BROWSERS} == BROWSERS
    assert [agent_of(text) for text in BOTS] == [Agent(is_bot=True, device=None)] * len(BOTS)


def test_event_times_are_never_ahead_of_the_sending_but_for_wrong_clocks() -> None:
    for step in steps(60):
        try:
            event = parse_record(step.topic, step.key, step.value)
        except InvalidRecord:
            continue
        ahead_ms = event_time_ms(event) - START_MS - step.at_ms
        assert ahead_ms <= 0 or ahead_ms > 5 * 60_000, json.loads(step.value or b"")
