"""A session's state as the record of the sessions topic."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from schemas.headers import SESSION_SCHEMA, session_identity
from schemas.keys import session_key
from schemas.times import rfc3339
from schemas.topics import SESSIONS
from stream.core.event_time import NEVER_MS
from stream.core.sessions import Session, Visitor, has_mark, is_bounce, is_engaged, is_overlong, session_id
from stream.core.visitors import visit_number
from stream.pipeline.batch import Output
from stream.pipeline.partition_state import PartitionState


class Source(msgspec.Struct):
    partition: int
    progress: str | None


class SessionRecord(msgspec.Struct):
    """schemas/sessions.py says what each field means; a test holds both equal."""

    site_id: str
    visitor_id: str
    customer_id: str | None
    session_id: str
    state: str
    ended_because: str | None
    revision: int
    supersedes: tuple[str, ...]
    change: str | None
    started_at: str
    last_event_at: str
    duration_ms: int
    engaged_ms: int
    page_views: int
    clicks: int
    form_submissions: int
    impressions: int
    goals: tuple[str, ...]
    is_bounce: bool
    is_active: bool
    is_engaged: bool
    visit_number: int
    entry_page: str | None
    exit_page: str | None
    referrer_host: str | None
    channel: str | None
    campaign: str | None
    device: str | None
    country: str | None
    plan: str | None
    overlong: bool
    profile: str
    source: Source
    profile_duration_ms: int | msgspec.UnsetType | None = msgspec.UNSET  # of other profiles only


_encode = msgspec.json.Encoder().encode


def session_record(state: PartitionState, visitor: Visitor, session: Session, name: str) -> SessionRecord:
    """The record of `session` as it stands, in the state `name`: open, ended or final.

    `revision` is at least 1, as if it were published now.
    """
    origin, customer, publication = session.origin, session.customer, session.publication
    active = session.clicks > 0 or session.form_submissions > 0 or has_mark(visitor, session)
    # In the order of the fields: thirty-three keywords would cost more than all the rest.
    return SessionRecord(
        visitor.site_id,
        visitor.visitor_id,
        None if customer is None else customer.customer_id,
        _id_of(visitor, session),  # session_id
        name,  # state
        None if name == "open" else "inactivity",  # ended_because
        publication.revision or 1,  # revision
        publication.superseded,  # supersedes
        session.change,
        rfc3339(session.first_ms),  # started_at
        rfc3339(session.last_ms),  # last_event_at
        session.last_ms - session.first_ms,  # duration_ms
        session.engaged_ms,
        session.page_views,
        session.clicks,
        session.form_submissions,
        session.impressions,
        session.goals,
        is_bounce(session),  # is_bounce
        active,  # is_active
        is_engaged(session),  # is_engaged
        visit_number(visitor, session, state.policy.visitor_memory_ms),
        session.entry_page,
        session.exit_page,
        origin.referrer,  # referrer_host
        origin.channel,
        origin.campaign,
        origin.device,
        origin.country,
        origin.plan,
        is_overlong(session, state.policy),  # overlong
        "latido",  # profile
        _source(state.number, state.progress.progress_ms),  # source
    )


@lru_cache(maxsize=256)  # progress stands still while a sweep publishes
def _source(partition: int, progress_ms: int) -> Source:
    return Source(partition, rfc3339(progress_ms) if progress_ms > NEVER_MS else None)


def _id_of(visitor: Visitor, session: Session) -> str:
    """The id it was just published under, or would be."""
    ids = session.publication.ids
    return ids[0] if len(ids) == 1 else session_id(visitor.site_id, visitor.visitor_id, session)


def session_output(state: PartitionState, visitor: Visitor, session: Session, name: str) -> Output:
    """The session for the sessions topic, to the partition it was computed in; `name` as above."""
    record = session_record(state, visitor, session, name)
    return Output(
        SESSIONS, state.number, session_key(record.site_id, record.visitor_id, record.session_id).encode(),
        _encode(record), session_identity(record.session_id, record.revision), SESSION_SCHEMA,
        session.last_ms,
    )  # fmt: skip


def tombstone(visitor: Visitor, old_id: str, partition: int) -> Output:
    """Removes a superseded id from the compacted topic."""
    return Output(
        topic=SESSIONS, partition=partition, value=None,
        key=session_key(visitor.site_id, visitor.visitor_id, old_id).encode(),
        id=f"{old_id}/gone", schema=SESSION_SCHEMA, time_ms=0,
    )  # fmt: skip
