"""What `latido doctor` looks at, one function per thing, each with its own time limit."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TextIO, TypeAlias

import msgspec

from stream.kafka.errors import WorkerRefused
from stream.kafka.topics import TopicProblem, describe_topics, judge_topics
from stream.pipeline.changes import decode_head
from stream.pipeline.ports import StoreMisconfigured, StoreUnreachable
from stream.pipeline.take_snapshot import decode_header
from stream.pipeline.unreachable import START_STORE
from stream.settings import SettingsProblem
from stream.settings.load import close_variable, find_config, unknown_variables
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_check import check_store
from stream.tables.redis_client import connect, hide_credentials
from stream.telemetry import escape

if TYPE_CHECKING:
    from stream.settings import Settings

Level: TypeAlias = Literal["ok", "warning", "error"]

LIMIT_S: Final = 15.0
OLDEST_PYTHON: Final = (3, 11)
EXTRAS: Final = {"worker": "faust", "collector": "uvicorn"}


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `do` says what to change, '' when all is well."""

    level: Level
    about: str
    what: str
    do: str = ""


async def examine(settings: Settings, config: Path | None) -> list[Finding]:
    """Look at everything; what does not answer in time is an error itself, never an exception."""
    found = await asyncio.gather(
        _limited("broker", _broker(settings)),
        _limited("redis", _store(settings)),
    )
    return [*_python(), *_settings(config), *(finding for group in found for finding in group)]


async def _limited(about: str, work: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await asyncio.wait_for(work, LIMIT_S)
    except TimeoutError:
        return [
            Finding("error", about, f"no answer within {LIMIT_S:.0f} s", "check the address and the network")
        ]


def _python() -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return [Finding("error", "python", f"this is Python {version}", "use Python 3.11 or newer")]
    missing = [extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module) is None]
    return [
        Finding("ok", "python", f"Python {version}"),
        *(
            Finding("warning", "python", f"the {extra} cannot run here", f"pip install 'latido[{extra}]'")
            for extra in missing
        ),
    ]


def _settings(config: Path | None) -> list[Finding]:
    file = find_config(config)
    found = [
        Finding("ok", "settings", f"read from {file}" if file else "no settings file; defaults and variables")
    ]
    for name in unknown_variables():
        found.append(
            Finding(
                "warning",
                "settings",
                f"variable {escape(name)} sets nothing",
                f"did you mean {meant}?" if (meant := close_variable(name)) else "see 'latido config'",
            )
        )
    return found


async def _broker(settings: Settings) -> list[Finding]:
    try:
        topics = await describe_topics(settings.kafka_options())
    except (WorkerRefused, SettingsProblem) as error:
        return [Finding("error", "broker", *_two_parts(str(error)))]
    found = [Finding("ok", "broker", f"{settings.broker} answers")]
    problems = judge_topics(topics)
    same = itertools.groupby(sorted(problems, key=_kind), key=_kind)
    for (is_minor, what, do), group in same:
        names = [one.topic for one in group]
        who = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more:"
        found.append(Finding("warning" if is_minor else "error", "topics", f"{who} {what}", do))
    if not problems:
        found.append(Finding("ok", "topics", f"all {len(topics)} are there"))
    return found


async def _store(settings: Settings) -> list[Finding]:
    try:
        client = connect(settings.redis_url)
    except StoreMisconfigured as error:
        return [Finding("error", "redis", *_two_parts(str(error)))]
    where = hide_credentials(settings.redis_url)
    try:
        problems = await check_store(client, settings.replicas)
        durability = await RedisTables(client, settings.namespace).durability()
        lost = await _lost(RedisBoard(client, settings.namespace))
    except (StoreUnreachable, StoreMisconfigured) as error:
        return [Finding("error", "redis", str(error).rstrip("."), START_STORE)]
    finally:
        await client.aclose()
    found = [Finding("ok", "redis", f"{where} answers")]
    found += [Finding("error" if one.fatal else "warning", "redis", one.what, one.do) for one in problems]
    if not any(one.what == durability.what for one in problems):
        found.append(Finding("ok", "redis", durability.what, durability.do))
    return found + lost


async def _lost(board: RedisBoard) -> list[Finding]:
    """What Kafka deleted before it was counted, and a worker with --accept-loss passed over."""
    header = await board.read_header()
    if header is None:
        return []
    partials = await board.read_partials(range(decode_header(header).completeness.partitions))
    return [
        Finding(
            "warning", "counts",
            f"{one.topic} partition {partial.partition}: offsets {one.first} to {one.last} were deleted "
            "before they were counted",
            "counts of this namespace stay partial",
        )
        for partial in partials if partial.head is not None
        for one in decode_head(partial.head).lost
    ]  # fmt: skip


def _kind(problem: TopicProblem) -> tuple[bool, str, str]:
    """What topics with the same trouble share; fatal first."""
    return not problem.fatal, problem.what, problem.do


def _two_parts(text: str) -> tuple[str, str]:
    what, _, do = text.partition("; ")
    return what, do


def print_findings(findings: list[Finding], out: TextIO, *, as_json: bool) -> int:
    """Print them, worst last so that it stays on the screen; returns the exit code."""
    order: Callable[[Finding], int] = lambda one: ("ok", "warning", "error").index(one.level)  # noqa: E731
    for one in findings if as_json else sorted(findings, key=order):
        if as_json:
            print(json.dumps(msgspec.structs.asdict(one)), file=out)
        else:
            print(f"{one.level:8} {one.about:9} {one.what}{f'; {one.do}' if one.do else ''}", file=out)
    return int(any(one.level == "error" for one in findings))
