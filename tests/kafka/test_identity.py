"""What a claim concludes from the logs it finds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

import msgspec
import pytest
from aiokafka.structs import TopicPartition

from stream.kafka.errors import BrokerLostTopic
from stream.kafka.identity import reading_positions
from stream.kafka.log_probe import LogProbe, Seen
from stream.pipeline.fold import fingerprint
from stream.pipeline.partition_state import Fingerprint


class _Record(msgspec.Struct):
    offset: int
    timestamp: int = 1_000
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: tuple[tuple[str, bytes], ...] = ()


class _Log:
    """A log with one record at each offset from `start` to `end`."""

    def __init__(self, start: int, end: int, value: bytes = b"v") -> None:
        self.start, self.end, self.value = start, end, value

    async def starts(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, self.start)

    async def look(self, at: Mapping[TopicPartition, int]) -> dict[TopicPartition, Seen]:
        return {tp: self._seen(offset) for tp, offset in at.items()}

    def _seen(self, offset: int) -> Seen:
        if not self.start <= offset <= self.end:
            return Seen(None, None)
        return Seen(_Record(offset, value=self.value) if offset < self.end else None, self.end)


async def _position(log: _Log, stored: int, counted: Fingerprint | None, accept_loss: bool = False) -> int:
    fingerprints = {"t": counted} if counted else {}
    found = await reading_positions(
        cast(LogProbe, cast(Any, log)), 0, {"t": stored}, fingerprints, accept_loss=accept_loss
    )
    return found["t"]


COUNTED_9 = fingerprint(_Record(9))


@pytest.mark.parametrize(
    ("log", "stored", "counted", "expected"),
    [
        (_Log(3, 20), -1, None, 3),  # nothing applied yet: from the beginning
        (_Log(0, 20), 10, COUNTED_9, 10),
        (_Log(0, 10), 10, COUNTED_9, 10),  # at the end
        (_Log(0, 10), 10, None, 10),  # begun, nothing applied
        (_Log(0, 20), 13, COUNTED_9, 13),  # markers after the last record
        (_Log(10, 20), 10, COUNTED_9, 10),  # retention took the witness, and no more
    ],
)
async def test_it_reads_on(log: _Log, stored: int, counted: Fingerprint | None, expected: int) -> None:
    assert await _position(log, stored, counted) == expected


@pytest.mark.parametrize(
    ("log", "counted"),
    [
        (_Log(0, 5), COUNTED_9),  # shorter
        (_Log(0, 9), COUNTED_9),  # ends right where the witness was
        (_Log(0, 20, b"other"), COUNTED_9),  # as long, other records
        (_Log(0, 5), None),
    ],
)
async def test_another_log_under_the_same_name_is_refused(log: _Log, counted: Fingerprint | None) -> None:
    with pytest.raises(BrokerLostTopic, match="is not the log that was counted"):
        await _position(log, 10, counted, accept_loss=True)


async def test_lost_records_are_refused_unless_accepted() -> None:
    with pytest.raises(BrokerLostTopic, match=r"records 10 to 14 .* --accept-loss"):
        await _position(_Log(15, 20), 10, COUNTED_9)
    assert await _position(_Log(15, 20), 10, COUNTED_9, accept_loss=True) == 15
