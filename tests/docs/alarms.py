"""`python -m tests.docs.alarms [--check]`, which scripts/docs calls: the tables of docs/alerts.md.

How often a rule on a click-through rate fires though nothing has changed, and how surely it does when
something has. The chance at one look is exact, by enumeration; days of looks are simulated with the product's
own rules, from a fixed seed.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from stream.core.alerts import Look, Rule, Standing, follow
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS
from stream.core.statistics import rate
from stream.pipeline.alert_record import Figure, figure_of
from tests.docs.enumeration import binomial
from tests.docs.statistics import run

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"
USUAL, FALLEN, LIMIT = 0.10, 0.01, 0.05
"""The true rate, what it falls to, and the limit a rule has."""
SEED: Final = 20261122
START_MS: Final = 1_790_000_000_000
DAYS: Final = {10: 30, 100: 3}
"""Impressions an hour -> simulated days."""


def rule(measure: str, for_ms: int = 0) -> Rule:
    return Rule(
        name="ctr", kpi="ctr", window="1h", direction="below", limit=LIMIT, clear=LIMIT,
        measure="value" if measure == "value" else "high", for_ms=for_ms,
    )  # fmt: skip


def fires_at_one_look(asked: Rule, n: int, share: float) -> float:
    """The exact chance that n impressions of this true rate are beyond the limit."""
    total = 0.0
    for clicks, chance in binomial(n, share):
        x = figure_of(rate(clicks, n, of="impressions")).measured(asked)
        total += chance if x is not None and asked.passes(x) else 0.0
    return total


def figures(per_hour: int, days: int) -> Iterator[tuple[int, Figure]]:
    """The rolling hour of a steady site, at each change and each minute."""
    dice = random.Random(f"{SEED} {per_hour}")
    window, clicks, at_ms, next_minute_ms = deque[tuple[float, bool]](), 0, 0.0, float(HOUR_MS)
    arrival_ms = dice.expovariate(per_hour) * HOUR_MS
    while at_ms < HOUR_MS + days * DAY_MS:
        leaves_ms = window[0][0] + HOUR_MS if window else float("inf")
        at_ms = min(arrival_ms, leaves_ms, next_minute_ms)
        if at_ms == leaves_ms:
            clicks -= window.popleft()[1]
        elif at_ms == arrival_ms:
            window.append((at_ms, dice.random() < USUAL))
            clicks += window[-1][1]
            arrival_ms = at_ms + dice.expovariate(per_hour) * HOUR_MS
        else:
            next_minute_ms += MINUTE_MS
        if at_ms >= HOUR_MS:  # before, the window is not full
            yield START_MS + int(at_ms), figure_of(rate(clicks, len(window), of="impressions"))


def alarms_a_day(rules: Sequence[Rule], per_hour: int) -> list[float]:
    """Of each rule, all of them looking at the same figures."""
    standings, fired = [Standing() for _ in rules], [0 for _ in rules]
    for at_ms, figure in figures(per_hour, DAYS[per_hour]):
        for number, asked in enumerate(rules):
            look = Look(at_ms, at_ms, figure.measured(asked))
            standings[number], changes = follow(asked, standings[number], look)
            fired[number] += sum(change.firing for change in changes)
    return [count / DAYS[per_hour] for count in fired]


def one_look() -> str:
    value, interval = rule("value"), rule("interval")
    lines = [
        f"| n | value, still {USUAL:.0%} | interval, still {USUAL:.0%} | value, fallen to {FALLEN:.0%} "
        f"| interval, fallen to {FALLEN:.0%} |",
        "|---|---|---|---|---|",
    ]
    for n in (10, 30, 100, 300, 1000):
        found = [
            fires_at_one_look(asked, n, share) for share in (USUAL, FALLEN) for asked in (value, interval)
        ]
        lines.append(f"| {n} | {' | '.join(f'{100 * chance:.2f} %' for chance in found)} |")
    return "\n".join(lines)


def days() -> str:
    asked = {
        "value": rule("value"), "value, `for` 10m": rule("value", 10 * MINUTE_MS),
        "interval": rule("interval"), "interval, `for` 10m": rule("interval", 10 * MINUTE_MS),
    }  # fmt: skip
    few, many = (alarms_a_day([*asked.values()], per_hour) for per_hour in DAYS)
    rows = [
        f"| {name} | {one:.1f} | {other:.1f} |" for name, one, other in zip(asked, few, many, strict=True)
    ]
    return "\n".join(["| rule | n about 10 | n about 100 |", "|---|---|---|", *rows])


TABLES: Final = {"one-look": one_look, "days": days}

if __name__ == "__main__":
    sys.exit(run(DOCUMENT, TABLES, sys.argv[1:]))
