"""Is this still the log we read before? Asked at every claim, before the first record.

aiokafka knows no topic ids. A topic that was deleted and created again begins at 0 and would be read on
from the old offset: everything below would be skipped without a word. So the last applied record of each
topic is looked at again: its time and the checksum of its bytes are kept with the position.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from aiokafka.structs import TopicPartition

from stream.kafka.errors import BrokerLostTopic
from stream.kafka.log_probe import LogProbe, Seen
from stream.pipeline.fold import fingerprint as fingerprint_of
from stream.pipeline.partition_state import Fingerprint

log = structlog.get_logger("latido.kafka")


async def reading_positions(
    probe: LogProbe,
    number: int,
    stored: Mapping[str, int],
    fingerprints: Mapping[str, Fingerprint],
    *,
    accept_loss: bool,
) -> dict[str, int]:
    """Topic -> the offset to read from, for partition `number`. `stored` is -1 where nothing was applied.

    Raises BrokerLostTopic when going on would skip or count twice, ProbeFailed when the broker is silent.
    """
    tps = {topic: TopicPartition(topic, number) for topic in stored}
    starts = await probe.starts(tps.values())
    known = {topic: offset for topic, offset in stored.items() if offset >= 0}
    seen = (
        await probe.look({tps[topic]: _witness(topic, known, fingerprints) for topic in known})
        if known
        else {}
    )
    positions = {}
    for topic, tp in tps.items():
        if topic not in known:
            positions[topic] = starts[tp]
            continue
        lost = _judge(tp, known[topic], fingerprints.get(topic), seen[tp], starts[tp])
        if lost and not accept_loss:
            raise BrokerLostTopic(
                f"{topic} partition {number}: records {known[topic]} to {starts[tp] - 1} were deleted before "
                "they were counted; start with --accept-loss to go on without them (counts are partial then)"
            )
        if lost:
            log.warning(
                "records lost", topic=topic, partition=number, first=known[topic], last=starts[tp] - 1
            )
        positions[topic] = starts[tp] if lost else known[topic]
    return positions


def _witness(topic: str, known: Mapping[str, int], fingerprints: Mapping[str, Fingerprint]) -> int:
    """Where to look: at the last applied record, else at the position itself."""
    fingerprint = fingerprints.get(topic)
    return known[topic] if fingerprint is None else fingerprint.offset


def _judge(tp: TopicPartition, stored: int, fingerprint: Fingerprint | None, seen: Seen, start: int) -> bool:
    """Whether records between `stored` and `start` are lost. Raises BrokerLostTopic for another log."""
    if start > stored:
        return True
    if seen.log_end is None:  # out of range: below the start, or beyond the end
        if fingerprint is not None and fingerprint.offset < start:
            log.warning("topic not verified", topic=tp.topic, partition=tp.partition,
                        reason="retention deleted the last record that was counted")  # fmt: skip
            return False
        raise _another_log(tp, f"it ends below {stored}, where the tables stand")
    if seen.log_end < stored:
        raise _another_log(tp, f"it ends at {seen.log_end}, the tables stand at {stored}")
    if fingerprint is not None and (seen.record is None or fingerprint_of(seen.record) != fingerprint):
        raise _another_log(tp, f"the record at {fingerprint.offset} is not the one that was counted")
    return False


def _another_log(tp: TopicPartition, why: str) -> BrokerLostTopic:
    return BrokerLostTopic(
        f"{tp.topic} partition {tp.partition} is not the log that was counted: {why}. Was the topic deleted "
        "and created again? Use another --namespace to count the new one from its beginning"
    )
