"""Are the input topics still what they were at the start? Asked while the worker runs."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from stream.kafka.errors import BrokerLostTopic, WorkerRefused
from stream.kafka.log_probe import LogProbe, ProbeFailed

log = structlog.get_logger("latido.kafka")

# A broker that just came back may not know a topic for a moment: it is gone when it is missing this often.
_LOOKS = 2


class TopicWatch:
    """`check` is called every few seconds."""

    def __init__(self, probe: LogProbe, topics: Collection[str], partitions: int) -> None:
        self._probe = probe
        self._topics = tuple(topics)
        self._partitions = partitions
        self._missing: dict[str, int] = {}

    async def check(self) -> None:
        """Raises WorkerRefused: going on would lose events, or split visitors."""
        try:
            counts = await self._probe.partition_counts(self._topics)
        except ProbeFailed as error:
            log.debug("the topics cannot be seen", reason=str(error))
            self._missing.clear()
            return
        self._missing = {
            topic: self._missing.get(topic, 0) + 1 for topic in self._topics if topic not in counts
        }
        gone = [topic for topic, looks in self._missing.items() if looks >= _LOOKS]
        if gone:
            raise BrokerLostTopic(
                f"{', '.join(gone)} was deleted while it was counted: create it again with "
                "'latido topics create', and count from its beginning under another --namespace"
            )
        changed = [f"{topic} has {count}" for topic, count in counts.items() if count != self._partitions]
        if changed:
            raise WorkerRefused(
                f"the partition counts changed while running ({', '.join(changed)}, all had "
                f"{self._partitions}): visitors would move between partitions; give all input topics "
                "the same count, and use another --namespace"
            )
