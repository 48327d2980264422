"""Counts as they are kept and stored: what always moves together packed (core/lanes.py), the rest by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from stream.core.engagement import ENDED_LANES, OPEN_LANES
from stream.core.loyalty import RETURN_LANES
from stream.core.windows import Counts

_ALL: Final = (ENDED_LANES, OPEN_LANES, RETURN_LANES)
_NAME_OF: Final = {metric: lanes.name for lanes in _ALL for metric in lanes.metrics}

# What is stored of a count: a packed one does not fit into the integers of MessagePack.
_Stored = dict[str, int | bytes]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode
_decode_two = msgspec.msgpack.Decoder(tuple[_Stored, _Stored]).decode
_decode_segments = msgspec.msgpack.Decoder(dict[str, _Stored]).decode


def names_kept(metrics: Iterable[str]) -> frozenset[str]:
    """The names under which these metrics are counted."""
    return frozenset(_NAME_OF.get(metric, metric) for metric in metrics)


def spelled_out(counts: Counts) -> Counts:
    """The same counts, every one by its own name."""
    found = counts
    for lanes in _ALL:
        packed = counts.get(lanes.name)
        if packed is None:
            continue
        if found is counts:
            found = counts.copy()
        del found[lanes.name]
        for metric, n in lanes.spell_out(packed):
            # Tables of earlier versions name each: then both parts count.
            found[metric] = found.get(metric, 0) + n
    return found


def encode_counts(counts: Counts) -> bytes:
    return _encode(_to_stored(counts))


def decode_counts(data: bytes) -> Counts:
    return _from_stored(_decode(data))


def encode_sums(now: Counts, before: Counts) -> bytes:
    """The counts of a window and of the one before it."""
    return _encode((_to_stored(now), _to_stored(before)))


def decode_sums(data: bytes) -> tuple[Counts, Counts]:
    now, before = _decode_two(data)
    return _from_stored(now), _from_stored(before)


def encode_segments(segments: dict[str, Counts]) -> bytes:
    """Counts by segment."""
    return _encode({name: _to_stored(counts) for name, counts in segments.items()})


def decode_segments(data: bytes) -> dict[str, Counts]:
    return {name: _from_stored(counts) for name, counts in _decode_segments(data).items()}


def _to_stored(counts: Counts) -> _Stored:
    stored: _Stored = {**counts}
    for lanes in _ALL:
        packed = counts.get(lanes.name)
        if packed is not None:
            stored[lanes.name] = packed.to_bytes((packed.bit_length() + 8) // 8, "little", signed=True)
    return stored


def _from_stored(stored: _Stored) -> Counts:
    return {
        metric: n if isinstance(n, int) else int.from_bytes(n, "little", signed=True)
        for metric, n in stored.items()
    }
