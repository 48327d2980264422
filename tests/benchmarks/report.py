"""The figures of a run as tables: on the terminal, and in docs/performance.md."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from stream import __version__
from tests.benchmarks.figures import Figure, Section
from tests.benchmarks.processes import ROOT
from tests.servers.real_kafka import KAFKA_VERSION

DOCUMENT: Final = ROOT / "docs" / "performance.md"
_HEADINGS: Final = ("figure", "measured", "target", "ambition")

_INTRODUCTION: Final = """# Performance

Written by `scripts/bench --write-docs` from one run; no number here was typed by hand. Absolute numbers
belong to the machine below and to what else it did: compare ratios of one run. Every throughput run ends
with a check: sessions, page views and every published session equal a plain recomputation, or the run fails.

Targets are aims. Throughput and memory miss theirs by far: a worker is one CPython process, and the full
work of an event (decoding, two digests, the session, its counts by window and dimension, the durable commit,
the session record) is spread over many functions, none of which stands out; see where the time goes. The
ratio to the floor says how far that is from only reading and counting.
"""


def to_text(section: Section) -> str:
    """For a terminal."""
    columns = 4 if _has_targets(section) else 2
    rows = [row[:columns] for row in (_HEADINGS, *section.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join([f"\n== {section.title}", *("  " + "  ".join(row).rstrip() for row in padded)])


def write_document(sections: Sequence[Section], facts: Sequence[Figure]) -> Path:
    """Replace docs/performance.md."""
    DOCUMENT.write_text("\n".join(document(sections, facts)), encoding="utf-8")
    return DOCUMENT


def document(sections: Sequence[Section], facts: Sequence[Figure]) -> Iterator[str]:
    """The lines of the document."""
    yield _INTRODUCTION
    yield from _table(Section("", "", list(facts)))
    for section in sections:
        yield f"\n## {section.title}\n"
        if section.text:
            yield f"{section.text}\n"
        yield from _table(section)
    yield ""


def _table(section: Section) -> Iterator[str]:
    columns = 4 if _has_targets(section) else 2
    yield _row(_HEADINGS[:columns] if section.title else ("this run", ""))
    yield "|---" * columns + "|"
    for figure in section.figures:
        yield _row(figure[:columns])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _has_targets(section: Section) -> bool:
    return any(figure.target or figure.ambition for figure in section.figures)


def facts(arguments: Sequence[str], load_before: float) -> list[Figure]:
    """What a reader must know to read the numbers."""
    return [
        Figure("date", datetime.now(UTC).strftime("%Y-%m-%d")),
        Figure("command", " ".join(["scripts/bench", *arguments])),
        Figure("latido", __version__),
        Figure("machine", f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB"),
        Figure("load average before", f"{load_before:.1f} (broker, store, worker and bench share the cores)"),
        Figure("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        Figure("broker", f"Apache Kafka {KAFKA_VERSION}, one node, 4 partitions"),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
