"""The publisher: adds up what the partitions wrote, and publishes what changed.

Runs in every worker and acts in the one that owns partition 0 of the first input topic. Two may believe
that for a moment; the token in the store and the transactional id on the broker let the newer one win.
A refusal means: take over again and compute again, never send the same twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog
from aiokafka.errors import KafkaError

from schemas.headers import SNAPSHOT_SCHEMA, snapshot_identity
from schemas.keys import split_key
from schemas.topics import KPI_SNAPSHOTS
from stream.core.event_time import has_passed
from stream.kafka.effort import Effort
from stream.kafka.log_probe import ProbeFailed
from stream.kafka.log_reader import read_topic
from stream.kafka.producer import Capabilities, Fenced, OutputHeaders, OutputProducer
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline import alerts
from stream.pipeline.batch import Output
from stream.pipeline.customer_partition import customers_by_state
from stream.pipeline.ports import PartitionTables, SnapshotBoard, StoreUnreachable, Token
from stream.pipeline.renew_records import Records
from stream.pipeline.sums import ALL_WINDOWS, Followed
from stream.pipeline.take_snapshot import (
    Snapshot,
    SnapshotRecord,
    encode_header,
    encode_record,
    look_at_heads,
)

log = structlog.get_logger("latido.kafka")

# How often a window is published, ms; the others at every tick. A long window moves slowly.
_EVERY_MS: Final[Mapping[str, int]] = {"30m": 1_000, "1h": 1_000, "24h": 10_000, "7d": 10_000, "28d": 10_000,
                                       "30d": 10_000, "90d": 10_000}  # fmt: skip
# Partitions reach a new instant one after the other; sums of different instants are published only when
# that lasts (one of them is far behind, or stuck).
_PATIENCE_MS = 1_000
# Readers see that the publisher lives, also when no number changes.
_HEADER_EVERY_MS = 1_000
_PAUSE_MS = 1_000
_CUSTOMERS_EVERY_MS = 5_000


class _Sequence(msgspec.Struct):
    sequence: int = 0


_decode_sequence = msgspec.json.Decoder(_Sequence).decode


class Published(msgspec.Struct):
    """What readers have, as far as this publisher knows."""

    token: Token
    sequence: int
    followed: Followed
    records: Records
    leftovers: set[str]  # keys found at the takeover, of windows not looked at since
    snapshot: Snapshot | None = None  # the newest one that readers have


class Publisher:
    """`tick` never raises for an outage: it tries again at a later tick."""

    def __init__(
        self, settings: WorkerSettings, board: SnapshotBoard, capabilities: Capabilities, partitions: int,
        wall_ms: Callable[[], int], customers: PartitionTables | None = None,
    ) -> None:  # fmt: skip
        self._options = settings.client_options
        self._board = board
        self._partitions = partitions
        self._published_values = settings.policy.published_values
        self._wall_ms = wall_ms
        self._producer = OutputProducer(
            settings.client_options,
            OutputHeaders(settings.namespace),
            f"latido-{settings.namespace}-publisher" if capabilities.transactions else None,
        )
        self._published: Published | None = None
        self._published_at: dict[str, int] = {}
        self._incoherent_since_ms: int | None = None
        self._header_at_ms = 0
        self._was_current = False
        self._failed_at_ms = 0
        self._effort = Effort()
        self._customers = customers
        self._customers_at_ms = 0
        self._standing: dict[str, dict[str, int]] = {}

    async def tick(self, active: bool) -> None:
        """Publish when we are the publisher and something is due."""
        now_ms = self._wall_ms()
        if not active or not has_passed(now_ms, self._failed_at_ms, _PAUSE_MS):
            if not active and self._published is not None:
                await self._step_down()
            return
        if not self._effort.is_rested(now_ms):
            return
        try:
            published = self._published or await self._take_over(now_ms)
            await self._publish(published, now_ms)
            self._effort.end_round(now_ms)
        except (TimeoutError, StoreUnreachable, KafkaError, ProbeFailed, Fenced, OSError) as error:
            log.warning("snapshots wait", reason=str(error) or repr(error))
            self._failed_at_ms = now_ms
            await self._step_down()

    @property
    def newest(self) -> alerts.Published | None:
        """What readers have; None while another worker publishes, or nobody can."""
        published = self._published
        snapshot = None if published is None else published.snapshot
        if published is None or snapshot is None or snapshot.as_of_ms is None:
            return None
        return alerts.Published(
            snapshot.as_of_ms, self._wall_ms(), snapshot.completeness, published.records.records
        )

    async def close(self) -> None:
        await self._step_down()

    async def _step_down(self) -> None:
        """What readers have is unknown from now on: a takeover begins anew."""
        self._published = None
        await self._producer.stop()

    async def _take_over(self, now_ms: int) -> Published:
        """Fence the publisher before us, then learn what it left."""
        await self._producer.start()
        newest, open_keys = await self._read_topic()
        token = await self._board.take_token(max(newest, now_ms))
        open_keys |= set(await self._board.read_records())
        self._published_at.clear()
        self._header_at_ms = 0
        followed = Followed(self._partitions)
        records = Records(followed, self._published_values)
        self._published = Published(token, token.sequence, followed, records, open_keys)
        log.info("publishing", epoch=token.epoch, open_keys=len(open_keys))
        return self._published

    async def _read_topic(self) -> tuple[int, set[str]]:
        """The highest sequence in the topic, and the keys whose newest record is no tombstone."""
        newest, keys = 0, set()
        async for record in read_topic(self._options, KPI_SNAPSHOTS):
            key = (record.key or b"").decode("utf-8", "replace")
            if record.value is None:
                keys.discard(key)
                continue
            keys.add(key)
            try:
                newest = max(newest, _decode_sequence(record.value).sequence)
            except msgspec.MsgspecError:
                log.warning("a record of the snapshot topic is not ours", offset=record.offset)
        return newest, keys

    async def _publish(self, published: Published, now_ms: int) -> None:
        snapshot = await self._look(published.followed, now_ms)
        if snapshot.live_ms is not None:
            await self._board.write_clock(snapshot.live_ms)
        if snapshot.as_of_ms is None or not self._may_add_up(snapshot, now_ms):
            return
        settled = snapshot.current and not self._was_current
        self._was_current = snapshot.current
        due = self._due(published, now_ms, settled=settled)
        with self._effort.work():
            renewed = published.records.renew(snapshot, due, now_ms, everything=settled)
        leftovers = [
            key for key in published.leftovers
            if key not in published.records.records and _window_of(key) in due
        ]  # fmt: skip
        published.leftovers = {key for key in published.leftovers if _window_of(key) not in due}
        changed, gone = renewed.records, renewed.gone + leftovers
        if not changed and not gone and not has_passed(now_ms, self._header_at_ms, _HEADER_EVERY_MS):
            return
        await self._send(published, snapshot, changed, gone, now_ms)

    async def _look(self, followed: Followed, now_ms: int) -> Snapshot:
        """Read what the partitions have written since the last look."""
        changes = await self._board.read_changes(followed.seen)
        with self._effort.work():
            lost = followed.take(changes)
        if lost:
            whole = await self._board.read_partials(lost)
            with self._effort.work():
                followed.take(whole)
        snapshot = look_at_heads(followed.heads, self._partitions, now_ms)
        snapshot.customers = await self._look_at_customers(now_ms)
        return snapshot

    async def _look_at_customers(self, now_ms: int) -> dict[str, dict[str, int]]:
        """How many customers of each site stand how; nothing where nobody keeps any."""
        tables = self._customers
        if tables is not None and has_passed(now_ms, self._customers_at_ms, _CUSTOMERS_EVERY_MS):
            self._customers_at_ms = now_ms
            self._standing = customers_by_state(await tables.heads(self._partitions))
        return self._standing

    def _may_add_up(self, snapshot: Snapshot, now_ms: int) -> bool:
        if snapshot.coherent:
            self._incoherent_since_ms = None
            return True
        if self._incoherent_since_ms is None:
            self._incoherent_since_ms = now_ms
        return has_passed(now_ms, self._incoherent_since_ms, _PATIENCE_MS)

    def _due(self, published: Published, now_ms: int, *, settled: bool) -> set[str]:
        """All windows at the moment when everything readable is in: then all figures are of one instant."""
        windows = {*ALL_WINDOWS, *map(_window_of, published.leftovers)}
        due = {
            window for window in windows
            if settled or has_passed(now_ms, self._published_at.get(window, 0), _EVERY_MS.get(window, 0))
        }  # fmt: skip
        self._published_at.update(dict.fromkeys(due, now_ms))
        return due

    async def _send(
        self, published: Published, snapshot: Snapshot, changed: Mapping[str, SnapshotRecord],
        gone: list[str], now_ms: int,
    ) -> None:  # fmt: skip
        sequence = max(published.sequence + 1, now_ms)
        with self._effort.work():
            values = {key: encode_record(record, sequence, now_ms) for key, record in changed.items()}
        header = encode_header(snapshot, sequence, now_ms)
        if not await self._board.write(published.token, sequence, header, values, gone):
            raise Fenced("another publisher has taken over")
        published.sequence, self._header_at_ms = sequence, now_ms
        published.snapshot = snapshot
        if values or gone:
            await self._producer.produce(
                _output(key, value, sequence, now_ms)
                for key, value in [*values.items(), *((k, None) for k in gone)]
            )


def _window_of(key: str) -> str:
    parts = split_key(key)
    return parts[1] if len(parts) == 3 else ""


def _output(key: str, value: bytes | None, sequence: int, now_ms: int) -> Output:
    """A snapshot, or the tombstone of a key that is no more."""
    return Output(
        KPI_SNAPSHOTS, None, key.encode(), value, snapshot_identity(key, sequence), SNAPSHOT_SCHEMA, now_ms
    )
