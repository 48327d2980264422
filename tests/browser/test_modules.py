"""The page's pure functions, each with what goes in and what comes out, run where they run."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from schemas.keys import join_key
from stream.core.dimensions import PAGE_WINDOWS
from stream.core.windows import SETTLED
from tests.browser.sight import Sight

pytestmark = pytest.mark.asyncio(loop_scope="module")

RATE = {"type": "rate", "value": 0.316, "previous": 0.356, "low": 0.191, "high": 0.4746}
SCORE = {"type": "score", "value": -0.5, "low": -12.4, "high": 11.6, "n": 9}
LENGTH = {"type": "mean", "value": 300_000, "previous": 282_000, "low": 59_000, "high": 3_600_000}


async def call(page: Page, module: str, name: str, *arguments: Any) -> Any:
    """What a function of a module answers."""
    return await page.evaluate(
        "async ([module, name, given]) => (await import(`/static/js/${module}.js`))[name](...given)",
        [module, name, list(arguments)],
    )


WRITTEN: list[tuple[str, list[Any], Any]] = [
    ("count", [1234567], "1,234,567"),
    ("count", [None], "\u2013"),
    ("percent", [0.31578], "31.6 %"),
    ("percent", [0], "0.0 %"),
    ("duration", [4200], "4.2 s"),
    ("duration", [59_960], "1:00 min"),
    ("duration", [300_000], "5:00 min"),
    ("duration", [3_599_700], "1:00 h"),
    ("duration", [3_720_000], "1:02 h"),
    ("duration", [302_400_000], "3.5 days"),
    ("duration", [-18_000], "-18.0 s"),
    ("points", [-0.5], "\u22121"),
    ("points", [0.5], "1"),
    ("points", [-0.4], "0"),
    ("age", [399], "0.4 s"),
    ("age", [14_200], "14 s"),
    ("interval", ["bounce_rate", RATE], "19.1\u201347.5 %"),
    ("interval", ["nps", SCORE], "\u221212 to 12"),
    ("interval", ["session_duration_ms", LENGTH], "59.0 s\u20131:00 h"),
    ("interval", ["csat", RATE | {"low": None, "high": None}], ""),
    ("change", ["bounce_rate", RATE], {"up": False, "text": "4.0 pt"}),
    ("change", ["session_duration_ms", LENGTH], {"up": True, "text": "18.0 s"}),
    ("change", ["bounce_rate", RATE | {"previous": 0.31599}], {"up": None, "text": "0.0 pt"}),
    ("change", ["bounce_rate", RATE | {"previous": None}], None),
]


async def test_numbers_are_written(sight: Sight) -> None:
    await sight.page.goto(sight.url)
    for name, arguments, expected in WRITTEN:
        assert (name, await call(sight.page, "format", name, *arguments)) == (name, expected)


async def test_keys_are_those_of_the_contract(sight: Sight) -> None:
    """`gone` names records by their Kafka key: a page that wrote one otherwise would keep what is gone."""
    await sight.page.goto(sight.url)
    texts = ["", "a|b", "50%", "~", "!'()*", "\u202e\u00e9\U0001f600", "\x00\x7f\n", "%7C", "a b", '{}[]"\\']
    for text in texts:
        assert await call(sight.page, "records", "joinKey", text, "5m", "all") == join_key(text, "5m", "all")


async def test_a_window_without_the_number_is_replaced_by_the_next_longer(sight: Sight) -> None:
    await sight.page.goto(sight.url)
    for wanted, there, expected in (
        ("5m", ["1h", "24h", "all"], "1h"),
        ("24h", ["1h", "24h", "all"], "24h"),
        ("all", ["1h", "24h"], "24h"),
        ("30d", ["7d", "28d"], "28d"),
    ):
        assert await call(sight.page, "records", "nearestWindow", wanted, there) == expected


async def test_pages_are_asked_for_in_the_windows_in_which_they_are_counted(sight: Sight) -> None:
    await sight.page.goto(sight.url)
    asked = await sight.page.evaluate(
        "async () => (await import('/static/js/sections/engagement.js')).PAGE_WINDOWS"
    )
    assert set(asked) == PAGE_WINDOWS - set(SETTLED)


async def test_the_address_says_what_is_not_the_default(sight: Sight) -> None:
    await sight.page.goto(sight.url)
    query = "?site=a%26b&window=1h&dimension=channel%2Bdevice&wall=1"
    choice = await call(sight.page, "address", "readChoice", query)
    assert (choice["site"], choice["dimension"], choice["wall"]) == ("a&b", "channel+device", True)
    assert await call(sight.page, "address", "writeChoice", choice) == query
    assert await call(sight.page, "address", "readChoice", "?window=2m&clicks=x") == await call(
        sight.page, "address", "readChoice", ""
    )


async def test_a_line_has_gaps_where_nothing_was_known(sight: Sight) -> None:
    await sight.page.goto(sight.url)
    series: Any = {"times": [], "values": []}
    for time, value in ((100, 1), (101, 2), (101, 3), (110, 4), (90, 9)):
        series = await call(sight.page, "series", "extended", series, time, value)
    assert series == {"times": [100, 101, 102, 110], "values": [1, 3, None, 4]}
    smooth = await call(sight.page, "series", "smoothed", series, 10)
    assert smooth["values"] == [1, 2, None, 3.5]
    old = await call(sight.page, "series", "extended", series, 100 + 900, 5)
    assert old["times"][0] == 101


async def test_growth_is_per_second_and_unknown_over_a_gap(sight: Sight) -> None:
    await sight.page.goto(sight.url)
    before = {"time": 100, "totals": {"views": 10}, "views": 10, "read": 50}
    for time, total, read, expected in (
        (102, 16, 60, 3), (100, 16, 60, None), (120, 99, 300, None), (101, 9, 60, None),
        (102, 16, 54, None), (102, 16, None, 3),
    ):  # fmt: skip
        now = {"time": time, "totals": {"views": total}, "views": total, "read": read}
        assert await call(sight.page, "series", "growth", before, now) == {"views": expected}
    assert await call(sight.page, "series", "growth", None, before) == {"views": None}
