"""`python -m tests.docs.channels [--check]`: the tables of docs/channels.md, from the rules themselves."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from stream.core.channels import ChannelTable, Condition
from stream.pipeline.origins import default_table

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "channels.md"
_PLACE: Final = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rules(table: ChannelTable) -> Iterable[str]:
    yield "| | channel | when |"
    yield "|---|---|---|"
    for number, rule in enumerate(table.rules, 1):
        yield f"| {number} | {rule.channel} | {', or '.join(map(_said, rule.conditions))} |"
    yield f"| | {table.otherwise} | nothing above |"


def _said(condition: Condition) -> str:
    parts = []
    if condition.source is not None:
        parts.append(f"source is {_either(condition.source)}")
    if condition.category is not None:
        parts.append(f"source is a {condition.category} site")
    if condition.medium is not None:
        parts.append(f"medium is {_either(condition.medium)}")
    if condition.medium_matches is not None:
        parts.append(f"medium matches {_code(condition.medium_matches)}")
    if condition.campaign_matches is not None:
        parts.append(f"campaign matches {_code(condition.campaign_matches)}")
    return " and ".join(parts)


def _either(values: Sequence[str]) -> str:
    return " or ".join(map(_code, values))


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def sites(table: ChannelTable) -> Iterable[str]:
    yield "| kind | `utm_source` | hosts | but not |"
    yield "|---|---|---|---|"
    for name, kind in table.categories.items():
        yield f"| {name} | {', '.join(kind.names)} | {', '.join(kind.hosts)} | {', '.join(kind.excluded)} |"


def click_ids(table: ChannelTable) -> Iterable[str]:
    yield "| click id | source | medium |"
    yield "|---|---|---|"
    for name, said in table.click_ids.items():
        yield f"| `{name}` | {said.source} | {said.medium} |"


TABLES: Final[dict[str, Callable[[ChannelTable], Iterable[str]]]] = {
    "rules": rules,
    "sites": sites,
    "click-ids": click_ids,
}


def with_tables(text: str) -> str:
    """The document with every table made anew. Raises ValueError when a table has no place, or two."""
    places = sorted(place["name"] for place in _PLACE.finditer(text))
    if places != sorted(TABLES):
        raise ValueError(f"places for tables: {places}; tables: {sorted(TABLES)}")
    table = default_table()
    return _PLACE.sub(
        lambda place: place[1] + "\n".join(TABLES[place["name"]](table)) + f"\n{place[3]}", text
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Make the tables of docs/channels.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a table is out of date")
    text = DOCUMENT.read_text(encoding="utf-8")
    made = with_tables(text)
    if parser.parse_args(arguments).check:
        return int(made != text)
    DOCUMENT.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
