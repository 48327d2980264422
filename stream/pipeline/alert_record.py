"""An alert as the record of its topic."""

from __future__ import annotations

import shlex
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from schemas.keys import ALL, alert_key, segment_name
from schemas.times import rfc3339
from stream.core.alerts import Baseline, Change, Rule
from stream.core.kpi import Count, Definition, Kpi, Rate
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from stream.core.registry import KPIS
from stream.pipeline.explain import write_number
from stream.pipeline.take_snapshot import Completeness, SegmentName

_UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s"))


class Series(NamedTuple):
    """What one rule looks at: a segment of a site."""

    site_id: str
    dimension: str
    value: str | None

    @property
    def segment(self) -> str:
        return segment_name(self.dimension, self.value)

    def key(self, rule: str) -> str:
        return alert_key(self.site_id, rule, self.segment)


class Figure(NamedTuple):
    """What a rule may compare of a KPI."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None

    def measured(self, rule: Rule) -> float | None:
        """The number the rule is about. None: there is none, or it stands on too few."""
        if self.n is not None and self.n < rule.least_n:
            return None
        return {"value": self.value, "low": self.low, "high": self.high}[rule.measure]


def figure_of(kpi: Kpi) -> Figure:
    if isinstance(kpi, Count):
        return Figure(kpi.value, None, None, None)
    n = kpi.denominator if isinstance(kpi, Rate) else kpi.n
    return Figure(kpi.value, kpi.low, kpi.high, n)


class ConditionRecord(msgspec.Struct, frozen=True):
    """schemas/alerts.py says what each field means; a test holds both equal."""

    measure: str
    direction: str
    limit: float
    clear_limit: float
    against: str
    least_n: int
    for_ms: int


class BaselineRecord(msgspec.Struct, frozen=True):
    median: float
    spread: float
    weeks: int


class ObservedRecord(msgspec.Struct, frozen=True):
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    measured: float
    baseline: BaselineRecord | None


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    site_id: str
    rule: str
    kpi: str
    window: str
    segment: SegmentName
    dedupe_key: str
    sequence: int
    state: str
    cause: str
    severity: str
    since: str
    fired_at: str
    changed_at: str
    as_of: str
    summary: str
    reasons: tuple[str, ...]
    condition: ConditionRecord | None
    observed: ObservedRecord | None
    completeness: Completeness
    explain: str
    link: str | None


class Sighting(NamedTuple):
    """What a rule saw of a series: the figure, the number compared, and in which snapshot."""

    as_of_ms: int
    completeness: Completeness
    figure: Figure
    x: float | None
    baseline: Baseline | None = None


def alert_record(
    rule: Rule, series: Series, change: Change, seen: Sighting, monitor: str | None
) -> AlertRecord:
    """The record of a change. monitor: the address of the live page."""
    definition = KPIS[rule.kpi]
    return AlertRecord(
        site_id=series.site_id,
        rule=rule.name,
        kpi=rule.kpi,
        window=rule.window,
        segment=SegmentName(series.dimension, series.value),
        dedupe_key=series.key(rule.name),
        sequence=change.sequence,
        state="firing" if change.firing else "resolved",
        cause=change.cause,
        severity=rule.severity,
        since=rfc3339(change.since_ms),
        fired_at=rfc3339(change.fired_ms),
        changed_at=rfc3339(change.at_ms),
        as_of=rfc3339(seen.as_of_ms),
        summary=_summary(rule, definition, series, change, seen),
        reasons=tuple(_reasons(rule, definition, change, seen)),
        condition=_condition(rule),
        observed=_observed(seen),
        completeness=seen.completeness,
        explain=_command(rule, series),
        link=None if monitor is None else _link(rule, series, monitor),
    )


def ended_record(
    alert: AlertRecord, change: Change, as_of_ms: int, completeness: Completeness
) -> AlertRecord:
    """The last words of a series that is not published any more, or whose rule is no more."""
    removed = change.cause == "rule_removed"
    what = alert.summary.rsplit(": ", 1)[0]
    return msgspec.structs.replace(
        alert,
        sequence=change.sequence,
        state="resolved",
        cause=change.cause,
        changed_at=rfc3339(change.at_ms),
        as_of=rfc3339(as_of_ms),
        summary=f"{what}: {'the rule was removed' if removed else 'not published any more'}",
        reasons=(_lasted(change),),
        condition=None if removed else alert.condition,
        observed=None,
        completeness=completeness,
    )


def _observed(seen: Sighting) -> ObservedRecord | None:
    if seen.x is None:
        return None
    standard = None if seen.baseline is None else BaselineRecord(*seen.baseline)
    return ObservedRecord(*seen.figure, measured=seen.x, baseline=standard)


def _condition(rule: Rule) -> ConditionRecord:
    against = "earlier_weeks" if rule.deviations else "limit"
    return ConditionRecord(
        rule.measure, rule.direction, rule.limit, rule.clear, against, rule.least_n, rule.for_ms
    )


def _summary(rule: Rule, definition: Definition, series: Series, change: Change, seen: Sighting) -> str:
    """Such as `Click-through rate of channel=Email, site shop-es, window 1h: 1.20 %, below 2.00 %`."""
    of = "" if series.dimension == ALL else f" of {series.segment}"
    what = f"{definition.label}{of}, site {series.site_id}, window {rule.window}"
    value = written(definition, seen.figure.value)
    if change.firing:
        return f"{what}: {value}, {_limit_text(rule, definition)}"
    return f"{what}: {value}, back within the limit"


def _limit_text(rule: Rule, definition: Definition) -> str:
    if rule.deviations:
        far = f"{abs(rule.limit):g} deviations {rule.direction} the same hour of earlier weeks"
        return f"more than {far}" if rule.measure == "value" else f"the whole interval more than {far}"
    limit = f"{rule.direction} {written(definition, rule.limit)}"
    return limit if rule.measure == "value" else f"the whole interval {limit}"


def _reasons(rule: Rule, definition: Definition, change: Change, seen: Sighting) -> list[str]:
    figure = seen.figure
    text = written(definition, figure.value)
    if figure.low is not None and figure.high is not None:
        low, high = written(definition, figure.low), written(definition, figure.high)
        text += f", with a 95 % interval from {low} to {high}"
    reasons = ["Now " + text + ("." if figure.n is None else f", n = {figure.n:,}.")]
    if (known := seen.baseline) is not None and seen.x is not None:
        middle, spread = written(definition, known.median), written(definition, known.spread)
        reasons.append(
            f"The same hour of {known.weeks} earlier weeks: median {middle}, deviation {spread}; "
            f"this is {seen.x:+.1f} of them."
        )
    if change.firing:
        lasting = f", for {duration_text(rule.for_ms)} by now" if rule.for_ms else ""
        reasons.append(f"Beyond the limit since {rfc3339(change.since_ms)}{lasting}.")
    else:
        reasons.append(_lasted(change))
    return reasons


def _lasted(change: Change) -> str:
    return (
        f"It fired at {rfc3339(change.fired_ms)} and lasted {duration_text(change.at_ms - change.fired_ms)}."
    )


def written(definition: Definition, number: float | None) -> str:
    """As `write_number`; a whole number without decimals, as limits of counts are."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return write_number(definition, number)


def duration_text(ms: int) -> str:
    """Two units at most: `1 h 30 min`."""
    found = []
    for size, unit in _UNITS:
        if ms >= size:
            found.append(f"{ms // size} {unit}")
            ms %= size
    return " ".join(found[:2]) or "0 s"


def _command(rule: Rule, series: Series) -> str:
    words = ["latido", "explain", rule.kpi, "--window", rule.window, "--site", series.site_id]
    if series.dimension != ALL:
        words += ["--segment", series.segment]
    return shlex.join(words)


def _link(rule: Rule, series: Series, monitor: str) -> str:
    asked = {"kpi": rule.kpi, "window": rule.window, "segment": series.segment, "site": series.site_id}
    return f"{monitor.rstrip('/')}/api/v1/explain?{urlencode(asked)}"
