"""What `latido dead-letters list` prints."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Self, TextIO, cast

import msgspec

from schemas.dead_letters import DeadLetter, ErrorCode
from schemas.times import rfc3339, to_ms
from schemas.topics import INPUT_TOPICS
from stream.commands.failures import WrongUse
from stream.kafka.dead_letters import list_dead_letters


class Wanted(msgspec.Struct, frozen=True):
    """Which dead letters to print."""

    topics: tuple[str, ...] = INPUT_TOPICS
    code: ErrorCode | None = None
    limit: int | None = None

    @classmethod
    def of(cls, topic: str | None, code: str | None, limit: int | None) -> Self:
        """From the flags. Raises WrongUse."""
        if topic is not None and topic not in INPUT_TOPICS:
            raise WrongUse(f"--topic is one of {', '.join(INPUT_TOPICS)}")
        codes = [one.value for one in ErrorCode]
        if code is not None and code not in codes:
            raise WrongUse(f"--code is one of {', '.join(codes)}")
        return cls((topic,) if topic else INPUT_TOPICS, ErrorCode(code) if code else None, limit)


async def print_refused(
    client_options: Mapping[str, Any], wanted: Wanted, out: TextIO, *, as_json: bool
) -> int:
    """Print them as they are read; returns how many. Raises WorkerRefused, BrokerUnreachable."""
    printed = 0
    # It is a generator: closing it closes its consumer, also after --limit.
    found = cast(AsyncGenerator[DeadLetter], list_dead_letters(client_options, wanted.topics))
    async with aclosing(found) as letters:
        async for letter in letters:
            if wanted.code not in (None, letter.error_code):
                continue
            print(_json(letter) if as_json else _line(letter), file=out)
            printed += 1
            if printed == wanted.limit:
                break
    if not printed and not as_json:
        print("no dead letters", file=out)
    return printed


def _json(letter: DeadLetter) -> str:
    """ASCII: refused bytes are the last thing a terminal should interpret."""
    return json.dumps(letter.model_dump(mode="json"), ensure_ascii=True)


def _line(letter: DeadLetter) -> str:
    arrived = letter.arrived_at if isinstance(letter.arrived_at, str) else rfc3339(to_ms(letter.arrived_at))
    message = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in letter.message)
    place = f"{letter.topic}[{letter.partition}]@{letter.offset}"
    return f"{arrived}  {letter.error_code.value:16}  {place}  {message}"
