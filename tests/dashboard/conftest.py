"""A dashboard over a board in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.demo.servers import EmbeddedStore
from tests.dashboard.feeding import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def own_store() -> Iterator[EmbeddedStore]:
    """A store of the test's own, to kill and restart."""
    with EmbeddedStore() as server:
        yield server
