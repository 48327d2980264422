"""The only place with key names.

All keys of one partition carry the hash tag `{NAMESPACE:p}`, of a further stage `{NAMESPACE/STAGE:p}`, so
that they share one slot of a cluster and one atomic commit can span them. Ids out of events are *fields* of
these hashes, never part of a key name.

Why no key here has a time to live: each one is the only copy of truth (state, offsets, unsent outputs, the
publisher's sequence). What expires inside is dropped by the fold, which decides by event time; a key that
vanished by the wall clock would read as "nothing was ever counted". The one exception is `durable`, which
holds nothing.
"""

from __future__ import annotations

import re

from stream.pipeline.ports import StoreMisconfigured, Table

PREFIX = "latido"
NAMESPACE_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Fields of the meta hash.
OWNER, EPOCH, COMMIT, HEAD = "owner", "epoch", "commit", "head"

# Lone surrogates cannot come out of valid JSON text, but a field must survive even so: refusing one here
# would stop a whole partition for one visitor id.
_ENCODING, _ERRORS = "utf-8", "surrogatepass"


def check_namespace(namespace: str) -> str:
    """The namespace itself. Raises StoreMisconfigured when it could break out of its hash tag."""
    if not NAMESPACE_PATTERN.fullmatch(namespace):
        raise StoreMisconfigured(
            f"namespace {namespace[:80]!r} is not valid: use 1 to 64 letters, digits, '.', '_' or '-'"
        )
    return namespace


def encode_field(field: str) -> bytes:
    return field.encode(_ENCODING, _ERRORS)


def decode_field(field: bytes) -> str:
    return field.decode(_ENCODING, _ERRORS)


class PartitionKeys:
    """Key names of one partition."""

    __slots__ = ("meta", "outbox", "partition", "tables")

    def __init__(self, owner: str, partition: int) -> None:
        tagged = f"{PREFIX}:{{{owner}:{partition}}}"
        self.partition = partition
        self.meta = f"{tagged}:meta"  # hash: owner, epoch, commit (id of the last one), head
        self.outbox = f"{tagged}:outbox"  # hash: output id (decimal) -> bytes
        self.tables = {table: f"{tagged}:{table.value}" for table in Table}  # hashes: field -> bytes

    def all(self) -> list[str]:
        return [self.meta, self.outbox, *self.tables.values()]


class Layout:
    """Key names of one namespace. A stage but the first has partitions of its own.

    Raises StoreMisconfigured when the namespace is not valid.
    """

    def __init__(self, namespace: str, stage: str = "") -> None:
        self.namespace = check_namespace(namespace)
        self._owner = f"{namespace}/{stage}" if stage else namespace  # no namespace holds a slash
        self._partitions: dict[int, PartitionKeys] = {}
        board = f"{PREFIX}:{{{namespace}:board}}"
        self.token = f"{board}:token"  # hash: epoch, sequence
        self.header = f"{board}:header"  # string
        self.records = f"{board}:records"  # hash: snapshot key -> JSON
        self.clock = f"{board}:clock"  # string: ms since the epoch
        self.results_token = f"{board}:results-token"  # hash: epoch, sequence (unused), state
        self.results = f"{board}:results"  # hash: window -> its settled results, packed
        self.results_outbox = f"{board}:results-outbox"  # hash: key -> record not known to be produced
        self.alerts_token = f"{board}:alerts-token"  # hash: epoch, sequence (unused), state (unused)
        self.alerts = f"{board}:alerts"  # hash: alert key -> how the series stands, and its newest record
        self.alerts_outbox = f"{board}:alerts-outbox"  # hash: id -> record not known to be produced
        self.receivers_off = f"{board}:alerts-receivers-off"  # hash: receiver -> why it is not told any more
        self.channel = f"{board}:published"  # pub/sub channel, message = sequence
        self.durable = f"{board}:durable"  # string, expires: a write for WAITAOF to wait for

    def partition(self, partition: int) -> PartitionKeys:
        keys = self._partitions.get(partition)
        if keys is None:
            keys = self._partitions[partition] = PartitionKeys(self._owner, partition)
        return keys
