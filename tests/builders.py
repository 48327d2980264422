"""Small builders for tests of the pipeline: events, records, and a partition on tables in memory.

Times of events are ms after `BASE_MS`, so that a case can say 0, 10, 20.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from schemas.dead_letters import HEADER_CODE, HEADER_MESSAGE
from schemas.times import parse_time, rfc3339, to_ms
from schemas.topics import (
    CLICKS,
    FORM_SUBMISSIONS,
    INPUT_TOPICS,
    PAGE_VIEWS,
    SESSIONS,
    SURVEY_ANSWERS,
    TOPIC_OF_TYPE,
)
from stream.core.policy import Policy
from stream.pipeline.batch import Batch, Output
from stream.pipeline.partition import Partition
from stream.pipeline.ports import Commit, CommitAnswer, Partial, StoreUnreachable
from stream.pipeline.renew_records import take_snapshot
from stream.pipeline.session_record import SessionRecord, session_record
from stream.pipeline.take_snapshot import Snapshot
from stream.tables.memory import MemoryBoard, MemoryStore, MemoryTables

# A whole hour and day of ten-second and minute buckets begins here: 2001-09-09T00:00:00Z.
BASE_MS = 11_574 * 86_400_000
TOPIC = {"V": PAGE_VIEWS, "C": CLICKS, "F": FORM_SUBMISSIONS, "S": SURVEY_ANSWERS}
TYPE = {"V": "page_view", "C": "click", "F": "form_submission", "S": "survey_answer"}
OWN_FIELDS: dict[str, dict[str, Any]] = {
    "page_view": {"url": "/"},
    "impression": {"url": "/", "element_id": "e"},
    "page_ping": {"url": "/", "engaged_ms": 1000},
    "click": {"element_id": "e"},
    "form_submission": {"form_id": "f", "url": "/"},
    "survey_answer": {"survey_id": "s", "survey_kind": "nps", "score": 9},
}

T = TypeVar("T")


class Item(NamedTuple):
    """One Kafka record of a log."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: everything here is in memory."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("tables in memory do not wait")


def event(kind: str, t: int, event_id: str, visitor: str = "v", **fields: Any) -> dict[str, Any]:
    """An event as JSON object; `kind` is a type, or V, C, F, S for the ordinary one of a topic."""
    kind = TYPE.get(kind, kind)
    common = {"type": kind, "event_id": event_id, "visitor_id": visitor, "occurred_at": rfc3339(BASE_MS + t)}
    return {**common, **OWN_FIELDS[kind], **fields}


def item(body: dict[str, Any], offset: int, arrival_ms: int | None = None) -> Item:
    """The record of an event; it arrives (ms after BASE_MS) when it happens unless told otherwise."""
    happened_ms = to_ms(parse_time(body["occurred_at"]))
    at_ms = happened_ms if arrival_ms is None else BASE_MS + arrival_ms
    return Item(offset, at_ms, body["visitor_id"].encode(), json.dumps(body).encode())


class FlakyTables(MemoryTables):
    """Tables whose next commit gets no answer: `lose` = "request" (nothing written) or "reply" (written)."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.lose: str | None = None
        self.commits: list[Commit] = []

    async def commit(self, commit: Commit) -> CommitAnswer:
        lose, self.lose = self.lose, None
        if lose == "request":
            raise StoreUnreachable("the request was lost")
        answer = await super().commit(commit)
        self.commits.append(commit)
        if lose == "reply":
            raise StoreUnreachable("the reply was lost")
        return answer


class Lane:
    """A partition with its logs: appends, fetches, restarts, and keeps every output it released.

    With `known` the end of each log is known from the start, as when logs are replayed; otherwise a topic
    is unknown until it was fetched.
    """

    def __init__(self, policy: Policy, store: MemoryStore | None = None) -> None:
        self.policy = policy
        self.store = store or MemoryStore()
        self.logs: dict[str, list[Item]] = {topic: [] for topic in INPUT_TOPICS}
        self.released: dict[int, list[Output]] = {}
        self.wall_ms: int | None = None
        self.open()

    def open(self) -> None:
        """Claim and load, as after a restart: nothing in memory survives."""
        self.tables = FlakyTables(self.store)
        self.partition = now(
            Partition.open(self.tables, now(self.tables.claim(0, "test", 1, 0)), self.policy)
        )
        for topic in INPUT_TOPICS:
            self.partition.begin(topic, 0)

    def know_ends(self) -> None:
        """Every topic has answered with the end of its log."""
        for topic, log in self.logs.items():
            self.partition.replied(topic, len(log), self.wall_ms or 0)

    def append(self, *bodies: dict[str, Any]) -> None:
        for body in bodies:
            log = self.logs[TOPIC_OF_TYPE[body["type"]]]
            log.append(item(body, len(log)))

    def fetch(self, topic: str, count: int = 10**9, *, log_end: int | None = None, back: int = 0) -> None:
        """Apply the next `count` records, delivering `back` of those before them again.

        `log_end` is the readable end that the reply names, by default that of the whole log.
        """
        topic = TOPIC.get(topic, topic)
        log, position = self.logs[topic], self.partition.positions[topic]
        end = min(position + count, len(log))
        start = max(0, position - back)
        readable = max(end, len(log) if log_end is None else log_end)
        batch = Batch(topic, 0, log[start:end], start, end, readable)
        now(self.partition.process(batch, self.wall_ms))
        self.release()

    def feed(
        self, letter: str, *times: int, visitor: str = "v", log_end: int | None = None, **fields: Any
    ) -> None:
        """Append ordinary events of one topic at these times, with these fields, and fetch them."""
        log = self.logs[TOPIC[letter]]
        bodies = [event(letter, t, f"{letter}{len(log) + n}", visitor, **fields) for n, t in enumerate(times)]
        self.append(*bodies)
        self.fetch(letter, log_end=log_end)

    def empty(self, letters: str) -> None:
        """These topics answer that there is nothing new."""
        for letter in letters:
            topic = TOPIC[letter]
            self.partition.replied(topic, self.partition.positions[topic], self.wall_ms or 0)
        self.tick()

    def tick(self, wall_ms: int | None = None, shared_live_ms: int | None = None) -> None:
        self.wall_ms = self.wall_ms if wall_ms is None else wall_ms
        now(self.partition.tick(self.wall_ms, shared_live_ms))
        self.release()

    def release(self) -> None:
        """Produce what is committed. The same entry twice must be the same bytes."""
        for entry, outputs in list(self.partition.outbox):
            assert self.released.setdefault(entry, outputs) == outputs, "an outbox entry changed"
            self.partition.produced(entry)

    # ---- what came of it

    @property
    def outputs(self) -> list[Output]:
        return [output for _, outputs in sorted(self.released.items()) for output in outputs]

    def published(self) -> list[dict[str, Any]]:
        """Session records in the order in which they were published."""
        return [json.loads(o.value) for o in self.outputs if o.topic == SESSIONS and o.value is not None]

    def tombstones(self) -> list[str]:
        return [o.id.removesuffix("/gone") for o in self.outputs if o.topic == SESSIONS and o.value is None]

    def refused(self) -> list[tuple[str, int, str, str]]:
        """(topic, offset, code, message) of every dead letter."""
        found = []
        for output in self.outputs:
            if output.topic.endswith(".dlq"):
                said = {name: text.decode() for name, text in output.headers}
                topic = output.topic.removesuffix(".dlq")
                code, message = said[HEADER_CODE], said[HEADER_MESSAGE]
                found.append((topic, int(output.id.rsplit(":", 1)[1]), code, message))
        return found

    def late(self) -> dict[tuple[str, int], str]:
        """(topic, offset) of every late record -> own_topic or other_topic."""
        return {(t, o): m[m.index("(") + 1 : -1] for t, o, code, m in self.refused() if code == "late"}

    def unfinished(self) -> list[SessionRecord]:
        state = self.partition.state
        return [
            session_record(state, visitor, session, ("open", "ended")[session.phase])
            for site in state.sites.values() for visitor in site.visitors.values()
            for session in visitor.sessions
        ]  # fmt: skip

    def spans(self) -> list[tuple[int, int]]:
        """(first, last) in ms after BASE_MS of every session, final or not."""
        records = [record for record in self.published() if record["state"] == "final"]
        times = [(r["started_at"], r["last_event_at"]) for r in records]
        times += [(r.started_at, r.last_event_at) for r in self.unfinished()]
        return sorted(
            (to_ms(parse_time(first)) - BASE_MS, to_ms(parse_time(last)) - BASE_MS) for first, last in times
        )

    def snapshot(self, wall_ms: int | None = None) -> Snapshot:
        partials: Sequence[Partial] = now(MemoryBoard(self.store).read_partials([0]))
        head = self.partition.head
        written_at_ms = head.written_at_ms if head else 0
        at_ms = written_at_ms if wall_ms is None else wall_ms
        return take_snapshot(partials, 1, at_ms, self.policy.published_values)
