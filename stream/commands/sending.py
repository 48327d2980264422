"""Events on their way to the broker: filled in, validated, sent in groups, reported by line."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from schemas.dead_letters import ErrorCode, InvalidRecord
from schemas.events import MAX_RECORD_BYTES, Event, encode_event, parse_event
from schemas.json_text import parse_json
from schemas.times import rfc3339, to_ms
from stream.collector.producer import EventProducer
from stream.commands import options
from stream.commands.failures import DONE, FAILED, Failed, WrongUse
from stream.commands.reading import beside, line_chunks, standard_input

if TYPE_CHECKING:
    from stream.settings import Settings

ACKNOWLEDGE_WITHIN_S: Final = 10.0


class Line(msgspec.Struct, frozen=True):
    """One line of input: its number from 1, and its event or why there is none."""

    number: int
    event: Event | None = None
    problem: str | None = None


def fill_in(fields: dict[str, Any], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Event:
    """Make an event of the fields, with a new event_id and the present time where they are missing.

    Raises InvalidRecord.
    """
    filled = dict(fields)
    filled.setdefault("event_id", str(uuid.uuid4()))
    filled.setdefault("occurred_at", rfc3339(to_ms(now())))
    return parse_event(filled, forbid_extra=True)


def read_lines(chunks: Iterable[list[bytes]]) -> Iterator[list[Line]]:
    """Read JSON lines; empty ones are passed over, a bad one becomes a Line with its problem."""
    number = 0
    for chunk in chunks:
        lines = []
        for raw in chunk:
            number += 1
            if raw.strip():
                lines.append(_read_line(number, raw))
        yield lines


def _read_line(number: int, raw: bytes) -> Line:
    try:
        return Line(number, fill_in(read_object(raw)))
    except InvalidRecord as error:
        return Line(number, problem=str(error))


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in a line of input. Raises InvalidRecord."""
    line = raw.rstrip(b"\r\n")
    if len(line) > MAX_RECORD_BYTES:
        # The rest of such a line was not kept: its true size is not known.
        raise InvalidRecord(ErrorCode.TOO_LARGE, f"more than {MAX_RECORD_BYTES} bytes")
    value = parse_json(line)
    if not isinstance(value, dict):
        raise InvalidRecord(ErrorCode.INVALID_EVENT, "must be a JSON object")
    return value


def send_one(settings: Settings, fields: dict[str, Any]) -> int:
    """Send the event given by flags and print it. Raises WrongUse when it is not valid."""
    try:
        event = fill_in(fields)
    except InvalidRecord as error:
        raise WrongUse(f"{error.message}; see 'latido send {fields['type']} --help'") from None
    options.quiet_logs()
    return asyncio.run(send_all(settings, [[Line(1, event)]], sys.stdout, sys.stderr))


def send_lines(settings: Settings) -> int:
    """Send the JSON lines of standard input."""
    if sys.stdin.isatty():
        raise WrongUse("name a type, such as page_view, or pipe JSON lines in; see 'latido send --help'")
    options.quiet_logs()
    chunks = line_chunks(standard_input(), MAX_RECORD_BYTES)
    return asyncio.run(send_all(settings, read_lines(chunks), sys.stdout, sys.stderr))


async def send_all(settings: Settings, groups: Iterable[list[Line]], out: TextIO, problems: TextIO) -> int:
    """Send the events group by group; prints each one acknowledged. Returns 1 if any was not.

    Raises Failed when nobody reads what is printed: what was sent could not be told.
    """
    failed = 0
    async with connected(settings) as producer:
        async for group in beside(groups):
            try:
                failed += await _send_group(producer, group, out, problems)
                out.flush()
            except BrokenPipeError:
                behind = f" behind line {group[-1].number}" if group else ""
                raise Failed(f"nobody reads what was sent any more; stopped{behind}") from None
    return FAILED if failed else DONE


async def _send_group(producer: EventProducer, group: list[Line], out: TextIO, problems: TextIO) -> int:
    """Returns how many lines were not sent."""
    events = [line.event for line in group if line.event is not None]
    answers = iter(await producer.deliver(events))
    failed = 0
    for line in group:
        problem = line.problem
        if line.event is not None:
            answer = next(answers)
            problem = None if answer is None else f"not sent: {answer}"
        if problem is not None:
            failed += 1
            print(f"line {line.number}: {problem}", file=problems)
        elif line.event is not None:
            print(printed(line.event), file=out)
    return failed


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[EventProducer]:
    """A started producer whose broker has the topics. Raises BrokerUnavailable."""
    producer = EventProducer(settings.kafka_options(), ACKNOWLEDGE_WITHIN_S)
    await producer.start()
    try:
        await producer.check()
        yield producer
    finally:
        await producer.stop()


def printed(event: Event) -> str:
    """JSON in ASCII: what a user typed cannot move the terminal's cursor."""
    return json.dumps(json.loads(encode_event(event)), ensure_ascii=True)
