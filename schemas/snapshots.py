"""The KPI snapshot: every KPI of one site, window and segment at one moment.

Rates are fractions 0 to 1, NPS -100 to 100. Every rate and mean names its population (`of`) and, where
it has an interval, the confidence level; a rate of 0 out of 0 is null, never 0.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.headers import snapshot_identity
from schemas.keys import ALL, segment_name, snapshot_key
from schemas.times import OutputTime

Number = Annotated[int, Field(ge=0)]
Level = Annotated[float, Field(gt=0, lt=1)]
Real = int | float
"""A number as JSON has it: 4 and 4.0 are the same."""


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class _WithInterval(_Record):
    low: Real | None
    high: Real | None
    """The interval at `level`; null where there is none (too few values, or a share above 1)."""
    level: Level = 0.95

    @model_validator(mode="after")
    def _interval_is_one(self) -> Self:
        if (self.low is None) is not (self.high is None):
            raise ValueError("low and high must both be numbers or both null")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low must not be above high")
        return self


class CountKpi(_Record):
    """A number of things."""

    type: Literal["count"] = "count"
    value: Number
    open: Number | None = None
    ended: Number | None = None
    """Of the sessions counted: how many may still go on, how many are over."""
    previous: Number | None = None
    """The same in the window before."""


class MeanKpi(_WithInterval):
    """A mean with its t interval; the unit is in the KPI's name, else it is a plain number."""

    type: Literal["mean"] = "mean"
    value: Real | None
    """null without values."""
    n: Number
    sd: Annotated[float, Field(ge=0)] | Number | None = None
    p50: Real | None = None
    p95: Real | None = None
    """Percentiles; relative error at most 2 %."""
    of: str
    """The population, such as `ended sessions`."""
    with_open: Real | None = None
    """The mean when sessions that may still go on are included."""
    previous: Real | None = None

    @model_validator(mode="after")
    def _null_iff_empty(self) -> Self:
        if (self.value is None) is not (self.n == 0):
            raise ValueError("value must be null exactly when n is 0")
        return self


class RateKpi(_WithInterval):
    """A share with its Wilson interval."""

    type: Literal["rate"] = "rate"
    value: Annotated[float, Field(ge=0)] | Number | None
    """numerator / denominator; null when the denominator is 0."""
    numerator: Number
    denominator: Number
    method: Literal["wilson"] = "wilson"
    of: str | None = None
    """What the denominator counts."""
    unmatched_clicks: Number | None = None
    """Clicks on elements that were never seen to be shown."""
    suspect: bool = False
    """More in the numerator than in the denominator: impressions are missing."""
    previous: Real | None = None

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if (self.value is None) is not (self.denominator == 0):
            raise ValueError("value must be null exactly when denominator is 0")
        if self.numerator > self.denominator and not self.suspect:
            raise ValueError("numerator is above denominator: suspect must be true")
        return self


class ScoreKpi(_WithInterval):
    """A net promoter score with its adjusted-Wald interval."""

    type: Literal["score"] = "score"
    value: Annotated[float, Field(ge=-100, le=100)] | Annotated[int, Field(ge=-100, le=100)] | None
    rounded: Annotated[int, Field(ge=-100, le=100)] | None
    """Half away from zero."""
    promoters: Number
    passives: Number
    detractors: Number
    n: Number
    skipped: Number = 0
    """Not part of n."""
    method: Literal["adjusted_wald"] = "adjusted_wald"
    of: str | None = None
    respondents: Literal["per_visitor", "per_customer"] | None = None
    """per_visitor: a customer who answered under two visitor ids may count twice, once in each partition."""
    previous: Real | None = None

    @model_validator(mode="after")
    def _parts_add_up(self) -> Self:
        if self.promoters + self.passives + self.detractors != self.n:
            raise ValueError("promoters, passives and detractors must add up to n")
        if (self.value is None) is not (self.n == 0) or (self.rounded is None) is not (self.n == 0):
            raise ValueError("value and rounded must be null exactly when n is 0")
        return self


KpiValue = Annotated[CountKpi | MeanKpi | RateKpi | ScoreKpi, Field(discriminator="type")]


class Window(_Record):
    """The time the numbers are about. rolling: (start, end], slides. all: since the namespace began."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Literal["rolling", "all"]
    start: OutputTime | None
    """null for kind all, which has no beginning."""
    end: OutputTime

    @model_validator(mode="after")
    def _rolling_has_a_start(self) -> Self:
        if self.kind == "rolling" and (self.start is None or self.start > self.end):
            raise ValueError("a rolling window needs a start, not after its end")
        return self


class Segment(_Record):
    """The part of the events the numbers are about: all of them, or those with one dimension value."""

    dimension: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*(\\+[a-z][a-z0-9_]*)?$")]
    """all, a dimension, or a pair of them such as channel+device, of which `value` holds both."""
    value: str | None = None

    @property
    def name(self) -> str:
        """`all`, or `channel=email`: the segment's part of the Kafka key."""
        return segment_name(self.dimension, self.value)

    @model_validator(mode="after")
    def _value_iff_dimension(self) -> Self:
        if (self.dimension == ALL) is not (self.value is None):
            raise ValueError("dimension all has no value, every other has one")
        return self


class Completeness(_Record):
    """How much of the input the numbers cover. Readers colour by `status`."""

    status: Literal["complete", "catching_up", "partial", "stale"]
    """catching_up: input is read, but behind its end. partial: not every partition is in, or input is lost
    (lost_records). stale: no news."""
    partitions: Number
    partitions_current: Number
    slowest_progress: OutputTime | None
    """Event time that the slowest partition has reached; null before the first event."""
    lag_records: Number | None = None
    """Input records not yet counted; null when unknown."""
    late_records: Number
    refused_records: Number
    lost_records: Number = 0
    """Input records, at most, that Kafka deleted before they were counted. Above 0 the numbers lack them for
    good."""
    held_by: str | None = None
    """The topic that holds time back, if one does."""


class Customers(_Record):
    """How many customers stand how, by the churn rules."""

    healthy: Number
    watch: Number
    at_risk: Number
    lost: Number


class KpiSnapshot(_Record):
    """All KPIs of one (site, window, segment), with one `as_of` for all numbers.

    A reader keeps the highest sequence of each key.
    """

    site_id: str
    window: Window
    segment: Segment
    as_of: OutputTime
    published_at: OutputTime
    sequence: Number
    completeness: Completeness
    profile: str = "latido"
    kpis: dict[str, KpiValue]
    customers: Customers | None = None
    """Of window and segment `all` only, where workers keep customers: as they stand, whatever the window."""
    truncated: Number | None = None
    """Of the segment `(other)` only: how many values the dimension had, of which the largest have their own
    records. Absent where each has its own."""

    @property
    def key(self) -> str:
        """The Kafka key."""
        return snapshot_key(self.site_id, self.window.name, self.segment.name)

    @property
    def identity(self) -> str:
        """The content id: equal for repeats of the same record."""
        return snapshot_identity(self.key, self.sequence)
