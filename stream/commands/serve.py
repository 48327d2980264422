"""Settings into a running collector."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stream.collector.config import CollectorConfig
from stream.collector.server import serve
from stream.commands.failures import WrongUse
from stream.serving.listening import NeedsToken

if TYPE_CHECKING:
    from stream.settings import Settings


def serve_collector(settings: Settings) -> int:
    """Serve until stopped; returns the exit code. Raises WrongUse, SettingsProblem, CannotListen."""
    chosen = settings.collector
    try:
        config = CollectorConfig(
            host=chosen.host,
            port=chosen.port,
            token=chosen.token.get_secret_value() if chosen.token else None,
            cors_origins=chosen.cors_origins,
            in_flight=chosen.in_flight,
            acknowledge_within_s=chosen.acknowledge_within / 1000,
        )
    except NeedsToken as error:
        raise WrongUse(str(error)) from None
    return asyncio.run(serve(config, settings.kafka_options()))
