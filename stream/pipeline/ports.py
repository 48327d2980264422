"""What the pipeline needs from the world: live tables per partition, and a place for snapshots.

Two implementations stand side by side, `tables/memory.py` and `tables/redis.py`, and one contract suite
(`tests/contracts`) runs over both. Values are opaque bytes here: only `pipeline` knows what is inside.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

CUSTOMERS = "customers"
STAGES = ("", CUSTOMERS)
"""Each has partitions of its own. The first one, which reads the events, has no name."""


class Table(enum.StrEnum):
    """The tables of one partition. A table maps a field (text) to a value (bytes)."""

    VISITORS = "visitors"  # hot: visitors with a session that is not final, with all they need
    DEDUPE = "dedupe"  # hot: chunks of event ids by ten minutes of event time
    BUCKETS = "buckets"  # hot: counts per site and ten seconds or one minute of event time
    TOTALS = "totals"  # hot: counts per site since the namespace began
    SEEN = "seen"  # read through: the profile of each visitor, of the sessions that are final
    ANSWERS = "answers"  # read through: the survey answers of each respondent, the latest of each site
    SETTLING = "settling"  # hot: counts per site and hour or day that is not final in this partition
    CLOSED = "closed"  # hot: which hours and days are final, and when they last changed
    SETTLED = "settled"  # read through: the counts of those
    WINDOWS = "windows"  # written for the publisher: sums per site and window
    CUSTOMERS = "customers"  # read through: each customer, and how they stand; of the customer stage
    ARRIVALS = "arrivals"  # hot: what it was told, and whose time has not come
    SIGNALS = "signals"  # read through: the latest churn signals of each site; of the customer stage
    CHANGED = "changed"  # for it, too: which sums the last writes changed, a ring of `Change`s


HOT_TABLES = (
    Table.VISITORS, Table.DEDUPE, Table.BUCKETS, Table.TOTALS, Table.SETTLING, Table.CLOSED,
    Table.ARRIVALS,
)  # fmt: skip


class Owner(msgspec.Struct, frozen=True, order=True):
    """Who may write a partition. Compared for equality; `epoch` only orders claims."""

    epoch: int
    nonce: str  # random, one per process
    assignment: int  # counts the assignments of this process

    def __str__(self) -> str:
        return f"{self.epoch}:{self.nonce}:{self.assignment}"


class Claim(msgspec.Struct, frozen=True):
    """A partition claimed: the owner written, and the id of the last commit ('' before the first)."""

    partition: int
    owner: Owner
    commit_id: str


class Stored(msgspec.Struct, frozen=True):
    """What a claim loads: the head (None before the first commit), hot tables, outbox in id order."""

    head: bytes | None
    tables: Mapping[Table, Mapping[str, bytes]]
    outbox: Sequence[tuple[int, bytes]]


class Commit(msgspec.Struct, frozen=True):
    """One atomic change of a partition, all values absolute. Frozen: a retry sends the same."""

    partition: int
    owner: Owner
    previous_id: str  # id of the commit this one follows
    id: str  # random, unique
    head: bytes
    puts: Mapping[Table, Mapping[str, bytes]] = {}
    drops: Mapping[Table, Sequence[str]] = {}
    outbox: Mapping[int, bytes] = {}  # new entries
    produced_through: int = 0  # entries with an id up to this one are removed


class CommitAnswer(enum.Enum):
    STORED = "stored"  # written now, or already written by a try whose reply was lost
    NEWER_OWNER = "newer_owner"  # somebody else claimed: stop using the state
    WENT_BACK = "went_back"  # owner missing or older, or another previous commit: drop, claim, load, seek


class ClaimRefused(Exception):
    """The store already holds a newer claim of this partition than the heartbeat allows us to take."""


class StateTorn(Exception):
    """Owner or commit id changed while the state was loaded: claim and load again."""


class StoreUnreachable(Exception):
    """The store does not answer, or refuses for a passing reason (loading, busy, out of memory)."""


class StoreMisconfigured(Exception):
    """The store answers in a way that no retry mends (no permission, wrong type, wrong settings)."""


class PartitionTables(Protocol):
    """Live tables, one set per partition."""

    async def claim(self, partition: int, nonce: str, assignment: int, last_epoch: int) -> Claim:
        """Take the partition: epoch = max(stored, last_epoch) + 1. Raises StoreUnreachable."""

    async def load(self, claim: Claim) -> Stored:
        """Read head, hot tables and outbox. Raises StateTorn when the claim or commit changed meanwhile."""

    async def read(self, partition: int, table: Table, fields: Sequence[str]) -> list[bytes | None]:
        """Values of a read-through table, in the order of `fields`, None where there is none."""

    async def browse(
        self, partition: int, table: Table, cursor: str, fields: int
    ) -> tuple[str, dict[str, bytes]]:
        """The next page of a table, about so many fields, and the cursor of the page after it.

        '' is the cursor of the first page, and follows the last one. What is there for a whole round is met
        in it at least once.
        """

    async def commit(self, commit: Commit) -> CommitAnswer:
        """Write all of it or nothing. The same commit again is answered STORED.

        Raises StoreUnreachable when no answer came: send the *same* commit again.
        Raises StoreMisconfigured when a retry cannot help.
        """

    async def heads(self, partitions: int) -> list[bytes | None]:
        """The head of each partition below that number, None before its first commit."""

    async def holder(self, partition: int) -> tuple[str, str]:
        """(owner as text, last commit id) as stored, '' where missing: how an idle owner finds a rollback."""

    async def wait_durable(self) -> None:
        """Return when every commit answered STORED so far is on disk, as far as the store can tell.

        Raises StoreUnreachable when the store does not say so in time: wait again.
        Raises StateTorn when it lost a commit that it had confirmed: drop the state, claim and load again.
        """

    async def close(self) -> None: ...


CHANGES_KEPT = 64
"""Writes of the sums that a reader may be behind; after more it reads all of them."""


class Change(msgspec.Struct, array_like=True, frozen=True):
    """Which sums a write changed, in field `number % CHANGES_KEPT`. MessagePack: the store reads it, too."""

    run: str  # the owner who wrote
    number: int  # of the write, from 1 in each run
    fields: list[str]


class Seen(msgspec.Struct, frozen=True):
    """Up to which write a reader has a partition's sums."""

    run: str
    number: int


NOTHING_SEEN = Seen("", -1)


class Partial(msgspec.Struct, frozen=True):
    """What one partition contributes to a snapshot: its head and its WINDOWS table, or what changed there."""

    partition: int
    head: bytes | None
    windows: Mapping[str, bytes | None]  # None: a field that is gone
    seen: Seen | None = None  # how far the changes lead; None: `windows` is all there is


class Standing(msgspec.Struct, frozen=True):
    """How a partition stands: who owns it, as text, and its head."""

    partition: int
    owner: str  # '' before the first claim
    head: bytes | None


class Token(msgspec.Struct, frozen=True):
    """Leave to publish: the newest holder wins, older ones are refused."""

    epoch: int
    sequence: int


class SettledPartial(msgspec.Struct, frozen=True):
    """What one partition contributes to settled results: its head, its SETTLING and its CLOSED table."""

    partition: int
    head: bytes | None
    settling: Mapping[str, bytes]
    closed: Mapping[str, bytes]


class ResultsWrite(msgspec.Struct, frozen=True):
    """One step of publishing settled results, written whole or not at all."""

    state: bytes  # what the next publisher must know
    windows: Mapping[str, bytes] = {}  # field of a window -> its records
    gone: Sequence[str] = ()  # fields of windows
    outbox: Mapping[str, bytes] = {}  # key -> record that is to be produced
    produced: Sequence[str] = ()  # keys of records that were


class ResultsBoard(Protocol):
    """The published settled results in the store, and what is on its way to Kafka."""

    async def take_results_token(self, at_least: int) -> tuple[int, bytes | None]:
        """New publisher: its epoch, and the state the last one left. Older epochs are refused from now on."""

    async def read_settled(self, partitions: int) -> list[SettledPartial]: ...

    async def read_closed(self, partition: int, fields: Sequence[str]) -> list[bytes | None]:
        """Values of a partition's SETTLED table."""

    async def result_windows(self) -> list[str]:
        """The fields of all windows."""

    async def read_results(self, fields: Sequence[str]) -> list[bytes | None]: ...

    async def read_results_outbox(self) -> dict[str, bytes]: ...

    async def write_results(self, epoch: int, write: ResultsWrite) -> bool:
        """False when the epoch is old."""


class AlertsWrite(msgspec.Struct, frozen=True):
    """One step of judging alert rules, written whole or not at all."""

    kept: Mapping[str, bytes] = {}  # alert key -> how its series stands
    gone: Sequence[str] = ()  # alert keys
    outbox: Mapping[str, bytes] = {}  # id -> record that is to be produced
    produced: Sequence[str] = ()  # ids of records that were


class AlertsBoard(Protocol):
    """How every series of the alert rules stands, and what is on its way to Kafka."""

    async def take_alerts_token(self, at_least: int) -> int:
        """New judge: its epoch. Older ones are refused from now on."""

    async def read_alerts(self) -> dict[str, bytes]: ...

    async def read_alerts_outbox(self) -> dict[str, bytes]: ...

    async def write_alerts(self, epoch: int, write: AlertsWrite) -> bool:
        """False when the epoch is old."""

    async def read_receivers_off(self) -> dict[str, bytes]:
        """Receivers that are not told any more, and why."""

    async def write_receiver_off(self, receiver: str, why: bytes | None) -> None:
        """None: it is told again."""


class SnapshotBoard(Protocol):
    """The published snapshot in the store, for readers without Kafka."""

    async def take_token(self, at_least: int) -> Token:
        """New publisher: sequence = max(stored, at_least)."""

    async def read_partials(self, partitions: Iterable[int]) -> list[Partial]:
        """These partitions, whole."""

    async def read_heads(self, partitions: int) -> list[Standing]:
        """Every partition below that number, without what it counted."""

    async def read_changes(self, seen: Sequence[Seen]) -> list[Partial]:
        """Every partition from 0 on, with what changed since `seen`, as far as the changes are kept."""

    async def read_answers(self, partitions: int, field: str) -> list[bytes | None]:
        """One field of the ANSWERS table of every partition below that number, None where it has none."""

    async def read_signals(self, partitions: int, site_id: str) -> list[bytes | None]:
        """The same of the SIGNALS table of the customer stage, whose fields are sites."""

    async def read_header(self) -> bytes | None: ...

    async def read_records(self) -> dict[str, bytes]:
        """Key -> snapshot record (JSON)."""

    async def write(
        self, token: Token, sequence: int, header: bytes, changed: Mapping[str, bytes], gone: Sequence[str]
    ) -> bool:
        """Write changed records, remove gone ones and announce `sequence`; False when the token is old."""

    async def write_clock(self, live_ms: int) -> None:
        """Announce the shown time that all caught-up partitions share."""

    async def read_clock(self) -> int | None: ...

    def announcements(self) -> AsyncIterator[int]:
        """Sequences as they are published (a wake-up; a reader polls each second in case)."""


class Board(SnapshotBoard, ResultsBoard, AlertsBoard, Protocol):
    """All that is published in the store."""
