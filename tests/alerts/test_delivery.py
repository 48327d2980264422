"""Delivery to a real HTTP receiver: one that fails, hangs, redirects, is gone, asks for time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from schemas.topics import ALERTS, CHURN_SIGNALS
from stream.alerts.addresses import is_public
from stream.alerts.delivery import FIRST_PAUSE_S, JITTER_S, Delivery, Record, keep_delivering
from stream.alerts.news import News, NotNews, Receiver, read_news
from stream.alerts.sending import HttpSender, ReceiverGone, Refused, sender_for
from tests.alerts.telling import AT_RISK, FIRING, RESOLVED, SECRET, Listener, listening, news, webhook

GIVE_UP_MS = 86_400_000


class Patience:
    """Sleeps at once and keeps for how long it was asked; the clock goes on by it."""

    def __init__(self) -> None:
        self.now_ms = time.time_ns() // 1_000_000
        self.pauses: list[float] = []

    def __call__(self) -> int:
        return self.now_ms

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_ms += round(seconds * 1000)
        await asyncio.sleep(0)


async def deliver(
    listener: Listener, what: News | None = None, timeout_s: float = 5.0, **values: object
) -> tuple[bool, list[float]]:
    """Whether it was taken, and the pauses between attempts."""
    receiver, patience = webhook(listener.url, **values), Patience()
    sender = HttpSender(receiver, timeout_s)
    try:
        delivery = Delivery(receiver, sender, GIVE_UP_MS, patience, patience.sleep)
        return await delivery.deliver(what or news(told_ms=patience.now_ms)), patience.pauses
    finally:
        await sender.close()


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """As the specification has it, by hand."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


async def test_a_message_is_what_the_standard_webhooks_specification_says() -> None:
    async with listening() as listener:
        assert await deliver(listener) == (True, [])
    [heard] = listener.heard
    body = Webhook(SECRET).verify(heard.body, heard.headers)
    assert body == {
        "type": "alert.firing",
        "timestamp": json.loads(FIRING)["changed_at"],
        "data": json.loads(FIRING),
    }
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["webhook-signature"] == signature(
        SECRET, heard.headers["webhook-id"], heard.headers["webhook-timestamp"], heard.body
    )


async def test_a_receiver_that_fails_is_asked_again_after_longer_and_longer_under_the_same_id() -> None:
    async with listening(500, 404, 502, 200) as listener:
        taken, pauses = await deliver(listener)
    assert taken
    for number, pause_s in enumerate(pauses):
        assert FIRST_PAUSE_S * 2**number <= pause_s <= FIRST_PAUSE_S * 2**number + JITTER_S
    assert len(pauses) == 3
    assert len({heard.headers["webhook-id"] for heard in listener.heard}) == 1
    stamps = [int(heard.headers["webhook-timestamp"]) for heard in listener.heard]
    assert stamps[-1] >= stamps[0] + 7, "each attempt is signed anew, with its own time"
    for heard in listener.heard:
        assert Webhook(SECRET).verify(heard.body, heard.headers)


async def test_a_receiver_that_hangs_is_left_and_asked_again() -> None:
    held = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await held.wait()
        return web.Response()

    async with listening(hang, 200) as listener:
        taken, pauses = await deliver(listener, timeout_s=0.3)
        held.set()
    assert taken
    assert len(pauses) == len(listener.heard) - 1 >= 1


async def test_a_redirect_is_not_followed() -> None:
    async with listening() as elsewhere:
        away = web.Response(status=307, headers={"location": elsewhere.url})
        async with listening(away) as listener:
            sender = HttpSender(webhook(listener.url))
            with pytest.raises(Refused, match="answered 307, a redirect, which is not followed"):
                await sender.send(news(), 0)
            await sender.close()
    assert elsewhere.heard == []


@pytest.mark.parametrize("status", [429, 503])
async def test_who_asks_for_time_is_given_it(status: int) -> None:
    seconds = web.Response(status=status, headers={"retry-after": "120"})
    later = datetime.fromtimestamp(time.time() + 3_000).astimezone()
    date = web.Response(status=status, headers={"retry-after": format_datetime(later)})
    too_long = web.Response(status=status, headers={"retry-after": "999999999999"})
    nonsense = web.Response(status=status, headers={"retry-after": "soon"})
    async with listening(seconds, date, too_long, nonsense, 200) as listener:
        taken, pauses = await deliver(listener)
    assert taken
    assert pauses[0] == 120
    assert 2_700 < pauses[1] < 3_000  # two minutes of it are over
    assert pauses[2] == 3_600
    assert pauses[3] < 60


async def test_what_is_not_taken_for_a_day_is_given_up() -> None:
    async with listening(500) as listener:
        taken, pauses = await deliver(listener)
    assert not taken
    assert GIVE_UP_MS <= sum(pauses) * 1000 <= GIVE_UP_MS + 301_000
    assert max(pauses) <= 300 + JITTER_S


async def test_news_that_are_old_are_not_told() -> None:
    async with listening() as listener:
        taken, _ = await deliver(listener, news(told_ms=time.time_ns() // 1_000_000 - GIVE_UP_MS))
    assert (taken, listener.heard) == (False, [])


async def of(*records: Record) -> AsyncGenerator[Record]:
    for one in records:
        yield one


async def test_a_receiver_that_is_gone_is_switched_off_and_hears_nothing_more() -> None:
    patience, off = Patience(), list[str]()

    async def switch_off(why: str) -> None:
        off.append(why)

    records = [(ALERTS, FIRING, patience.now_ms), (ALERTS, RESOLVED, patience.now_ms)]
    async with listening(500, 410) as listener:
        receiver = webhook(listener.url)
        sender = HttpSender(receiver)
        delivery = Delivery(receiver, sender, GIVE_UP_MS, patience, patience.sleep)
        await keep_delivering(delivery, lambda: of(*records), switch_off, (OSError,), patience.sleep)
        await sender.close()
    assert (off, len(listener.heard)) == (["it answered 410 Gone"], 2)


async def test_trouble_of_one_receiver_is_none_of_another_one() -> None:
    patience, told = Patience(), asyncio.Event()
    records = [
        (ALERTS, b"not of the contract", 0), (ALERTS, None, 0), (ALERTS, FIRING, patience.now_ms),
        (ALERTS, RESOLVED, patience.now_ms), (CHURN_SIGNALS, AT_RISK, patience.now_ms),
    ]  # fmt: skip

    async def reading(broken: list[Exception]) -> AsyncGenerator[Record]:
        if broken:
            raise broken.pop()
        for one in records:
            yield one
        told.set()
        await asyncio.Event().wait()

    async def switch_off(_: str) -> None:
        raise AssertionError

    async with listening(500) as broken, listening() as fine:
        senders, tasks = [], []
        troubles: list[Exception] = [ValueError("a surprise"), OSError("an outage")]
        for receiver, trouble in (
            (webhook(broken.url), []),
            (webhook(fine.url, churn=("at_risk",)), troubles),
        ):
            senders.append(HttpSender(receiver))
            delivery = Delivery(receiver, senders[-1], GIVE_UP_MS, patience, asyncio.sleep)
            keeping = keep_delivering(
                delivery, partial(reading, trouble), switch_off, (OSError,), patience.sleep
            )
            tasks.append(asyncio.create_task(keeping))
        await asyncio.wait_for(told.wait(), 10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sender in senders:
            await sender.close()
    types = [json.loads(heard.body)["type"] for heard in fine.heard]
    assert types == ["alert.firing", "alert.resolved", "churn.at_risk"]


NOT_PUBLIC = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001:db8::1", "2002:7f00:1::"),
    *("2002:c0a8:101::", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    *("::127.0.0.1", "::10.0.0.1"),
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


def test_private_addresses_are_told_from_public_ones() -> None:
    assert [one for one in NOT_PUBLIC if is_public(one)] == []
    assert [one for one in PUBLIC if not is_public(one)] == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "rebound.example", "[::1]", "[::ffff:127.0.0.1]", "2130706433"]
)
async def test_a_private_address_is_never_connected_to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the name said before: what is connected to is what is looked at."""
    plain = socket.getaddrinfo

    def resolve(name: Any, *rest: Any, **options: Any) -> Any:
        return plain("127.0.0.1" if name == "rebound.example" else name, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with listening() as listener:
        port = listener.url.rpartition(":")[2]
        sender = HttpSender(webhook(f"http://{host}:{port}/", allow_private=False))
        with pytest.raises(Refused, match=r"allow_private = true permits it|InvalidUrl"):
            await sender.send(news(), 0)
        await sender.close()
    assert listener.heard == []


async def test_a_closed_port_says_so_and_the_address_is_not_in_the_reason() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        sender = HttpSender(webhook(f"http://127.0.0.1:{free.getsockname()[1]}/T0K3N"))
        with pytest.raises(Refused) as caught:
            await sender.send(news(), 0)
        await sender.close()
    assert str(caught.value)
    assert "T0K3N" not in f"{caught.value} {webhook('http://h/T0K3N')!r}"


async def test_alertmanager_is_told_what_its_interface_wants() -> None:
    async with listening() as listener:
        for value in (FIRING, RESOLVED):
            assert (await deliver(listener, news(value, told_ms=Patience().now_ms), kind="alertmanager"))[0]
    assert {heard.path for heard in listener.heard} == {"/api/v2/alerts"}
    [firing], [resolved] = (json.loads(heard.body) for heard in listener.heard)
    assert firing["labels"] == resolved["labels"] == {
        "alertname": "ctr-low", "severity": "critical", "kpi": "ctr", "window": "1h", "site": "shop-es",
        "segment": "channel=Email",
    }  # fmt: skip
    assert firing["startsAt"] == resolved["startsAt"] < resolved["endsAt"] < firing["endsAt"]
    assert resolved["endsAt"] == json.loads(RESOLVED)["changed_at"]
    assert firing["generatorURL"].startswith("https://monitor.example/api/v1/explain?kpi=ctr")


@pytest.mark.filterwarnings("ignore")  # of everything that Apprise looks for
async def test_apprise_is_told_in_plain_text() -> None:
    async with listening() as listener:
        address = listener.url.replace("http://", "json://")
        sender = sender_for(Receiver(name="chat", kind="apprise", url=address))
        await sender.send(news(), 0)
        await sender.close()
    [heard] = listener.heard
    said = json.loads(heard.body)
    assert said["title"] == f"[critical] ctr-low: {json.loads(FIRING)['summary']}"
    assert said["message"].splitlines()[-1].startswith("https://monitor.example/")
    with pytest.raises(ValueError, match="Apprise does not know"):
        sender_for(Receiver(name="chat", kind="apprise", url="nothing://x"))


def test_a_receiver_hears_of_its_rules_severities_and_states() -> None:
    alert, signal = news(), news(AT_RISK, CHURN_SIGNALS)
    heard = {
        "all": webhook("http://h"),
        "its rules": webhook("http://h", rules=("x", "ctr-*")),
        "other rules": webhook("http://h", rules=("nps-*",)),
        "critical": webhook("http://h", least_severity="critical"),
        "lost": webhook("http://h", churn=("lost",)),
        "at risk": webhook("http://h", churn=("lost", "at_risk"), rules=("nothing",)),
    }
    assert {name for name, one in heard.items() if one.wants(alert)} == {
        "all",
        "its rules",
        "critical",
        "lost",
    }
    assert {name for name, one in heard.items() if one.wants(signal)} == {"at risk"}


def test_the_same_record_has_the_same_id_and_another_one_another() -> None:
    ids = [news(FIRING).id, news(FIRING, told_ms=5).id, news(RESOLVED).id, news(AT_RISK, CHURN_SIGNALS).id]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(one.isascii() and one.replace("_", "").isalnum() and len(one) < 64 for one in ids)


@pytest.mark.parametrize("value", [b"", b"{}", b"null", FIRING[:-3], FIRING.replace(b"shop-es", b"\xff")])
def test_what_is_not_of_the_contract_is_no_news(value: bytes) -> None:
    with pytest.raises(NotNews):
        read_news(ALERTS, value, 0)


async def test_one_who_is_gone_says_so_at_once() -> None:
    async with listening(410) as listener:
        with pytest.raises(ReceiverGone):
            await deliver(listener)
