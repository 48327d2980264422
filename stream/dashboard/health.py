"""GET /api/v1/health: how the partitions stand, who looks after them, and where every record went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from schemas.dead_letters import ErrorCode
from schemas.times import rfc3339
from schemas.topics import INPUT_TOPICS
from stream.core.event_time import NEVER_MS, TopicProgress
from stream.pipeline.changes import decode_head
from stream.pipeline.partition_state import Accounting, PartitionHead
from stream.pipeline.ports import Standing
from stream.pipeline.take_snapshot import silent_partitions

COUNTERS = tuple(name for name in Accounting.__struct_fields__ if name != "refused_as")


class TopicHealth(msgspec.Struct):
    """How far one topic of a partition is counted, in offsets. end None: its broker has not answered."""

    topic: str
    position: int
    end: int | None
    lag_records: int | None
    clock: str | None  # highest event time read


class PartitionHealth(msgspec.Struct):
    """One partition number of all input topics."""

    partition: int
    worker: str | None
    written_at: str
    silent: bool  # nobody has written for some seconds
    behind: bool
    held_by: str | None  # the topic that holds time back
    progress: str | None
    lag_records: int
    lost_records: int
    topics: list[TopicHealth]


class WorkerHealth(msgspec.Struct):
    """A worker process, by the random name it took at its start."""

    id: str
    partitions: list[int]
    written_at: str
    silent: bool


class Health(msgspec.Struct):
    """The tables' part of the answer. accounting: read is the sum of the others."""

    partitions: list[PartitionHealth]
    workers: list[WorkerHealth]
    accounting: dict[str, int]
    dead_letters: dict[str, int]  # by error code


def health_of(standings: Sequence[Standing], now_ms: int) -> Health:
    """From the heads of all partitions; those nobody has written yet are left out."""
    heads = {one.partition: decode_head(one.head) for one in standings if one.head is not None}
    silent = set(silent_partitions(heads, now_ms))
    owners = {one.partition: worker_of(one.owner) for one in standings}
    return Health(
        partitions=[_partition(n, head, owners[n], n in silent) for n, head in heads.items()],
        workers=_workers(heads, owners, silent),
        accounting={
            name: sum(getattr(head.accounting, name) for head in heads.values()) for name in COUNTERS
        },
        dead_letters=_dead_letters(heads.values()),
    )


def worker_of(owner: str) -> str | None:
    """The process in an owner's text `epoch:process:assignment`."""
    parts = owner.split(":")
    return parts[1] if len(parts) == 3 else None


def _partition(number: int, head: PartitionHead, worker: str | None, silent: bool) -> PartitionHealth:
    return PartitionHealth(
        partition=number,
        worker=worker,
        written_at=rfc3339(head.written_at_ms),
        silent=silent,
        behind=head.behind,
        held_by=head.held_by,
        progress=_time(head.progress.progress_ms),
        lag_records=head.progress.lag_records(),
        lost_records=sum(range_.records for range_ in head.lost),
        topics=[_topic(name, topic) for name, topic in zip(INPUT_TOPICS, head.progress.topics, strict=True)],
    )


def _topic(name: str, topic: TopicProgress) -> TopicHealth:
    position = max(0, topic.position)
    lag = None if topic.end is None else max(0, topic.end - position)
    return TopicHealth(name, position, topic.end, lag, _time(topic.clock_ms))


def _workers(
    heads: Mapping[int, PartitionHead], owners: Mapping[int, str | None], silent: set[int]
) -> list[WorkerHealth]:
    found = []
    for worker in sorted({name for name in owners.values() if name is not None}):
        mine = [number for number in heads if owners[number] == worker]
        if mine:
            newest_ms = max(heads[number].written_at_ms for number in mine)
            found.append(WorkerHealth(worker, mine, rfc3339(newest_ms), silent.issuperset(mine)))
    return found


def _dead_letters(heads: Iterable[PartitionHead]) -> dict[str, int]:
    """By code, those with any; what was refused before codes were counted is `unknown`."""
    found: Counter[str] = Counter()
    for head in heads:
        counts = head.accounting
        found.update(counts.refused_as)
        found[ErrorCode.LATE] += counts.late
        found["unknown"] += counts.refused - sum(counts.refused_as.values())
    return {code: count for code, count in found.most_common() if count}


def _time(ms: int) -> str | None:
    return rfc3339(ms) if ms > NEVER_MS else None
