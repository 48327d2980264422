"""`python -m tests.docs.statistics [--check]`, which scripts/docs calls: the tables of docs/statistics.md.

Everything between `<!-- table: NAME -->` and `<!-- end -->` is replaced. With --check nothing is
written, and the exit code is 1 if something would be.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.docs.tables import TABLES

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
_PLACE: Final = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class MisplacedTable(Exception):
    """The document has no place for a table, two of them, or one for a table that nobody computes."""


def with_tables(text: str) -> str:
    """The document with every table computed anew. Raises MisplacedTable."""
    places = sorted(place["name"] for place in _PLACE.finditer(text))
    if places != sorted(TABLES):
        raise MisplacedTable(
            f"places for tables: {', '.join(places) or 'none'}; computed: {', '.join(TABLES)}"
        )
    return _PLACE.sub(lambda place: f"{place[1]}{TABLES[place['name']]()}\n{place[3]}", text)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/docs", description="Compute the tables of docs/statistics.md."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a table is out of date")
    check = parser.parse_args(arguments).check
    before = DOCUMENT.read_text(encoding="utf-8")
    try:
        after = with_tables(before)
    except MisplacedTable as problem:
        print(f"{DOCUMENT.name}: {problem}", file=sys.stderr)
        return 1
    if after == before:
        print(f"{DOCUMENT.name}: up to date")
        return 0
    if check:
        print(f"{DOCUMENT.name}: out of date; run scripts/docs", file=sys.stderr)
        return 1
    DOCUMENT.write_text(after, encoding="utf-8")
    print(f"{DOCUMENT.name}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
