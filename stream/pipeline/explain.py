"""What one published number says: its formula with the counts put in, and how far to trust it."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from stream.core.kpi import Count, Definition, Kpi, Mean, Rate, Score
from stream.core.policy import DAY_MS, HOUR_MS
from stream.core.registry import KPIS
from stream.pipeline.partition_state import ANSWER_CHANGED, ATTRIBUTION, LATE_EVENT, LONG_SESSION, MERGE
from stream.pipeline.take_results import CORRECTED, RUNNING, ResultRecord, ResultWindow
from stream.pipeline.take_snapshot import Completeness, SnapshotRecord

Published: TypeAlias = SnapshotRecord | ResultRecord

_decode = msgspec.json.Decoder(SnapshotRecord).decode
_WIDE = 2  # standard deviation over mean; above, the t interval covers too little (docs/statistics.md)
_LONG_MS = 3 * HOUR_MS  # above, nobody reads seconds
_REASONS = {
    LATE_EVENT: "an event came late",
    ATTRIBUTION: "a mail, an ad or a push shown in it was clicked later",
    ANSWER_CHANGED: "a survey was answered, or answered anew",
    LONG_SESSION: "a visit of more than a day went on",
    MERGE: "an event made two visits one",
}  # of a correction
_FEW = 30  # below, an interval is so wide that the value alone misleads


class Explanation(msgspec.Struct, frozen=True):
    """One number in plain words; every reader (terminal, page, alert) shows the same."""

    kpi: str
    label: str
    meaning: str
    value: str
    formula: str
    counts: str  # the formula with its actual counts
    interval: str
    before: str  # the window before, of a correction what it said; '' where there is no exact value
    site: str
    segment: str
    window: str
    state: str  # of an hour or a day whether it may still move; '' of a rolling window
    profile: str
    filters: tuple[str, ...]  # what had to be true of an event to count here
    completeness: str
    held_by: str | None
    caveats: tuple[str, ...]
    source: str


def read_record(data: bytes) -> SnapshotRecord:
    """A published snapshot record. Raises msgspec.ValidationError for one of another version."""
    return _decode(data)


def explain(
    record: Published, kpi_id: str, completeness: Completeness, *, exclude_bots: bool = True
) -> Explanation:
    """Explain one KPI of a record: of a snapshot under the completeness of the newest tick, of a settled
    result under its own. `exclude_bots`: the worker's setting, no record says it.

    Raises KeyError when the record does not hold it.
    """
    kpi, definition = record.kpis[kpi_id], KPIS[kpi_id]
    return Explanation(
        kpi=kpi_id,
        label=definition.label,
        meaning=definition.meaning,
        value=_value(definition, kpi),
        formula=definition.formula,
        counts=_counts(definition, kpi),
        interval=_interval(definition, kpi),
        before=_before(definition, kpi, record),
        site=record.site_id,
        segment=_segment(record) or "all: the whole site",
        window=_window(record),
        state=_state(record),
        profile=record.profile,
        filters=_filters(record, exclude_bots=exclude_bots),
        completeness=completeness_text(completeness),
        held_by=completeness.held_by,
        caveats=tuple(_caveats(kpi)),
        source=definition.source,
    )


def write_number(definition: Definition, number: float | None) -> str:
    """A number of this KPI with its unit: a rate as percent, a duration in seconds, hours or days."""
    if number is None:
        return "none"
    if definition.unit.startswith("share"):
        return f"{100 * number:.2f} %"
    if definition.unit == "milliseconds":
        return _write_duration(number)
    if definition.unit.startswith("points from -"):
        return f"{number:+.1f}"
    return f"{number:,.2f}" if isinstance(number, float) else f"{number:,}"


def _write_duration(ms: float) -> str:
    if abs(ms) < _LONG_MS:
        return f"{ms / 1000:.1f} s"
    return f"{ms / DAY_MS:.2f} days" if abs(ms) >= 2 * DAY_MS else f"{ms / HOUR_MS:.1f} h"


def _value(definition: Definition, kpi: Kpi) -> str:
    if isinstance(kpi, Count):
        return f"{kpi.value:,} {definition.unit}"
    if kpi.value is None:
        return "none: there is nothing to divide by yet"
    return write_number(definition, kpi.value)


def _counts(definition: Definition, kpi: Kpi) -> str:
    if isinstance(kpi, Count):
        if kpi.open is None:
            return f"{kpi.value:,} {definition.unit}"
        return f"{kpi.open:,} open + {kpi.ended or 0:,} ended = {kpi.value:,}"
    if isinstance(kpi, Rate):
        counted = f"{kpi.numerator:,} / {kpi.denominator:,} {kpi.of}"
    elif isinstance(kpi, Score):
        counted = f"100 x ({kpi.promoters:,} promoters - {kpi.detractors:,} detractors) / {kpi.n:,} {kpi.of}"
    else:
        # The sum is an integer: the mean of it gives it back.
        total = round((kpi.value or 0) * kpi.n)
        counted = f"{write_number(definition, total)} / {kpi.n:,} {kpi.of}"
    counted = counted.rstrip()
    return counted if kpi.value is None else f"{counted} = {write_number(definition, kpi.value)}"


def _interval(definition: Definition, kpi: Kpi) -> str:
    if isinstance(kpi, Count):
        return "A count of what happened is exact: it has no interval."
    if kpi.low is None or kpi.high is None:
        return "There is no interval: it takes more to say how uncertain the value is."
    method = "Student's t" if isinstance(kpi, Mean) else kpi.method.replace("_", " ")
    low, high = write_number(definition, kpi.low), write_number(definition, kpi.high)
    return (
        f"From {low} to {high}: an interval made this way ({method}) holds the true value behind such "
        f"traffic in {100 * kpi.level:.0f} of 100 cases."
    )


def _before(definition: Definition, kpi: Kpi, record: Published) -> str:
    if isinstance(record, ResultRecord):
        corrected = record.previous or {}
        if definition.id not in corrected:
            return ""
        return f"{write_number(definition, corrected[definition.id])}, until it was corrected"
    if not definition.has_previous or kpi.previous is msgspec.UNSET or kpi.previous is None:
        return ""
    return write_number(definition, kpi.previous)


def _segment(record: Published) -> str:
    part = record.segment
    return "" if part.value is None else f"{part.dimension}={part.value}"


def _window(record: Published) -> str:
    window = record.window
    if isinstance(window, ResultWindow):
        return f"{window.kind} of {window.zone}: from {window.start} to before {window.end}"
    if window.start is None:
        return f"all: everything up to {window.end}"
    return f"{window.name}: from {window.start} to {window.end}"


def _state(record: Published) -> str:
    if isinstance(record, SnapshotRecord):
        return ""
    if record.state == RUNNING:
        return "running: it may still move"
    if record.state == CORRECTED:
        why = _REASONS.get(record.reason or "", record.reason)
        return f"corrected after it was final: {why} (revision {record.revision})"
    return "final: nothing more is expected"


def _filters(record: Published, *, exclude_bots: bool) -> tuple[str, ...]:
    return (
        f"site {record.site_id}",
        f"segment {_segment(record)}" if _segment(record) else "no segment",
        f"sessions cut by the profile {record.profile}",
        "bots left out" if exclude_bots else "bots counted too",
        "consent not denied",
    )


def completeness_text(completeness: Completeness) -> str:
    """How much of the input a number holds, in one sentence."""
    of = f"{completeness.partitions_current} of {completeness.partitions} partitions are current"
    lag = completeness.lag_records
    many = "an unknown number of" if lag is None else f"{lag:,}"
    behind = "1 record is" if lag == 1 else f"{many} records are"
    what = {
        "complete": "Complete: everything readable is counted",
        "catching_up": f"Catching up: {behind} to be read",
        "partial": "Partial: something is missing",
        "stale": "Stale: no worker has written for some seconds",
    }[completeness.status]
    left_out = f"{completeness.late_records:,} late and {completeness.refused_records:,} refused records"
    lost = f", {completeness.lost_records:,} lost" if completeness.lost_records else ""
    return f"{what}; {of}; not counted: {left_out}{lost}."


def _caveats(kpi: Kpi) -> list[str]:
    found: list[str] = []
    if isinstance(kpi, Rate) and kpi.suspect is True:
        found.append("There are more hits than trials: whatever sends the events leaves some of them out.")
    if isinstance(kpi, Rate) and kpi.unmatched_clicks:
        found.append(f"{kpi.unmatched_clicks:,} clicks came without an impression before them.")
    if isinstance(kpi, Mean) and kpi.sd and kpi.value is not None and kpi.sd > _WIDE * kpi.value:
        found.append("A few large values carry this mean: its interval is narrower than the truth.")
    n = kpi.denominator if isinstance(kpi, Rate) else None if isinstance(kpi, Count) else kpi.n
    if n is not None and 0 < n < _FEW:
        found.append(f"It stands on {n} only: read the interval, not the value.")
    return found
