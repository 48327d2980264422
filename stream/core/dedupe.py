"""Which events were counted before, by ten minutes of event time; older repeats are late anyway."""

from __future__ import annotations

from array import array
from itertools import chain, islice

from stream.core.policy import MINUTE_MS

CHUNK_MS = 10 * MINUTE_MS


class Dedupe:
    """64-bit event ids with a 64-bit digest of their content.

    A chunk keeps its ids in the order they came, so those not yet committed are its last ones.
    """

    def __init__(self) -> None:
        self._chunks: dict[int, dict[int, int]] = {}
        self._committed: dict[int, int] = {}  # chunk -> how many of its ids are stored
        self._stored: dict[int, list[str]] = {}  # chunk -> names of the fields that hold it

    def remember(self, t_ms: int, key: int, content: int) -> int | None:
        """The content counted before under `key`; None when there was none: now it is `content`."""
        index = t_ms // CHUNK_MS
        chunk = self._chunks.get(index)
        if chunk is None:
            chunk = self._chunks[index] = {}
        seen = chunk.get(key)
        if seen is None:
            chunk[key] = content
        return seen

    def __len__(self) -> int:
        return sum(len(chunk) for chunk in self._chunks.values())

    def take_new(self, name: str) -> dict[str, bytes]:
        """What was remembered since the last call, as fields to store under `name` (unique per commit)."""
        fields: dict[str, bytes] = {}
        for index, chunk in self._chunks.items():
            taken = self._committed.get(index, 0)
            if len(chunk) > taken:
                field = f"{index}:{name}"
                self._stored.setdefault(index, []).append(field)
                last = islice(reversed(chunk.items()), len(chunk) - taken)
                fields[field] = array("Q", chain.from_iterable(last)).tobytes()
                self._committed[index] = len(chunk)
        return fields

    def forget_before(self, t_ms: int) -> list[str]:
        """Drop chunks that lie wholly before `t_ms`; returns the stored fields to remove."""
        gone = [index for index in self._chunks if (index + 1) * CHUNK_MS <= t_ms]
        fields: list[str] = []
        for index in gone:
            del self._chunks[index]
            self._committed.pop(index, None)
            fields += self._stored.pop(index, [])
        return fields

    def restore(self, field: str, value: bytes) -> None:
        """Take a stored field. Raises ValueError when it is not one of ours."""
        index = int(field.split(":", 1)[0])
        ids = array("Q")
        ids.frombytes(value)
        chunk = self._chunks.setdefault(index, {})
        chunk.update(zip(ids[::2], ids[1::2], strict=True))
        self._committed[index] = len(chunk)
        self._stored.setdefault(index, []).append(field)
