"""The session record: one visitor's visit, published when it ends, changes afterwards, or becomes final."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.headers import session_identity
from schemas.keys import session_key
from schemas.times import OutputTime, parse_time, to_ms

Count = Annotated[int, Field(ge=0)]


class Source(BaseModel):
    """Where in the input the session was computed, and how far time had come there."""

    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)

    partition: Count
    progress: OutputTime | None
    """Event time up to which nothing more is expected; null before the first event."""


class Session(BaseModel):
    """One session in one revision. A reader keeps the highest revision of each session_id.

    The ids in `supersedes` are gone: their keys get a tombstone.
    """

    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)

    site_id: str
    visitor_id: str
    customer_id: str | None = None
    session_id: Annotated[str, Field(pattern="^s-[0-9a-f]+$")]
    state: Literal["open", "ended", "final"]
    """open: the visitor may still be there. ended: silent for longer than the gap; a late event may still
    extend or merge it. final: no accepted event can change it."""
    ended_because: Literal["inactivity", "midnight", "campaign", "maximum_length"] | None = None
    """null while open. The profile `latido` knows inactivity only."""
    revision: Annotated[int, Field(ge=1)]
    supersedes: list[str] = []
    change: str | None = None
    """Why there is a new revision, such as `merge`; new words may appear."""
    started_at: OutputTime
    last_event_at: OutputTime
    duration_ms: Count
    engaged_ms: Count
    """Sum of the page pings' engaged time."""
    page_views: Count
    clicks: Count
    form_submissions: Count
    impressions: Count
    goals: list[str] = []
    """Names of the goals reached, sorted."""
    is_bounce: bool
    is_active: bool
    """At least one click, form submission or survey answer.
    An answer after the final record does not change it."""
    is_engaged: bool | None = None
    visit_number: Annotated[int, Field(ge=1)]
    """Which visit of the visitor it is; 1 again after a silence longer than the visitor memory."""
    entry_page: str | None = None
    exit_page: str | None = None
    referrer_host: str | None = None
    channel: str | None = None
    campaign: str | None = None
    device: str | None = None
    country: str | None = None
    plan: str | None = None
    overlong: bool = False
    """Beyond 10 000 events or 24 h: details are no longer stored, counts go on."""
    profile: str = "latido"
    """The rules by which sessions were cut."""
    profile_duration_ms: Count | None = None
    """How long it took by the rule of another profile; `duration_ms` is the same under all."""
    source: Source

    @property
    def key(self) -> str:
        """The Kafka key."""
        return session_key(self.site_id, self.visitor_id, self.session_id)

    @property
    def identity(self) -> str:
        """The content id: equal for repeats of the same record."""
        return session_identity(self.session_id, self.revision)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        spent = to_ms(parse_time(self.last_event_at)) - to_ms(parse_time(self.started_at))
        if self.duration_ms != spent:
            raise ValueError(f"duration_ms must be last_event_at - started_at, {spent}")
        if (self.state == "open") is not (self.ended_because is None):
            raise ValueError("ended_because must be null while open, and name the cause afterwards")
        return self
