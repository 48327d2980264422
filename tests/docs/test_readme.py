"""README.md: the figures on the first page are those of a run."""

from __future__ import annotations

from tests.docs import readme


def test_the_figures_on_the_first_page_are_what_the_pipeline_says() -> None:
    text = readme.DOCUMENT.read_text(encoding="utf-8")
    assert readme.with_sample(text) == text, "run python -m tests.docs.readme"
