"""A broker of the collector's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.demo.servers import EmbeddedBroker


@pytest.fixture
def own_broker() -> Iterator[EmbeddedBroker]:
    """A broker whose input topics nobody else writes to, to kill and restart."""
    with EmbeddedBroker() as server:
        yield server
