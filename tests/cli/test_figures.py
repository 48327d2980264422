"""KPIs as text, and the screen they stand on."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from schemas.times import rfc3339
from schemas.topics import KPI_SNAPSHOTS
from stream.commands.board_view import (
    LONG_LOOKED_AT_EVERY_MS,
    LOOKED_AT_EVERY_MS,
    STALE_AFTER_MS,
    View,
    age_of,
    fitting_windows,
    screen,
    state_of,
    to_ms,
)
from stream.commands.figures import Published, duration, figure, in_order, label
from stream.core.windows import ALL_TIME, ROLLING
from stream.kafka.publisher import _EVERY_MS
from stream.pipeline.take_snapshot import Completeness, Header

EXAMPLES = sorted(
    (Path(__file__).resolve().parents[2] / "schemas/examples" / KPI_SNAPSHOTS / "valid").glob("*.json")
)
AS_OF = "2026-11-22T10:19:58.000Z"
NOW_MS = to_ms(AS_OF) + 400
HOSTILE = "[red]x[/red]\x1b[2J\n<b>"


def header(status: str = "complete", published_at: str = AS_OF) -> Header:
    found = Completeness(status, 4, 3, AS_OF, 12, 3, 1, held_by=None)
    return Header(1, AS_OF, published_at, True, found, {})


def record(site: str = "shop", window: str = "5m", segment: str | None = None, **kpis: Any) -> Published:
    dimension = (
        {"dimension": "all", "value": None} if segment is None else {"dimension": "element", "value": segment}
    )
    return msgspec.convert(
        {"site_id": site, "window": {"name": window}, "segment": dimension, "kpis": kpis, "sequence": 1},
        Published,
    )


def count(value: int) -> dict[str, Any]:
    return {"type": "count", "value": value, "previous": 3}


def rate(numerator: int, denominator: int) -> dict[str, Any]:
    value = numerator / denominator if denominator else None
    return {
        "type": "rate",
        "value": value,
        "numerator": numerator,
        "denominator": denominator,
        "low": 0.0,
        "high": 0.5,
    }


def shown(view: View, width: int = 100, height: int | None = None, now_ms: int = NOW_MS) -> str:
    out = io.StringIO()
    Console(file=out, width=width, height=50, color_system=None).print(screen(view, now_ms, width, height))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "kpi", "value", "beside", "n"),
    [
        ("page_views", {"type": "count", "value": 1234, "previous": 5}, "1,234", "before 5", ""),
        ("sessions", {"type": "count", "value": 47, "open": 9, "ended": 38}, "47", "9 open", ""),
        ("ctr", {"type": "rate", "value": 0.1, "denominator": 1000, "low": 0.0829, "high": 0.1202},
         "10.0 %", "8.3 to 12.0 %", "1,000"),
        ("ctr", {"type": "rate", "value": None, "numerator": 0, "denominator": 0, "low": None, "high": None},
         "-", "", ""),
        ("nps", {"type": "score", "value": 40.0, "rounded": 40, "n": 500, "low": 32.8, "high": 46.8},
         "+40", "+33 to +47", "500"),
        ("nps", {"type": "score", "value": 42.5, "rounded": 43, "n": 4, "low": -60, "high": 30},
         "+43", "-60 to +30", "4"),
        ("pages_per_session", {"type": "mean", "value": 4.18, "n": 38, "low": 3.61, "high": 4.75},
         "4.18", "3.61 to 4.75", "38"),
        ("pages_per_session", {"type": "mean", "value": None, "n": 0, "low": None, "with_open": 3.95},
         "-", "3.95 so far", ""),
        ("session_duration_ms", {"type": "mean", "value": 748_887, "n": 3, "low": 60_000, "high": 3_600_000},
         "12m 29s", "1m to 1h", "3"),
    ],
)  # fmt: skip
def test_a_kpi_as_text(name: str, kpi: dict[str, Any], value: str, beside: str, n: str) -> None:
    found = figure(name, kpi)
    assert (found.value, found.beside, found.n) == (value, beside, n)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0.0s"),
        (4200, "4.2s"),
        (59_999, "1m"),
        (90_000, "1m 30s"),
        (3_600_000, "1h"),
        (90_061_000, "1d 1h"),
    ],
)
def test_durations_have_two_units_at_most(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_kpis_stand_in_reading_order_and_new_ones_last() -> None:
    assert in_order(["zzz", "nps", "active_visitors", "cart_value_ms"]) == [
        "active_visitors",
        "nps",
        "cart_value_ms",
        "zzz",
    ]
    assert label("cart_value_ms") == "Cart value"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_of_the_contract_can_be_shown(file: Path) -> None:
    one = msgspec.json.decode(file.read_bytes(), type=Published)
    text = shown(View(header(), [one], segment=one.segment_name))
    for name, kpi in json.loads(file.read_bytes())["kpis"].items():
        assert label(name) in text
        assert figure(name, kpi).value in text
    assert one.site_id in text


def test_the_screen_says_how_complete_and_how_old() -> None:
    view = View(header("catching_up"), [record(page_views=count(7))])
    text = shown(view)
    assert text.splitlines()[0].startswith("● catching up  published 0.4s ago   site shop")
    assert "partitions 3 of 4   behind 12 records   late 3   refused 1" in text
    late = shown(view, now_ms=NOW_MS + STALE_AFTER_MS)
    assert late.splitlines()[0].startswith("● stale: no worker publishes  published 5.4s ago")


def test_a_status_of_the_header_holds_until_it_is_stale() -> None:
    assert state_of(header("partial"), to_ms(AS_OF) + STALE_AFTER_MS) == ("partial", STALE_AFTER_MS)
    assert state_of(header("complete"), to_ms(AS_OF) + STALE_AFTER_MS + 1)[0] == "stale"


def test_a_site_that_anybody_names_does_not_come_before_the_default_one() -> None:
    view = View(header(), [record("!", page_views=count(1)), record("default", page_views=count(7))])
    assert "site default (1 of 2)" in shown(view)


def test_nothing_hostile_reaches_the_terminal() -> None:
    records = [record(HOSTILE, page_views=count(7)), record(HOSTILE, segment=HOSTILE, ctr=rate(1, 5))]
    text = shown(View(header(), records), width=140)
    assert all(line.isprintable() for line in text.splitlines())
    assert "[red]x[/red]\\x1b[2J\\n<b>" in text


@pytest.mark.parametrize("width", [20, 80, 100, 140, 250])
def test_the_screen_fits_the_terminal(width: int) -> None:
    windows = ("1m", "5m", "30m", "1h", "24h", "all")
    records = [record(window=name, ctr=rate(1, 1000), page_views=count(1_234_567)) for name in windows]
    records += [
        record(window=name, segment=f"e{number}", ctr=rate(1, 5)) for name in windows for number in range(90)
    ]
    lines = shown(View(header(), records), width, height=24).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24


def test_a_narrow_terminal_keeps_the_most_telling_windows() -> None:
    windows = ["1m", "5m", "30m", "1h", "24h", "all"]
    assert fitting_windows(windows, (), 80) == ["5m"]
    assert fitting_windows(windows, (), 100) == ["5m", "all"]
    assert fitting_windows(windows, (), 300) == windows
    assert fitting_windows(windows, ("1h", "1m"), 100) == ["1m", "1h"]
    assert fitting_windows(windows, ("7d",), 100) == []


def aged(window: str, age_ms: int, **kpis: Any) -> Published:
    return msgspec.structs.replace(record(window=window, **kpis), as_of=rfc3339(to_ms(AS_OF) - age_ms))


def test_a_window_older_than_the_screen_says_so() -> None:
    records = [
        aged("5m", 0, page_views=count(783)),
        aged("1h", 1000, page_views=count(770)),
        aged("24h", 8000, page_views=count(770)),
    ]
    heading = shown(View(header(), records), width=140).splitlines()[2]
    assert heading.split("95 % interval")[0].strip() == "last 5m"
    assert "last 1h" in heading
    assert "24h, 8s ago" in heading
    assert heading.count("ago") == 1


def test_figures_that_have_not_changed_are_not_called_old() -> None:
    still = View(header(), [aged(name, 3_600_000, page_views=count(7)) for name in ("5m", "24h", "all")])
    assert [age_of(name, still) for name in ("5m", "24h", "all", "1m")] == [0, 10_000, 0, 0]
    heading = shown(still, width=140).splitlines()[2]
    assert "24h, 10s ago" in heading
    assert heading.count("ago") == 1
    behind = msgspec.structs.replace(header("catching_up"), current=False)
    assert "5m, 1h ago" in shown(View(behind, still.records))


def test_a_part_or_site_looked_at_later_vouches_for_the_window() -> None:
    later = msgspec.structs.replace(aged("24h", 2000), site_id="another")
    assert age_of("24h", View(header(), [aged("24h", 9000), later])) == 2000
    assert age_of("24h", View(header(), [aged("24h", -1000)])) == 0


def test_the_view_knows_how_often_the_publisher_looks() -> None:
    for window in (ALL_TIME, *(one.name for one in ROLLING)):
        assert LOOKED_AT_EVERY_MS.get(window, LONG_LOOKED_AT_EVERY_MS) == _EVERY_MS.get(window, 0), window


@pytest.mark.parametrize("width", [53, 57, 58, 80, 87, 96, 97, 140])
def test_an_age_costs_no_figure(width: int) -> None:
    """At every number of windows the heading and the interval are whole."""
    windows = ("24h", "30d")
    records = [aged(name, 10_000, ctr=rate(1, 1000), page_views=count(234_567)) for name in windows]
    text = shown(View(header(), records, windows=windows), width)
    heading, figures = text.splitlines()[2], text.splitlines()[4:6]
    assert re.search("24h(, 10s ago| -10s) ", heading)
    assert ("24h, 10s ago" in heading) == (width in (58, 80, 97, 140))
    assert not any("…" in line for line in (heading, *figures)), text


def test_parts_are_shown_largest_first() -> None:
    records = [
        record(page_views=count(7)),
        record(segment="few", ctr=rate(1, 5)),
        record(segment="many", ctr=rate(1, 50)),
    ]
    text = shown(View(header(), [*records, record(segment="none", ctr=rate(0, 0))]))
    assert text.index("element=many") < text.index("element=few")
    assert "element=none" not in text


def test_the_site_asked_for_is_shown() -> None:
    records = [record("a", page_views=count(1)), record("b", page_views=count(2))]
    assert "site a (1 of 2)" in shown(View(header(), records))
    assert "site b (2 of 2)" in shown(View(header(), records, site="b"))
