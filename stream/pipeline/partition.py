"""One owned partition: the state in memory, and the one way it changes and is written.

`process` is the protocol for one batch, `tick` for time alone. Both end in the same commit, which
writes state, positions, clocks and outputs together or not at all. Dying anywhere repeats from the
last commit with the same state.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from schemas.topics import INPUT_TOPICS, SURVEY_ANSWERS
from stream.core.event_time import NEVER_MS, has_passed
from stream.core.events import Event, SurveyAnswer
from stream.core.policy import HOUR_MS, Policy
from stream.core.visitors import is_forgotten
from stream.pipeline import changes
from stream.pipeline.apply_answer import answers_field, person_of
from stream.pipeline.batch import Batch, decode_outputs
from stream.pipeline.claimed import Claimed
from stream.pipeline.customer_feed import CustomerFeed, FeedMark, FeedSettings
from stream.pipeline.decode import BadRecord, decode
from stream.pipeline.end_sessions import sweep
from stream.pipeline.event_ids import event_key
from stream.pipeline.fold import fold
from stream.pipeline.partition_state import (
    TOPIC_INDEX,
    Fingerprint,
    PartitionHead,
    PartitionState,
    answer_id_field,
    latest_field,
    person_field,
    visitor_field,
)
from stream.pipeline.ports import (
    Claim,
    PartitionTables,
    StoreUnreachable,
    Table,
)
from stream.pipeline.recount import further_dimensions
from stream.pipeline.refusals import Refusals
from stream.pipeline.settle import corrected, settle, wrong_zone

# A topic this far ahead of progress is paused: what it brings must wait in memory for the others.
_PAUSE_AHEAD_MS = 6 * HOUR_MS
# The publisher reads sums no more often than this; writing them with every batch would cost too much.
_WINDOWS_EVERY_MS = 200
# Profiles older than the visitor memory are found a few at a time, without an index and without a long scan:
# 4 million a day in each partition.
_BROWSE_EVERY_MS = 10_000
_BROWSED_FIELDS = 500
# An idle partition still says once a second that somebody looks after it.
_HEARTBEAT_MS = 1000


class Partition(Claimed[PartitionHead]):
    """One partition of the events' topics."""

    def __init__(
        self, tables: PartitionTables, claim: Claim, state: PartitionState, head: PartitionHead | None
    ) -> None:
        super().__init__(tables, claim, head, changes.positions(head), list(head.lost) if head else [])
        self.state = state
        self._refusals = Refusals(self.number)
        # What the sums last written lack is not known any more: write all of them.
        self._waiting_windows = changes.all_windows(state)
        self._windows_at_ms = 0
        self._browsed_at_ms = 0
        self._cursor = ""
        self._sums = changes.Written(str(claim.owner))
        self._window_end_ms = head.window_end_ms if head else NEVER_MS
        self._held_back: changes.Changes | None = None

    @classmethod
    async def open(
        cls, tables: PartitionTables, claim: Claim, policy: Policy, feed: FeedSettings | None = None
    ) -> Partition:
        """Load what the last commit left. feed: where customers are kept. Raises StateTorn, StoreUnreachable,
        and ValueError when the stored state was computed under other rules."""
        stored = await tables.load(claim)
        # Before anything else is read: an earlier version wrote visitors in another form.
        if stored.head and changes.decode_head(stored.head).policy != changes.policy_digest(policy):
            raise ValueError(
                "the stored tables were computed with another gap, grace, survey tolerance, answers or "
                "visitor memory, or by an earlier version: use another namespace, or go back to the old "
                "settings"
            )
        state, head = changes.restore(claim.partition, policy, stored)
        site_id = None if head is None else wrong_zone(state, head.zones)
        if site_id is not None:
            raise ValueError(
                f"the stored hours and days of site {site_id!r} are those of another time zone: "
                "use another namespace, or go back to the old setting"
            )
        partition = cls(tables, claim, state, head)
        if feed is not None:
            kept = state.feed = CustomerFeed(feed, claim.partition, head.feed if head else None)
            kept.restore(visitor for site in state.sites.values() for visitor in site.visitors.values())
        partition.outbox.extend((entry, decode_outputs(data)) for entry, data in stored.outbox)
        return partition

    @property
    def fingerprints(self) -> dict[str, Fingerprint]:
        """The last applied record of each topic, as far as there is one."""
        return self.state.fingerprints

    def _move_to(self, topic: str, offset: int) -> None:
        super()._move_to(topic, offset)
        self.state.progress.topics[TOPIC_INDEX[topic]].position = offset

    def replied(self, topic: str, log_end: int, wall_ms: int) -> None:
        """A fetch reply, also an empty one, named the readable end of a topic's log."""
        self.state.progress.replied(TOPIC_INDEX[topic], log_end, wall_ms)

    def ahead(self) -> set[str]:
        """Those whose progress is held far behind them by another topic."""
        progress = self.state.progress
        limit_ms = progress.progress_ms + _PAUSE_AHEAD_MS
        held_by = progress.held_by(self.state.policy)
        if held_by is None:
            return set()
        return {
            topic
            for topic, index in TOPIC_INDEX.items()
            if index != held_by and progress.topics[index].clock_ms > limit_ms
        }

    async def process(self, batch: Batch, wall_ms: int | None) -> None:
        """Apply one batch and commit.

        1. trim what is below the position (a redelivery), refuse what starts above it
        2. decode every record, the bad ones into values
        3. read through the long-lived state the batch needs
        4. fold, in memory
        5. sweep what time changed
        6. commit all of it, or nothing

        `wall_ms` None is a replay: nothing is live, and only `tick` writes windows.
        """
        untaken = self._untaken(batch)
        if untaken is None:
            return
        batch = untaken
        if self._held_back is not None:  # else this batch would read through what that commit replaces
            await self._commit(wall_ms)
        self.replied(batch.topic, batch.log_end, wall_ms or 0)
        events = [decode(batch.topic, record.key, record.value) for record in batch.records]
        admitted = await self._read_through(batch.topic, events)
        accounting = self.state.accounting
        counted, refused = accounting.counted, accounting.refused
        self.state.refused_in_a_row = self._refusals.in_a_row(batch.topic)
        fold(self.state, batch, events)
        self._refusals.note(batch.topic, events, accounting.refused - refused, self.state.refused_in_a_row)
        # Whoever counted has a session or an exposure; of an answer that may be untrue.
        if batch.topic == SURVEY_ANSWERS or accounting.counted - counted < len(events):
            _drop_unused(self.state, admitted)
        self.positions[batch.topic] = batch.end
        self._move_time(wall_ms, None)
        await self._commit(wall_ms)
        if wall_ms is not None:  # nobody asks for a replay to stop half way
            self._refusals.check()

    async def tick(self, wall_ms: int | None, shared_live_ms: int | None) -> None:
        """Timed work: sessions end, windows slide. Commits when something changed, and once a second.

        Raises like `process`.
        """
        if wall_ms is not None:
            self.state.progress.expire_replies(wall_ms, self.state.policy.unknown_after_ms)
        self.state.progress.move(self.state.policy)
        if wall_ms is not None and wall_ms - self._browsed_at_ms >= _BROWSE_EVERY_MS:
            self._browsed_at_ms = wall_ms
            await self._forget_visitors()
        self._move_time(wall_ms, shared_live_ms)
        await self._commit(wall_ms, timed=True)
        if wall_ms is not None:
            self._refusals.check()  # of a batch whose commit was answered late

    def _move_time(self, wall_ms: int | None, shared_live_ms: int | None) -> None:
        self.state.progress.shine(wall_ms, shared_live_ms)
        sweep(self.state, wall_ms)

    async def _read_through(self, topic: str, events: Sequence[Event | BadRecord]) -> list[tuple[str, str]]:
        """Load what is not in memory; returns the visitors admitted for it."""
        strangers: dict[str, tuple[str, str]] = {}
        sites = self.state.sites
        for event in events:
            if isinstance(event, BadRecord) or event.consent == "denied":
                continue
            site = sites.get(event.site_id)
            if site is None or event.visitor_id not in site.visitors:
                field = visitor_field(event.site_id, event.visitor_id)
                strangers[field] = (event.site_id, event.visitor_id)
        if strangers:
            values = await self._tables.read(self.number, Table.SEEN, list(strangers))
            for (site_id, visitor_id), value in zip(strangers.values(), values, strict=True):
                changes.admit_visitor(self.state, site_id, visitor_id, value)
        if topic == SURVEY_ANSWERS:
            await self._read_answers([
                event for event in events if isinstance(event, SurveyAnswer) and event.consent != "denied"
            ])  # fmt: skip
        return list(strangers.values())

    async def _forget_visitors(self) -> None:
        """Look at some profiles: the next commit removes those that no event can meet any more."""
        self._cursor, page = await self._tables.browse(self.number, Table.SEEN, self._cursor, _BROWSED_FIELDS)
        policy, progress_ms = self.state.policy, self.state.progress.progress_ms
        self.state.forgotten = [
            field for field, value in page.items()
            if is_forgotten(
                changes.decode_past(value), progress_ms, policy.lateness_ms, policy.visitor_memory_ms
            )
        ]  # fmt: skip

    async def _read_answers(self, answers: Sequence[SurveyAnswer]) -> None:
        """What is known of earlier answers: histories, ids, people, and the latest scores of the sites."""
        if not answers:
            return
        topic = self.state.progress.survey
        keys = dict.fromkeys(event_key(topic, answer) for answer in answers)
        fields = dict.fromkeys(answers_field(answer) for answer in answers)
        people = dict.fromkeys(one for one in map(person_of, answers) if one is not None)
        sites = dict.fromkeys(answer.site_id for answer in answers)
        wanted = [
            *fields, *map(answer_id_field, keys), *map(person_field, people), *map(latest_field, sites)
        ]  # fmt: skip
        values = iter(await self._tables.read(self.number, Table.ANSWERS, wanted))
        for field, value in zip(fields, values, strict=False):
            changes.admit_history(self.state, field, value)
        for key, value in zip(keys, values, strict=False):
            changes.admit_answer_id(self.state, key, value)
        for person, value in zip(people, values, strict=False):
            changes.admit_person(self.state, person, value)
        for site_id, value in zip(sites, values, strict=True):
            changes.admit_latest(self.state, site_id, value)

    async def _commit(self, wall_ms: int | None, *, timed: bool = False) -> None:
        commit_id = uuid.uuid4().hex
        changed = changes.take_changes(self.state, commit_id, self._waiting_windows)
        if self._held_back is not None:
            self._held_back.follow(changed)
            changed, self._held_back = self._held_back, None
        if needed := corrected(self.state):
            try:
                values = await self._tables.read(self.number, Table.SETTLED, needed)
            except StoreUnreachable:
                self._held_back = changed  # taken out of the state: the next commit writes them
                raise
            stored = dict(zip(needed, values, strict=True))
        else:
            stored = {}
        settle(self.state, stored, changed.puts, changed.drops)
        now_ms = wall_ms or 0
        if timed if wall_ms is None else has_passed(now_ms, self._windows_at_ms, _WINDOWS_EVERY_MS):
            changes.take_windows(self.state, self._waiting_windows, changed, self._sums)
            self._window_end_ms = self.state.window_end_ms
            self._windows_at_ms = now_ms
        outputs, self.state.outputs = self.state.outputs, []
        # Windows that end anew are news: idle partitions that told of it once a second, each at a moment of
        # its own, could stay a second apart for good, and would never be added up as of one instant.
        moved = self.head is None or self._window_end_ms != self.head.window_end_ms
        idle = changed.empty and not outputs and not moved and self._produced == self._last_produced
        if timed and idle and self.head and not has_passed(now_ms, self.head.written_at_ms, _HEARTBEAT_MS):
            return
        await self._write(commit_id, now_ms, changed.puts, changed.drops, outputs)

    @property
    def _fed(self) -> FeedMark | None:
        """Numbers go on where customers are kept again after a while."""
        if self.state.feed is not None:
            return self.state.feed.mark
        return self.head.feed if self.head else None

    def _make_head(self, wall_ms: int) -> tuple[PartitionHead, bytes]:
        progress, policy = self.state.progress, self.state.policy
        held_by = progress.held_by(policy)
        head = PartitionHead(
            progress=progress,
            accounting=self.state.accounting,
            fingerprints=self.state.fingerprints,
            outbox_next=self._outbox_next,
            produced_through=self._produced,
            written_at_ms=wall_ms,
            window_end_ms=self._window_end_ms,
            windows_current=not self._waiting_windows,
            behind=progress.any_behind(),
            held_by=None if held_by is None else INPUT_TOPICS[held_by],
            policy=changes.policy_digest(policy),
            lost=self.lost,
            sums_run=self._sums.run,
            sums_written=self._sums.number,
            dimensions=further_dimensions(policy),
            final_through_ms=self.state.final_through_ms,
            settled_version=self.state.settled_version,
            zones=self.state.zones,
            funnels=policy.funnels,
            feed=self._fed,
        )
        return head, changes.encode_head(head)


def _drop_unused(state: PartitionState, admitted: list[tuple[str, str]]) -> None:
    """Visitors of whom nothing counted leave memory again."""
    for site_id, visitor_id in admitted:
        visitors = state.site(site_id).visitors
        visitor = visitors[visitor_id]
        if not (visitor.sessions or visitor.marks or visitor.exposures):
            del visitors[visitor_id]
