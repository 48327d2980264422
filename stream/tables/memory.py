"""Live tables and the snapshot board in memory: for `replay`, and for tests of everything above the port.

A `MemoryStore` is the server; any number of `MemoryTables` and `MemoryBoard` are its clients, as several
processes would be. `snapshot` and `restore` take the store back in time, `flush` empties it.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from stream.pipeline.ports import (
    CHANGES_KEPT,
    CUSTOMERS,
    HOT_TABLES,
    AlertsWrite,
    Change,
    Claim,
    Commit,
    CommitAnswer,
    Owner,
    Partial,
    ResultsWrite,
    Seen,
    SettledPartial,
    Standing,
    StateTorn,
    Stored,
    Table,
    Token,
)
from stream.tables.fence import NOBODY, Held, judge

# A reader that is slower than this many announcements only needs the newest: older ones fall out.
ANNOUNCEMENTS_KEPT = 1000
_decode_change = msgspec.msgpack.Decoder(Change).decode


class _Partition:
    __slots__ = ("head", "held", "outbox", "tables")

    def __init__(self) -> None:
        self.held = NOBODY
        self.head: bytes | None = None
        self.tables: dict[Table, dict[str, bytes]] = {table: {} for table in Table}
        self.outbox: dict[int, bytes] = {}


class _Board:
    __slots__ = (
        "alerts", "alerts_epoch", "alerts_outbox", "clock_ms", "epoch", "header", "receivers_off",
        "records", "results", "results_epoch", "results_outbox", "results_state", "sequence",
    )  # fmt: skip

    def __init__(self) -> None:
        self.epoch = 0
        self.sequence = 0
        self.header: bytes | None = None
        self.records: dict[str, bytes] = {}
        self.clock_ms: int | None = None
        self.results_epoch = 0
        self.results_state: bytes | None = None
        self.results: dict[str, bytes] = {}
        self.results_outbox: dict[str, bytes] = {}
        self.alerts_epoch = 0
        self.alerts: dict[str, bytes] = {}
        self.alerts_outbox: dict[str, bytes] = {}
        self.receivers_off: dict[str, bytes] = {}


class MemorySnapshot(NamedTuple):
    """All of a store at one moment."""

    partitions: dict[int, _Partition]
    board: _Board
    stages: dict[str, MemorySnapshot]


class MemoryStore:
    """What the clients share. Nothing in it awaits, so every operation is atomic."""

    def __init__(self) -> None:
        self.partitions: dict[int, _Partition] = {}
        self.board = _Board()
        self.listeners: set[asyncio.Queue[int]] = set()
        self._stages: dict[str, MemoryStore] = {}

    def stage(self, name: str) -> MemoryStore:
        """The partitions of a further stage; of the first one the store itself."""
        return self._stages.setdefault(name, MemoryStore()) if name else self

    def partition(self, partition: int) -> _Partition:
        return self.partitions.setdefault(partition, _Partition())

    def snapshot(self) -> MemorySnapshot:
        """A copy of everything stored, for `restore`."""
        stages = {name: stage.snapshot() for name, stage in self._stages.items()}
        return MemorySnapshot(copy.deepcopy(self.partitions), copy.deepcopy(self.board), stages)

    def restore(self, snapshot: MemorySnapshot) -> None:
        """Back to the snapshot, which stays usable; listeners stay."""
        self.flush()
        self.partitions, self.board = copy.deepcopy(snapshot.partitions), copy.deepcopy(snapshot.board)
        for name, stage in snapshot.stages.items():
            self.stage(name).restore(stage)

    def flush(self) -> None:
        self.partitions, self.board = {}, _Board()
        for stage in self._stages.values():
            stage.flush()


class MemoryTables:
    """`PartitionTables` over a `MemoryStore`."""

    def __init__(self, store: MemoryStore | None = None, *, stage: str = "") -> None:
        self.store = (store or MemoryStore()).stage(stage)

    async def claim(self, partition: int, nonce: str, assignment: int, last_epoch: int) -> Claim:
        mine = self.store.partition(partition)
        owner = Owner(max(mine.held.epoch, last_epoch) + 1, nonce, assignment)
        mine.held = Held(str(owner), owner.epoch, mine.held.commit)
        return Claim(partition, owner, mine.held.commit)

    async def load(self, claim: Claim) -> Stored:
        mine = self.store.partition(claim.partition)
        if (mine.held.owner, mine.held.commit) != (str(claim.owner), claim.commit_id):
            raise StateTorn(f"partition {claim.partition}: changed by another since it was claimed")
        return Stored(
            head=mine.head,
            tables={table: dict(mine.tables[table]) for table in HOT_TABLES},
            outbox=sorted(mine.outbox.items()),
        )

    async def read(self, partition: int, table: Table, fields: Sequence[str]) -> list[bytes | None]:
        values = self.store.partition(partition).tables[table]
        return [values.get(field) for field in fields]

    async def browse(
        self, partition: int, table: Table, cursor: str, fields: int
    ) -> tuple[str, dict[str, bytes]]:
        values = self.store.partition(partition).tables[table]
        rest = sorted(field for field in values if f">{field}" > cursor)
        page = rest[:fields]
        return f">{page[-1]}" if len(rest) > fields else "", {field: values[field] for field in page}

    async def commit(self, commit: Commit) -> CommitAnswer:
        mine = self.store.partition(commit.partition)
        answer = judge(mine.held, commit)
        if answer is not None:
            return answer
        _apply(mine, commit)
        return CommitAnswer.STORED

    async def heads(self, partitions: int) -> list[bytes | None]:
        found = self.store.partitions
        return [found[number].head if number in found else None for number in range(partitions)]

    async def holder(self, partition: int) -> tuple[str, str]:
        held = self.store.partition(partition).held
        return held.owner, held.commit

    async def wait_durable(self) -> None:
        """Memory is as durable as it gets."""

    async def close(self) -> None:
        """Nothing to close."""


def _apply(mine: _Partition, commit: Commit) -> None:
    for table, fields in commit.drops.items():
        for field in fields:
            mine.tables[table].pop(field, None)
    for table, values in commit.puts.items():
        mine.tables[table].update(values)
    mine.outbox.update(commit.outbox)
    for output_id in [output_id for output_id in mine.outbox if output_id <= commit.produced_through]:
        del mine.outbox[output_id]
    mine.head = commit.head
    mine.held = mine.held._replace(commit=commit.id)


def _changes(number: int, part: _Partition, seen: Seen) -> Partial:
    windows: dict[str, bytes | None] = {}
    while slot := part.tables[Table.CHANGED].get(str((seen.number + 1) % CHANGES_KEPT)):
        change = _decode_change(slot)
        if (change.run, change.number) != (seen.run, seen.number + 1):
            break
        seen = Seen(seen.run, change.number)
        windows.update((field, part.tables[Table.WINDOWS].get(field)) for field in change.fields)
    return Partial(number, part.head, windows, seen)


def _everywhere(store: MemoryStore, partitions: int, table: Table, field: str) -> list[bytes | None]:
    found = store.partitions
    return [found.get(number, _Partition()).tables[table].get(field) for number in range(partitions)]


class MemoryBoard:
    """`Board` over a `MemoryStore`."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()

    async def take_token(self, at_least: int) -> Token:
        board = self.store.board
        board.epoch = max(board.epoch + 1, at_least)
        board.sequence = max(board.sequence, at_least)
        return Token(board.epoch, board.sequence)

    async def read_partials(self, partitions: Iterable[int]) -> list[Partial]:
        found = self.store.partitions
        parts = [(number, found.get(number, _Partition())) for number in partitions]
        return [Partial(number, part.head, dict(part.tables[Table.WINDOWS])) for number, part in parts]

    async def read_heads(self, partitions: int) -> list[Standing]:
        found = self.store.partitions
        parts = [found.get(number, _Partition()) for number in range(partitions)]
        return [Standing(number, part.held.owner, part.head) for number, part in enumerate(parts)]

    async def read_changes(self, seen: Sequence[Seen]) -> list[Partial]:
        found = self.store.partitions
        return [
            _changes(number, found.get(number, _Partition()), before) for number, before in enumerate(seen)
        ]

    async def read_answers(self, partitions: int, field: str) -> list[bytes | None]:
        return _everywhere(self.store, partitions, Table.ANSWERS, field)

    async def read_signals(self, partitions: int, site_id: str) -> list[bytes | None]:
        return _everywhere(self.store.stage(CUSTOMERS), partitions, Table.SIGNALS, site_id)

    async def read_header(self) -> bytes | None:
        return self.store.board.header

    async def read_records(self) -> dict[str, bytes]:
        return dict(self.store.board.records)

    async def write(
        self, token: Token, sequence: int, header: bytes, changed: Mapping[str, bytes], gone: Sequence[str]
    ) -> bool:
        board = self.store.board
        if board.epoch != token.epoch or sequence <= board.sequence:
            return False
        board.sequence, board.header = sequence, header
        board.records.update(changed)
        for key in gone:
            board.records.pop(key, None)
        for listener in self.store.listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(sequence)
        return True

    async def take_results_token(self, at_least: int) -> tuple[int, bytes | None]:
        board = self.store.board
        board.results_epoch = max(board.results_epoch + 1, at_least)
        return board.results_epoch, board.results_state

    async def read_settled(self, partitions: int) -> list[SettledPartial]:
        found = self.store.partitions
        parts = [found.get(number, _Partition()) for number in range(partitions)]
        return [
            SettledPartial(
                number, part.head, dict(part.tables[Table.SETTLING]), dict(part.tables[Table.CLOSED])
            )
            for number, part in enumerate(parts)
        ]

    async def read_closed(self, partition: int, fields: Sequence[str]) -> list[bytes | None]:
        return await MemoryTables(self.store).read(partition, Table.SETTLED, fields)

    async def result_windows(self) -> list[str]:
        return list(self.store.board.results)

    async def read_results(self, fields: Sequence[str]) -> list[bytes | None]:
        return [self.store.board.results.get(field) for field in fields]

    async def read_results_outbox(self) -> dict[str, bytes]:
        return dict(self.store.board.results_outbox)

    async def write_results(self, epoch: int, write: ResultsWrite) -> bool:
        board = self.store.board
        if board.results_epoch != epoch:
            return False
        board.results_state = write.state
        board.results.update(write.windows)
        board.results_outbox.update(write.outbox)
        for field in write.gone:
            board.results.pop(field, None)
        for key in write.produced:
            board.results_outbox.pop(key, None)
        return True

    async def take_alerts_token(self, at_least: int) -> int:
        board = self.store.board
        board.alerts_epoch = max(board.alerts_epoch + 1, at_least)
        return board.alerts_epoch

    async def read_alerts(self) -> dict[str, bytes]:
        return dict(self.store.board.alerts)

    async def read_alerts_outbox(self) -> dict[str, bytes]:
        return dict(self.store.board.alerts_outbox)

    async def write_alerts(self, epoch: int, write: AlertsWrite) -> bool:
        board = self.store.board
        if board.alerts_epoch != epoch:
            return False
        board.alerts.update(write.kept)
        board.alerts_outbox.update(write.outbox)
        for key in write.gone:
            board.alerts.pop(key, None)
        for record_id in write.produced:
            board.alerts_outbox.pop(record_id, None)
        return True

    async def read_receivers_off(self) -> dict[str, bytes]:
        return dict(self.store.board.receivers_off)

    async def write_receiver_off(self, receiver: str, why: bytes | None) -> None:
        if why is None:
            self.store.board.receivers_off.pop(receiver, None)
        else:
            self.store.board.receivers_off[receiver] = why

    async def write_clock(self, live_ms: int) -> None:
        self.store.board.clock_ms = live_ms

    async def read_clock(self) -> int | None:
        return self.store.board.clock_ms

    async def announcements(self) -> AsyncGenerator[int, None]:
        queue: asyncio.Queue[int] = asyncio.Queue(ANNOUNCEMENTS_KEPT)
        self.store.listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.store.listeners.discard(queue)
