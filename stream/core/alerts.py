"""When an alert fires and when it is resolved: one rule, one series of figures, one look after the other.

Between two looks a figure is what it was until the time from which the new one holds. So the instant at
which `for` is over is known exactly, however seldom anybody looks; looking more often changes nothing. All
times are event time in ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from statistics import median
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from stream.core.policy import MINUTE_MS

OK: Final = 0
PENDING: Final = 1
FIRING: Final = 2
STATES: Final = ("ok", "pending", "firing")

LONGEST_GAP_MS: Final = MINUTE_MS
"""Looks further apart leave a time in which nobody knows what the figure was: it does not count for `for`."""
MAD_TO_SIGMA: Final = 1.4826
"""Of normal values the median absolute deviation is sigma / 1.4826 (Rousseeuw and Croux 1993)."""

Direction: TypeAlias = Literal["below", "above"]
Severity: TypeAlias = Literal["info", "warning", "critical"]
Cause: TypeAlias = Literal["limit", "cleared", "gone", "rule_removed"]
Muted: TypeAlias = Callable[[int], int]
"""The first instant from the given one on at which a series may fire."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `value` None: each value of the dimension is a series of its own; `site` None: every site.

    measure: `value`, or the bound of the interval on the far side (`low` of an `above`, `high` of a `below`),
    which passes a limit only when the whole interval does. deviations: limits are robust standard deviations
    from the same hour of earlier weeks. most: so many series fire at a time, others wait for their turn.
    """

    name: str
    kpi: str
    window: str
    direction: Direction
    limit: float
    clear: float
    measure: Literal["value", "low", "high"] = "value"
    site: str | None = None
    dimension: str = "all"
    value: str | None = None
    least_n: int = 0
    for_ms: int = 0
    cooldown_ms: int = 0
    severity: Severity = "warning"
    most: int = 50
    deviations: bool = False
    least_spread: float = 0.05

    def passes(self, x: float) -> bool:
        """Whether `x` is beyond the limit."""
        return x < self.limit if self.direction == "below" else x > self.limit

    def is_clear(self, x: float) -> bool:
        """Whether `x` is back at the limit that resolves, or better."""
        return x >= self.clear if self.direction == "below" else x <= self.clear

    def wants(self, site_id: str, dimension: str, value: str | None) -> bool:
        return (
            self.site in (None, site_id)
            and self.dimension == dimension
            and (self.dimension == "all" or self.value in (None, value))
        )


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """While it lasts, nothing it matches fires; what still passes its limit then fires at its end.

    Patterns as in a shell. None: since ever, for good.
    """

    rule: str = "*"
    site: str = "*"
    segment: str = "*"
    start_ms: int | None = None
    end_ms: int | None = None

    def matches(self, rule: str, site_id: str, segment: str) -> bool:
        given = ((rule, self.rule), (site_id, self.site), (segment, self.segment))
        return all(fnmatchcase(name, pattern) for name, pattern in given)


NEVER_AGAIN_MS: Final = 2**62


def muted_by(silences: Iterable[Silence]) -> Muted:
    """The silences of one series as a function."""
    spans = sorted(
        (
            -NEVER_AGAIN_MS if one.start_ms is None else one.start_ms,
            NEVER_AGAIN_MS if one.end_ms is None else one.end_ms,
        )
        for one in silences
    )

    def first_allowed(at_ms: int) -> int:
        for start_ms, end_ms in spans:
            if start_ms <= at_ms < end_ms:
                at_ms = end_ms
        return at_ms

    return first_allowed


class Baseline(NamedTuple):
    """The same hour of earlier weeks: median, robust standard deviation, and how many weeks."""

    median: float
    spread: float
    weeks: int


def baseline(values: list[float], least_spread: float) -> Baseline | None:
    """From one value per week. None where nothing can be said: no value, or all are 0.

    least_spread: share of the median below which weeks are never taken to differ by chance.
    """
    if not values:
        return None
    middle = median(values)
    deviation = MAD_TO_SIGMA * median(abs(value - middle) for value in values)
    spread = max(deviation, least_spread * abs(middle))
    return Baseline(middle, spread, len(values)) if spread > 0 else None


class Look(NamedTuple):
    """What was seen: as of `at_ms` the figure is `x`, and has been since `from_ms`. x None: nothing is known
    (input missing, too few, no baseline)."""

    at_ms: int
    from_ms: int
    x: float | None


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """How a series stands. `since_ms`: when its figure passed the limit. `held_ms`: for how long that was
    seen to last. `sequence`: of the latest record that told a change."""

    state: int = OK
    since_ms: int = 0
    held_ms: int = 0
    seen_ms: int = 0
    fired_ms: int = 0
    resolved_ms: int | None = None
    sequence: int = 0


class Change(NamedTuple):
    """A series fired or was resolved. Each has a higher sequence than the one before."""

    firing: bool
    at_ms: int
    since_ms: int
    fired_ms: int
    cause: Cause
    sequence: int


def follow(
    rule: Rule, standing: Standing, look: Look, muted: Muted = lambda at_ms: at_ms
) -> tuple[Standing, list[Change]]:
    """How the series stands after a look, and what there is to tell."""
    if look.x is None or look.at_ms <= standing.seen_ms:
        return standing, []
    changes: list[Change] = []
    known = look.at_ms - standing.seen_ms <= LONGEST_GAP_MS
    from_ms = min(max(look.from_ms, standing.seen_ms), look.at_ms)
    standing = _wait(rule, standing, from_ms, muted, changes, counts=known)
    standing = _take(rule, standing, look.x, from_ms, changes)
    standing = _wait(rule, standing, look.at_ms, muted, changes, counts=True)
    return standing, changes


def _wait(
    rule: Rule, standing: Standing, until_ms: int, muted: Muted, changes: list[Change], *, counts: bool
) -> Standing:
    """The figure stays what it is until then. `counts`: that is known, not assumed."""
    seen_ms, standing = standing.seen_ms, msgspec.structs.replace(standing, seen_ms=until_ms)
    if standing.state != PENDING or not counts:
        return standing
    held_ms = standing.held_ms + until_ms - seen_ms
    standing = msgspec.structs.replace(standing, held_ms=held_ms)
    if held_ms < rule.for_ms:
        return standing
    due_ms = max(seen_ms, until_ms - (held_ms - rule.for_ms))
    if standing.resolved_ms is not None:
        due_ms = max(due_ms, standing.resolved_ms + rule.cooldown_ms)
    due_ms = muted(due_ms)
    if due_ms > until_ms:
        return standing
    sequence = max(standing.sequence + 1, due_ms)
    changes.append(Change(True, due_ms, standing.since_ms, due_ms, "limit", sequence))
    return msgspec.structs.replace(standing, state=FIRING, fired_ms=due_ms, sequence=sequence)


def _take(rule: Rule, standing: Standing, x: float, at_ms: int, changes: list[Change]) -> Standing:
    """The figure is `x` from now on."""
    if standing.state == OK and rule.passes(x):
        return msgspec.structs.replace(standing, state=PENDING, since_ms=at_ms, held_ms=0, seen_ms=at_ms)
    if standing.state == PENDING and not rule.passes(x):
        return msgspec.structs.replace(standing, state=OK, held_ms=0)
    if standing.state == FIRING and rule.is_clear(x):
        standing, change = end(standing, at_ms, "cleared")
        changes += change
    return standing


def end(standing: Standing, at_ms: int, cause: Cause) -> tuple[Standing, list[Change]]:
    """The series is fine, or there is none any more."""
    if standing.state != FIRING:
        return msgspec.structs.replace(standing, state=OK, held_ms=0), []
    sequence = max(standing.sequence + 1, at_ms)
    change = Change(False, at_ms, standing.since_ms, standing.fired_ms, cause, sequence)
    return msgspec.structs.replace(standing, state=OK, held_ms=0, resolved_ms=at_ms, sequence=sequence), [
        change
    ]
