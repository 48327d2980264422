"""The back-test as a screen: what the history held, each rule's scores, and how to read them."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.times import rfc3339
from stream.churn.backtest import STATE, Backtest, Score
from stream.churn.history import History
from stream.commands.figures import NONE
from stream.core.kpi import Rate
from stream.core.policy import DAY_MS

_COLUMNS: Final = ("Rule", "Limit", "Signals", "Right 95 %", "In time 95 %", "Lead", "Again")
"""All of them fit into eighty characters."""


def view(found: Backtest, history: History, *, has_model: bool) -> RenderableType:
    """All of it."""
    parts: list[RenderableType] = [*_head(found, history), Text(), _table(found), Text(), *_legend(found)]
    if not has_model:
        parts.append(
            Text("alive_probability needs [churn.bgnbd]: 'latido churn fit FILE' estimates it", style="dim")
        )
    return Group(*parts)


def _head(found: Backtest, history: History) -> list[Text]:
    days = found.horizon_ms / DAY_MS
    span = (
        ""
        if found.begin_ms is None or found.end_ms is None
        else (f", {rfc3339(found.begin_ms)[:10]} to {rfc3339(found.end_ms)[:10]}")
    )
    lines = [
        f"{found.customers:,} customers, {found.with_rhythm:,} with a rhythm; {found.visits:,} visits{span}",
        f"{found.stayed_away:,} times somebody stayed away for {days:g} days or longer; "
        f"{found.returned:,} of them came back later",
    ]
    if history.anonymous:
        lines.append(
            f"{history.anonymous:,} of {history.sessions:,} sessions name no customer and are left out"
        )
    return [Text(line) for line in lines]


def _table(found: Backtest) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("Rule", "Limit") else "right", no_wrap=True)
    before = ""
    for score in found.scores:
        if score.rule == STATE != before:
            table.add_section()
        name = "all together" if score.rule == STATE else score.rule
        table.add_row("" if score.rule == before else name, score.level, *_cells(score))
        before = score.rule
    return table


def _cells(score: Score) -> list[str]:
    lead = NONE if score.lead_ms is None else f"{score.lead_ms / DAY_MS:.1f} d"
    again = NONE if score.signals == 0 else f"{100 * score.repeated / score.signals:.0f} %"
    return [f"{score.signals:,}", _rate(score.precision), _rate(score.recall), lead, again]


def _rate(one: Rate) -> str:
    """`71 %  59-82`: the value and its interval."""
    if one.value is None or one.low is None or one.high is None:
        return NONE
    interval = f"{100 * one.low:.0f}-{100 * one.high:.0f}"
    return f"{100 * one.value:.0f} % {interval:>6}"


def _legend(found: Backtest) -> list[Text]:
    last = found.scores[-1]
    lines = [
        "Right: of the signals that can be decided, those so long an absence followed.",
        "In time: of those absences, those a signal stood for before they were so long.",
        "Lead: how long before, median. Again: the same customer within the horizon.",
    ]
    if last.undecided or last.late:
        lines.append(
            f"Of lost, {last.undecided:,} cannot be decided (the history ends), {last.late:,} came late."
        )
    return [Text(line, style="dim") for line in lines]
