"""Fold one batch into the state: judge every record, and let what counts change the state.

Per record, in this order: valid, future, consent, bot, late, duplicate, counted. Lateness is judged by
progress and the topic's own clock as they stood *before* the record, and both move after it, so that
results never depend on where one batch ends and the next begins.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from schemas.dead_letters import ErrorCode
from stream.core.event_time import NEVER_MS
from stream.core.events import Event, SurveyAnswer, event_time_ms
from stream.core.policy import Policy
from stream.pipeline.apply_answer import apply_survey_answer
from stream.pipeline.apply_event import apply_member
from stream.pipeline.batch import Batch, Record
from stream.pipeline.dead_letters import dead_letter
from stream.pipeline.decode import BadRecord
from stream.pipeline.event_ids import content_key, event_key
from stream.pipeline.partition_state import TOPIC_INDEX, Fingerprint, PartitionState
from stream.pipeline.user_agents import agent_of


def fold(state: PartitionState, batch: Batch, events: Sequence[Event | BadRecord]) -> None:
    """Apply `events`, decoded from `batch.records` one to one."""
    topic = TOPIC_INDEX[batch.topic]
    progress, policy = state.progress, state.policy
    own = progress.topics[topic]
    others_hold, others_clock = progress.others(topic, policy)
    own_hold_extra = progress.hold_extra_ms(topic, policy)
    log_end = own.end if own.end is not None else batch.log_end
    last = len(events) - 1
    for index, (record, event) in enumerate(zip(batch.records, events, strict=True)):
        moment = _judge(state, topic, batch, record, event)
        if moment > own.clock_ms:
            own.clock_ms = moment
        # T moves after every record: to the lowest hold of what is behind, else to the highest clock.
        behind = (record.offset + 1 if index < last else batch.end) < log_end
        candidate = own.clock_ms if own.clock_ms > others_clock else others_clock
        if others_hold is not None and others_hold < candidate:
            candidate = others_hold
        # A survey topic that is behind allows more than any clock has reached.
        if behind and own.clock_ms + own_hold_extra < candidate:
            candidate = own.clock_ms + own_hold_extra if own.clock_ms > NEVER_MS else NEVER_MS
        if progress.progress_ms < candidate:
            progress.progress_ms = candidate
    state.accounting.read += len(events)
    own.position = batch.end
    if batch.records:
        state.fingerprints[batch.topic] = fingerprint(batch.records[-1])


def _judge(state: PartitionState, topic: int, batch: Batch, record: Record, event: Event | BadRecord) -> int:
    """Refuse, pass over or count one record. Returns the time it moves its topic's clock to, if valid."""
    if isinstance(event, BadRecord):
        _refuse(state, batch, record, event.code, event.message)
        return NEVER_MS
    t, arrived_ms, policy = event_time_ms(event), record.timestamp, state.policy
    if t > arrived_ms + policy.future_ms:
        _refuse(state, batch, record, ErrorCode.FUTURE_TIMESTAMP, _future_message(t, record, policy))
        return NEVER_MS
    state.refused_in_a_row = 0
    progress, (late_progress, late_own) = state.progress, state.tolerances[topic]
    own_limit_ms = progress.topics[topic].clock_ms - late_own
    if event.consent == "denied":
        state.accounting.no_consent += 1
    elif event.user_agent is not None and policy.exclude_bots and agent_of(event.user_agent).is_bot:
        state.accounting.bots += 1
    elif t < own_limit_ms or t < progress.progress_ms - late_progress:
        _late(state, batch, record, own_topic=t < own_limit_ms)
    else:
        _count(state, topic, event, t)
    return t if t < arrived_ms else arrived_ms


def fingerprint(record: Record) -> Fingerprint:
    """What a record looks like, for finding out later whether the topic was recreated."""
    crc32 = zlib.crc32(record.value or b"", zlib.crc32(record.key or b""))
    return Fingerprint(record.offset, record.timestamp, crc32)


def _count(state: PartitionState, topic: int, event: Event, t: int) -> None:
    """A valid event that is not late: a repeat, or the first of its kind."""
    key, content = event_key(topic, event), content_key(event)
    if topic == state.progress.survey and isinstance(event, SurveyAnswer):
        # An answer may be far older than the ids in memory: its ids are read through, and kept.
        seen = state.answer_ids.get(key)
        if seen is None:
            apply_survey_answer(state, event, t)
            state.answer_ids[key] = state.new_answer_ids[key] = content
    else:
        seen = state.dedupe.remember(t, key, content)
        if seen is None:
            apply_member(state, topic, event, t)
    if seen is None:
        state.accounting.counted += 1
        if state.witness is not None:
            state.witness(topic, event, t)
    elif seen == content:
        state.accounting.duplicates += 1
    else:
        state.accounting.conflicts += 1


def _refuse(state: PartitionState, batch: Batch, record: Record, code: str, message: str) -> None:
    accounting = state.accounting
    accounting.refused += 1
    accounting.refused_as[code] = accounting.refused_as.get(code, 0) + 1
    state.refused_in_a_row += 1
    state.outputs.append(dead_letter(batch.topic, batch.partition, record, code, message))


def _late(state: PartitionState, batch: Batch, record: Record, *, own_topic: bool) -> None:
    if own_topic:
        state.accounting.late_own_topic += 1
    else:
        state.accounting.late_other_topic += 1
    reason = "own_topic" if own_topic else "other_topic"
    message = f"older than gap and grace allow ({reason})"
    state.outputs.append(dead_letter(batch.topic, batch.partition, record, ErrorCode.LATE, message))


def _future_message(t: int, record: Record, policy: Policy) -> str:
    ahead_s = (t - record.timestamp) / 1000
    return f"occurred_at is {ahead_s:.0f} s ahead of its arrival, {policy.future_ms / 1000:.0f} s are allowed"
