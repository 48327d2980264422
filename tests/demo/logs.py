"""Small logs for the recomputation, written by hand."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from schemas.times import rfc3339
from schemas.topics import PAGE_VIEWS, TOPIC_OF_TYPE
from stream.demo.plain_log import LogRecord

MINUTE_MS = 60_000
NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z, the beginning of a minute


class LogWriter:
    """Appends events that arrive when they happen, unless said otherwise. Times are ms after noon."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self._ends: Counter[tuple[str, int]] = Counter()
        self._events = 0

    def event(
        self, kind: str, at_ms: int, visitor: str = "v1", *, arrival_ms: int | None = None,
        partition: int = 0, **fields: Any,
    ) -> None:  # fmt: skip
        self._events += 1
        event = {
            "type": kind,
            "event_id": f"e{self._events}",
            "visitor_id": visitor,
            "occurred_at": rfc3339(NOON_MS + at_ms),
            **fields,
        }
        arrival = at_ms if arrival_ms is None else arrival_ms
        self.raw(TOPIC_OF_TYPE[kind], visitor.encode(), json.dumps(event).encode(), arrival, partition)

    def view(self, at_ms: int, visitor: str = "v1", url: str = "/", **more: Any) -> None:
        self.event("page_view", at_ms, visitor, url=url, **more)

    def seen(self, at_ms: int, element: str, visitor: str = "v1", **more: Any) -> None:
        self.event("impression", at_ms, visitor, **{"url": "/", "element_id": element, **more})

    def click(self, at_ms: int, element: str, visitor: str = "v1", **more: Any) -> None:
        self.event("click", at_ms, visitor, element_id=element, **more)

    def nps(self, at_ms: int, score: int | None, visitor: str = "v1", **more: Any) -> None:
        answer = {"skipped": True} if score is None else {"score": score}
        self.event(
            "survey_answer", at_ms, visitor, **{"survey_id": "s", "survey_kind": "nps", **answer, **more}
        )

    def raw(
        self, topic: str = PAGE_VIEWS, key: bytes | None = b"v1", value: bytes | None = None,
        arrival_ms: int = 0, partition: int = 0,
    ) -> None:  # fmt: skip
        offset = self._ends[topic, partition]
        self._ends[topic, partition] += 1
        self.records.append(LogRecord(topic, partition, offset, NOON_MS + arrival_ms, key, value))
