"""The settled result: every KPI of one site, segment and hour or day, until it is final, and corrected after.

A session counts in the window in which it began, whatever came of it later; every other event in the window
of its own time.
"""

from typing import Literal, Self

from pydantic import model_validator

from schemas.headers import result_identity
from schemas.keys import result_key
from schemas.snapshots import Completeness, KpiValue, Number, Real, Segment, _Record
from schemas.times import OutputTime


class ResultWindow(_Record):
    """[start, end): an hour or a day as clocks of `zone` show it; 23 or 25 hours where they are changed."""

    kind: Literal["hour", "day"]
    start: OutputTime
    end: OutputTime
    zone: str
    """IANA name, such as Europe/Madrid."""

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start >= self.end:
            raise ValueError("end must be after start")
        return self


class KpiResult(_Record):
    """All KPIs of one (site, window, segment). A reader keeps the highest revision of each key."""

    site_id: str
    window: ResultWindow
    segment: Segment
    state: Literal["running", "final", "corrected"]
    """running: more is expected. final: nothing is. corrected: something came all the same, after final."""
    revision: Number
    """Counts the records of this key, from 1."""
    reason: Literal["late_event", "attribution", "answer_changed", "long_session", "merge"] | None = None
    """Of a correction. late_event: an event came when silence had made the window final. attribution: a mail,
    an ad or a push shown in the window was clicked later. answer_changed: a survey was answered, or answered
    anew. long_session: a visit of more than a day that began in it went on. merge: visits became one."""
    previous: dict[str, Real | None] | None = None
    """Of a correction: KPI -> its value before, of those that changed."""
    published_at: OutputTime
    completeness: Completeness
    profile: str = "latido"
    kpis: dict[str, KpiValue]
    truncated: Number | None = None
    """Of the segment `(other)` only: how many values the dimension had, of which the largest have their own
    records."""

    @property
    def key(self) -> str:
        """The Kafka key."""
        return result_key(self.site_id, self.window.start, self.window.kind, self.segment.name)

    @property
    def identity(self) -> str:
        """The content id: equal for repeats of the same record."""
        return result_identity(self.key, self.revision)

    @model_validator(mode="after")
    def _a_correction_says_why(self) -> Self:
        if self.revision < 1:
            raise ValueError("revisions count from 1")
        if (self.state == "corrected") is (self.reason is None or self.previous is None):
            raise ValueError("a correction has a reason and what was before, nothing else has")
        return self
