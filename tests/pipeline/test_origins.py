"""Where visits come from, devices and bots: derived where the event says nothing, in the whole pipeline."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from schemas.topics import PAGE_VIEWS, SESSIONS, TOPIC_OF_TYPE
from stream.core.events import Event
from stream.core.policy import DAY_MS, HOUR_MS, Policy
from stream.core.sessions import Origin
from stream.pipeline import origins
from stream.pipeline.decode import BadRecord, decode
from stream.pipeline.origins import Origins, origins_of
from stream.pipeline.partition_state import Accounting
from stream.pipeline.ports import Table
from stream.pipeline.take_snapshot import encode_record
from stream.pipeline.user_agents import Agent
from tests.builders import Lane, event
from tests.oracle.judging import BOTS, DEVICES

PHONE = next(agent for agent, device in DEVICES.items() if device == "mobile")
SAID: dict[str, Any] = {
    "channel": "mine",
    "campaign": "spring",
    "device": "car",
    "country": "ES",
    "plan": "a",
}


def read(kind: str = "V", **fields: Any) -> Event:
    found = decode_of(event(kind, 0, "e", **fields))
    assert not isinstance(found, BadRecord)
    return found


def decode_of(body: dict[str, Any]) -> Event | BadRecord:
    return decode(TOPIC_OF_TYPE[body["type"]], body["visitor_id"].encode(), json.dumps(body).encode())


def origin(kind: str = "V", **fields: Any) -> Origin:
    return origins_of(Policy()).of(read(kind, **fields))


def test_what_an_event_leaves_out_is_derived() -> None:
    found = origin(
        url="/?utm_source=google&utm_medium=cpc&utm_campaign=otono", referrer="https://a.example/x?secret",
        user_agent=PHONE,
    )  # fmt: skip
    assert found == Origin("a.example", "Paid Search", "otono", "mobile", None, None)


def test_what_an_event_says_wins() -> None:
    found = origin(url="/?utm_source=google&utm_medium=cpc&utm_campaign=otono", user_agent=PHONE, **SAID)
    assert found == Origin(None, *SAID.values())
    assert origin(channel="", campaign="", url="/?utm_campaign=otono").channel == ""


def test_each_is_derived_for_itself() -> None:
    url = "/?utm_source=google&utm_medium=cpc&utm_campaign=otono"
    assert origin(url=url, channel="mine") == Origin(channel="mine", campaign="otono")
    assert origin(url=url, campaign="mine") == Origin(channel="Paid Search", campaign="mine")


@pytest.mark.parametrize("kind", ["C", "F", "impression", "page_ping"])
def test_an_event_that_would_name_no_referrer_says_nothing_without_tags(kind: str) -> None:
    assert origin(kind) == Origin()
    assert origin(kind, url="https://shop.example/?gclid=1").channel == "Paid Search"


def test_settings_reach_the_rules() -> None:
    fields: dict[str, Any] = {
        "url": "/?utm_source=a&utm_medium=email&utm_campaign=b",
        "referrer": "https://shop.example/",
    }
    assert origin(**fields).channel == "Email"
    policy = Policy(query_parameters=(), own_hosts=("shop.example",))
    assert origins_of(policy).of(read(**fields)) == Origin("shop.example", "Direct")


def test_a_distinct_answer_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def agent_of(user_agent: str) -> Agent:
        asked.append(user_agent)
        return Agent(is_bot=False, device="mobile")

    monkeypatch.setattr(origins, "agent_of", agent_of)
    fresh = Origins(("utm_source",), ())
    views = [
        read(url=f"https://shop.example/{n}?utm_source=google&token={n}", user_agent=PHONE) for n in range(50)
    ]
    found = {id(fresh.of(view)) for view in views}
    assert len(found) == 1
    assert asked == [PHONE]


# ---------------------------------------------------------------- bots


def test_bots_are_counted_and_nothing_else() -> None:
    lane = Lane(Policy())
    lane.append(
        event("V", 0, "a", user_agent=PHONE),
        event("V", 10, "b", "robot", user_agent=BOTS[0]),
        event("V", 20, "b", "robot", user_agent=BOTS[1], consent="denied"),
        event("C", 30, "c", "robot", user_agent=BOTS[1]),
        event("S", 40, "d", "robot", user_agent=BOTS[0]),
    )
    for letter in "VCFS":
        lane.fetch(letter)
    accounting, state = lane.partition.state.accounting, lane.partition.state
    assert (accounting.read, accounting.counted, accounting.bots, accounting.no_consent) == (5, 1, 3, 1)
    assert accounting.balances()
    assert [visitor.visitor_id for visitor in state.site("default").visitors.values()] == ["v"]
    assert lane.unfinished()[0].device == "mobile"
    assert lane.refused() == []
    lane.open()
    assert lane.partition.state.accounting == accounting


def test_a_bot_moves_the_clock_like_anybody() -> None:
    lane = Lane(Policy())
    lane.append(event("V", 0, "a"), event("V", 2 * HOUR_MS, "b", "robot", user_agent=BOTS[0]))
    lane.append(event("V", 0, "c"))
    lane.fetch("V")
    assert lane.partition.state.accounting.bots == 1
    assert lane.late() == {(PAGE_VIEWS, 2): "own_topic"}


def test_bots_may_be_counted_like_people() -> None:
    lane = Lane(Policy(exclude_bots=False))
    lane.append(event("V", 0, "a", "robot", user_agent=BOTS[0]))
    lane.fetch("V")
    accounting = lane.partition.state.accounting
    assert (accounting.counted, accounting.bots) == (1, 0)
    assert lane.unfinished()[0].device is None


def test_a_head_of_an_older_version_has_seen_no_bots() -> None:
    old = msgspec.msgpack.encode({"read": 3, "counted": 2, "no_consent": 1})
    assert msgspec.msgpack.decode(old, type=Accounting) == Accounting(read=3, counted=2, no_consent=1)


# ---------------------------------------------------------------- what may hold a secret

SECRET = "s3cr3t"
HOSTILE = (
    f"/a?token={SECRET}", f"/a?utm_source=x&token={SECRET}&utm_medium=email&utm_campaign=c",
    f"/a?utm_source=x;token={SECRET}", f"/a#token={SECRET}", f"/a#?token={SECRET}", f"/a?#token={SECRET}",
    f"/a??token={SECRET}", f"/a?{SECRET}", f"/a?gclid={SECRET}", f"/a?UTM_CAMPAIGN={SECRET}",
    f"/a?utm_campaign%5B%5D={SECRET}", f"/a?utm_campaign=c%26token={SECRET[::-1]}&x={SECRET}",
    f"https://user:{SECRET}@shop.example:8080/a?token={SECRET}#{SECRET}", f"//shop.example/a?{SECRET}",
    f"https://shop.example?{SECRET}", f"http://[?{SECRET}", f"http://[/a#{SECRET}", f"?{SECRET}",
    f" /a?{SECRET}", f"\t/a?{SECRET}", f"/a\n?{SECRET}", f"/a\\?{SECRET}", f"app://screen?{SECRET}",
    f"mailto:a?{SECRET}", f"javascript:a?{SECRET}", f"/a?utm_source={SECRET}&utm_medium={SECRET}",
)  # fmt: skip
REFERRERS = (
    None, f"https://user:{SECRET}@a.example/{SECRET}?token={SECRET}#{SECRET}", f"http://[{SECRET}",
    f"//a.example/?{SECRET}", f"/{SECRET}", f"?{SECRET}", SECRET, f"mailto:{SECRET}", f"app:{SECRET}",
)  # fmt: skip


@pytest.mark.parametrize("referrer", REFERRERS)
def test_no_parameter_off_the_list_is_published_or_stored(referrer: str | None) -> None:
    """Every topic that is not a dead letter, every snapshot, and every table."""
    lane = Lane(Policy())
    for number, url in enumerate(HOSTILE):
        visitor = f"v{number}"
        agent = f"Firefox {SECRET}"
        lane.append(
            event("V", 0, f"a{number}", visitor, url=url, referrer=referrer, title=SECRET, user_agent=agent),
            event("C", 1, f"b{number}", visitor, url=url, target_url=f"/x?{SECRET}"),
            event("impression", 2, f"c{number}", visitor, url=url),
            event("page_ping", 3, f"d{number}", visitor, url=url),
            event("F", 4, f"e{number}", visitor, url=url),
            event("S", 5, f"f{number}", visitor, comment=SECRET),
            event("V", 6, f"g{number}", visitor, url=url, referrer=referrer),
        )
    lane.append(event("V", 3 * DAY_MS, "later", "w"))
    lane.know_ends()
    for letter in "CFSV":
        lane.fetch(letter)
    lane.tick()
    assert lane.partition.state.accounting.counted == 7 * len(HOSTILE) + 1
    assert len(lane.published()) == len(HOSTILE)
    written = [output.value for output in lane.outputs if output.topic == SESSIONS]
    written += [output.key for output in lane.outputs]
    written += [encode_record(record, 1, 0) for record in lane.snapshot().records.values()]
    for table in Table:
        for commit in lane.tables.commits:
            written += commit.puts.get(table, {}).values()
            written += [field.encode() for field in commit.puts.get(table, {})]
    written += [commit.head for commit in lane.tables.commits]
    assert len(written) > 100
    assert [one for one in written if one is not None and SECRET.encode() in one.lower()] == []
