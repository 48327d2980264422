"""Play the demo's traffic: the past at once, the rest at its own pace, a share over HTTP."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Final

from aiokafka import AIOKafkaProducer

from schemas.topics import PAGE_VIEWS
from stream.demo.cancellation import still_wanted
from stream.demo.recorded import read_views, split
from stream.demo.visitors import Step, crowd

STEP_S: Final = 0.05
# The collector's answers say "try again" when the broker is slow; longer than this something is wrong.
HTTP_TRIES: Final = 30
HTTP_TIMEOUT_S: Final = 20.0
HTTP_PAUSE_S: Final = 1.0
RETRIED: Final = frozenset({429, 503})


class TrafficFailed(Exception):
    """The collector does not take the demo's events."""


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


class Traffic:
    """What the demo sends.

    `offered` counts records to Kafka and events over HTTP, each once; `refused` those that the collector
    answered with a reason and so kept out of the log.
    """

    def __init__(self, producer: AIOKafkaProducer, collector_url: str, seed: int = 7) -> None:
        self._producer = producer
        self._url = collector_url
        self._seed = seed
        self._past, self._live, self._turn_ms = split(read_views())
        self.offered = 0
        self.refused = 0

    async def play_past(self) -> int:
        """Send the past part of the recorded traffic, so that it ends now; returns how many views."""
        self._shift_ms = now_ms() - self._turn_ms
        for view in self._past:
            await self._send(PAGE_VIEWS, view.visitor.encode(), view.event(self._shift_ms))
        # Whatever comes now must find these in the log: an event of now makes older ones late.
        await self._producer.flush()
        return len(self._past)

    async def play_live(self, seconds: float | None) -> None:
        """Send the rest and the generated visitors, each at its time, for so long (None: until cancelled)."""
        start_ms = now_ms()
        steps = self._steps(start_ms)
        if seconds is not None:
            steps = itertools.takewhile(lambda step: step.at_ms < seconds * 1000, steps)
        for tick, some in itertools.groupby(steps, key=lambda step: step.at_ms // (STEP_S * 1000)):
            due_ms = start_ms + (tick + 1) * STEP_S * 1000
            await asyncio.sleep(max(0.0, (due_ms - now_ms()) / 1000))
            await self._send_steps(list(some))
            still_wanted()
        if seconds is not None:
            await asyncio.sleep(max(0.0, start_ms / 1000 + seconds - now_ms() / 1000))
        await self._producer.flush()

    def _steps(self, start_ms: int) -> Iterator[Step]:
        recorded = (
            Step(max(0, view.time_ms + self._shift_ms - start_ms), -view.row, PAGE_VIEWS,
                 view.visitor.encode(), view.event(self._shift_ms))
            for view in self._live
        )  # fmt: skip
        return heapq.merge(recorded, crowd(start_ms, self._seed))

    async def _send_steps(self, steps: list[Step]) -> None:
        for step in steps:
            if step.way == "kafka":
                await self._send(step.topic, step.key, step.value)
        posted = [step.value for step in steps if step.way == "http" and step.value is not None]
        if posted:
            self.offered += len(posted)
            await self._post(b"[" + b",".join(posted) + b"]")

    async def _send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Hand over to the producer; `flush` waits for the broker."""
        self.offered += 1
        await self._producer.send(topic, value, key)

    async def _post(self, body: bytes) -> None:
        """Post until the broker has the valid events; a repeat is harmless. Raises TrafficFailed."""
        for _ in range(HTTP_TRIES):
            status, answer = await asyncio.to_thread(_post, self._url, body)
            if status == 202 or (status == 400 and "accepted" in answer):  # 400: none of them was valid
                self.refused += _refused_of(answer)
                return
            if status not in RETRIED:
                raise TrafficFailed(f"the collector answered {status}: {json.dumps(answer)[:200]}")
            await asyncio.sleep(HTTP_PAUSE_S)
        raise TrafficFailed(f"the collector still answers {status} after {HTTP_TRIES} tries")


def told(offered: int, refused: int, in_log: int) -> str:
    """Where everything offered went, in numbers that add up to what is in the log."""
    parts = [f"{offered} events offered"]
    if refused:
        parts.append(f"{refused} refused by the collector")
    if others := in_log - (offered - refused):
        # A repeated request leaves some events twice; the topics may be older than the demo, and anybody may
        # write to them (the README invites to).
        parts.append(f"{others} more by repeats or by others" if others > 0 else f"{-others} missing")
    return f"{', '.join(parts)}, {in_log} in the log"


def _refused_of(answer: dict[str, object]) -> int:
    """How many events the collector rejected. Raises TrafficFailed when the answer does not say."""
    rejected = answer.get("rejected")
    if not isinstance(rejected, list):
        raise TrafficFailed(f"the collector did not say what it rejected: {json.dumps(answer)[:200]}")
    return len(rejected)


def _post(url: str, body: bytes) -> tuple[int, dict[str, object]]:
    """The status and the JSON answer of one request. Raises TrafficFailed when there is none."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        # A proxy of the environment is not meant for this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=HTTP_TIMEOUT_S
        ) as got:
            return got.status, json.load(got)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError as error:
        raise TrafficFailed(f"the collector does not answer: {error}") from None
