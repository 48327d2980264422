"""What the demo plays: the recorded log and the generated visitors."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer

from schemas.dead_letters import InvalidRecord
from schemas.events import PageView, event_time_ms, parse_record
from schemas.topics import INPUT_TOPICS, PAGE_VIEWS
from stream.demo.agents import BOTS, BROWSERS
from stream.demo.plain_channels import channel_of
from stream.demo.recorded import is_page_view, read_views, split
from stream.demo.traffic import Traffic, TrafficFailed, told
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


@pytest.mark.parametrize(
    ("offered", "refused", "in_log", "text"),
    [
        (4588, 3, 4585, "4588 events offered, 3 refused by the collector, 4585 in the log"),
        (10, 0, 10, "10 events offered, 10 in the log"),
        (
            10,
            2,
            9,
            "10 events offered, 2 refused by the collector, 1 more by repeats or by others, 9 in the log",
        ),
        (10, 0, 8, "10 events offered, 2 missing, 8 in the log"),
    ],
)
def test_the_closing_numbers_add_up(offered: int, refused: int, in_log: int, text: str) -> None:
    assert told(offered, refused, in_log) == text


class Log:
    """What the demo uses of a producer."""

    def __init__(self) -> None:
        self.records = 0

    async def send(self, topic: str, value: bytes | None, key: bytes | None) -> None:
        self.records += 1

    async def flush(self) -> None:
        pass


@contextmanager
def collector(*answers: tuple[int, dict[str, Any]]) -> Iterator[str]:
    """An HTTP server that gives these answers, then the last one for ever."""
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/events"
        finally:
            server.shutdown()
            serving.join()


REJECTED = {"accepted": 0, "rejected": [{"index": 0, "code": "invalid_event", "reason": "why"}]}
BOTH = {"accepted": 1, "rejected": REJECTED["rejected"]}
STEPS = [
    Step(0, 1, PAGE_VIEWS, b"v", b"{}", "kafka"),
    Step(0, 2, PAGE_VIEWS, b"v", b"{}", "http"),
    Step(0, 3, PAGE_VIEWS, b"v", b"{}", "http"),
]


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        ([(202, {"accepted": 2, "rejected": []})], 0),
        ([(202, BOTH)], 1),
        ([(400, REJECTED)], 1),
        ([(503, REJECTED), (202, BOTH)], 1),  # what was not acknowledged comes again: only the end counts
    ],
)
async def test_what_the_collector_refuses_is_counted_once(
    answers: list[tuple[int, dict[str, Any]]], refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.demo.traffic.HTTP_PAUSE_S", 0.0)
    log = Log()
    with collector(*answers) as url:
        traffic = Traffic(cast(AIOKafkaProducer, log), url)
        await traffic._send_steps(STEPS)
    assert (traffic.offered, traffic.refused, log.records) == (3, refused, 1)


async def test_an_answer_that_does_not_say_what_was_rejected_ends_the_demo() -> None:
    with collector((202, {"accepted": 2})) as url:
        traffic = Traffic(cast(AIOKafkaProducer, Log()), url)
        with pytest.raises(TrafficFailed, match="did not say what it rejected"):
            await asyncio.wait_for(traffic._send_steps(STEPS), 10)
