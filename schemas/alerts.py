"""The alert: a figure of one rule and segment has passed its limit, or has come back.

Each record says how one series stands, whole: a reader keeps the highest sequence of each key. A tombstone
follows when nothing has happened to the series for long.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from schemas.headers import alert_identity
from schemas.keys import alert_key
from schemas.snapshots import Completeness, Segment
from schemas.times import OutputTime

Number = Annotated[int, Field(ge=0)]
Real = int | FiniteFloat


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)


class Condition(_Record):
    """What the rule asks for."""

    measure: Literal["value", "low", "high"]
    """low and high: the bound of the interval, so that all of it must be beyond the limit."""
    direction: Literal["below", "above"]
    limit: Real
    clear_limit: Real
    """Back at it, or better, the alert is resolved."""
    against: Literal["limit", "earlier_weeks"]
    """earlier_weeks: both limits are robust standard deviations from the median of `baseline`."""
    least_n: Number
    for_ms: Number


class Baseline(_Record):
    """The same hour of earlier weeks."""

    median: Real
    spread: Annotated[FiniteFloat, Field(gt=0)]
    """1.4826 times the median absolute deviation, or a share of the median, whichever is more."""
    weeks: Annotated[int, Field(ge=1)]


class Observed(_Record):
    """The figure when it was seen to have changed; the KPI's own unit."""

    value: Real | None
    low: Real | None
    high: Real | None
    n: Number | None
    """What it stands on; null of a count."""
    measured: Real
    """What was compared: with the limits, or as deviations from the baseline."""
    baseline: Baseline | None = None


class Alert(_Record):
    """One change of one series: it fired, or was resolved."""

    site_id: str
    rule: str
    kpi: str
    window: str
    segment: Segment
    dedupe_key: str
    """The same for firing and resolved of a series: site|rule|segment."""
    sequence: Annotated[int, Field(ge=1)]
    state: Literal["firing", "resolved"]
    cause: Literal["limit", "cleared", "gone", "rule_removed"]
    """limit: it fires. cleared: back at the clear limit. gone: the segment is not published any more."""
    severity: Literal["info", "warning", "critical"]
    since: OutputTime
    """When the figure passed the limit."""
    fired_at: OutputTime
    changed_at: OutputTime
    """When it became true, in event time, however late anybody looked: of firing the same as fired_at."""
    as_of: OutputTime
    """Of the snapshot in which it was seen."""
    summary: str
    """A sentence for people. Its names come from events: escape it."""
    reasons: list[str]
    condition: Condition | None
    """null: the rule is no more."""
    observed: Observed | None
    """null where there is no figure any more."""
    completeness: Completeness
    explain: str
    """The command that explains the figure as it is now."""
    link: str | None = None
    """The same as an address, where the settings name that of the monitor."""

    @property
    def key(self) -> str:
        """The Kafka key."""
        return alert_key(self.site_id, self.rule, self.segment.name)

    @property
    def identity(self) -> str:
        """The content id: equal for repeats of the same record."""
        return alert_identity(self.key, self.sequence)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.dedupe_key != self.key:
            raise ValueError("dedupe_key must be the key, site|rule|segment")
        if (self.state == "firing") is not (self.cause == "limit"):
            raise ValueError("cause limit makes it fire, any other resolves it")
        if not self.since <= self.fired_at <= self.changed_at:
            raise ValueError("since, fired_at and changed_at must be in order")
        if self.state == "firing" and self.fired_at != self.changed_at:
            raise ValueError("of firing, changed_at must be fired_at")
        if self.state == "firing" and (self.condition is None or self.observed is None):
            raise ValueError("what fires has a condition and a figure")
        return self
