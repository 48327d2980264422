"""What a producer says when another one has taken its transactional id."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import aiokafka
import pytest
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, ProducerFenced

from stream.kafka.producer import Fenced, OutputHeaders, OutputProducer


class _Ended:
    """A client that left its transaction with an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield
        raise self._error

    async def stop(self) -> None:
        return None


@pytest.mark.parametrize(
    "error",
    [
        ProducerFenced(),
        InvalidProducerEpoch(),
        IllegalOperation("Can't send messages while not in transaction"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_the_client_calls_it_it_is_fenced(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def client(**_: Any) -> aiokafka.AIOKafkaProducer:
        return cast(aiokafka.AIOKafkaProducer, ended)

    async def started() -> None:
        return None

    ended = _Ended(error)
    monkeypatch.setattr(ended, "start", started, raising=False)
    monkeypatch.setattr(aiokafka, "AIOKafkaProducer", client)
    producer = OutputProducer({}, OutputHeaders("n"), "latido-n-0")
    with pytest.raises(Fenced):
        await producer.produce([])
