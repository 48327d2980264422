"""The latest churn signals of each site, as a partition of customers keeps them for readers without Kafka."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

import msgspec

from stream.core.churn import Forgotten
from stream.pipeline.churn_record import SignalRecord, signal_reason
from stream.pipeline.ports import PartitionTables, SnapshotBoard, StoreMisconfigured, Table

KEPT = 20
"""Of a site in each partition: as many as anybody reads."""


class LatestSignal(msgspec.Struct, frozen=True):
    """A signal of a site in short; schemas/churn.py says what each field means."""

    changed_at: str
    customer_id: str
    transition: int
    previous_state: str
    state: str
    cause: str
    health_score: int
    is_high_value: bool
    reason: str | None  # the main one, in words; None of who is healthy again


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[LatestSignal]).decode


def _order(signal: LatestSignal) -> tuple[str, int, str]:
    return signal.changed_at, signal.transition, signal.customer_id


class LatestSignals:
    """Those of one partition. A site is read through once; then it is in memory as well, in order of time."""

    def __init__(self) -> None:
        self._signals: dict[str, list[LatestSignal]] = {}
        self._touched: set[str] = set()

    async def load(self, tables: PartitionTables, partition: int, sites: Iterable[str]) -> None:
        """Read what is not known yet of these sites. Raises StoreUnreachable."""
        fields = sorted(set(sites) - self._signals.keys())
        if fields:
            values = await tables.read(partition, Table.SIGNALS, fields)
            found = ([] if value is None else _decode(value) for value in values)
            self._signals.update(zip(fields, found, strict=True))

    def take(self, record: SignalRecord) -> None:
        """A new signal of a loaded site pushes out the oldest."""
        new = LatestSignal(
            record.changed_at, record.customer_id, record.transition, record.previous_state, record.state,
            record.cause, record.health_score, record.is_high_value, signal_reason(record),
        )  # fmt: skip
        kept = self._signals[record.site_id]
        insort(kept, new, key=_order)
        del kept[:-KEPT]
        self._touched.add(record.site_id)

    def forget(self, forgotten: Forgotten) -> None:
        """Of whom nothing is kept no signals are."""
        site_id, customer_id = forgotten.key
        self._signals[site_id] = [one for one in self._signals[site_id] if one.customer_id != customer_id]
        self._touched.add(site_id)

    def changes(self) -> tuple[dict[str, bytes], list[str]]:
        """What the next commit puts and drops; said once."""
        touched, self._touched = sorted(self._touched), set()
        puts = {site: _encode(self._signals[site]) for site in touched if self._signals[site]}
        return puts, [site for site in touched if site not in puts]


async def latest_signals_of(board: SnapshotBoard, partitions: int, site_id: str) -> list[LatestSignal]:
    """The latest of all partitions, the newest first. Raises StoreUnreachable, StoreMisconfigured."""
    values = await board.read_signals(partitions, site_id)
    try:
        found = [one for value in values if value is not None for one in _decode(value)]
    except msgspec.MsgspecError as error:
        raise StoreMisconfigured(
            f"what is kept of churn signals cannot be read ({error}): use the version of the worker"
        ) from None
    return sorted(found, key=_order, reverse=True)[:KEPT]
