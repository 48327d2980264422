"""`latido explain`: one published number in plain words."""

from __future__ import annotations

import difflib

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.commands.failures import DONE, Failed, WrongUse
from stream.commands.figures import windows_in_order
from stream.commands.watching import Choice, Reading, nothing_yet, opened_board, other_namespaces, read_board
from stream.core.registry import KPIS
from stream.pipeline.explain import Explanation, explain, read_record
from stream.settings import Settings
from stream.telemetry import escape


class Question(msgspec.Struct, frozen=True):
    """Which number. `site` None: the first one that is published."""

    kpi: str
    site: str | None
    window: str
    segment: str


async def print_explanation(settings: Settings, question: Question, *, as_json: bool) -> int:
    """Raises Failed when nothing is published, WrongUse when the number asked for does not exist."""
    if question.kpi not in KPIS:
        near = difflib.get_close_matches(question.kpi, KPIS, 1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise WrongUse(f"there is no KPI '{escape(question.kpi)}'; {guess}'latido kpis' lists all")
    async with opened_board(settings) as board:
        reading = await read_board(board)
    if reading is None:
        raise Failed(nothing_yet(settings, await other_namespaces(settings)))
    answer = answered(reading, question)
    if as_json:
        print(msgspec.json.encode(answer).decode())
    else:
        Console(highlight=False).print(as_table(answer))
    return DONE


def answered(reading: Reading, question: Question) -> Explanation:
    """Raises WrongUse when no published record holds the number, and says which do."""
    holding = [
        (key, one)
        for key, one in reading.chosen(Choice(question.site, (), "*"))
        if question.kpi in one.kpis
    ]  # fmt: skip
    for key, one in holding:
        if (one.window.name, one.segment_name) == (question.window, question.segment):
            record = read_record(reading.raw[key])
            return explain(record, question.kpi, reading.header.completeness)
    windows = windows_in_order({one.window.name for _, one in holding})
    segments = sorted({one.segment_name for _, one in holding})
    if not holding:
        raise WrongUse(f"{question.kpi} is not published yet: no such event was counted")
    some = ", ".join(escape(name) for name in segments[:8]) + (", ..." if len(segments) > 8 else "")
    raise WrongUse(
        f"{question.kpi} is not published for --window {escape(question.window)} --segment "
        f"{escape(question.segment)}; windows: {', '.join(windows)}; segments: {some}"
    )


def as_table(answer: Explanation) -> Table:
    """Two columns, what and the answer to it. Nothing out of an event is read as markup."""
    rows = [
        ("means", answer.meaning),
        ("formula", answer.formula),
        ("counted", answer.counts),
        ("interval", answer.interval),
        ("before", answer.before),
        ("site", answer.site),
        ("segment", answer.segment),
        ("window", answer.window),
        ("sessions by", f"the profile {answer.profile}"),
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
