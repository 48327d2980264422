"""The rights an operator reads in docs/security.md are those that the tests run with."""

from __future__ import annotations

from pathlib import Path

from stream.tables.redis_check import ACL_RULES
from tests.integration.protected import KAFKA_RIGHTS

TEXT = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")


def test_the_rights_on_kafka() -> None:
    rows = [f"| {kind} | `{prefix}` | {', '.join(rights)} |" for kind, prefix, rights in KAFKA_RIGHTS]
    assert [line for line in TEXT.splitlines() if line.startswith(("| topic", "| group", "| trans"))] == rows


def test_the_rights_on_the_store() -> None:
    [block] = [block for block in TEXT.split("```") if "~latido:*" in block and "+hset" in block]
    assert tuple(block.split()) == ACL_RULES
