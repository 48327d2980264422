"""`latido top`: the largest values of a dimension."""

from __future__ import annotations

import json
from typing import Any

from stream.demo.servers import EmbeddedStore
from tests.cli.conftest import Run
from tests.cli.publishing import publish


def sessions(n: int, converted: int) -> dict[str, Any]:
    """The KPIs of so many ended sessions."""
    value = converted / n
    rate = {"type": "rate", "value": value, "numerator": converted, "denominator": n, "of": "ended sessions"}
    return {
        "sessions": {"type": "count", "value": n, "open": 0, "ended": n},
        "session_conversion_rate": rate | {"low": value, "high": value, "method": "wilson", "level": 0.95},
    }


async def put(
    store: EmbeddedStore, namespace: str, dimension: str, values: dict[str, tuple[int, int]]
) -> None:
    for value, (n, converted) in values.items():
        more: dict[str, Any] = {"truncated": 1234} if value == "(other)" else {}
        segment = {"dimension": dimension, "value": value}
        await publish(store, namespace, segment=segment, kpis=sessions(n, converted), **more)


async def test_the_largest_come_first_and_the_rest_last(latido: Run, store: EmbeddedStore) -> None:
    values = {"/b": (5, 1), "(other)": (99, 9), "/[red]a": (5, 2), "/c": (7, 0), "/d": (1, 0)}
    await put(store, "cli-top", "landing_page", values)
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-top"}
    shown = latido("top", "landing_page", "--window", "5m", "-n", "3", **variables)
    rows = [line.split() for line in shown.stdout.splitlines() if "/" in line or "rest" in line]
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [row[:3] for row in rows[:3]] == [["1", "/c", "7"], ["2", "/[red]a", "5"], ["3", "/b", "5"]]
    assert rows[1][3:5] == ["40.0", "%"]
    assert rows[3][:6] == ["(other):", "the", "rest", "of", "1,234", "values"]
    as_json = latido("top", "landing_page", "--window", "5m", "-n", "1", "--json", **variables).stdout
    assert [json.loads(line)["segment"]["value"] for line in as_json.splitlines()] == ["/c", "(other)"]


async def test_what_is_not_there_is_told_with_what_is(latido: Run, store: EmbeddedStore) -> None:
    await put(store, "cli-top-2", "channel", {"Email": (5, 1)})
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-top-2"}
    elsewhere = latido("top", "chanel", **variables)
    later = latido("top", "channel", "--window", "1h", **variables)
    assert (elsewhere.returncode, later.returncode) == (2, 2)
    assert "nothing is published by chanel; there is channel" in elsewhere.stderr
    assert "channel has no --window 1h now; 5m" in later.stderr


def test_before_anything_is_published(latido: Run, store: EmbeddedStore) -> None:
    done = latido("top", "channel", LATIDO_REDIS=store.url, LATIDO_NAMESPACE="cli-top-none")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing is published" in done.stderr
