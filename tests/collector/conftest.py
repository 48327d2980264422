"""A broker of the collector's own, and logging put back."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from stream.demo.servers import EmbeddedBroker


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def own_broker() -> Iterator[EmbeddedBroker]:
    """A broker whose input topics nobody else writes to, to kill and restart."""
    with EmbeddedBroker() as server:
        yield server
