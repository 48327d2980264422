"""The right answer, recomputed from the generator's own columns: sort, cut, count. No code of the product."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from tests.benchmarks.workload import ANSWER, CLICK, FORM, IMPRESSION, KINDS, SURVEYS, VIEW, Workload

GAP_MS: Final = 30 * 60 * 1000

_TIME_BITS = 44  # of milliseconds since 1970: until the year 2527
_KIND_BITS = 3


class Visit(NamedTuple):
    """One session."""

    visitor: int
    first_ms: int
    last_ms: int
    page_views: int


class Truth(NamedTuple):
    """What the tables must say when everything is applied. `visits` by (visitor, first_ms)."""

    counts: dict[str, int]
    visits: dict[tuple[int, int], Visit]
    nps: tuple[int, int, int]  # promoters, passives, detractors

    def figures(self) -> dict[str, int]:
        """The figures of the record `default|all|all` that are compared, by the names it has them under."""
        promoters, passives, detractors = self.nps
        return {
            "page_views": self.counts[KINDS[VIEW]],
            "impressions": self.counts[KINDS[IMPRESSION]],
            "clicks": self.counts[KINDS[CLICK]],
            "form_submissions": self.counts[KINDS[FORM]],
            "sessions": len(self.visits),
            "unique_visitors": len({visitor for visitor, _ in self.visits}),
            "promoters": promoters, "passives": passives, "detractors": detractors,
        }  # fmt: skip


def recompute(workload: Workload) -> Truth:
    """After `messages` was read to its end."""
    counts = Counter(workload.kinds)
    by_name = {name: counts[kind] for kind, name in enumerate(KINDS)}
    return Truth(by_name, visits_of(workload), nps_of(workload))


def visits_of(workload: Workload) -> dict[tuple[int, int], Visit]:
    """Cut each visitor's events, in order of time, where more than the gap lies between two."""
    packed = sorted(
        (visitor << _TIME_BITS | t) << _KIND_BITS | kind
        for visitor, t, kind in zip(workload.visitors, workload.times, workload.kinds, strict=True)
        if kind != ANSWER  # an answer is no visit
    )
    visits: dict[tuple[int, int], Visit] = {}
    visitor, first, last, views = -1, 0, 0, 0
    for one in packed:
        kind, moment = one & (1 << _KIND_BITS) - 1, one >> _KIND_BITS
        who, t = moment >> _TIME_BITS, moment & (1 << _TIME_BITS) - 1
        if who != visitor or t - last > GAP_MS:
            if visitor >= 0:
                visits[visitor, first] = Visit(visitor, first, last, views)
            visitor, first, views = who, t, 0
        last = t
        views += kind == VIEW
    if visitor >= 0:
        visits[visitor, first] = Visit(visitor, first, last, views)
    return visits


def nps_of(workload: Workload) -> tuple[int, int, int]:
    """Everybody's latest score per survey, by (time, id); ids grow with the number of the event."""
    latest: dict[tuple[int, int], tuple[int, int, int]] = {}
    columns = zip(workload.visitors, workload.times, workload.scores, strict=True)
    for number, (visitor, t, score) in enumerate(columns):
        if score >= 0:
            key = visitor, number % len(SURVEYS)
            latest[key] = max(latest.get(key, (0, 0, 0)), (t, number, score))
    scores = [score for _, _, score in latest.values()]
    return sum(s >= 9 for s in scores), sum(7 <= s <= 8 for s in scores), sum(s <= 6 for s in scores)
