"""In a short terminal the figures make room for the line at the foot."""

from __future__ import annotations

from typing import Any

import pytest

from stream.commands.board_view import View
from stream.core.registry import KPIS
from tests.cli.test_figures import count, header, record, shown


@pytest.mark.parametrize("height", [10, 19, 24, 40])
def test_the_foot_stays_on_the_screen(height: int) -> None:
    figures_of_all: dict[str, Any] = {name: count(7) for name in KPIS}
    records = [record(**figures_of_all)]
    lines = shown(View(header(), records), height=height).splitlines()
    assert len(lines) <= height
    assert lines[-1].startswith("partitions 3 of 4")
    figures = [line for line in lines if "before 3" in line]
    left_out = [int(line.split()[1]) for line in lines if line.strip().startswith("...")]
    assert len(figures) + sum(left_out) == len(KPIS)
    assert bool(left_out) is (height < len(KPIS) + 6)
