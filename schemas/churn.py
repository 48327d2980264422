"""The churn signal: a customer's state changed, why, and what silence would lead to next.

Customers are known by their customer id. A signal says how things are, not what to do: a reader keeps the
highest transition of each key, and may get one twice.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from schemas.headers import churn_identity
from schemas.keys import churn_key
from schemas.times import OutputTime

State = Literal["healthy", "watch", "at_risk", "lost"]
"""healthy, watch and at_risk by the health score; lost: absent for so long that nobody expects them back."""

Points = Annotated[int, Field(ge=0, le=100)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)


class Part(_Record):
    """What one rule says. health_score = sum(weight x score) / sum(weight), rounded half up."""

    rule: str
    """overdue, declining, alive_probability, detractor, dissatisfied, score_falling; promoter and high_value,
    which are no risks and have weight 0. New rules may appear."""
    weight: Annotated[FiniteFloat, Field(ge=0)]
    score: Points
    """100 where the rule finds nothing."""
    is_tripped: bool
    """Whether a limit of the rule is reached."""
    threshold: str | None = None
    """The limit reached last, or the first one ahead, as a formula."""
    reason: str
    """A sentence for people."""
    evidence: dict[str, int | FiniteFloat | str | None] = {}
    """The numbers behind the sentence. `..._at` are times, `..._ms` durations."""


class NextCrossing(_Record):
    """The state that time alone leads to next, if the customer does nothing."""

    state: State
    at: OutputTime


class ChurnSignal(_Record):
    """One change of one customer. Signals of a customer are numbered by `transition`, without a gap."""

    site_id: str
    customer_id: str
    signal_id: str
    """customer_id:transition."""
    transition: Annotated[int, Field(ge=1)]
    state: State
    previous_state: State
    changed_at: OutputTime
    """When it became true: of cause time the exact instant, however late anybody looked."""
    cause: Literal["time", "returned", "answer", "activity", "promoter", "high_value"]
    """time: silence, or an answer too old to count. returned: a visit made it better. answer: of a survey.
    activity: anything else the customer did. promoter, high_value: they became one; the state stays."""
    health_score: Points
    is_high_value: bool
    parts: list[Part]
    next_crossing: NextCrossing | None = None
    rules_version: str
    """A digest of the limits in force for this customer."""

    @property
    def key(self) -> str:
        """The Kafka key."""
        return churn_key(self.site_id, self.customer_id)

    @property
    def identity(self) -> str:
        """The content id: equal for repeats of the same record."""
        return churn_identity(self.key, self.transition)

    @model_validator(mode="after")
    def _says_what_changed(self) -> Self:
        if self.signal_id != f"{self.customer_id}:{self.transition}":
            raise ValueError("signal_id must be customer_id:transition")
        if (self.state == self.previous_state) is not (self.cause in ("promoter", "high_value")):
            raise ValueError("the state changes, unless the cause is promoter or high_value")
        return self

    @model_validator(mode="after")
    def _score_follows_from_parts(self) -> Self:
        total = sum(part.weight for part in self.parts)
        mean = sum(part.weight * part.score for part in self.parts) / total if total else 100.0
        if abs(mean - self.health_score) > 0.5 + 1e-9:
            raise ValueError(f"health_score must be the weighted mean of the parts, {mean:.1f}")
        return self
