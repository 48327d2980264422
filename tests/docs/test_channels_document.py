"""docs/channels.md: its tables are what the rules say."""

from __future__ import annotations

from tests.docs import channels


def test_the_tables_of_the_document_are_the_rules() -> None:
    text = channels.DOCUMENT.read_text(encoding="utf-8")
    assert channels.with_tables(text) == text, "run python -m tests.docs.channels"
