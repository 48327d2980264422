"""Published figures against recomputed ones: how many there are, and where they differ.

A figure is a number (or null) of a KPI: values, counts, intervals, percentiles, the window before. Names,
methods and the confidence level must be equal too, but are not counted. Whole numbers must be equal,
fractions within one part in a billion: both sides round, in different places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Kpis = Mapping[str, Mapping[str, Any]]

TOLERANCE: Final = 1e-9
NO_FIGURES: Final = frozenset({"type", "of", "method", "level", "respondents"})
MISSING: Final = "(missing)"


@dataclass(frozen=True)
class Difference:
    """One figure that is not what it should be."""

    key: str
    kpi: str
    field: str
    expected: object
    got: object

    def __str__(self) -> str:
        return f"{self.key}  {self.kpi}.{self.field}: expected {self.expected}, got {self.got}"


@dataclass
class Comparison:
    """The outcome: `figures` compared, and those that differ."""

    figures: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """How many figures differ; a wrong word beside a figure counts as one, too."""
        return len(self.differences)

    def add(self, key: str, expected: Kpis | None, got: Kpis | None) -> None:
        """Compare the KPIs of one record; None where one side has no such record."""
        for kpi, name, should, does in _fields(expected or {}, got or {}):
            self.figures += name not in NO_FIGURES
            if not equal(should, does):
                self.differences.append(Difference(key, kpi, name, should, does))

    def __str__(self) -> str:
        right = self.figures - min(self.figures, self.differing)
        return f"exact: {right} of {self.figures} figures, {self.differing} differ"


def _fields(expected: Kpis, got: Kpis) -> Iterator[tuple[str, str, object, object]]:
    for kpi in sorted({*expected, *got}):
        should, does = expected.get(kpi, {}), got.get(kpi, {})
        for name in sorted({*should, *does}):
            yield kpi, name, should.get(name, MISSING), does.get(name, MISSING)


def equal(expected: object, got: object) -> bool:
    """Whether two figures are the same; JSON has no difference between 4 and 4.0."""
    if isinstance(expected, float) and isinstance(got, int | float) and not isinstance(got, bool):
        return math.isclose(expected, got, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return expected == got
