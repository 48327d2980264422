"""What a commit does with settled windows: those open here are written as they change, those final in this
partition are packed and leave memory, and what changes a packed one is read back, added and packed again."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import msgspec

from schemas.keys import join_key, split_key
from stream.core.calendar import Kind, Window
from stream.core.event_time import NEVER_MS
from stream.core.packed import decode_counts, decode_segments, encode_counts, encode_segments
from stream.core.settled import take_settled
from stream.core.tallies import SegmentTally
from stream.core.windows import Counts, add
from stream.pipeline.partition_state import LATE_EVENT, ClosedWindow, PartitionState, Site
from stream.pipeline.ports import Stored, Table

Puts = dict[Table, dict[str, bytes]]
Drops = dict[Table, list[str]]

_encode = msgspec.msgpack.Encoder().encode
_decode_closed = msgspec.msgpack.Decoder(ClosedWindow).decode


def collect_settled(state: PartitionState, site: Site, name: str, tally: SegmentTally) -> None:
    """Hand the pending counts of a segment to the settled windows, before the rolling ones take them."""
    if not state.settles:
        return
    settled, horizon_ms = site.settled, _horizon_ms(state)
    for window, counts in take_settled(tally, settled.calendar).items():
        if settled.calendar.end(window) > horizon_ms:
            settled.apply(name, window, counts, closed=(site.site_id, window) in state.closed)


def corrected(state: PartitionState) -> list[str]:
    """The fields of SETTLED that are to be corrected: `settle` needs what is stored there."""
    return [
        closed_field(site.site_id, window)
        for site in state.sites.values() for window in site.settled.corrections
    ]  # fmt: skip


def settle(state: PartitionState, stored: Mapping[str, bytes | None], puts: Puts, drops: Drops) -> None:
    """Write what changed, close what became final, correct what was `stored`."""
    closed: dict[tuple[str, Window], tuple[str | None, dict[str, Counts]]] = {}
    for site in state.sites.values():
        for window, more in site.settled.corrections.items():
            segments = unpack(stored[closed_field(site.site_id, window)])
            for name, counts in more.items():
                add(segments.setdefault(name, {}), counts)
            closed[site.site_id, window] = state.reasons.get((site.site_id, window), LATE_EVENT), segments
        site.settled.corrections = {}
        for window in site.settled.final(state.final_through_ms):
            reason = _reason_of_closing(state, site, window)
            closed[site.site_id, window] = reason, _close(site, window, drops)
        _write_open(site, puts, drops)
    state.reasons = {}
    state.committed_through_ms = state.final_through_ms
    if closed:
        _write_closed(state, closed, puts, drops)


def _reason_of_closing(state: PartitionState, site: Site, window: Window) -> str | None:
    """A window that should have been final before it had any counts is a correction to who reads it."""
    if site.settled.calendar.end(window) > state.committed_through_ms:
        return None
    return state.reasons.get((site.site_id, window), LATE_EVENT)


def _close(site: Site, window: Window, drops: Drops) -> dict[str, Counts]:
    segments = site.settled.windows.pop(window)
    site.settled.touched.pop(window, None)
    drops[Table.SETTLING] += [open_field(site.site_id, window, name) for name in segments]
    return segments


def _write_open(site: Site, puts: Puts, drops: Drops) -> None:
    for window, names in site.settled.touched.items():
        segments = site.settled.windows[window]
        for name in names:
            field = open_field(site.site_id, window, name)
            if segments[name]:
                puts[Table.SETTLING][field] = encode_counts(segments[name])
            else:
                del segments[name]
                drops[Table.SETTLING].append(field)
        if not segments:
            del site.settled.windows[window]
    site.settled.touched = {}


def _write_closed(
    state: PartitionState,
    closed: Mapping[tuple[str, Window], tuple[str | None, dict[str, Counts]]],
    puts: Puts,
    drops: Drops,
) -> None:
    state.settled_version += 1
    for (site_id, window), (reason, segments) in closed.items():
        field = closed_field(site_id, window)
        puts[Table.SETTLED][field] = pack(segments)
        state.closed[site_id, window] = ClosedWindow(state.settled_version, reason)
        puts[Table.CLOSED][field] = _encode(state.closed[site_id, window])
    horizon_ms = _horizon_ms(state)
    for site_id, window in list(state.closed):
        if state.sites[site_id].settled.calendar.end(window) <= horizon_ms:
            del state.closed[site_id, window]
            field = closed_field(site_id, window)
            for table in (Table.SETTLED, Table.CLOSED):
                puts[table].pop(field, None)
                drops[table].append(field)


def _horizon_ms(state: PartitionState) -> int:
    """Windows that end by this instant are closed for good: nothing corrects them any more."""
    kept_ms = state.policy.results_kept_ms
    if kept_ms is None or state.progress.progress_ms <= NEVER_MS:
        return NEVER_MS
    return state.progress.progress_ms - kept_ms - state.policy.lateness_ms


def pack(segments: Mapping[str, Counts]) -> bytes:
    """All counts of one window: its segments say nearly the same names, so packing them pays."""
    return zlib.compress(encode_segments({name: counts for name, counts in segments.items() if counts}), 1)


def unpack(data: bytes | None) -> dict[str, Counts]:
    return {} if data is None else decode_segments(zlib.decompress(data))


def open_field(site_id: str, window: Window, segment: str) -> str:
    """Field of one segment of a window that is open."""
    return join_key(window[0], str(window[1]), site_id, segment)


def closed_field(site_id: str, window: Window) -> str:
    """Field of a whole window."""
    return join_key(window[0], str(window[1]), site_id)


def parse_open_field(field: str) -> tuple[str, Window, str]:
    """(site, window, segment)."""
    kind, start, site_id, segment = split_key(field)
    return site_id, (_kind(kind), int(start)), segment


def parse_closed_field(field: str) -> tuple[str, Window]:
    """(site, window)."""
    kind, start, site_id = split_key(field)
    return site_id, (_kind(kind), int(start))


def _kind(name: str) -> Kind:
    return "hour" if name == "hour" else "day"


def restore_settled(state: PartitionState, stored: Stored) -> None:
    """The windows that are not final, and which of the others there are."""
    for field, value in stored.tables.get(Table.SETTLING, {}).items():
        site_id, window, segment = parse_open_field(field)
        windows = state.site(site_id).settled.windows
        windows.setdefault(window, {})[segment] = decode_counts(value)
    for field, value in stored.tables.get(Table.CLOSED, {}).items():
        site_id, window = parse_closed_field(field)
        state.site(site_id)
        state.closed[site_id, window] = _decode_closed(value)


def wrong_zone(state: PartitionState, zones: Mapping[str, str]) -> str | None:
    """A site whose stored windows are of another zone than the settings say, if there is one."""
    settled = {site_id for site_id, _ in state.closed}
    settled.update(site_id for site_id, site in state.sites.items() if site.settled.windows)
    wrong = (one for one in settled if zones.get(one, "UTC") != state.policy.zone_of(one))
    return min(wrong, default=None)


def read_open(tables: Sequence[Mapping[str, bytes]]) -> dict[tuple[str, Window], dict[str, Counts]]:
    """(site, window) -> segment -> counts of several partitions' SETTLING tables, added up."""
    found: dict[tuple[str, Window], dict[str, Counts]] = {}
    for table in tables:
        for field, value in table.items():
            site_id, window, segment = parse_open_field(field)
            add(found.setdefault((site_id, window), {}).setdefault(segment, {}), decode_counts(value))
    return found


def read_closed(table: Mapping[str, bytes]) -> dict[tuple[str, Window], ClosedWindow]:
    """A partition's CLOSED table."""
    return {parse_closed_field(field): _decode_closed(value) for field, value in table.items()}
