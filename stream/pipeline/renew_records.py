"""Snapshot records made anew where something changed, each dimension cut to its largest values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from schemas.keys import segment_name, snapshot_key
from stream.core.event_time import has_passed
from stream.core.policy import DEFAULT_PUBLISHED_VALUES
from stream.core.registry import of_whole_site
from stream.core.windows import ALL_TIME, add
from stream.pipeline.cut import cut
from stream.pipeline.partition_state import ALL, OTHER
from stream.pipeline.ports import Partial
from stream.pipeline.sums import ALL_WINDOWS, Followed, Group, Place, Sums
from stream.pipeline.take_snapshot import Snapshot, SnapshotRecord, look_at_heads, make_record, same_figures

# A dimension with more values is looked at as seldom as the long windows.
LARGE = 100
LARGE_EVERY_MS = 10_000


class Renewed(msgspec.Struct):
    """What readers must be told."""

    records: dict[str, SnapshotRecord] = {}
    gone: list[str] = []


class Records:
    """Every record there is, by its key, as it was last made."""

    def __init__(self, followed: Followed, limit: int) -> None:
        self.records: dict[str, SnapshotRecord] = {}
        self._followed = followed
        self._limit = limit
        self._kept: dict[Place, set[str]] = {}  # of the dimensions that are cut
        self._large_at_ms: dict[Place, int] = {}
        self._status = ""  # that the records of whole sites have
        self._status_of_all = ""  # that all records have
        self._status_at_ms = 0
        self._customers: Mapping[str, dict[str, int]] = {}

    def renew(
        self, snapshot: Snapshot, windows: Collection[str], now_ms: int, *, everything: bool = False
    ) -> Renewed:
        """Make the records of these windows anew where they changed. `everything`: large dimensions, too."""
        found, status = Renewed(), snapshot.completeness.status
        if status != self._status:
            self._status = status
            for site_id in self._followed.sites:
                for window in windows:
                    self._followed.touch_site(window, site_id)
        for site_id in self._followed.sites:
            if snapshot.customers.get(site_id) != self._customers.get(site_id):
                self._followed.touch_site(ALL_TIME, site_id)
        self._customers = snapshot.customers
        for place in self._due(windows, now_ms, everything=everything):
            self._renew(place, snapshot, found)
        waited = has_passed(now_ms, self._status_at_ms, LARGE_EVERY_MS)
        if status != self._status_of_all and (everything or waited):
            self._status_of_all, self._status_at_ms = status, now_ms
            self._tell_status(snapshot, found)
        return found

    def _due(self, windows: Collection[str], now_ms: int, *, everything: bool) -> list[Place]:
        """The places to look at, out of those with a change; the others wait."""
        followed, due = self._followed, list[Place]()
        for place in followed.touched.copy():
            if place.window not in windows:
                continue
            if place.dimension == ALL:
                self._touch_dependents(place)
        for place in followed.touched:
            if place.window not in windows:
                continue
            if len(followed.groups[place].values) > LARGE and not everything:
                if not has_passed(now_ms, self._large_at_ms.get(place, 0), LARGE_EVERY_MS):
                    continue
                self._large_at_ms[place] = now_ms
            due.append(place)
        followed.touched.difference_update(due)
        return due

    def _touch_dependents(self, place: Place) -> None:
        """Segments whose KPIs are shares of the whole site change with it."""
        for dimension in of_whole_site():
            other = place._replace(dimension=dimension)
            group = self._followed.groups.get(other)
            if group is not None and group.values:
                group.touched.update(group.values)
                self._followed.touched.add(other)

    def _renew(self, place: Place, snapshot: Snapshot, found: Renewed) -> None:
        group = self._followed.groups[place]
        touched, before = group.take(), self._kept.pop(place, None)
        kept = cut(group.values, lambda value: group.values[value][0], self._limit)
        if kept is not None:
            self._kept[place] = kept
        if before is not None or kept is not None:
            shown_before = {*group.values, *touched} if before is None else before
            touched |= shown_before ^ ({*group.values} if kept is None else kept)
            touched.add(OTHER)
        for value in touched:
            sums, truncated = group.values.get(value), None
            if kept is not None and value == OTHER:
                sums, truncated = rest(group, kept), sum(name != OTHER for name in group.values)
            elif kept is not None and value not in kept:
                sums = None
            self._put(place, value, sums, truncated, snapshot, found)

    def _put(
        self, place: Place, value: str, sums: Sums | None, truncated: int | None, snapshot: Snapshot,
        found: Renewed,
    ) -> None:  # fmt: skip
        key = snapshot_key(place.site_id, place.window, segment_name(place.dimension, value))
        if sums is None and place.dimension != ALL:
            if self.records.pop(key, None) is not None:
                found.gone.append(key)
            return
        everyone = self._followed.whole_site(place)
        record = make_record(place, value, sums or ({}, {}), everyone, snapshot)
        record.truncated = msgspec.UNSET if truncated is None else truncated
        old = self.records.get(key)
        if old is None or not same_figures(old, record):
            self.records[key] = found.records[key] = record

    def _tell_status(self, snapshot: Snapshot, found: Renewed) -> None:
        """Figures that stay the same are no news; how complete the input is, is."""
        for key, record in self.records.items():
            if record.completeness.status != snapshot.completeness.status:
                record = msgspec.structs.replace(record, completeness=snapshot.completeness)
                self.records[key] = found.records[key] = record


def take_snapshot(
    partials: Sequence[Partial], partitions: int, wall_ms: int, limit: int = DEFAULT_PUBLISHED_VALUES
) -> Snapshot:
    """Everything the partitions wrote, at once. `partitions` is how many there should be."""
    followed = Followed(partitions)
    followed.take(partials)
    snapshot = look_at_heads(followed.heads, partitions, wall_ms)
    if snapshot.as_of_ms is not None:
        snapshot.records = (
            Records(followed, limit).renew(snapshot, ALL_WINDOWS, wall_ms, everything=True).records
        )
    return snapshot


def rest(group: Group, kept: Collection[str]) -> Sums:
    """What the values outside the cut come to: everything but the kept ones."""
    sums: Sums = (dict(group.whole[0]), dict(group.whole[1]))
    for value in kept:
        for mine, counts in zip(sums, group.values[value], strict=True):
            add(mine, counts, -1)
    return sums
