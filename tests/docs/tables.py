"""The figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from tests.docs.figures import (
    DISTRIBUTIONS,
    FINE_SIZES,
    RATE_GRID,
    SCORE_GRID,
    SIZES,
    Distribution,
    Pair,
    bucket_around,
    enumerable,
    means,
    rates,
    scores,
    worst_rate,
    worst_score,
)

FLOOR: Final = 0.89  # a coverage below it is printed bold

# What the table of percentiles shows, in whole units and as a reader would say it.
_VALUES: Final = (
    (5, "5 pages"),
    (63, "63"),
    (64, "64"),
    (1000, "1 s"),
    (30_000, "30 s"),
    (300_000, "5 min"),
    (1_800_000, "30 min"),
)


def rate_summary() -> str:
    head = ("n", "mean", "lowest", "lowest over every p", "plain: mean", "plain: lowest")
    return _table(head, (_rate_row(n) for n in SIZES))


def _rate_row(n: int) -> list[str]:
    found = rates(n)
    worst = worst_rate(n)
    low, plain = _lowest(found, _published), _lowest(found, _plain)
    return [
        str(n), _percent(_average(found.values(), _published)), f"{_percent(low[0])} at {low[1]} %",
        f"{_percent(worst.held)} at {100 * worst.share:.2g} %",
        _percent(_average(found.values(), _plain)), f"{_percent(plain[0])} at {plain[1]} %",
    ]  # fmt: skip


def rate_grid() -> str:
    shares = [share for share in RATE_GRID if share <= 50]
    rows = (
        [f"{p} %, {100 - p} %" if p < 50 else "50 %", *(_both(rates(n)[p]) for n in SIZES)] for p in shares
    )
    return _table(("p", *(f"n = {n}" for n in SIZES)), rows)


def score_summary() -> str:
    head = ("n", "mean", "lowest, all three kinds", "lowest, one kind missing", "lowest over whole per cents",
            "plain: mean", "plain: lowest")  # fmt: skip
    return _table(head, (_score_row(n) for n in SIZES))


def _score_row(n: int) -> list[str]:
    found = scores(n)
    whole = {pair: both for pair, both in found.items() if min(pair) > 0 and sum(pair) < 100}
    edge = {pair: both for pair, both in found.items() if pair not in whole}
    finest = "not enumerated"
    if n in FINE_SIZES:
        held, p, d = worst_score(n)
        finest = f"{_percent(held)} at {p}/{d}"
    return [
        str(n), _percent(_average(found.values(), _published)), _lowest_score(whole, _published),
        _lowest_score(edge, _published), finest, _percent(_average(found.values(), _plain)),
        _lowest_score(found, _plain),
    ]  # fmt: skip


def score_grid() -> str:
    pairs = [(p, d) for p, d in SCORE_GRID if p >= d]
    rows = ([f"{p}/{d}", str(p - d), *(_both(scores(n)[p, d]) for n in SIZES)] for p, d in pairs)
    return _table(("promoters/detractors, %", "NPS", *(f"n = {n}" for n in SIZES)), rows)


def mean_distributions() -> str:
    rows = (
        [d.name, _shape(d), f"{d.average:g}", f"{d.skewness:.2f}", f"{d.enough:.0f}"] for d in DISTRIBUTIONS
    )
    return _table(("", "pages: share of sessions", "mean", "skewness", "25 skewness²"), rows)


def mean_grid() -> str:
    rows = (
        [d.name, *(_both(means(d, n)) if enumerable(d, n) else "-" for n in SIZES)] for d in DISTRIBUTIONS
    )
    return _table(("", *(f"n = {n}" for n in SIZES)), rows)


def _shape(distribution: Distribution) -> str:
    parts = zip(distribution.values, distribution.percents, strict=True)
    return ", ".join(f"{value}: {percent} %" for value, percent in parts)


def percentiles() -> str:
    rows = []
    for value, said in _VALUES:
        bucket = bucket_around(value)
        counted = f"{bucket.low} to {bucket.high}" if bucket.high > bucket.low else str(bucket.low)
        rows.append([said, str(value), counted, str(bucket.middle), f"{100 * bucket.error:.2f} %"])
    return _table(("", "value", "counted together", "published as", "largest error"), rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "rate-summary": rate_summary,
    "rate-grid": rate_grid,
    "score-summary": score_summary,
    "score-grid": score_grid,
    "mean-distributions": mean_distributions,
    "mean-grid": mean_grid,
    "percentiles": percentiles,
}


def _published(pair: Pair) -> float:
    return pair.published


def _plain(pair: Pair) -> float:
    return pair.plain


def _average(pairs: Collection[Pair], method: Callable[[Pair], float]) -> float:
    return sum(method(pair) for pair in pairs) / len(pairs)


def _lowest(found: Mapping[int, Pair], method: Callable[[Pair], float]) -> tuple[float, int]:
    """The lowest coverage and where; of two mirrored shares, equal but for rounding, the smaller one."""
    return min((round(method(pair), 9), share) for share, pair in found.items())


def _lowest_score(found: Mapping[tuple[int, int], Pair], method: Callable[[Pair], float]) -> str:
    """Of two mirrored pairs the one with more promoters."""
    held, _, p, d = min((round(method(pair), 9), p < d, p, d) for (p, d), pair in found.items())
    return f"{_percent(held)} at {p}/{d}"


def _percent(held: float) -> str:
    """Bold below the floor."""
    return f"{100 * held:.1f}" if held >= FLOOR else f"**{100 * held:.1f}**"


def _both(pair: Pair) -> str:
    return f"{_percent(pair.published)} / {100 * pair.plain:.1f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
