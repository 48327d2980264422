"""`latido replay`: recorded events through the same pipeline on tables in memory, without broker or Redis."""

from __future__ import annotations

import asyncio
import errno
import gzip
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import IO, Literal

import msgspec

from schemas.topics import INPUT_TOPICS, PAGE_VIEWS, SESSIONS, SURVEY_ANSWERS, TOPIC_OF_TYPE
from stream.core.event_time import FOREVER_MS, NEVER_MS
from stream.core.events import EPOCH, Event
from stream.core.policy import Policy
from stream.core.profiles import LATIDO, Profile
from stream.core.profiles_compare import Comparison, compare
from stream.core.sessions import OPEN
from stream.pipeline.batch import Batch, Output
from stream.pipeline.dead_letters import listed
from stream.pipeline.partition import Partition
from stream.pipeline.partition_state import Accounting
from stream.pipeline.ports import Partial, Table
from stream.pipeline.profile_views import Accepted, Views
from stream.pipeline.renew_records import take_snapshot
from stream.pipeline.scores import all_scores
from stream.pipeline.session_record import session_record
from stream.pipeline.take_results import encode_result, results_of_one
from stream.pipeline.take_snapshot import encode_record
from stream.tables.memory import MemoryBoard, MemoryStore, MemoryTables

_BATCH_RECORDS = 20_000
_GZIP_MAGIC = b"\x1f\x8b"

What = Literal["sessions", "snapshot", "results", "scores", "accounting", "dead-letters"]


class _Routing(msgspec.Struct):
    """What of an event says where it goes; the decoder proper judges it later."""

    type: str
    visitor_id: str | None = None
    received_at: datetime | None = None


class ReplayRecord(msgspec.Struct, frozen=True):
    """A line as a Kafka record: its offset counts the records of its topic."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


_decode_routing = msgspec.json.Decoder(_Routing).decode


class Semantics(msgspec.Struct, frozen=True):
    """By which rules sessions are cut. `latido` is what the pipeline itself computes."""

    profile: Profile = LATIDO
    zone: tzinfo = UTC  # says when midnight is, for profiles that cut there


def replay_lines(
    files: Sequence[str],
    *,
    what: What,
    policy: Policy,
    until_final: bool,
    semantics: Semantics = Semantics(),  # noqa: B008  (frozen)
) -> list[str]:
    """Replay `files` ('-' is standard input) as one arrival order; the JSON lines to print.

    Raises OSError when a file cannot be read.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(_open(name)) for name in files]
        return asyncio.run(
            run(sources, what=what, policy=policy, until_final=until_final, semantics=semantics)
        )


class Replayed(msgspec.Struct):
    """All sessions, as if time had run out after the last event."""

    lines: list[str]  # a final session record each
    end_ms: int  # highest event time read
    accounting: Accounting


def replay_sessions(
    files: Sequence[str], *, policy: Policy, witness: Callable[[int, Event, int], None]
) -> Replayed:
    """Every session of `files` in its final form; `witness` is told of each event that counts (topic, event,
    time). Raises OSError when a file cannot be read."""
    with ExitStack() as stack:
        sources = [stack.enter_context(_open(name)) for name in files]
        return asyncio.run(_run_sessions(sources, policy, witness))


async def _run_sessions(
    sources: Sequence[IO[bytes]], policy: Policy, witness: Callable[[int, Event, int], None]
) -> Replayed:
    partition, _ = await _open_partition(msgspec.structs.replace(policy, settles=False))
    partition.state.witness = witness
    outputs = _Outputs(partition, "sessions")
    await _play(partition, sources, outputs)
    _let_time_run_out(partition)
    await partition.tick(None, None)
    outputs.collect()
    end_ms = partition.state.progress.highest_clock_ms()
    return Replayed(outputs.kept, end_ms, partition.state.accounting)


class Compared(msgspec.Struct):
    """The same events under every profile, and what became of the records read."""

    accounting: Accounting
    gap_ms: int  # of latido; the others have their own
    profiles: list[Comparison]


def compare_profiles(files: Sequence[str], *, policy: Policy, zone: tzinfo) -> Compared:
    """The accepted events of `files` under every profile. Raises OSError when a file cannot be read."""
    with ExitStack() as stack:
        sources = [stack.enter_context(_open(name)) for name in files]
        return asyncio.run(run_compare(sources, policy=policy, zone=zone))


async def run_compare(sources: Sequence[IO[bytes]], *, policy: Policy, zone: tzinfo) -> Compared:
    """The same for seekable `sources`. `latido` has the gap of the policy."""
    partition, _ = await _open_partition(policy)
    events = Accepted(partition.state)
    await _play(partition, sources, _Outputs(partition, "accounting"))
    latido = msgspec.structs.replace(LATIDO, gap_ms=policy.gap_ms)
    return Compared(partition.state.accounting, policy.gap_ms, compare(events.steps, zone, latido))


async def run(
    sources: Sequence[IO[bytes]],
    *,
    what: What,
    policy: Policy,
    until_final: bool,
    semantics: Semantics = Semantics(),  # noqa: B008  (frozen)
) -> list[str]:
    """The lines to print for seekable `sources`."""
    settles = what == "results"
    partition, store = await _open_partition(msgspec.structs.replace(policy, settles=settles))
    profile = None if semantics.profile.name == LATIDO.name else semantics.profile
    events = None if profile is None else Accepted(partition.state)
    outputs = _Outputs(partition, what)
    await _play(partition, sources, outputs)
    if until_final:
        _let_time_run_out(partition)
    await partition.tick(None, None)
    outputs.collect()
    if what == "dead-letters":
        return outputs.kept
    if what == "accounting":
        return [_accounting(partition)]
    if what == "results":
        return _results(partition, store)
    if what == "scores":
        answers = store.partition(0).tables[Table.ANSWERS]
        return [msgspec.json.encode(one).decode() for one in all_scores(answers)]
    views = None
    if profile is not None and events is not None:
        views = Views(partition.state, events, profile, semantics.zone, until_final)
    if what == "sessions":
        return views.lines() if views else outputs.kept + _unfinished_sessions(partition)
    return _snapshot(partition, await _windows(store), views)


async def _open_partition(policy: Policy) -> tuple[Partition, MemoryStore]:
    store = MemoryStore()
    tables = MemoryTables(store)
    exact = msgspec.structs.replace(policy, grid_ms=1)
    return await Partition.open(tables, await tables.claim(0, "replay", 1, 0), exact), store


async def _play(partition: Partition, sources: Sequence[IO[bytes]], outputs: _Outputs) -> None:
    """All lines, each topic known to be behind until its last one."""
    ends = _count_records(sources)
    for topic in INPUT_TOPICS:
        partition.begin(topic, 0)
        partition.replied(topic, ends[topic], 0)
    for batch in _batches(sources, ends):
        await partition.process(batch, None)
        outputs.collect()


class _Outputs:
    """Keeps what is to be printed of the outputs, and acknowledges all of them."""

    def __init__(self, partition: Partition, what: What) -> None:
        self._partition = partition
        keep: dict[str, Callable[[Output], str | None]] = {
            "sessions": _final_session,
            "dead-letters": _listed,
        }
        self._keep = keep.get(what)
        self.kept: list[str] = []

    def collect(self) -> None:
        while self._partition.outbox:
            entry, outputs = self._partition.outbox[0]
            if self._keep is not None:
                self.kept += [line for output in outputs if (line := self._keep(output)) is not None]
            self._partition.produced(entry)


def _final_session(output: Output) -> str | None:
    if output.topic != SESSIONS or output.value is None or b'"state":"final"' not in output.value:
        return None
    return output.value.decode()


def _listed(output: Output) -> str | None:
    return listed(output).model_dump_json() if output.topic != SESSIONS else None


def _let_time_run_out(partition: Partition) -> None:
    """Every session ends final; windows keep ending at the highest event time read."""
    state = partition.state
    highest_ms = state.progress.highest_clock_ms()
    if highest_ms > NEVER_MS:
        state.frozen_end_ms = highest_ms
        state.progress.progress_ms = highest_ms + state.policy.finality_ms + 1
        state.final_through_ms = FOREVER_MS


def _unfinished_sessions(partition: Partition) -> list[str]:
    state, lines = partition.state, []
    for site_id in sorted(state.sites):
        visitors = state.sites[site_id].visitors
        for visitor_id in sorted(visitors):
            for session in visitors[visitor_id].sessions:
                name = "open" if session.phase == OPEN else "ended"
                record = session_record(state, visitors[visitor_id], session, name)
                lines.append(msgspec.json.encode(record).decode())
    return lines


def _accounting(partition: Partition) -> str:
    """Where every record went. Bots are a part where there are any: few streams name their user agents."""
    counts = partition.state.accounting
    names = ["read", "counted", "duplicates", "conflicts", "late", "refused", "no_consent"]
    names += ["bots"] if counts.bots else []
    return msgspec.json.encode({name: getattr(counts, name) for name in names}).decode()


async def _windows(store: MemoryStore) -> Partial:
    return (await MemoryBoard(store).read_partials([0]))[0]


def _snapshot(partition: Partition, partial: Partial, views: Views | None) -> list[str]:
    head = partition.head
    if head is None:
        return []
    snapshot = take_snapshot([partial], 1, head.written_at_ms, partition.state.policy.published_values)
    as_of_ms = snapshot.as_of_ms or 0
    if views is not None:
        for record in snapshot.records.values():
            views.rewrite(record)
    return [encode_record(record, 1, as_of_ms).decode() for _, record in sorted(snapshot.records.items())]


def _results(partition: Partition, store: MemoryStore) -> list[str]:
    """Every hour and day, by site, time and segment."""
    head = partition.head
    if head is None:
        return []
    tables = store.partition(0).tables
    policy = partition.state.policy
    records = results_of_one(head, tables, policy.zone_of, policy.published_values)
    return [encode_result(record).decode() for record in records]


def _open(name: str) -> IO[bytes]:
    """The file's bytes, decompressed and seekable: it is read twice."""
    if name != "-":
        plain = Path(name).open("rb")  # noqa: SIM115  (closed by the caller's stack)
        if plain.read(2) == _GZIP_MAGIC:
            plain.close()
            return gzip.open(name, "rb")  # type: ignore[return-value]
        plain.seek(0)
        return plain
    spool = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the caller's stack)
    shutil.copyfileobj(sys.stdin.buffer, spool)
    spool.seek(0)
    zipped = spool.read(2) == _GZIP_MAGIC
    spool.seek(0)
    return gzip.open(spool, "rb") if zipped else spool  # type: ignore[return-value]


def _lines(sources: Sequence[IO[bytes]]) -> Iterator[bytes]:
    """The lines of all sources; blank ones are no records."""
    for source in sources:
        source.seek(0)
        try:
            for line in source:
                if stripped := line.strip():
                    yield stripped
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            name = getattr(source, "name", "-")
            raise OSError(errno.EIO, f"is damaged or cut short ({error})", str(name)) from error


def _route(line: bytes) -> tuple[str, bytes | None, datetime | None]:
    """(topic, key, received at) of a line. What cannot be read is judged as a page view, and refused."""
    try:
        routing = _decode_routing(line)
        key = None if routing.visitor_id is None else routing.visitor_id.encode()
        return TOPIC_OF_TYPE.get(routing.type, PAGE_VIEWS), key, routing.received_at
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _topic_of_broken(line), None, None


def _topic_of_broken(line: bytes) -> str:
    """A survey answer that is broken still belongs to its own topic, whose clock the others do not share."""
    return SURVEY_ANSWERS if b'"survey_answer"' in line else PAGE_VIEWS


def _count_records(sources: Sequence[IO[bytes]]) -> dict[str, int]:
    """Records per topic: a topic is behind until its last record is read, and an empty one never is."""
    ends = dict.fromkeys(INPUT_TOPICS, 0)
    for line in _lines(sources):
        ends[_route(line)[0]] += 1
    return ends


def _batches(sources: Sequence[IO[bytes]], ends: dict[str, int]) -> Iterator[Batch]:
    """Neighbouring lines of one topic as one batch."""
    now_ms = time.time_ns() // 1_000_000  # when the file is read: an event of 2099 is refused
    offsets = dict.fromkeys(INPUT_TOPICS, 0)
    topic, records = PAGE_VIEWS, list[ReplayRecord]()
    for line in _lines(sources):
        its_topic, key, received_at = _route(line)
        if records and (its_topic != topic or len(records) >= _BATCH_RECORDS):
            yield _batch(topic, records, ends)
            records = []
        topic = its_topic
        aware = received_at is not None and received_at.tzinfo is not None
        arrived_ms = int((received_at - EPOCH).total_seconds() * 1000) if received_at and aware else now_ms
        records.append(ReplayRecord(offsets[topic], arrived_ms, key, line))
        offsets[topic] += 1
    if records:
        yield _batch(topic, records, ends)


def _batch(topic: str, records: list[ReplayRecord], ends: dict[str, int]) -> Batch:
    start = records[0].offset
    return Batch(topic, 0, records, start, start + len(records), ends[topic])
