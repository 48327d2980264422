"""Complaints of the event loop: those about copies that aiokafka keeps are dropped, all others are not."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from aiokafka.errors import KafkaError, ProducerFenced

from stream.kafka.leftovers import keep_quiet


async def _complaints(error: Exception) -> list[dict[str, Any]]:
    loop, complaints = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    keep_quiet(loop)
    future = loop.create_future()
    future.set_exception(error)
    del future
    gc.collect()
    loop.set_exception_handler(None)
    return complaints


@pytest.mark.parametrize("error", [ProducerFenced(), KafkaError("x")])
async def test_an_error_of_kafka_that_nobody_fetched(error: Exception) -> None:
    assert await _complaints(error) == []


async def test_any_other_error_is_reported() -> None:
    (complaint,) = await _complaints(ValueError("ours"))
    assert isinstance(complaint["exception"], ValueError)
