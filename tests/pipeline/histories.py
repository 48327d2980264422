"""Random logs over the four topics, and random ways in which a pipeline gets to see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

from schemas.topics import INPUT_TOPICS, TOPIC_OF_TYPE
from stream.core import policy as core
from stream.core.policy import Funnel, Goal, Policy
from stream.pipeline.ports import StoreUnreachable
from tests.builders import BASE_MS, Item, Lane, event, item, now
from tests.oracle.judging import BOTS, DEVICES, Rules

GOALS = (Goal("thanks", page="/thanks*"), Goal("button", element_id="e1"), Goal("form", form_id="f1"))
RULE_GOALS = (("thanks", "page", "/thanks*"), ("button", "element", "e1"), ("form", "form", "f1"))
PAIRS = ("channel+device", "landing_page+referrer", "exit_page+channel")
RULE_PAIRS = (("channel", "device"), ("landing_page", "referrer"), ("exit_page", "channel"))
ZONES = (("b|1", "Asia/Kathmandu"),)  # 5 h 45 min ahead; the other site has UTC
RULE_FUNNELS = (
    ("order", (("page", "/*"), ("element", "e1"), ("page", "/thanks*"))),
    ("again", (("page", "/*"), ("page", "/*"), ("page", "/*"))),
)
FUNNELS = (
    Funnel("order", (core.Step(page="/*"), core.Step(element_id="e1"), core.Step(page="/thanks*"))),
    Funnel("again", (core.Step(page="/*"), core.Step(page="/*"), core.Step(page="/*"))),
)
URLS = ("/", "/a?x=1", "/thanks?utm_source=News&utm_medium=email&utm_campaign=Oto%C3%B1o&token=secret",
        "https://shop.example/thanks/b%+c#c", "https://shop.example/?gclid=secret")  # fmt: skip
REFERRERS = ("https://Search.example:8080/q?secret", "https://www.google.co.uk/search?q=secret",
             "https://www.shop.example/before", "http://[", "https://m.facebook.com")  # fmt: skip
AGENTS = (*DEVICES, *BOTS, "Nobody/1.0")
KINDS = (*("page_view",) * 4, *("click",) * 3, *("impression",) * 3, "page_ping", "form_submission",
         *("survey_answer",) * 3)  # fmt: skip
FATES = (*("fine",) * 12, "again", "again", "retried", "conflict", "denied", "future", "broken", "misplaced")


class Draft(NamedTuple):
    """Numbers from which one event is made."""

    kind: str
    tick: int
    visitor: int
    site: int
    choice: int
    fate: str


@dataclass(frozen=True)
class Logs:
    policy: Policy
    rules: Rules
    items: dict[str, list[Item]]

    def lane(self) -> Lane:
        lane = Lane(self.policy)
        lane.logs = self.items
        return lane


def drafts(fates: Sequence[str] = FATES) -> st.SearchStrategy[list[Draft]]:
    one = st.builds(
        Draft,
        kind=st.sampled_from(KINDS),
        tick=st.one_of(st.integers(0, 40), st.integers(0, 300)),
        visitor=st.integers(0, 2),
        site=st.sampled_from((0, 0, 0, 1)),
        choice=st.integers(0, 59),
        fate=st.sampled_from(fates),
    )
    return st.lists(one, max_size=24)


# One tick in ms: all inside one bucket, over some short windows, over some days.
UNITS = st.sampled_from((1, 7_000, 13 * 60_000))
MEMORIES = st.sampled_from((45, None))
TOLERANCES = st.sampled_from((60, 400, None))


def rules_of(
    unit: int, tolerance: int | None, grace: int = 2, *, every: bool = False, memory: int | None = None
) -> tuple[Policy, Rules]:
    """Gap 10, grace 2, attribution 25 ticks; visitors are remembered for `memory` ticks, or for 400 days."""
    memory_ms = 400 * 86_400_000 if memory is None else memory * unit
    survey = None if tolerance is None else tolerance * unit
    policy = Policy(
        gap_ms=10 * unit, grace_ms=grace * unit, future_ms=3 * unit, survey_tolerance_ms=survey,
        attribution_ms=25 * unit, visitor_memory_ms=memory_ms, grid_ms=1, goals=GOALS, funnels=FUNNELS,
        dimension_pairs=PAIRS, zones=ZONES, answers="every" if every else "latest",
    )  # fmt: skip
    rules = Rules(
        10 * unit, grace * unit, 3 * unit, survey, 25 * unit, RULE_GOALS, memory_ms, every, RULE_PAIRS, ZONES,
        RULE_FUNNELS,
    )  # fmt: skip
    return policy, rules


def build(
    made: Sequence[Draft], unit: int, tolerance: int | None, grace: int = 2, *, every: bool = False,
    memory: int | None = None,
) -> Logs:  # fmt: skip
    """The logs of these events, in this order."""
    policy, rules = rules_of(unit, tolerance, grace, every=every, memory=memory)
    items: dict[str, list[Item]] = {topic: [] for topic in INPUT_TOPICS}
    for number, draft in enumerate(made):
        body = _body(draft, number, unit)
        log = items[TOPIC_OF_TYPE[draft.kind]]
        delay = draft.choice % 4 * unit
        record = item(body, len(log), draft.tick * unit + delay)
        log.append(_spoil(record, draft, unit))
        if draft.fate in ("again", "retried", "conflict"):
            log.append(_repeat(body, draft, record._replace(offset=len(log))))
    return Logs(policy, rules, items)


def _body(draft: Draft, number: int, unit: int) -> dict[str, Any]:
    choice = draft.choice
    fields: dict[str, Any] = {"site_id": ("default", "b|1")[draft.site]}
    if choice % 5 == 1:
        fields |= {"customer_id": f"c{choice % 2}", "channel": "email", "device": "mobile"}
    if draft.kind in ("page_view", "page_ping", "form_submission"):
        fields["url"] = URLS[choice % len(URLS)]
    if draft.kind == "page_view" and choice % 3 == 0:
        fields["referrer"] = REFERRERS[choice // 3 % len(REFERRERS)]
    if draft.kind in ("click", "impression"):
        surface = ("page", "page", "mail", "ad")[choice % 4]
        fields |= {"element_id": f"e{choice // 4 % 3}", "surface": surface, "url": "/p"}
        if choice % 3:
            fields |= {"position": choice % 3, "variant": "ab"[choice % 2], "campaign": f"c{choice % 5}"}
    if draft.kind == "impression" and choice % 3:
        fields["opened"] = choice % 3 == 1
    if draft.kind == "form_submission":
        fields["form_id"] = f"f{choice % 2}"
    if draft.kind == "survey_answer":
        fields |= _answer(choice)
    if choice % 4 == 3:
        fields["user_agent"] = AGENTS[choice // 4 % len(AGENTS)]
    if draft.fate == "denied":
        fields["consent"] = "denied"
    return event(draft.kind, draft.tick * unit, f"e{number}", f"v{draft.visitor}", **fields)


def _answer(choice: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"survey_id": f"s{choice % 2}"}
    if choice % 7 == 0:
        fields |= {"survey_kind": "csat", "score": None if choice % 2 else 1 + choice % 5}
    else:
        fields |= {"survey_kind": "nps", "score": None if choice % 11 == 0 else choice % 12}  # 11 is refused
    fields["skipped"] = fields["score"] is None
    if choice % 3:
        fields |= {"channel": ("email", "Social")[choice % 2], "plan": "pro", "campaign": f"c{choice % 3}"}
    if choice % 4 < 3:
        fields["respondent_id"] = ("", "r1", "r2")[choice % 4]
    return fields


def _spoil(record: Item, draft: Draft, unit: int) -> Item:
    if draft.fate == "future":
        return record._replace(timestamp=BASE_MS + draft.tick * unit - 4 * unit)
    if draft.fate == "broken":
        return record._replace(value=(None, b"{", b"[]", b"\xff")[draft.choice % 4])
    if draft.fate == "misplaced":
        return record._replace(key=b"somebody else")
    return record


def _repeat(body: dict[str, Any], draft: Draft, record: Item) -> Item:
    """The same event again: as it was, through another collector, or saying something else."""
    if draft.fate == "retried":
        body = body | {"received_at": body["occurred_at"]}
    elif draft.fate == "conflict":
        body = body | {"country": "ES"}
    return record._replace(value=json.dumps(body).encode())


# ---------------------------------------------------------------- ways to see them


class Step(NamedTuple):
    """Fetch so many records of a topic, `back` of those before again; something may go wrong."""

    topic: int
    records: int
    back: int
    accident: str
    ahead: int = 0  # live: how many more records than these the reply says are readable
    pause_ms: int = 0  # live: wall clock since the step before


ACCIDENTS = (
    "none",
    "none",
    "none",
    "tick",
    "restart",
    "request",
    "reply",
    "request restart",
    "reply restart",
)
STEPS = st.lists(
    st.builds(
        Step,
        topic=st.integers(0, 3),
        records=st.integers(1, 6),
        back=st.integers(0, 3),
        accident=st.sampled_from(ACCIDENTS),
        ahead=st.integers(0, 4),
        pause_ms=st.sampled_from((0, 50, 300, 11_000)),
    ),
    max_size=16,
)


def play_replay(lane: Lane, steps: Sequence[Step]) -> None:
    """Read fixed logs to their end: what is readable is known from the start."""
    lane.know_ends()
    rest = [Step(topic, 10**9, 0, "none") for topic in range(4)]
    for step in [*steps, *rest]:
        _take(lane, step, None)
        lane.know_ends()
    lane.tick()


def play_live(lane: Lane, steps: Sequence[Step], unit: int) -> None:
    """Read logs as they grow: a reply names the end it saw, and a restart forgets all of them."""
    lane.wall_ms = BASE_MS
    rest = [Step(topic, 10**9, 0, "none") for topic in range(4)]
    for step in [*steps, *rest]:
        lane.wall_ms += step.pause_ms + unit
        _take(lane, step, step.ahead)
    lane.know_ends()
    lane.tick(lane.wall_ms + 1000)


def _take(lane: Lane, step: Step, ahead: int | None) -> None:
    topic = INPUT_TOPICS[step.topic]
    log_end = None
    if ahead is not None:
        log_end = min(len(lane.logs[topic]), lane.partition.positions[topic] + step.records + ahead)
    kind, _, then = step.accident.partition(" ")
    if kind in ("request", "reply"):
        lane.tables.lose = kind
    try:
        lane.fetch(topic, step.records, log_end=log_end, back=step.back)
    except StoreUnreachable:
        if not then:
            now(lane.partition.resume())
            lane.release()
    lane.tables.lose = None
    if kind == "tick":
        lane.tick()
    if "restart" in step.accident:
        lane.open()
