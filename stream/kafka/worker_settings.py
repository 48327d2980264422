"""Everything a worker is told. Made by the composition root; nothing below reads settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.topics import INPUT_TOPICS
from stream.core.churn_settings import ChurnSettings
from stream.core.policy import Policy
from stream.pipeline.alerts import AlertRules


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`client_options` are keyword arguments of every aiokafka client: bootstrap_servers, TLS, SASL."""

    client_options: Mapping[str, Any]
    namespace: str
    group: str
    policy: Policy = Policy()
    alerts: AlertRules = AlertRules()
    churn: ChurnSettings = ChurnSettings()
    topics: tuple[str, ...] = INPUT_TOPICS
    # Continue when the log begins after the stored position; the counts are partial from then on.
    accept_loss: bool = False

    # A dead worker's partitions move after this long. Kafka refuses less than 6 s by default.
    session_timeout_ms: int = 6_000
    heartbeat_ms: int = 1_000
    # A newcomer waits this long for a member that died without a word.
    rebalance_timeout_ms: int = 3_000
    # A deleted and recreated topic is noticed after this long.
    metadata_age_ms: int = 5_000
    request_timeout_ms: int = 20_000

    # One fetch of one partition: about 4500 events of 233 bytes, which makes one commit of 3 ms.
    fetch_bytes: int = 1024 * 1024
    # Batches read ahead, over all topics and partitions, beside one of each. Bounds memory and what a crash
    # reads again.
    buffered_batches: int = 12
    # Outputs of one partition that are not acknowledged yet. Beyond, reading waits.
    outbox_records: int = 20_000
    tick_ms: int = 250
    publish_every_ms: int = 250
    results_every_ms: int = 10_000
    # No progress for this much longer than the session timeout, with everything answering: stop.
    watchdog_margin_ms: int = 24_000

    @property
    def servers(self) -> str:
        return str(self.client_options["bootstrap_servers"])
