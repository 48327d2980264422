"""The sweep: what time alone changes. Sessions end by the live clock and become final by progress."""

from __future__ import annotations

from stream.core.event_time import NEVER_MS
from stream.core.sessions import (
    ENDED,
    GONE,
    OPEN,
    Publication,
    Session,
    Visitor,
    is_final,
    next_publication,
    session_id,
)
from stream.core.settled import final_through_ms
from stream.core.visitors import remember
from stream.pipeline.join_session import count_open_as_ended
from stream.pipeline.partition_state import PartitionState, closing_deadlines, exposure_deadline_ms
from stream.pipeline.session_record import session_output, tombstone


def sweep(state: PartitionState, wall_ms: int | None) -> None:
    """End, rename, finalise and forget whatever is due. `wall_ms` None: a replay, nothing is live."""
    _end(state, wall_ms)
    _publish_waiting(state, wall_ms)
    _rename(state)
    _finalise(state)
    _settle(state)
    if state.feed is not None:
        for visitor in state.feed.sweep(state.progress, wall_ms):
            state.touch(visitor)
        state.outputs += state.feed.take()


def shown_ms(state: PartitionState) -> int:
    """The live clock as it is shown: on the grid on which windows end."""
    live_ms = state.progress.live_ms
    return live_ms if live_ms <= NEVER_MS else live_ms // state.policy.grid_ms * state.policy.grid_ms


def _end(state: PartitionState, wall_ms: int | None) -> None:
    live_ms, gap_ms, finality_ms = shown_ms(state), state.policy.gap_ms, state.policy.finality_ms
    for visitor, session in state.ending.due(live_ms):
        if session.phase != OPEN:
            continue
        if live_ms - session.last_ms <= gap_ms:  # there was an event since it was filed
            state.ending.file(session.last_ms + gap_ms + 1, (visitor, session))
            continue
        _close(state, visitor, session)
        state.closing.file(session.last_ms + finality_ms + 1, visitor)
        # Reading history, the final record follows soon: the ended one would only be overwritten.
        if wall_ms is None or wall_ms - session.last_ms >= finality_ms:
            state.unpublished[id(session)] = (visitor, session)
        else:
            publish(state, visitor, session, "ended")


def _close(state: PartitionState, visitor: Visitor, session: Session) -> None:
    """Count the session as ended instead of open."""
    count_open_as_ended(state, state.sites[visitor.site_id], session)


def _publish_waiting(state: PartitionState, wall_ms: int | None) -> None:
    """History is read: sessions that ended in it and are not final yet are published after all."""
    if wall_ms is None or not state.unpublished or state.progress.any_behind():
        return
    for visitor, session in state.unpublished.values():
        if session.phase == ENDED:
            publish(state, visitor, session, "ended")
    state.unpublished = {}


def publish(state: PartitionState, visitor: Visitor, session: Session, name: str) -> None:
    """Send the session as its next revision."""
    if session.publication.ids:
        _drop_stale_ids(state, visitor, session)
    session.publication = next_publication(visitor, session)
    state.outputs.append(session_output(state, visitor, session, name))
    session.change = None
    state.touched[id(visitor)] = visitor


def _rename(state: PartitionState) -> None:
    """Published sessions that were merged or got an earlier first event: take their old ids back."""
    for visitor, session in state.renamed:
        if session.phase != GONE:
            _drop_stale_ids(state, visitor, session)
    state.renamed = []


def _drop_stale_ids(state: PartitionState, visitor: Visitor, session: Session) -> None:
    published = session.publication
    if not published.ids:
        return
    current = session_id(visitor.site_id, visitor.visitor_id, session)
    stale = tuple(old for old in published.ids if old != current)
    if stale:
        kept = tuple(old for old in published.ids if old == current)
        session.publication = Publication(published.revision, kept, (*published.superseded, *stale))
        state.outputs += [tombstone(visitor, old, state.number) for old in stale]
        state.touch(visitor)


def _finalise(state: PartitionState) -> None:
    progress_ms = state.progress.progress_ms
    if progress_ms <= NEVER_MS:
        return
    for visitor in state.closing.due(progress_ms):
        visitors = state.sites[visitor.site_id].visitors
        if visitors.get(visitor.visitor_id) is not visitor:
            continue  # parted already
        _publish_final(state, visitor, progress_ms)
        if visitor.marks is not None or visitor.exposures is not None:
            _forget(state, visitor, progress_ms)
        if visitor.sessions or visitor.marks or visitor.exposures:
            state.touch(visitor)
            _file_again(state, visitor, progress_ms)
        else:
            if state.feed is not None:
                state.feed.part(visitor)
            del visitors[visitor.visitor_id]
            state.touched.pop(id(visitor), None)
            state.parted[id(visitor)] = visitor


def _publish_final(state: PartitionState, visitor: Visitor, progress_ms: int) -> None:
    """Publish the visitor's final sessions, and keep of them what the profile keeps."""
    final: list[Session] = []
    for session in visitor.sessions:
        if not is_final(session, progress_ms, state.policy):
            break  # later ones end later
        if session.phase == OPEN:
            _close(state, visitor, session)
        publish(state, visitor, session, "final")
        if state.feed is not None:
            state.feed.finish(visitor, session)
        state.waiting.count(session, -1)
        session.phase = GONE
        state.unpublished.pop(id(session), None)
        final.append(session)
    for session in final:
        visitor.past = remember(visitor.past, session, state.policy.visitor_memory_ms)
    if final:
        visitor.sessions = visitor.sessions[len(final) :]


def _settle(state: PartitionState) -> None:
    """Hours and days become final as the live clock passes them: so silence finalises, too."""
    live_ms = state.progress.live_ms
    state.waiting.rest(live_ms)
    through_ms = final_through_ms(live_ms, state.waiting, state.policy)
    state.final_through_ms = max(state.final_through_ms, through_ms)


def _forget(state: PartitionState, visitor: Visitor, progress_ms: int) -> None:
    """Drop marks no session can cover any more, and exposures past attribution."""
    policy = state.policy
    first_ms = min((s.first_ms for s in visitor.sessions), default=progress_ms)
    if visitor.marks is not None:
        oldest_ms = min(first_ms, progress_ms - policy.finality_ms)
        visitor.marks = [t for t in visitor.marks if t >= oldest_ms] or None
    if visitor.exposures is not None:
        kept = [e for e in visitor.exposures if exposure_deadline_ms(e, policy) > progress_ms]
        visitor.exposures = kept or None


def _file_again(state: PartitionState, visitor: Visitor, progress_ms: int) -> None:
    """Deadlines within the second just visited were taken out with it: put them back."""
    earliest_ms = min(closing_deadlines(visitor, progress_ms, state.policy), default=None)
    if earliest_ms is not None and earliest_ms // 1000 <= progress_ms // 1000:
        state.closing.file(max(earliest_ms, progress_ms), visitor)
