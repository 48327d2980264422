"""Paths of pages, and goals by page pattern, element and form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.policy import Goal, Goals, Policy, page_path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/", "/"),
        ("/a/b?x=1#y", "/a/b"),
        ("/a#b?c", "/a"),
        ("https://shop.example/a/b?x=1", "/a/b"),
        ("https://shop.example", "/"),
        ("https://shop.example?x", "/"),
        ("//cdn.example/a?b", "//cdn.example/a"),
        ("app://screen/home", "/home"),
        ("relative/page?x", "relative/page"),
        ("http://[", "http://["),
        ("http://[?secret=1", "http://["),
        ("?only=query", "/"),
        ("/caf\u00e9 \u2603?x", "/caf\u00e9 \u2603"),
        ("\x00", "/"),
        ("javascript:alert(1)", "alert(1)"),
    ],
)
def test_a_page_is_named_by_its_path(url: str, path: str) -> None:
    assert page_path(url) == path


@given(st.text(max_size=80))
def test_junk_is_a_page_without_query_and_never_an_error(url: str) -> None:
    path = page_path(url)
    assert isinstance(path, str)
    assert "?" not in path


@given(st.text("/?#:[]@.%ab\\\t\n", max_size=30))
def test_urls_made_of_delimiters_are_never_an_error(url: str) -> None:
    assert "?" not in page_path(url)


GOALS = Goals(
    (
        Goal("thanks", page="/thanks*"),
        Goal("any order", page="/order/[0-9]/done"),
        Goal("button", element_id="buy"),
        Goal("also the button", element_id="buy"),
        Goal("signup", form_id="signup"),
    )
)


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("/thanks", ["thanks"]),
        ("https://shop.example/thanks/42?ref=mail", ["thanks"]),
        ("/order/7/done", ["any order"]),
        ("/order/77/done", []),
        ("/Thanks", []),
        ("/no/thanks", []),
        ("/?next=/thanks", []),
        ("http://[", []),
    ],
)
def test_a_page_goal_is_a_pattern_over_the_whole_path(url: str, names: list[str]) -> None:
    assert GOALS.by_page(url) == names


def test_elements_and_forms_are_named_exactly() -> None:
    assert GOALS.by_element("buy") == ["button", "also the button"]
    assert GOALS.by_element("buy2") == GOALS.by_element("signup") == []
    assert GOALS.by_form("signup") == ["signup"]
    assert GOALS.by_form("buy") == []
    assert Goals().by_page("/thanks") == []


@pytest.mark.parametrize(
    "given_", [{}, {"page": "/a", "form_id": "f"}, {"page": "/", "element_id": "e", "form_id": "f"}]
)
def test_a_goal_has_exactly_one_condition(given_: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one of page, element_id, form_id"):
        Goal("x", **given_)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_goal_has_a_name_that_fits(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 characters"):
        Goal(name, page="/")


def test_lateness_and_finality_follow_from_gap_and_grace() -> None:
    policy = Policy(gap_ms=100, grace_ms=7)
    assert (policy.lateness_ms, policy.finality_ms) == (107, 207)
