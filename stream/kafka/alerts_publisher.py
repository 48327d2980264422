"""The judge of alert rules: looks at each snapshot that was published, and tells what changed.

Runs beside the publisher of snapshots, in the same worker. A change is written to the store first, with how
its series stands and the record that tells it, waits until that is on disk, then leaves for Kafka. Whoever
takes over sends again what is not known to have left: the same bytes under the same identity.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog
from aiokafka.errors import KafkaError

from schemas.headers import ALERT_SCHEMA, alert_identity
from schemas.times import parse_time, to_ms
from schemas.topics import ALERTS
from stream.core.event_time import has_passed
from stream.kafka.producer import Capabilities, Fenced, OutputHeaders, OutputProducer
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.alert_baselines import SettledBaselines
from stream.pipeline.alert_record import AlertRecord
from stream.pipeline.alerts import Alerting, Kept, Published, Step, decode_kept, encode_kept
from stream.pipeline.batch import Output
from stream.pipeline.ports import AlertsWrite, Board, StateTorn, StoreMisconfigured, StoreUnreachable

log = structlog.get_logger("latido.kafka")

_EVERY_MS = 1_000
_PAUSE_MS = 1_000
_BROKEN_MS = 60_000
_UNASKED_MS = 60_000  # there is no rule, nor an alert of a former one to be ended
_TOMBSTONE = b""


class _Stored(msgspec.Struct):
    """What of a record on its way says what it is."""

    changed_at: str


_decode_stored = msgspec.json.Decoder(_Stored).decode


class _Leave(msgspec.Struct):
    """Leave to judge, and how everything stands."""

    epoch: int
    alerting: Alerting
    baselines: SettledBaselines


class AlertsPublisher:
    """`tick` never raises: it tries again at the next tick, after what is no outage in a minute."""

    def __init__(
        self, settings: WorkerSettings, board: Board, wait_durable: Callable[[], Awaitable[None]],
        capabilities: Capabilities, wall_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._rules = settings.alerts
        self._zone_of = settings.policy.zone_of
        self._board = board
        self._wait_durable = wait_durable
        self._wall_ms = wall_ms
        self._producer = OutputProducer(
            settings.client_options,
            OutputHeaders(settings.namespace),
            f"latido-{settings.namespace}-alerts" if capabilities.transactions else None,
        )
        self._leave: _Leave | None = None
        self._looked_at_ms = self._rest_ms = 0

    async def tick(self, published: Published | None) -> None:
        """Judge what was published. None: somebody else publishes, or nobody can."""
        if published is None:
            await self._step_down()
            return
        now_ms = self._wall_ms()
        if not has_passed(now_ms, self._looked_at_ms, self._rest_ms):
            return
        self._looked_at_ms, self._rest_ms = now_ms, _EVERY_MS
        try:
            if self._leave is None and not self._rules.rules and not await self._board.read_alerts():
                self._rest_ms = _UNASKED_MS
                return
            await self._judge(self._leave or await self._take_over(now_ms), published, now_ms)
        except (TimeoutError, StoreUnreachable, StateTorn, KafkaError, Fenced, OSError) as error:
            log.warning("alerts wait", reason=str(error) or repr(error))
            self._rest_ms = _PAUSE_MS
            await self._step_down()
        except Exception as error:
            # Whatever is wrong with a rule, or with what another version left: counting must go on.
            known = isinstance(error, StoreMisconfigured)
            log.error("alerts are not judged", reason=str(error) or repr(error), exc_info=not known)
            self._rest_ms = _BROKEN_MS
            await self._step_down()

    async def close(self) -> None:
        await self._step_down()

    async def _step_down(self) -> None:
        self._leave = None
        await self._producer.stop()  # also one that was started before the store failed to give leave

    async def _take_over(self, now_ms: int) -> _Leave:
        """Fence the judge before us, then send again what it may not have sent."""
        await self._producer.start()
        epoch = await self._board.take_alerts_token(now_ms)
        alerting = Alerting(self._rules, _known(await self._board.read_alerts()))
        baselines = SettledBaselines(self._board, self._rules.rules, self._zone_of)
        leave = self._leave = _Leave(epoch, alerting, baselines)
        await self._send(leave, await self._board.read_alerts_outbox(), now_ms)
        return leave

    async def _judge(self, leave: _Leave, published: Published, now_ms: int) -> None:
        sites = {record.site_id for record in published.records.values()}
        await leave.baselines.refresh(sites, published.as_of_ms)
        step = leave.alerting.look(published, leave.baselines)
        write = _write_of(step)
        if write.kept or write.gone:
            await self._write(leave, write)
        for alert in step.told:
            log.info("alert", state=alert.state, rule=alert.rule, key=alert.dedupe_key, cause=alert.cause)
        await self._send(leave, write.outbox, now_ms)

    async def _send(self, leave: _Leave, records: Mapping[str, bytes], now_ms: int) -> None:
        """Produce what is in the store's outbox, once that is on disk, and take it out."""
        if not records:
            return
        await self._wait_durable()
        # In the order in which they became true, of each series and of all.
        in_order = sorted(records.items(), key=lambda one: (_sequence(one[0]), one[0]))
        await self._producer.produce(_output(record_id, value, now_ms) for record_id, value in in_order)
        await self._write(leave, AlertsWrite(produced=list(records)))

    async def _write(self, leave: _Leave, write: AlertsWrite) -> None:
        if not await self._board.write_alerts(leave.epoch, write):
            raise Fenced("another judge of alerts has taken over")


def _known(stored: Mapping[str, bytes]) -> dict[str, Kept]:
    """Raises StoreMisconfigured: what another version wrote would be told again, or never ended."""
    try:
        return {key: decode_kept(data) for key, data in stored.items()}
    except msgspec.MsgspecError as error:
        raise StoreMisconfigured(
            f"alerts in the store are of another version ({error}): use that one"
        ) from None


def _write_of(step: Step) -> AlertsWrite:
    outbox = {alert_identity(alert.dedupe_key, alert.sequence): _encode(alert) for alert in step.told}
    outbox |= {alert_identity(key, last + 1): _TOMBSTONE for key, last in step.gone.items() if last}
    return AlertsWrite({key: encode_kept(kept) for key, kept in step.kept.items()}, [*step.gone], outbox)


def _encode(alert: AlertRecord) -> bytes:
    return msgspec.json.encode(alert)


def _sequence(record_id: str) -> int:
    return int(record_id.rpartition("/")[2])


def _output(record_id: str, value: bytes, now_ms: int) -> Output:
    """The record, or the tombstone of a series that is forgotten."""
    key = record_id.rpartition("/")[0]
    if not value:
        return Output(ALERTS, None, key.encode(), None, record_id, ALERT_SCHEMA, now_ms)
    time_ms = to_ms(parse_time(_decode_stored(value).changed_at))
    return Output(ALERTS, None, key.encode(), value, record_id, ALERT_SCHEMA, time_ms)
