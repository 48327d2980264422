"""The registry of KPIs as a table, as JSON lines, and as the page docs/kpis.md."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.core.registry import FAMILIES, KPIS
from stream.pipeline.catalogue import dimensions_of, entries, windows_of

_BETTER = {"up": "higher", "down": "lower", None: "-"}
_HEAD = """# KPIs

Written by `latido kpis --markdown`; a test fails when this page and the code differ. Every rate, score and
mean is published with its counts, its interval and its population: [statistics](statistics.md). What a
session, a window and a late event are: [semantics](semantics.md). Of the segments, `landing_page` and
`exit_page` have the windows 24h and all only; `pair` stands for the pairs of dimensions that the
settings name (`dimension_pairs`).
"""


def as_json_lines() -> Iterator[str]:
    return (msgspec.json.encode(entry).decode() for entry in entries())


def show() -> None:
    """The table for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("KPI", no_wrap=True)
    table.add_column("what it says, how it is computed, where it is published")
    for one in KPIS.values():
        where = ", ".join(dimensions_of(one))
        table.add_row(one.id, Text(one.meaning) + Text(f"\n= {one.formula}\n  {where}\n", style="dim"))
    Console(highlight=False).print(table)


def as_markdown() -> str:
    """The page docs/kpis.md."""
    lines = [_HEAD]
    for family, definitions in FAMILIES.items():
        lines.append(f"## {family[0].upper()}{family[1:]}\n")
        for one in definitions:
            lines += [
                f"### `{one.id}`: {one.label}\n",
                f"{one.meaning}\n",
                f"- formula: {one.formula}",
                f"- unit: {one.unit}; better: {_BETTER[one.better]}",
                f"- windows: {', '.join(windows_of(one))}",
                f"- segments: {', '.join(dimensions_of(one))}",
                f"- source: {one.source}",
                *([] if one.has_previous else ["- without `previous`: the window before has no exact value"]),
                "",
            ]
    return "\n".join(lines)
