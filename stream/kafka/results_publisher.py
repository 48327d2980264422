"""The publisher of settled results: every ten seconds what changed of hours and days.

Runs beside the publisher of snapshots, in the same worker. A step is written to the store first (records,
revisions, what is on its way), waits until that is on disk, then leaves for Kafka. Whoever takes over sends
again what is not known to have left: the same bytes under the same identity.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog
from aiokafka.errors import KafkaError

from schemas.headers import RESULT_SCHEMA, result_identity
from schemas.topics import KPI_RESULTS
from stream.core.event_time import has_passed
from stream.kafka.producer import Capabilities, Fenced, OutputHeaders, OutputProducer
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.batch import Output
from stream.pipeline.ports import ResultsBoard, ResultsWrite, StateTorn, StoreUnreachable
from stream.pipeline.publish_results import ResultsState, decode_state, encode_state, next_step
from stream.pipeline.take_results import GONE

log = structlog.get_logger("latido.kafka")

_PAUSE_MS = 1_000
_REST_PER_WORK = 19


class _Stored(msgspec.Struct):
    """What of a record on its way says what it is."""

    revision: int
    state: str


_decode_stored = msgspec.json.Decoder(_Stored).decode


class _Leave(msgspec.Struct):
    """Leave to publish, and what stands."""

    epoch: int
    state: ResultsState
    windows: set[str]


class ResultsPublisher:
    """`tick` never raises for an outage: it tries again at a later tick."""

    def __init__(
        self, settings: WorkerSettings, board: ResultsBoard, wait_durable: Callable[[], Awaitable[None]],
        capabilities: Capabilities, partitions: int, wall_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._board = board
        self._wait_durable = wait_durable
        self._partitions = partitions
        self._published_values = settings.policy.published_values
        self._wall_ms = wall_ms
        self._every_ms = settings.results_every_ms
        self._producer = OutputProducer(
            settings.client_options,
            OutputHeaders(settings.namespace),
            f"latido-{settings.namespace}-results" if capabilities.transactions else None,
        )
        self._leave: _Leave | None = None
        self._looked_at_ms = self._rest_ms = 0

    async def tick(self, active: bool) -> None:
        """Publish when we are the publisher and it is time."""
        if not active:
            await self._step_down()
            return
        now_ms = self._wall_ms()
        if not has_passed(now_ms, self._looked_at_ms, self._rest_ms):
            return
        self._looked_at_ms, self._rest_ms = now_ms, self._every_ms
        try:
            leave = self._leave or await self._take_over(now_ms)
            began_s = time.monotonic()
            await self._publish(leave, now_ms)
            # Reading a backlog everything changes: then the numbers of hours come less often, not the events.
            took_ms = int((time.monotonic() - began_s) * 1000)
            self._rest_ms = max(self._every_ms, _REST_PER_WORK * took_ms)
        except (TimeoutError, StoreUnreachable, StateTorn, KafkaError, Fenced, OSError) as error:
            log.warning("settled results wait", reason=str(error) or repr(error))
            self._rest_ms = min(_PAUSE_MS, self._every_ms)
            await self._step_down()

    async def close(self) -> None:
        await self._step_down()

    async def _step_down(self) -> None:
        self._leave = None
        await self._producer.stop()  # also one that was started before the store failed to give leave

    async def _take_over(self, now_ms: int) -> _Leave:
        """Fence the publisher before us, then send again what it may not have sent."""
        await self._producer.start()
        epoch, state = await self._board.take_results_token(now_ms)
        leave = self._leave = _Leave(epoch, decode_state(state), set(await self._board.result_windows()))
        await self._send(leave, await self._board.read_results_outbox(), now_ms)
        return leave

    async def _publish(self, leave: _Leave, now_ms: int) -> None:
        step = await next_step(
            self._board, leave.state, leave.windows, self._partitions, now_ms, self._published_values
        )
        if not step.records and not step.write.gone and step.state == leave.state:
            return
        await self._write(leave, step.write)
        leave.state = step.state
        leave.windows = (leave.windows | step.write.windows.keys()) - set(step.write.gone)
        await self._send(leave, step.write.outbox, now_ms)

    async def _send(self, leave: _Leave, records: Mapping[str, bytes], now_ms: int) -> None:
        """Produce what is in the store's outbox, once that is on disk, and take it out."""
        if not records:
            return
        await self._wait_durable()
        await self._producer.produce(_output(key, value, now_ms) for key, value in records.items())
        await self._write(leave, ResultsWrite(encode_state(leave.state), produced=list(records)))

    async def _write(self, leave: _Leave, write: ResultsWrite) -> None:
        if not await self._board.write_results(leave.epoch, write):
            raise Fenced("another publisher has taken over")


def _output(key: str, value: bytes, now_ms: int) -> Output:
    """The record, or the tombstone of one that is withdrawn."""
    stored = _decode_stored(value)
    identity = result_identity(key, stored.revision)
    kept = None if stored.state == GONE else value
    return Output(KPI_RESULTS, None, key.encode(), kept, identity, RESULT_SCHEMA, now_ms)
