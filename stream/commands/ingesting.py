"""Files into events and on to the broker, with a progress bar and a summary that adds up."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO, cast

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

from schemas.dead_letters import InvalidRecord
from schemas.events import MAX_RECORD_BYTES, Event, parse_event
from stream.collector.producer import EventProducer
from stream.commands.access_log import Origin, Unreadable, Visitor, digest, page_view, parse_line
from stream.commands.failures import DONE, FAILED, Failed, WrongUse
from stream.commands.reading import STANDARD_INPUT, beside, line_chunks, opened
from stream.commands.sending import connected, printed, read_object
from stream.core.policy import Policy
from stream.settings import format_duration

if TYPE_CHECKING:
    import io

    from stream.settings import Settings

PROBLEMS_SHOWN: Final = 5
LINES_LOOKED_AT: Final = 20
"""A log may begin with a few lines of junk; after this many the format is taken for unknown."""
GROUP: Final = 500
FIXED_SALT: Final = b"latido access log"
_RATE = re.compile(r"([0-9]{1,9})(?:/s)?")

Reader = Callable[[int, bytes], Event | None]
"""Line number and line -> event, None when the line is none. Raises Unreadable, InvalidRecord."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and how. `rate` in events per second, None without limit."""

    files: tuple[str, ...]
    format: str = "auto"
    visitor: str = Visitor.ADDRESS_AND_AGENT.value
    site: str = "default"
    salt: str | None = None
    rate: int | None = None
    dry_run: bool = False
    late: Late | None = None

    @property
    def origin(self) -> Origin:
        salt = self.salt.encode() if self.salt else FIXED_SALT
        return Origin(salt=salt, site=self.site, visitor=Visitor(self.visitor))


class Late(msgspec.Struct, frozen=True):
    """Before these times a worker may refuse an event; None: never. after_ms: how far back that is."""

    before: datetime
    surveys_before: datetime | None
    after_ms: int

    @classmethod
    def by(cls, policy: Policy, now: datetime) -> Late:
        after_ms, tolerance_ms = policy.lateness_ms, policy.survey_tolerance_ms
        surveys = None if tolerance_ms is None else now - timedelta(milliseconds=tolerance_ms)
        return cls(now - timedelta(milliseconds=after_ms), surveys, after_ms)

    def may_be(self, event: Event) -> bool:
        before = self.surveys_before if event.type == "survey_answer" else self.before
        return before is not None and event.occurred_at < before


class Tally(msgspec.Struct):
    """lines = sent + others + unreadable + what was read and not sent (0 unless it was stopped)."""

    lines: int = 0
    sent: int = 0
    others: int = 0
    unreadable: int = 0
    late: int = 0
    problems: list[str] = msgspec.field(default_factory=list)
    empty: list[str] = msgspec.field(default_factory=list)
    is_log: bool = False

    @property
    def nothing_readable(self) -> bool:
        """Lines there were, and none could be read."""
        blank = 0 if self.is_log else self.others
        return 0 < self.unreadable == self.lines - blank

    def summary(self, verb: str) -> str:
        what = "page views" if self.is_log else "events"
        others = "other requests" if self.is_log else "empty"
        found = [
            f"{self.sent:,} {what} {verb}",
            f"{self.others:,} {others}",
            f"{self.unreadable:,} not readable",
        ]
        unsent = self.lines - self.sent - self.others - self.unreadable
        if unsent:
            found.append(f"stopped before {unsent:,} more (run it again, nothing is counted twice)")
        return f"{self.lines:,} lines: {', '.join(found)}"


class Part(msgspec.Struct):
    """Some lines of a file: their events, and how many bytes of the file have been read."""

    events: list[Event]
    last_line: int
    position: int


def parse_rate(text: str | None) -> int | None:
    """`500/s` or `500` in events per second. Raises WrongUse."""
    if text is None:
        return None
    found = _RATE.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise WrongUse("--rate is a number of events per second, such as 500/s")
    return int(found[1])


def run_ingest(settings: Settings, plan: Plan) -> int:
    """Send all files, or print their events; returns the exit code, 1 when no line could be read.

    Raises Failed, BrokerUnavailable; BrokenPipeError when the reader of a dry run has seen enough.
    """
    tally = Tally()
    try:
        asyncio.run(_print_all(plan, tally, sys.stdout) if plan.dry_run else _send_all(settings, plan, tally))
    except BrokenPipeError:
        raise
    except BaseException:
        _report(plan, tally, sys.stderr)
        raise
    _report(plan, tally, sys.stderr)
    return FAILED if tally.nothing_readable else DONE


def _report(plan: Plan, tally: Tally, out: TextIO) -> None:
    for name in tally.empty:
        print(f"{name}: is empty", file=out)
    for problem in tally.problems:
        print(problem, file=out)
    if tally.unreadable > len(tally.problems):
        print(f"... and {tally.unreadable - len(tally.problems):,} more", file=out)
    if tally.lines:
        print(tally.summary("found" if plan.dry_run else "sent"), file=out)
    if tally.late and plan.late is not None:
        print(
            f"{tally.late:,} are older than {format_duration(plan.late.after_ms)}: a worker that has seen "
            "newer ones refuses them as late; 'latido replay' counts them, and so does another namespace on "
            "a broker without newer events",
            file=out,
        )
    if tally.is_log and plan.salt is None and not plan.dry_run:
        print(
            "anybody can compute these visitor ids from an address: set LATIDO_SALT to a secret, and keep it",
            file=out,
        )


async def _print_all(plan: Plan, tally: Tally, out: TextIO) -> None:
    for name in plan.files:
        for part in read_parts(name, plan, tally):
            for event in part.events:
                print(printed(event), file=out)
            tally.sent += len(part.events)
    out.flush()  # a reader that went away is noticed here, not when nobody listens any more


async def _send_all(settings: Settings, plan: Plan, tally: Tally) -> None:
    pace = Pace(plan.rate)
    async with connected(settings) as producer:
        with _progress() as progress:
            for name in plan.files:
                bar = progress.add_task(os.path.basename(name), total=_size(name), sent=0)
                async with aclosing(beside(read_parts(name, plan, tally))) as parts:
                    async for part in parts:
                        moved = partial(_show_sent, progress, bar, tally)
                        await _send_part(producer, part, name, pace, tally, moved)
                        progress.update(bar, completed=part.position)


def _show_sent(progress: Progress, bar: TaskID, tally: Tally) -> None:
    progress.update(bar, sent=tally.sent)


async def _send_part(
    producer: EventProducer, part: Part, name: str, pace: Pace, tally: Tally, moved: Callable[[], None]
) -> None:
    """Raises Failed when the broker does not acknowledge: to go on would leave a hole."""
    for group in _slices(part.events, pace.group):
        await pace.wait(len(group))
        answers = await producer.deliver(group)
        refused = [answer for answer in answers if answer is not None]
        tally.sent += len(group) - len(refused)
        moved()
        if refused:
            raise Failed(
                f"{name}: stopped before line {part.last_line}: {refused[0]}; "
                "run it again, nothing is counted twice"
            )


def read_parts(name: str, plan: Plan, tally: Tally) -> Iterator[Part]:
    """Read a file in parts, counting lines that are no events. Raises Failed."""
    with opened(name) as (content, file):
        chunks = line_chunks(cast("io.BufferedReader", content), MAX_RECORD_BYTES)
        ahead, reader = _choose(name, plan, chunks)
        tally.is_log = tally.is_log or reader is not _read_json
        number = 0
        for lines in _joined(ahead, chunks):
            read = [_read(name, at, raw, reader, tally) for at, raw in enumerate(lines, number + 1)]
            number += len(lines)
            events = [event for event in read if event is not None]
            if plan.late is not None:
                tally.late += sum(map(plan.late.may_be, events))
            yield Part(events, number, _position(name, file))
        if not number:
            tally.empty.append(name)


def _choose(name: str, plan: Plan, chunks: Iterator[list[bytes]]) -> tuple[list[list[bytes]], Reader]:
    """The reader for a file, and the chunks read to find it."""

    def read_log(number: int, raw: bytes) -> Event | None:
        # Bytes that are not UTF-8 get the notation that servers use themselves: \\xhh.
        return page_view(raw.rstrip(b"\r").decode("utf-8", "backslashreplace"), number, plan.origin)

    if plan.format != "auto":
        return [], _read_json if plan.format == "json" else read_log
    ahead: list[list[bytes]] = []
    looked_at = 0
    for chunk in chunks:
        ahead.append(chunk)
        for raw in filter(bytes.strip, chunk):
            looked_at += 1
            if raw.lstrip().startswith(b"{"):
                return ahead, _read_json
            if _is_log_line(raw):
                return ahead, read_log
            if looked_at >= LINES_LOOKED_AT:
                raise _unknown_format(name)
    if looked_at:
        raise _unknown_format(name)
    return ahead, _read_json


def _unknown_format(name: str) -> Failed:
    return Failed(f"{name}: holds neither JSON lines nor an access log; name its --format to read it anyway")


def _is_log_line(raw: bytes) -> bool:
    try:
        parse_line(raw.rstrip(b"\r").decode("utf-8", "backslashreplace"))
    except Unreadable:
        return False
    return True


def _read(name: str, number: int, raw: bytes, reader: Reader, tally: Tally) -> Event | None:
    tally.lines += 1
    try:
        event = reader(number, raw) if raw.strip() else None
    except (Unreadable, InvalidRecord) as error:
        tally.unreadable += 1
        if len(tally.problems) < PROBLEMS_SHOWN:
            tally.problems.append(f"{name}: line {number}: {error}")
        return None
    tally.others += event is None
    return event


def _read_json(number: int, raw: bytes) -> Event | None:
    """An event as it is; without event_id it gets one that is the same at every run."""
    fields = read_object(raw)
    if "event_id" not in fields:
        fields["event_id"] = digest(FIXED_SALT, "json", str(number), raw.decode())[:32]
    return parse_event(fields)


class Pace:
    """Lets groups of events pass at a rate per second."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._due: float | None = None
        self.group = GROUP if rate is None else max(1, min(GROUP, rate // 10))

    async def wait(self, events: int) -> None:
        """Return when `events` more may be sent."""
        if self._rate is None:
            return
        loop = asyncio.get_running_loop()
        self._due = max(self._due or 0.0, loop.time())
        await asyncio.sleep(self._due - loop.time())
        self._due += events / self._rate


def _slices(events: Sequence[Event], size: int) -> Iterator[Sequence[Event]]:
    for start in range(0, len(events), size):
        yield events[start : start + size]


def _joined(ahead: list[list[bytes]], chunks: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
    yield from ahead
    yield from chunks


def _position(name: str, file: BinaryIO) -> int:
    return 0 if name == STANDARD_INPUT else file.tell()


def _size(name: str) -> int | None:
    """None where it is not known: the bar then only moves."""
    try:
        return None if name == STANDARD_INPUT else os.stat(name).st_size or None
    except OSError:
        return None


def _progress() -> Progress:
    """On standard error, and only in a terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[sent]:,} sent"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


__all__ = ["Pace", "Plan", "Tally", "parse_rate", "read_parts", "run_ingest"]
