"""A dashboard over a board in memory."""

from __future__ import annotations

import pytest

from tests.dashboard.feeding import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()
