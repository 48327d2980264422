"""`latido explain`: one published number in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.commands.failures import DONE, Failed, WrongUse
from stream.commands.figures import windows_in_order
from stream.commands.watching import Choice, nothing_yet, opened_board, other_namespaces, read_board
from stream.core.registry import KPIS
from stream.core.windows import SETTLED
from stream.pipeline.explain import Explanation, Published, explain, read_record
from stream.pipeline.read_results import NothingYet, NotPublished, SettledNumber, settled_record
from stream.pipeline.take_results import ResultRecord
from stream.pipeline.take_snapshot import Completeness, SnapshotRecord
from stream.settings import Settings
from stream.tables.redis_board import RedisBoard
from stream.telemetry import escape


class Question(msgspec.Struct, frozen=True):
    """Which number. `site` None: the first one that is published."""

    kpi: str
    site: str | None
    window: str
    segment: str
    at: datetime | None = None  # of an hour or a day; without a zone by the site's clocks. None: the newest


async def print_explanation(settings: Settings, question: Question, *, as_json: bool) -> int:
    """Raises Failed when nothing is published, WrongUse when the number asked for does not exist."""
    if question.kpi not in KPIS:
        near = difflib.get_close_matches(question.kpi, KPIS, 1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise WrongUse(f"there is no KPI '{escape(question.kpi)}'; {guess}'latido kpis' lists all")
    async with opened_board(settings) as board:
        if question.window in SETTLED:
            settled = await _settled_record(board, question)
            record: Published = settled
            completeness = settled.completeness
        else:
            record, completeness = await _rolling_record(board, settings, question)
    answer = explain(record, question.kpi, completeness, exclude_bots=settings.exclude_bots)
    if as_json:
        print(msgspec.json.encode(answer).decode())
    else:
        Console(highlight=False).print(as_table(answer))
    return DONE


async def _rolling_record(
    board: RedisBoard, settings: Settings, question: Question
) -> tuple[SnapshotRecord, Completeness]:
    reading = await read_board(board)
    if reading is None:
        raise Failed(nothing_yet(settings, await other_namespaces(settings)))
    holding = [
        (key, one)
        for key, one in reading.chosen(Choice(question.site, (), "*"))
        if question.kpi in one.kpis
    ]  # fmt: skip
    for key, one in holding:
        if (one.window.name, one.segment_name) == (question.window, question.segment):
            return read_record(reading.raw[key]), reading.header.completeness
    if not holding:
        raise WrongUse(f"{question.kpi} is not published yet: no such event was counted")
    windows = windows_in_order({one.window.name for _, one in holding})
    raise WrongUse(
        f"{question.kpi} is not published for --window {escape(question.window)} --segment "
        f"{escape(question.segment)}; windows: {', '.join(windows)}, hour, day; "
        f"segments: {_some({one.segment_name for _, one in holding})}"
    )


async def _settled_record(board: RedisBoard, question: Question) -> ResultRecord:
    kind = question.window
    wanted = SettledNumber(question.kpi, kind, question.segment, question.site, question.at)
    hint = f"'latido results --{kind}' lists what there is"
    try:
        return await settled_record(board, wanted)
    except NothingYet as error:
        raise Failed(f"{error}: {hint}") from None
    except NotPublished as error:
        raise WrongUse(f"{error}; {hint}") from None


def _some(names: Collection[str]) -> str:
    return ", ".join(escape(name) for name in sorted(names)[:8]) + (", ..." if len(names) > 8 else "")


def as_table(answer: Explanation) -> Table:
    """Two columns, what and the answer to it. Nothing out of an event is read as markup."""
    rows = [
        ("means", answer.meaning),
        ("formula", answer.formula),
        ("counted", answer.counts),
        ("interval", answer.interval),
        ("before", answer.before),
        ("segment", answer.segment),
        ("window", answer.window),
        ("state", answer.state),
        ("counts only", "; ".join(answer.filters)),
        ("input", answer.completeness),
        ("held by", answer.held_by or ""),
        *(("note", caveat) for caveat in answer.caveats),
        ("source", answer.source),
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    table.add_row(Text(answer.kpi, style="bold"), Text(f"{answer.label}: {answer.value}", style="bold"))
    for what, text in rows:
        if text:
            table.add_row(what, Text(escape(text)))
    return table
