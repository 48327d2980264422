"""The sums of all partitions added up, and what of them changed: a tick costs what happened since the last.

A reader follows each partition: it has the fields of the `windows` table, and takes out the old value of one
and puts in the new. All counts are integers, so nothing is lost on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from stream.core.packed import decode_sums
from stream.core.windows import ALL_TIME, ROLLING, Counts, add
from stream.pipeline.changes import decode_head, parse_window_field
from stream.pipeline.partition_state import ALL, PartitionHead
from stream.pipeline.ports import NOTHING_SEEN, Partial, Seen

Sums: TypeAlias = tuple[Counts, Counts]  # of the window, of the window before

_NOTHING: Sums = ({}, {})
ALL_WINDOWS = (ALL_TIME, *(window.name for window in ROLLING))


class Place(NamedTuple):
    """The values of one dimension of a site in a window; of the whole site there is one, ''."""

    window: str
    site_id: str
    dimension: str


class Group:
    """The values of one place."""

    def __init__(self) -> None:
        self.values: dict[str, Sums] = {}
        self.whole: Sums = ({}, {})  # of all values together
        self.touched: set[str] = set()  # since they were last taken

    def change(self, value: str, old: bytes | None, new: bytes | None) -> None:
        sums = self.values.get(value)
        if sums is None:
            sums = self.values[value] = ({}, {})
        before = _NOTHING if old is None else decode_sums(old)
        now = _NOTHING if new is None else decode_sums(new)
        for mine, whole, counts, less in zip(sums, self.whole, now, before, strict=True):
            more = _difference(counts, less)
            add(mine, more)
            add(whole, more)
        if not (sums[0] or sums[1]):
            del self.values[value]
        self.touched.add(value)

    def take(self) -> set[str]:
        """The values that changed since this was asked last."""
        touched, self.touched = self.touched, set()
        return touched


def _difference(counts: Counts, less: Counts) -> Counts:
    """What must be added to `less` for `counts`: of most metrics nothing."""
    found = {metric: n - less.get(metric, 0) for metric, n in counts.items() if n != less.get(metric)}
    return found | {metric: -n for metric, n in less.items() if metric not in counts}


class Followed:
    """What a reader has of every partition."""

    def __init__(self, partitions: int) -> None:
        self.heads: dict[int, PartitionHead] = {}
        self.groups: dict[Place, Group] = {}
        self.sites: set[str] = set()
        self._seen = [NOTHING_SEEN] * partitions
        self._fields: list[dict[str, bytes]] = [{} for _ in range(partitions)]
        self._heads: dict[int, bytes] = {}
        self._places: dict[str, tuple[Place, str]] = {}  # field -> place and value
        self.touched: set[Place] = set()  # with a change that was not taken yet

    @property
    def seen(self) -> list[Seen]:
        """Up to where each partition is followed."""
        return list(self._seen)

    def take(self, partials: Iterable[Partial]) -> list[int]:
        """Add what changed. Returns the partitions that cannot be followed so: they must be read whole."""
        lost = []
        for partial in partials:
            number = partial.partition
            self._take_head(number, partial.head)
            head = self.heads.get(number)
            written = NOTHING_SEEN if head is None else Seen(head.sums_run, head.sums_written)
            # A worker of before the changes were written names no run.
            if partial.seen is not None and (partial.seen != written or (head and not head.sums_run)):
                lost.append(number)
                continue
            fields = partial.windows if partial.seen is not None else self._whole(number, partial.windows)
            for field, data in fields.items():
                self._change(number, field, data)
            self._seen[number] = written
        return lost

    def _whole(self, number: int, fields: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        return {**dict.fromkeys(self._fields[number]), **fields}

    def _take_head(self, number: int, data: bytes | None) -> None:
        if data is None:
            self.heads.pop(number, None)
            self._heads.pop(number, None)
        elif self._heads.get(number) != data:
            self._heads[number] = data
            self.heads[number] = decode_head(data)

    def _change(self, number: int, field: str, new: bytes | None) -> None:
        fields = self._fields[number]
        old = fields.get(field)
        if old == new:
            return
        place, value = self._places.get(field) or self._place(field)
        self.groups[place].change(value, old, new)
        self.touched.add(place)
        if new is None:
            del fields[field]
        else:
            fields[field] = new

    def _place(self, field: str) -> tuple[Place, str]:
        window, site_id, segment = parse_window_field(field)
        dimension, _, value = segment.partition("=")
        place = Place(window, site_id, dimension)
        self.groups.setdefault(place, Group())
        if site_id not in self.sites:
            self._open_site(site_id)
        found = self._places[field] = (place, value)
        return found

    def _open_site(self, site_id: str) -> None:
        """The whole of a site always has a record, also in windows in which there is nothing to count."""
        self.sites.add(site_id)
        for window in ALL_WINDOWS:
            self.touch_site(window, site_id)

    def touch_site(self, window: str, site_id: str) -> None:
        """The record of a whole site must be made anew."""
        place = Place(window, site_id, ALL)
        self.groups.setdefault(place, Group()).touched.add("")
        self.touched.add(place)

    def whole_site(self, place: Place) -> Sums:
        """The sums of the whole site in the same window."""
        group = self.groups.get(Place(place.window, place.site_id, ALL))
        return group.values.get("", _NOTHING) if group is not None else _NOTHING
