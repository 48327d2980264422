"""Which events were counted before, by ten minutes of event time; older repeats are late anyway."""

from __future__ import annotations

from array import array

from stream.core.policy import MINUTE_MS

CHUNK_MS = 10 * MINUTE_MS


class Dedupe:
    """64-bit event ids with a 64-bit digest of their content. `new` collects what is not yet committed."""

    def __init__(self) -> None:
        self._chunks: dict[int, dict[int, int]] = {}
        self._stored: dict[int, list[str]] = {}  # chunk -> names of the fields that hold it
        self.new: dict[int, array[int]] = {}

    def content_of(self, t_ms: int, key: int) -> int | None:
        """The content digest counted under `key`, None when it is new."""
        chunk = self._chunks.get(t_ms // CHUNK_MS)
        return None if chunk is None else chunk.get(key)

    def remember(self, t_ms: int, key: int, content: int) -> None:
        index = t_ms // CHUNK_MS
        chunk = self._chunks.get(index)
        if chunk is None:
            chunk = self._chunks[index] = {}
        chunk[key] = content
        new = self.new.get(index)
        if new is None:
            new = self.new[index] = array("Q")
        new.append(key)
        new.append(content)

    def __len__(self) -> int:
        return sum(len(chunk) for chunk in self._chunks.values())

    def take_new(self, name: str) -> dict[str, bytes]:
        """What was remembered since the last call, as fields to store under `name` (unique per commit)."""
        fields: dict[str, bytes] = {}
        for index, ids in self.new.items():
            field = f"{index}:{name}"
            self._stored.setdefault(index, []).append(field)
            fields[field] = ids.tobytes()
        self.new = {}
        return fields

    def forget_before(self, t_ms: int) -> list[str]:
        """Drop chunks that lie wholly before `t_ms`; returns the stored fields to remove."""
        gone = [index for index in self._chunks if (index + 1) * CHUNK_MS <= t_ms]
        fields: list[str] = []
        for index in gone:
            del self._chunks[index]
            self.new.pop(index, None)
            fields += self._stored.pop(index, [])
        return fields

    def restore(self, field: str, value: bytes) -> None:
        """Take a stored field. Raises ValueError when it is not one of ours."""
        index = int(field.split(":", 1)[0])
        ids = array("Q")
        ids.frombytes(value)
        self._chunks.setdefault(index, {}).update(zip(ids[::2], ids[1::2], strict=True))
        self._stored.setdefault(index, []).append(field)
