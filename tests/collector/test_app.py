"""The HTTP interface over a broker of the test's own making."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from schemas.events import Event
from stream import telemetry
from stream.collector.app import create_app
from stream.collector.batch import MAX_BODY_BYTES
from stream.collector.config import CollectorConfig
from stream.collector.producer import BrokerUnavailable
from stream.serving.listening import NeedsToken, is_local
from tests.collector.test_batch import event

LIMIT_S = 10.0
TOKEN = "0123456789abcdef"


class Broker:
    """Keeps what it is given. `refuses`: event ids it does not acknowledge; `gate`: waits for it."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.refuses: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.down: str | None = None
        self.checks = 0

    async def deliver(self, events: Sequence[Event]) -> list[str | None]:
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if self.down == "crash":
            raise RuntimeError("secret of " + events[0].visitor_id)
        self.kept += [one for one in events if one.event_id not in self.refuses]
        return ["not in time" if one.event_id in self.refuses else None for one in events]

    async def check(self) -> None:
        self.checks += 1
        if self.down is not None:
            raise BrokerUnavailable(self.down)


def client(broker: Broker, **config: Any) -> httpx.AsyncClient:
    app = create_app(broker, CollectorConfig(**config))
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://collector")


async def test_202_says_that_the_broker_has_them() -> None:
    broker = Broker()
    async with client(broker) as http:
        answer = await http.post("/v1/events", json=[event(1), event(2)])
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": []})
    assert [one.event_id for one in broker.kept] == ["e1", "e2"]


async def test_refused_events_are_named_by_index_and_the_others_kept() -> None:
    broker = Broker()
    async with client(broker) as http:
        answer = await http.post("/v1/events", json=[{"type": "x"}, event(1), event(2, visitor_id="")])
        none = await http.post("/v1/events", json=[{"type": "x"}])
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert [(one["index"], one["code"]) for one in answer.json()["rejected"]] == [
        (0, "unknown_type"),
        (2, "invalid_event"),
    ]
    assert [one.event_id for one in broker.kept] == ["e1"]
    assert none.status_code == 400
    assert none.json()["accepted"] == 0


async def test_what_is_not_acknowledged_is_to_be_sent_again() -> None:
    broker = Broker()
    broker.refuses = {"e2"}
    async with client(broker) as http:
        answer = await http.post("/v1/events", json=[{"type": "x"}, event(1), event(2), event(3)])
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    body = answer.json()
    assert (body["accepted"], body["retry"]) == (2, [2])
    assert [(one["index"], one["code"]) for one in body["rejected"]] == [
        (0, "unknown_type"),
        (2, "not_acknowledged"),
    ]


async def test_too_many_at_a_time_are_told_to_come_again() -> None:
    broker = Broker()
    broker.gate.clear()
    async with client(broker, in_flight=3) as http:
        held = [asyncio.create_task(http.post("/v1/events", json=event(number))) for number in range(3)]
        async with asyncio.timeout(LIMIT_S):
            while broker.waiting < 3:
                await asyncio.sleep(0)
        answer = await http.post("/v1/events", json=event(9))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        broker.gate.set()
        assert [one.status_code for one in await asyncio.gather(*held)] == [202] * 3
        assert (await http.post("/v1/events", json=event(9))).status_code == 202
    assert len(broker.kept) == 4


async def test_a_body_above_the_limit_is_not_read() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    headers = {"content-type": "application/json"}
    async with client(Broker()) as http:
        announced = await http.post("/v1/events", content=b" " * (MAX_BODY_BYTES + 1), headers=headers)
        async with asyncio.timeout(LIMIT_S):
            unannounced = await http.post("/v1/events", content=endless(), headers=headers)
        padded = json.dumps(event()).encode().ljust(MAX_BODY_BYTES)
        exact = await http.post("/v1/events", content=padded, headers=headers)
        lying = await http.post("/v1/events", content=b"{}", headers={**headers, "content-length": "1e3"})
    assert [one.status_code for one in (announced, unannounced, exact, lying)] == [413, 413, 202, 413]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415), ({"content-type": "text/plain"}, 415), ({"content-type": "application/jsonp"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"content-type": "Application/JSON; charset=UTF-8"}, 202),
        ({"content-type": 'application/json;charset="utf-8"'}, 202),
    ],
)  # fmt: skip
async def test_only_json_in_utf_8_is_taken(headers: dict[str, str], status: int) -> None:
    async with client(Broker()) as http:
        answer = await http.post("/v1/events", content=json.dumps(event()).encode(), headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401), ("", 401), ("Bearer", 401), ("Bearer wrong", 401), (f"Basic {TOKEN}", 401), (TOKEN, 401),
        (f"Bearer {TOKEN}x", 401), ("Bearer \u00e9", 401), (f"Bearer {TOKEN}", 202),
        (f"bearer  {TOKEN} ", 202),
    ],
)  # fmt: skip
async def test_with_a_token_only_its_holder_may_call(authorization: str | None, status: int) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    async with client(Broker(), token=TOKEN) as http:
        answer = await http.post("/v1/events", json=event(), headers=headers)
        assert (await http.get("/health")).status_code == 200
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) is (status == 401)


async def test_pages_of_other_origins_may_not_call() -> None:
    preflight = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    async with client(Broker()) as http:
        closed = await http.post("/v1/events", json=event(), headers={"origin": "https://shop.example"})
        assert (await http.options("/v1/events", headers=preflight)).status_code == 405
    async with client(Broker(), cors_origins=("https://shop.example",)) as http:
        allowed = await http.post("/v1/events", json=event(), headers={"origin": "https://shop.example"})
        other = await http.post("/v1/events", json=event(), headers={"origin": "https://evil.example"})
        asked = await http.options("/v1/events", headers=preflight)
    assert (closed.status_code, allowed.status_code, other.status_code, asked.status_code) == (
        403,
        202,
        403,
        200,
    )
    assert "access-control-allow-origin" not in closed.headers
    assert "access-control-allow-origin" not in other.headers
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"


async def test_every_answer_has_security_headers_and_is_json() -> None:
    broker = Broker()
    async with client(broker) as http:
        answers = [
            await http.post("/v1/events", json=event()),
            await http.post("/v1/events", content=b"x"),
            await http.get("/v1/events"),
            await http.get("/nowhere"),
            await http.get("/health"),
        ]
        broker.down = "crash"
        answers.append(await http.post("/v1/events", json=event()))
    assert [one.status_code for one in answers] == [202, 415, 405, 404, 200, 500]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert isinstance(answer.json(), dict)


async def test_health_asks_the_broker_but_not_each_time() -> None:
    broker = Broker()
    async with client(broker) as http:
        answers = await asyncio.gather(*(http.get("/health") for _ in range(20)))
        assert {one.status_code for one in answers} == {200}
    assert broker.checks == 1
    broker = Broker()
    broker.down = "topic x is missing"
    async with client(broker) as http:
        answer = await http.get("/health")
    assert (answer.status_code, answer.json()["reason"]) == (503, "topic x is missing")


async def test_the_log_holds_nothing_of_the_user(
    logging_restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    telemetry.configure("info", "json", out)
    monkeypatch.setattr(logging.getLogger("httpx"), "disabled", True)  # the caller's log, not ours
    broker = Broker()
    async with client(broker, token=TOKEN) as http:
        headers = {"authorization": f"Bearer {TOKEN}", "user-agent": "geheim"}
        await http.post("/v1/events?geheim=1", json=event(visitor_id="geheim"), headers=headers)
        await http.request("GEHEIM", "/geheim", headers=headers)
        broker.refuses = {"e0"}
        await http.post("/v1/events", json=event(visitor_id="geheim"), headers=headers)
        broker.down = "crash"
        await http.post("/v1/events", json=event(visitor_id="geheim"), headers=headers)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(one["method"], one["path"], one["status"]) for one in requests] == [
        ("POST", "/v1/events", 202),
        ("(other)", "(other)", 404),
        ("POST", "/v1/events", 503),
        ("POST", "/v1/events", 500),
    ]
    assert [one["error"] for one in lines if one["event"] == "request failed"] == ["RuntimeError"]
    assert "geheim" not in out.getvalue().lower()
    assert TOKEN not in out.getvalue()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.1.2.3"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert is_local(host)
    assert CollectorConfig(host=host).token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "collector.example", "localhost.example", ""])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(NeedsToken, match="LATIDO_COLLECTOR_TOKEN"):
        CollectorConfig(host=host)
    assert TOKEN not in repr(CollectorConfig(host=host, token=TOKEN))
