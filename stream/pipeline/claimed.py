"""One partition of one stage under one claim: how it is told of its logs, commits, and lets outputs leave.

A stage says in `process` and `tick` what changes; here is what all stages have in common. Everything ends in
one commit, which writes state, positions, clocks and outputs together or not at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from stream.pipeline.batch import Batch, Output, encode_outputs
from stream.pipeline.partition_state import Fingerprint, LostRange
from stream.pipeline.ports import Claim, Commit, CommitAnswer, PartitionTables, Table


class Fenced(Exception):
    """A newer owner has claimed the partition: drop the state, wait for an assignment."""


class WentBack(Exception):
    """The store lost our claim or our last commit: drop the state, claim again, load and seek."""


class SkippedAhead(Exception):
    """The batch starts above the stored position: an earlier one was lost on the way. Seek back."""

    def __init__(self, position: int, start: int) -> None:
        super().__init__(f"the batch starts at {start}, {position} is the next to apply")
        self.position = position


class Head(Protocol):
    """What every stage's head says of its outputs."""

    @property
    def outbox_next(self) -> int: ...
    @property
    def produced_through(self) -> int: ...


H = TypeVar("H", bound=Head, covariant=True)


class Claimed(ABC, Generic[H]):
    """The live state of one partition under one claim. Not to be used after it raised, except where
    `process` says so."""

    def __init__(
        self, tables: PartitionTables, claim: Claim, head: H | None, positions: dict[str, int],
        lost: list[LostRange],
    ) -> None:  # fmt: skip
        self._tables = tables
        self.claim = claim
        self.number = claim.partition
        self.head = head
        self.positions = positions  # next offset per topic, -1 before the first batch
        self.lost = lost
        self.outbox: deque[tuple[int, list[Output]]] = deque()
        self._last_id = claim.commit_id
        self._outbox_next = head.outbox_next if head else 1
        self._produced = head.produced_through if head else 0
        self._unanswered: Commit | None = None
        self._next_head: H | None = head
        self._new_outputs: list[Output] = []

    @property
    @abstractmethod
    def fingerprints(self) -> dict[str, Fingerprint]:
        """The last applied record of each topic, as far as there is one."""

    @abstractmethod
    async def process(self, batch: Batch, wall_ms: int | None) -> None:
        """Apply one batch and commit.

        Raises SkippedAhead (nothing changed: seek and go on), StoreUnreachable (call `resume` until the
        store answers), TooManyDeadLetters (all of it is committed: let the outputs leave, then stop),
        Fenced, WentBack, StoreMisconfigured (drop the partition).
        """

    @abstractmethod
    async def tick(self, wall_ms: int | None, shared_live_ms: int | None) -> None:
        """Timed work. Raises like `process`."""

    @property
    def newest_output(self) -> int:
        """The last outbox entry that was ever committed; 0 before the first."""
        return self._outbox_next - 1

    def begin(self, topic: str, offset: int) -> None:
        """Nothing of the topic was applied yet, and its log begins at `offset`."""
        if self.positions[topic] < 0:
            self._move_to(topic, offset)

    def lose(self, topic: str, offset: int) -> None:
        """The log begins at `offset` now, above the position: what lay between is lost, which stays said."""
        self.lost.append(LostRange(topic, self.positions[topic], offset - 1))
        self._move_to(topic, offset)

    def _move_to(self, topic: str, offset: int) -> None:
        self.positions[topic] = offset

    def replied(self, topic: str, log_end: int, wall_ms: int) -> None:
        """A fetch reply, also an empty one, named the readable end of a topic's log."""

    def ahead(self) -> set[str]:
        """Topics to pause."""
        return set()

    def produced(self, through: int) -> None:
        """The broker has acknowledged every output up to entry `through`."""
        self._produced = max(self._produced, through)
        while self.outbox and self.outbox[0][0] <= through:
            self.outbox.popleft()

    async def resume(self) -> None:
        """Send a commit again that got no answer: the same bytes. Raises like `process`."""
        if self._unanswered is not None:
            await self._send(self._unanswered)

    @property
    def _last_produced(self) -> int:
        return self.head.produced_through if self.head else 0

    def _untaken(self, batch: Batch) -> Batch | None:
        """The part of a batch at or above the position, None where all of it was applied.

        Raises SkippedAhead.
        """
        position = self.positions[batch.topic]
        if position < 0 or batch.start == position:
            return batch
        if batch.start > position:
            raise SkippedAhead(position, batch.start)
        return _trim(batch, position) if batch.end > position else None

    @abstractmethod
    def _make_head(self, wall_ms: int) -> tuple[H, bytes]:
        """The head of the next commit, and how it is stored."""

    async def _write(
        self, commit_id: str, wall_ms: int, puts: Mapping[Table, Mapping[str, bytes]],
        drops: Mapping[Table, Sequence[str]], outputs: list[Output],
    ) -> None:  # fmt: skip
        """Commit all of it under a new head."""
        entry = self._outbox_next
        if outputs:
            self._outbox_next += 1
        self._new_outputs = outputs
        self._next_head, head = self._make_head(wall_ms)
        await self._send(
            Commit(
                partition=self.number,
                owner=self.claim.owner,
                previous_id=self._last_id,
                id=commit_id,
                head=head,
                puts={table: fields for table, fields in puts.items() if fields},
                drops={table: fields for table, fields in drops.items() if fields},
                outbox={entry: encode_outputs(outputs)} if outputs else {},
                produced_through=self._produced,
            )
        )

    async def _send(self, commit: Commit) -> None:
        self._unanswered = commit
        answer = await self._tables.commit(commit)
        if answer is CommitAnswer.NEWER_OWNER:
            raise Fenced(f"partition {self.number} has a newer owner")
        if answer is CommitAnswer.WENT_BACK:
            raise WentBack(f"partition {self.number}: the store does not hold our last commit any more")
        self._unanswered = None
        self._last_id = commit.id
        self.head = self._next_head
        for entry in commit.outbox:
            self.outbox.append((entry, self._new_outputs))


def _trim(batch: Batch, position: int) -> Batch:
    records = [record for record in batch.records if record.offset >= position]
    return Batch(batch.topic, batch.partition, records, position, batch.end, batch.log_end)
