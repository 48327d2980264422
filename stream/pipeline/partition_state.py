"""The live state of one partition in memory, and what of it the next commit must write."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from schemas.topics import INPUT_TOPICS, SURVEY_ANSWERS
from stream.core.calendar import Window, calendar_of
from stream.core.ctr import Exposure
from stream.core.deadlines import Deadlines
from stream.core.dedupe import Dedupe
from stream.core.dimensions import (
    ARRIVAL_DIMENSIONS,
    EXIT_PAGE,
    LANDING_PAGE,
    ORIGIN_DIMENSIONS,
    is_of_origin,
    origin_value,
    value_of,
)
from stream.core.event_time import NEVER_MS, Progress, TopicProgress, late_before_ms
from stream.core.events import Event
from stream.core.policy import Funnel, Policy
from stream.core.sessions import ENDED, Origin, Session, Visitor
from stream.core.settled import SettledCounts, Waiting
from stream.core.surveys import History, Score
from stream.core.tallies import Pending, SegmentTally
from stream.pipeline.batch import Output
from stream.pipeline.customer_feed import CustomerFeed, FeedMark
from stream.pipeline.origins import origins_of

ALL = "all"
# Why a settled window changes after it was final; where there are several, the last of them is told.
LATE_EVENT, ATTRIBUTION, ANSWER_CHANGED = "late_event", "attribution", "answer_changed"
LONG_SESSION, MERGE = "long_session", "merge"
REASONS = (LATE_EVENT, ATTRIBUTION, ANSWER_CHANGED, LONG_SESSION, MERGE)
OTHER = "(other)"
_REMEMBERED = 16_384
TOPIC_INDEX = {topic: index for index, topic in enumerate(INPUT_TOPICS)}


class Accounting(msgspec.Struct):
    """Every record read is counted in exactly one of the others: read = the sum of the rest."""

    read: int = 0
    counted: int = 0
    duplicates: int = 0
    conflicts: int = 0  # a repeat with other content; the first content counts
    late_own_topic: int = 0
    late_other_topic: int = 0
    refused: int = 0
    no_consent: int = 0
    bots: int = 0
    refused_as: dict[str, int] = {}  # code of the dead letter -> how many of `refused`

    @property
    def late(self) -> int:
        return self.late_own_topic + self.late_other_topic

    def balances(self) -> bool:
        kept = self.counted + self.duplicates + self.conflicts
        return self.read == kept + self.late + self.refused + self.no_consent + self.bots


class Fingerprint(msgspec.Struct, array_like=True, frozen=True):
    """The last applied record of a topic: a recreated topic shows another one at the same offset."""

    offset: int
    timestamp: int
    crc32: int  # of key and value


class LostRange(msgspec.Struct, array_like=True, frozen=True):
    """Offsets of a topic that Kafka deleted before they were counted, and that were given up for lost."""

    topic: str
    first: int
    last: int

    @property
    def records(self) -> int:
        """At most: markers of transactions and compaction leave offsets without a record."""
        return self.last - self.first + 1


class PartitionHead(msgspec.Struct):
    """The small part of the state that every commit writes whole."""

    progress: Progress
    accounting: Accounting
    fingerprints: dict[str, Fingerprint]
    outbox_next: int
    produced_through: int
    written_at_ms: int
    window_end_ms: int  # where the windows written for the publisher end
    windows_current: bool  # those windows hold everything applied
    behind: bool
    held_by: str | None
    policy: str  # digest of the rules; other rules over the same state would contradict it
    lost: list[LostRange] = []  # never shortened: the counts lack these for good
    sums_run: str = ""  # who wrote the windows, and how many times since they claimed the partition
    sums_written: int = 0
    funnels: tuple[Funnel, ...] = ()
    feed: FeedMark | None = None  # how far the customer stage was told; None: never
    dimensions: tuple[str, ...] = ()  # sessions are counted by, besides the first ones
    final_through_ms: int = NEVER_MS  # settled windows that end by then are final in this partition
    settled_version: int = 0  # counts the commits that changed a settled window after it was final
    zones: dict[str, str] = {}  # site -> zone of its settled windows, where it is not UTC


class ClosedWindow(msgspec.Struct, array_like=True, frozen=True):
    """A settled window that is final in this partition: its last change, numbered, and why it changed."""

    version: int
    reason: str | None = None  # None: it became final


class Site:
    """Visitors and counts of one site in one partition."""

    def __init__(self, site_id: str, policy: Policy) -> None:
        self.site_id = site_id
        self.settled = SettledCounts(calendar_of(policy.zone_of(site_id)))
        self.hour_ms = self.next_hour_ms = NEVER_MS  # limits of the hour that was looked up last
        pairs = policy.dimension_pairs
        self._of_origins = (*ORIGIN_DIMENSIONS, *filter(is_of_origin, pairs))
        self._page_pairs = tuple(pair for pair in pairs if not is_of_origin(pair))
        self.visitors: dict[str, Visitor] = {}
        self.everyone = SegmentTally()
        self.segments: dict[str, SegmentTally] = {ALL: self.everyone}
        self._admitted: dict[str, int] = {}  # dimension -> number of values
        self._of_origin: dict[Origin, tuple[SegmentTally, ...]] = {}
        self._of_page: dict[tuple[str, str], SegmentTally] = {}  # the same for landing and exit pages
        self._pending: dict[Origin, Pending] = {}
        self._arrivals: dict[Origin, Pending] = {}

    def segment(self, dimension: str, value: str, cap: int) -> SegmentTally:
        """The tally of one dimension value; beyond `cap` values all new ones share `(other)`."""
        name = f"{dimension}={value}"
        tally = self.segments.get(name)
        if tally is not None:
            return tally
        if self._admitted.get(dimension, 0) >= cap and value != OTHER:
            return self.segment(dimension, OTHER, cap)
        return self.admit(name)

    def tallies_of(self, origin: Origin, cap: int) -> tuple[SegmentTally, ...]:
        """Where a session of this origin counts: the whole site, and each dimension value it has."""
        tallies = self._of_origin.get(origin)
        if tallies is None:
            if len(self._of_origin) >= _REMEMBERED:
                self._of_origin.clear()
            said = ((name, origin_value(origin, name)) for name in self._of_origins)
            dimensions = (self.segment(name, value, cap) for name, value in said if value is not None)
            tallies = self._of_origin[origin] = (self.everyone, *dimensions)
        return tallies

    def tallies_of_arrival(self, origin: Origin, cap: int) -> tuple[SegmentTally, ...]:
        """Where a visit counts as its visitor's first, or as a return: not by pairs and referrers."""
        said = ((name, getattr(origin, name)) for name in ARRIVAL_DIMENSIONS)
        dimensions = (self.segment(name, value, cap) for name, value in said if value is not None)
        return (self.everyone, *dimensions)

    def tallies_of_pages(self, session: Session, cap: int) -> list[SegmentTally]:
        """Where a session counts once it has ended, besides those of its origin.

        Only then: each page view of an open session would touch a segment of its own.
        """
        found: list[SegmentTally] = []
        for name, page in ((LANDING_PAGE, session.entry_page), (EXIT_PAGE, session.exit_page)):
            if page is not None:
                found.append(self._of_page.get((name, page)) or self._page(name, page, cap))
        said = ((pair, value_of(session, pair)) for pair in self._page_pairs)
        return found + [self.segment(name, value, cap) for name, value in said if value is not None]

    def _page(self, name: str, page: str, cap: int) -> SegmentTally:
        tally = self.segment(name, page, cap)
        if len(self._of_page) < _REMEMBERED:
            self._of_page[name, page] = tally
        return tally

    def pending_of(self, origin: Origin, cap: int) -> Pending:
        """What is to be added to each of `tallies_of(origin)`: counted once, and spread by the commit."""
        pending = self._pending.get(origin)
        if pending is None:
            self.tallies_of(origin, cap)  # admits values in the order of the events, wherever a batch ends
            pending = self._pending[origin] = Pending()
        return pending

    def arrivals_of(self, origin: Origin, cap: int) -> Pending:
        """The same for `tallies_of_arrival(origin)`."""
        pending = self._arrivals.get(origin)
        if pending is None:
            self.tallies_of_arrival(origin, cap)
            pending = self._arrivals[origin] = Pending()
        return pending

    def spread(self, cap: int) -> None:
        """Add what origins have pending to their tallies."""
        for origin, pending in self._pending.items():
            for tally in self.tallies_of(origin, cap):
                tally.take(pending)
        for origin, pending in self._arrivals.items():
            for tally in self.tallies_of_arrival(origin, cap):
                tally.take(pending)
        self._pending, self._arrivals = {}, {}

    def admit(self, name: str) -> SegmentTally:
        """Open the tally of a segment by its full name."""
        dimension = name.partition("=")[0]
        self._admitted[dimension] = self._admitted.get(dimension, 0) + 1
        tally = self.segments[name] = SegmentTally(dimension)
        return tally


class PartitionState:
    """What is true of one partition. Changed by `fold` and `sweep`, written by `Commit`s."""

    def __init__(self, number: int, policy: Policy) -> None:
        self.number = number
        self.policy = policy
        self.progress = Progress([TopicProgress() for _ in INPUT_TOPICS], TOPIC_INDEX[SURVEY_ANSWERS])
        # Per topic: how much older than (T, its own clock) an event may be.
        self.tolerances = [
            late_before_ms(index == self.progress.survey, policy) for index in range(len(INPUT_TOPICS))
        ]
        self.origins = origins_of(policy)
        self.accounting = Accounting()
        self.fingerprints: dict[str, Fingerprint] = {}
        self.sites: dict[str, Site] = {}
        self.zones: dict[str, str] = {}  # of the sites whose zone is not UTC
        self.dedupe = Dedupe()
        self.histories: dict[str, History] = {}  # read through: only those of the current batch
        self.people: dict[str, tuple[str, ...]] = {}  # the same: whoever answered -> fields of histories
        self.answer_ids: dict[int, int] = {}  # the same: event key -> content of answers counted before
        self.latest: dict[str, list[Score]] = {}  # the same: site -> its latest scores
        self.settles = policy.settles
        self.waiting = Waiting(policy)
        self.final_through_ms = NEVER_MS
        self.committed_through_ms = NEVER_MS  # `final_through_ms` as the last commit left it
        self.settled_version = 0
        self.closed: dict[tuple[str, Window], ClosedWindow] = {}  # (site, window) -> how it stands
        self.reasons: dict[tuple[str, Window], str] = {}  # why windows change that may be closed, this batch
        self.ending: Deadlines[tuple[Visitor, Session]] = Deadlines()  # against the live clock
        self.closing: Deadlines[Visitor] = Deadlines()  # against progress
        # Changes since the last commit
        self.touched: dict[int, Visitor] = {}
        self.parted: dict[int, Visitor] = {}  # finalised: leave the hot table
        self.forgotten: list[str] = []  # fields of profiles older than the visitor memory
        self.touched_histories: dict[str, History] = {}
        self.touched_people: dict[str, tuple[str, ...]] = {}
        self.touched_latest: dict[str, list[Score]] = {}
        self.new_answer_ids: dict[int, int] = {}
        self.renamed: list[tuple[Visitor, Session]] = []  # published under an id that may be wrong now
        self.unpublished: dict[int, tuple[Visitor, Session]] = {}  # ended while reading history
        self.outputs: list[Output] = []
        self.refused_in_a_row = 0
        self.feed: CustomerFeed | None = None  # where customers are kept
        self.frozen_end_ms: int | None = None  # windows end here whatever the clocks say
        # Told of every event that counts (topic, event, time), in the order of arrival: a replay's own use.
        self.witness: Callable[[int, Event, int], None] | None = None

    def site(self, site_id: str) -> Site:
        site = self.sites.get(site_id)
        if site is None:
            site = self.sites[site_id] = Site(site_id, self.policy)
            if (zone := self.policy.zone_of(site_id)) != "UTC":
                self.zones[site_id] = zone
        return site

    def because(self, site: Site, t: int, reason: str) -> None:
        """The settled windows that hold `t` change for this reason, not just for a late event."""
        if t < self.final_through_ms:
            for window in site.settled.calendar.windows(t):
                before = self.reasons.get((site.site_id, window), LATE_EVENT)
                self.reasons[site.site_id, window] = max(before, reason, key=REASONS.index)

    def touch(self, visitor: Visitor) -> None:
        self.touched[id(visitor)] = visitor

    @property
    def window_end_ms(self) -> int:
        if self.frozen_end_ms is not None:
            return self.frozen_end_ms
        return self.progress.window_end_ms(self.policy.grid_ms)


def visitor_field(site_id: str, visitor_id: str) -> str:
    """Field of a visitor in the tables: unambiguous for any characters in either part."""
    return f"{len(site_id)}|{site_id}{visitor_id}"


def history_field(site_id: str, survey_id: str, kind: str, respondent: str) -> str:
    """Field of a respondent's answers to one survey."""
    return f"{len(site_id)}|{len(survey_id)}|{kind}|{site_id}{survey_id}{respondent}"


def answer_id_field(key: int) -> str:
    """Field that remembers the answer counted under an event key, beside the histories."""
    return f"#{key:x}"


def person_field(person: str) -> str:
    """Field that names the histories with answers of a person, beside the histories."""
    return f"@{person}"


def latest_field(site_id: str) -> str:
    """Field of a site's latest scores, beside the histories."""
    return f"!{site_id}"


def closing_deadlines(visitor: Visitor, progress_ms: int, policy: Policy) -> Iterator[int]:
    """Progress at which something of the visitor is to be finalised or forgotten.

    Marks already past theirs lie in a session that is not final, and go with it.
    """
    for session in visitor.sessions:
        if session.phase == ENDED:
            yield session.last_ms + policy.finality_ms + 1
    for exposure in visitor.exposures or ():
        yield exposure_deadline_ms(exposure, policy)
    for t in visitor.marks or ():
        if t + policy.finality_ms + 1 > progress_ms:
            yield t + policy.finality_ms + 1


def exposure_deadline_ms(exposure: Exposure, policy: Policy) -> int:
    """Progress from which no accepted event can reach the exposure: it may be forgotten."""
    return exposure.last_ms + policy.attribution_ms + policy.lateness_ms + 1
