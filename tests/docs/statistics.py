"""`python -m tests.docs.statistics [--check]`, which scripts/docs calls: the tables of docs/statistics.md.

Everything between `<!-- table: NAME -->` and `<!-- end -->` is replaced. With --check nothing is
written, and the exit code is 1 if something would be.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from tests.docs.tables import TABLES

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
Tables: TypeAlias = Mapping[str, Callable[[], str]]
_PLACE: Final = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class MisplacedTable(Exception):
    """The document has no place for a table, two of them, or one for a table that nobody computes."""


def with_tables(text: str, tables: Tables = TABLES) -> str:
    """The document with every table computed anew. Raises MisplacedTable."""
    places = sorted(place["name"] for place in _PLACE.finditer(text))
    if places != sorted(tables):
        raise MisplacedTable(
            f"places for tables: {', '.join(places) or 'none'}; computed: {', '.join(tables)}"
        )
    return _PLACE.sub(lambda place: f"{place[1]}{tables[place['name']]()}\n{place[3]}", text)


def run(document: Path, tables: Tables, arguments: Sequence[str]) -> int:
    """Write the tables of a document, or compare; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/docs", description=f"Compute the tables of {document.name}."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a table is out of date")
    check = parser.parse_args(arguments).check
    before = document.read_text(encoding="utf-8")
    try:
        after = with_tables(before, tables)
    except MisplacedTable as problem:
        print(f"{document.name}: {problem}", file=sys.stderr)
        return 1
    if after == before:
        print(f"{document.name}: up to date")
        return 0
    if check:
        print(f"{document.name}: out of date; run scripts/docs", file=sys.stderr)
        return 1
    document.write_text(after, encoding="utf-8")
    print(f"{document.name}: written")
    return 0


def main(arguments: Sequence[str]) -> int:
    return run(DOCUMENT, TABLES, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
