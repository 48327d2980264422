"""What a commit writes: the absolute values of everything touched since the one before it."""

from __future__ import annotations

import hashlib

import msgspec

from schemas.topics import INPUT_TOPICS
from stream.core.event_time import NEVER_MS
from stream.core.packed import decode_counts, encode_counts, encode_sums
from stream.core.policy import Policy
from stream.core.registry import that_apply
from stream.core.sessions import ENDED, OPEN, Past, Visitor
from stream.core.surveys import History, Score
from stream.core.tallies import SegmentTally
from stream.core.windows import ALL_TIME, ROLLING, Counts
from stream.pipeline.end_sessions import shown_ms
from stream.pipeline.partition_state import (
    ALL,
    PartitionHead,
    PartitionState,
    Site,
    answer_id_field,
    closing_deadlines,
    latest_field,
    person_field,
    visitor_field,
)
from stream.pipeline.ports import CHANGES_KEPT, Change, Stored, Table
from stream.pipeline.recount import recount, recount_funnels
from stream.pipeline.settle import collect_settled, restore_settled

_encode = msgspec.msgpack.Encoder().encode
_decode_visitor = msgspec.msgpack.Decoder(Visitor).decode
decode_past = msgspec.msgpack.Decoder(Past).decode
_decode_history = msgspec.msgpack.Decoder(History).decode
_decode_scores = msgspec.msgpack.Decoder(list[Score]).decode
_decode_head = msgspec.msgpack.Decoder(PartitionHead).decode


class Changes(msgspec.Struct):
    """Fields to put and to drop, per table."""

    puts: dict[Table, dict[str, bytes]]
    drops: dict[Table, list[str]]

    @property
    def empty(self) -> bool:
        return not any(self.puts.values()) and not any(self.drops.values())

    def follow(self, newer: Changes) -> None:
        """Become what these and then the newer ones come to."""
        for table, fields in newer.drops.items():
            for field in fields:
                self.puts[table].pop(field, None)
            self.drops[table] += fields
        for table, values in newer.puts.items():
            self.puts[table].update(values)


def take_changes(state: PartitionState, commit_name: str, waiting: set[tuple[str, str, str]]) -> Changes:
    """Collect and reset what changed. Touched windows are only noted in `waiting` (window, site, segment)."""
    puts: dict[Table, dict[str, bytes]] = {table: {} for table in Table}
    drops: dict[Table, list[str]] = {table: [] for table in Table}
    _visitor_changes(state, puts, drops)
    puts[Table.ANSWERS] = {field: _encode(history) for field, history in state.touched_histories.items()}
    for key, content in state.new_answer_ids.items():
        puts[Table.ANSWERS][answer_id_field(key)] = _encode(content)
    for person, fields in state.touched_people.items():
        puts[Table.ANSWERS][person_field(person)] = _encode(fields)
    for site_id, scores in state.touched_latest.items():
        puts[Table.ANSWERS][latest_field(site_id)] = _encode(scores)
    puts[Table.DEDUPE] = state.dedupe.take_new(commit_name)
    if state.progress.progress_ms > NEVER_MS:
        horizon_ms = state.progress.progress_ms - state.policy.lateness_ms
        forgotten = state.dedupe.forget_before(horizon_ms)
        for field in forgotten:
            if puts[Table.DEDUPE].pop(field, None) is None:
                drops[Table.DEDUPE].append(field)
    end_ms = state.window_end_ms
    for site in state.sites.values():
        site.spread(state.policy.dimension_values)
        for name, tally in site.segments.items():
            if not tally.settled_at(end_ms):
                _tally_changes(state, site, name, tally, end_ms, puts, drops, waiting)
    state.touched, state.parted, state.forgotten = {}, {}, []
    state.touched_histories, state.histories = {}, {}
    state.touched_people, state.people = {}, {}
    state.touched_latest, state.latest = {}, {}
    state.new_answer_ids, state.answer_ids = {}, {}
    return Changes(puts, drops)


def _visitor_changes(
    state: PartitionState, puts: dict[Table, dict[str, bytes]], drops: dict[Table, list[str]]
) -> None:
    hot = puts[Table.VISITORS]
    for visitor in state.touched.values():
        hot[visitor_field(visitor.site_id, visitor.visitor_id)] = _encode(visitor)
    for visitor in state.parted.values():
        field = visitor_field(visitor.site_id, visitor.visitor_id)
        if field not in hot:  # else they came back within this very batch
            drops[Table.VISITORS].append(field)
        if visitor.past is not None:
            puts[Table.SEEN][field] = _encode(visitor.past)
    drops[Table.SEEN] += [field for field in state.forgotten if field not in puts[Table.SEEN]]


def _tally_changes(
    state: PartitionState, site: Site, name: str, tally: SegmentTally, end_ms: int,
    puts: dict[Table, dict[str, bytes]], drops: dict[Table, list[str]], waiting: set[tuple[str, str, str]],
) -> None:  # fmt: skip
    collect_settled(state, site, name, tally)
    settled = tally.settle(end_ms)
    for kind, buckets in settled.touched.items():
        store = tally.series[kind].counts
        for bucket in buckets:
            field = _bucket_field(kind, bucket, site.site_id, name)
            if store[bucket]:
                puts[Table.BUCKETS][field] = encode_counts(store[bucket])
            else:
                drops[Table.BUCKETS].append(field)
    for kind, gone in settled.forgotten.items():
        drops[Table.BUCKETS] += [_bucket_field(kind, bucket, site.site_id, name) for bucket in gone]
    if ALL_TIME in settled.windows:
        puts[Table.TOTALS][_segment_field(site.site_id, name)] = encode_counts(tally.total)
    waiting.update((window, site.site_id, name) for window in settled.windows)


def all_windows(state: PartitionState) -> set[tuple[str, str, str]]:
    """(window, site, segment) of every sum there is."""
    names = [ALL_TIME, *(window.name for window in ROLLING)]
    return {
        (name, site.site_id, segment)
        for site in state.sites.values()
        for segment in site.segments
        for name in names
        if that_apply(name, segment.partition("=")[0])
    }


class Written(msgspec.Struct):
    """How often the sums were written for the publisher, and by whom."""

    run: str
    number: int = 0


def take_windows(
    state: PartitionState, waiting: set[tuple[str, str, str]], changes: Changes, written: Written
) -> None:
    """Put the sums of the windows in `waiting`, as fields for the publisher, and their names; drop sums of
    nothing. `waiting` is emptied."""
    if not waiting:
        return
    puts, drops, names = changes.puts[Table.WINDOWS], changes.drops[Table.WINDOWS], list[str]()
    for window, site_id, name in waiting:
        sums = state.sites[site_id].segments[name].window(window)
        field = f"{window}|{_segment_field(site_id, name)}"
        names.append(field)
        if sums[0] or sums[1] or name == ALL:
            puts[field] = encode_sums(*sums)
        else:
            drops.append(field)
    waiting.clear()
    written.number += 1
    slot = str(written.number % CHANGES_KEPT)
    changes.puts[Table.CHANGED] = {slot: _encode(Change(written.run, written.number, names))}


def parse_window_field(field: str) -> tuple[str, str, str]:
    """(window, site, segment) of a field that `take_windows` made."""
    window, _, rest = field.partition("|")
    return (window, *_parse_segment_field(rest))


def _segment_field(site_id: str, name: str) -> str:
    return f"{len(site_id)}|{site_id}{name}"


def _parse_segment_field(field: str) -> tuple[str, str]:
    length, _, rest = field.partition("|")
    return rest[: int(length)], rest[int(length) :]


def _bucket_field(kind: str, bucket: int, site_id: str, name: str) -> str:
    return f"{kind}|{bucket}|{_segment_field(site_id, name)}"


def encode_head(head: PartitionHead) -> bytes:
    return _encode(head)


def decode_head(data: bytes) -> PartitionHead:
    return _decode_head(data)


def policy_digest(policy: Policy) -> str:
    """Names the rules by which stored sessions were cut. Goals are not among them: they count from now."""
    rules = (
        policy.gap_ms, policy.grace_ms, policy.survey_tolerance_ms, policy.attribution_ms, policy.answers,
        policy.visitor_memory_ms,
    )  # fmt: skip
    return hashlib.blake2b(repr(rules).encode(), digest_size=8).hexdigest()


def restore(number: int, policy: Policy, stored: Stored) -> tuple[PartitionState, PartitionHead | None]:
    """The state as the last commit left it. Every topic is unknown until it answers."""
    state = PartitionState(number, policy)
    if stored.head is None:
        return state, None
    head = decode_head(stored.head)
    state.progress, state.accounting = head.progress, head.accounting
    state.fingerprints = dict(head.fingerprints)
    state.progress.forget_replies()
    state.final_through_ms = state.committed_through_ms = head.final_through_ms
    state.settled_version = head.settled_version
    state.waiting.rest(state.progress.live_ms)
    for value in stored.tables.get(Table.VISITORS, {}).values():
        _restore_visitor(state, _decode_visitor(value))
    for field, value in stored.tables.get(Table.DEDUPE, {}).items():
        state.dedupe.restore(field, value)
    _restore_tallies(state, stored)
    restore_settled(state, stored)
    recount(state, head.dimensions)
    recount_funnels(state, head.funnels)
    return state, head


def _restore_visitor(state: PartitionState, visitor: Visitor) -> None:
    policy = state.policy
    state.site(visitor.site_id).visitors[visitor.visitor_id] = visitor
    live_ms = shown_ms(state)
    for session in visitor.sessions:
        # Ending is not written for its own sake: the live clock that was says who had ended.
        session.phase = ENDED if live_ms - session.last_ms > policy.gap_ms else OPEN
        if session.phase == OPEN:
            state.ending.file(session.last_ms + policy.gap_ms + 1, (visitor, session))
        elif session.publication.revision == 0 or session.change is not None:
            state.unpublished[id(session)] = (visitor, session)
        state.waiting.count(session, 1)
    for deadline_ms in closing_deadlines(visitor, state.progress.progress_ms, policy):
        state.closing.file(deadline_ms, visitor)


def _restore_tallies(state: PartitionState, stored: Stored) -> None:
    stored_buckets: dict[tuple[str, str], dict[str, dict[int, Counts]]] = {}
    for field, value in stored.tables.get(Table.BUCKETS, {}).items():
        kind, bucket, rest = field.split("|", 2)
        of_segment = stored_buckets.setdefault(_parse_segment_field(rest), {})
        of_segment.setdefault(kind, {})[int(bucket)] = decode_counts(value)
    for field, value in stored.tables.get(Table.TOTALS, {}).items():
        site_id, name = _parse_segment_field(field)
        site = state.site(site_id)
        tally = site.everyone if name == ALL else site.admit(name)
        tally.restore(stored_buckets.get((site_id, name), {}), decode_counts(value))


def admit_visitor(state: PartitionState, site_id: str, visitor_id: str, value: bytes | None) -> None:
    """A visitor without a hot session comes (back): take what was remembered of them."""
    visitor = state.site(site_id).visitors[visitor_id] = Visitor(site_id, visitor_id)
    if value is not None:
        visitor.past = decode_past(value)


def admit_answer_id(state: PartitionState, key: int, value: bytes | None) -> None:
    """Whether an answer was counted before, read through for this batch."""
    if value is not None:
        state.answer_ids[key] = msgspec.msgpack.decode(value, type=int)


def admit_person(state: PartitionState, person: str, value: bytes | None) -> None:
    """Where a person's earlier answers stand, read through for this batch."""
    if value is not None:
        state.people[person] = decode_fields(value)


def decode_fields(value: bytes) -> tuple[str, ...]:
    """The histories that a person's field names."""
    return msgspec.msgpack.decode(value, type=tuple[str, ...])


def decode_history(value: bytes) -> History:
    return _decode_history(value)


def decode_scores(value: bytes) -> list[Score]:
    return _decode_scores(value)


def admit_latest(state: PartitionState, site_id: str, value: bytes | None) -> None:
    """A site's latest scores, read through for this batch."""
    if value is not None:
        state.latest[site_id] = _decode_scores(value)


def admit_history(state: PartitionState, field: str, value: bytes | None) -> None:
    """A respondent's earlier answers, read through for this batch."""
    if value is not None:
        state.histories[field] = _decode_history(value)


def positions(head: PartitionHead | None) -> dict[str, int]:
    """Next offset per input topic; -1 where nothing was ever applied."""
    if head is None:
        return dict.fromkeys(INPUT_TOPICS, -1)
    return {topic: head.progress.topics[index].position for index, topic in enumerate(INPUT_TOPICS)}
