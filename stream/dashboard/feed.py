"""What one selection's viewers are sent. Viewers who want the same share a feed, and every byte of it.

A viewer has no queue: it knows up to which version it has been told, and asks for what is new since then. Who
reads slowly is told less often, of everything that changed meanwhile at once.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

import msgspec

from stream.dashboard.records import Difference, Records
from stream.dashboard.selection import Selection
from stream.dashboard.state import State
from stream.pipeline.take_snapshot import Header

STEPS_KEPT: Final = 64
"""Changes that a viewer may be behind, about 15 s of them; after more it is sent everything."""
KEYS_KEPT: Final = 20_000
"""In all these changes together, about 1 MB."""
_encode = msgspec.json.Encoder().encode


class Now(NamedTuple):
    """The board at one version. A version is one reading that brought something new."""

    version: int
    state: State
    header: Header | None
    records: Records


class _Step(NamedTuple):
    version: int
    changed: frozenset[str]
    gone: frozenset[str]


class Feed:
    """The changes of one selection, from the version at which it was opened."""

    def __init__(self, selection: Selection, now: Now) -> None:
        self.selection = selection
        self.viewers = 0
        self.left_at_s = 0.0  # when the last viewer went, monotonic clock
        self._since = now.version  # changes after this version are known
        self._steps: deque[_Step] = deque()
        self._members = {one.key for one in selection.chosen(now.records)}
        self._framed: Now | None = None
        self._frames: dict[int | None, bytes] = {}  # of `_framed`, by the version it is told after
        self._size = 0

    def advance(self, now: Now, difference: Difference) -> None:
        """Take in the reading that led to `now`."""
        if not any(map(self.selection.wants_group, difference.groups)):
            return
        members = {one.key for one in self.selection.chosen(now.records)}
        changed = frozenset((members & difference.changed) | (members - self._members))
        gone = frozenset(self._members - members)
        self._members = members
        if changed or gone:
            self._keep(_Step(now.version, changed, gone))

    def _keep(self, step: _Step) -> None:
        self._steps.append(step)
        self._size += len(step.changed) + len(step.gone)
        while len(self._steps) > STEPS_KEPT or (self._size > KEYS_KEPT and len(self._steps) > 1):
            oldest = self._steps.popleft()
            self._size -= len(oldest.changed) + len(oldest.gone)
            self._since = oldest.version

    def has_news(self, since: int) -> bool:
        return bool(self._steps) and self._steps[-1].version > since

    def follows(self, since: int, now: Now) -> bool:
        """Whether all that changed since this version is known."""
        return self._since <= since <= now.version

    def snapshot(self, now: Now) -> bytes:
        """The body of everything: that of GET /api/v1/kpis."""
        return self._cached(None, now)

    def change(self, since: int, now: Now) -> bytes:
        """The body of what changed after `since`, which must be followed; of nothing but the state, if so."""
        return self._cached(since, now)

    def _cached(self, since: int | None, now: Now) -> bytes:
        if now is not self._framed:
            self._framed, self._frames = now, {}
        frame = self._frames.get(since)
        if frame is None:
            frame = self._frames[since] = _encode(self._body(since, now))
        return frame

    def _body(self, since: int | None, now: Now) -> dict[str, Any]:
        if since is None:
            return whole(self.selection, now)
        return self._changes(since, now) if self.has_news(since) else {"state": now.state}

    def _changes(self, since: int, now: Now) -> dict[str, Any]:
        newer = [step for step in self._steps if step.version > since]
        changed = frozenset().union(*(step.changed for step in newer)) & self._members
        gone = frozenset().union(*(step.gone for step in newer)) - self._members
        found = (now.records.get(key) for key in sorted(changed))
        return {
            "state": now.state,
            "header": now.header,
            "records": [self.selection.encoded(one) for one in found if one is not None],
            "gone": sorted(gone),
        }


def whole(selection: Selection, now: Now) -> dict[str, Any]:
    """Everything of a selection."""
    records = now.records
    return {
        "state": now.state,
        "header": now.header,
        "sites": records.sites(),
        "windows": records.windows(),
        "dimensions": records.dimensions(),
        "records": [selection.encoded(one) for one in selection.chosen(records)],
    }
