"""`latido customer` and `latido churn list`: who is kept, how they stand, and why."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream.commands.board_view import LONGEST_NAME
from stream.commands.failures import DONE, Failed
from stream.commands.watching import as_line, nothing_yet, other_namespaces
from stream.core.churn import STATES
from stream.core.churn_reasons import duration
from stream.pipeline.churn_record import main_reason
from stream.pipeline.ports import CUSTOMERS
from stream.pipeline.read_customers import CustomerRecord, GivenAnswer, Kept
from stream.pipeline.take_snapshot import decode_header
from stream.settings import Settings
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from stream.telemetry import escape

_STYLES = {"healthy": "green", "watch": "yellow", "at_risk": "dark_orange", "lost": "red"}


@asynccontextmanager
async def _kept(settings: Settings) -> AsyncIterator[Kept]:
    """Raises Failed when nobody is kept."""
    client = connect(settings.redis_url)
    tables = RedisTables(client, settings.namespace, stage=CUSTOMERS)
    try:
        header = await RedisBoard(client, settings.namespace).read_header()
        if header is None:
            raise Failed(nothing_yet(settings, await other_namespaces(settings)))
        partitions = decode_header(header).completeness.partitions
        kept = await Kept.read(tables, partitions, settings.churn)
        if not kept.anybody:
            raise Failed(
                f"no customer is kept in namespace {settings.namespace} yet; workers keep those whom events "
                "name by customer_id, with live = true in [churn]"
            )
        if kept.other_rules:
            print("latido: warning: the workers judge by another [churn] than this one", file=sys.stderr)
        yield kept
    finally:
        await tables.close()
        await client.aclose()


async def print_customer(settings: Settings, customer: str, site: str | None, *, as_json: bool) -> int:
    """Raises Failed when nobody has this id."""
    async with _kept(settings) as kept:
        found = await kept.find(customer, site)
    if not found:
        where = "" if site is None else f" on site {escape(site)}"
        raise Failed(
            f"no customer {escape(customer)}{where} is known; visits count once they are a minute old "
            "(order_within), and only those that name a customer_id"
        )
    for one in found:
        if as_json:
            print(as_line(msgspec.json.encode(one)))
        else:
            Console(highlight=False).print(_explained(one))
    return DONE


async def print_list(
    settings: Settings, states: Sequence[str], site: str | None, count: int, *, as_json: bool
) -> int:
    wanted = frozenset(map(STATES.index, states or STATES[1:]))
    async with _kept(settings) as kept:
        total, found = await kept.worst(wanted, site, count)
    if as_json:
        for one in found:
            print(as_line(msgspec.json.encode(one)))
        return DONE
    names = " or ".join(name for index, name in enumerate(STATES) if index in wanted)
    console = Console(highlight=False)
    shown = f", {len(found)} shown (--limit)" if len(found) < total else ""
    console.print(f"{total:,} {'customer is' if total == 1 else 'customers are'} {names}{shown}")
    if found:
        console.print(_listed(found))
    return DONE


def _state(one: CustomerRecord) -> Text:
    return Text(one.state, style=_STYLES[one.state])


def _listed(found: Sequence[CustomerRecord]) -> Table:
    """One row per customer. Nothing out of an event is read as markup."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, border_style="bright_black", expand=True
    )
    for heading in ("customer", "site", "state"):
        table.add_column(heading, no_wrap=True)
    table.add_column("health", justify="right", no_wrap=True)
    table.add_column("last visit", no_wrap=True)
    table.add_column("mostly because", ratio=1)
    for one in found:
        name = Text(escape(one.customer_id, LONGEST_NAME))
        if one.is_high_value:
            name.append(" ★", style="yellow")
        why = Text(main_reason(one.state, one.parts) or "")
        last = "-" if one.last_visit_at is None else _minute(one.last_visit_at)
        site = Text(escape(one.site_id, LONGEST_NAME))
        table.add_row(name, site, _state(one), str(one.health_score), last, why)
    return table


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _explained(one: CustomerRecord) -> RenderableType:
    title = Text.assemble(
        (escape(one.customer_id, LONGEST_NAME), "bold"), f" on {escape(one.site_id, LONGEST_NAME)}: ",
        _state(one), f", health {one.health_score} of 100", ", of high value" if one.is_high_value else "",
        (f"   as of {_minute(one.as_of)} UTC", "dim"),
    )  # fmt: skip
    return Group(title, *map(Text, _facts(one)), Text(), _parts(one), Text(), Text(_ahead(one)))


def _facts(one: CustomerRecord) -> list[str]:
    lines = []
    if one.first_visit_at is not None and one.last_visit_at is not None:
        every = (
            "" if one.typical_gap_ms is None
            else f", usually every {duration(one.typical_gap_ms)} ({one.gaps} gaps)"
        )  # fmt: skip
        lines.append(
            f"{one.visits:,} visits from {_minute(one.first_visit_at)} to {_minute(one.last_visit_at)}{every}"
        )
    goals = "1 goal" if one.conversions == 1 else f"{one.conversions:,} goals"
    plan = "" if one.plan is None else f", plan {escape(one.plan)}"
    lines.append(f"engaged for {duration(one.engaged_ms)}, {goals} reached{plan}")
    given = (("NPS", one.nps), ("CSAT", one.csat))
    return lines + [f"{kind} answers: {_answers(answers)}" for kind, answers in given if answers]


def _answers(given: Sequence[GivenAnswer]) -> str:
    return ", ".join(f"{answer.score} ({answer.answered_at[:10]})" for answer in given)


def _parts(one: CustomerRecord) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, border_style="bright_black")
    table.add_column("rule", no_wrap=True)
    table.add_column("weight", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("reason")
    for part in one.parts:
        style = "" if part.is_tripped else "dim"
        weight = f"{part.weight:g}" if part.weight else "-"
        table.add_row(part.rule, weight, str(part.score), Text(part.reason), style=style)
    return table


def _ahead(one: CustomerRecord) -> str:
    told = "1 signal" if one.signals == 1 else f"{one.signals:,} signals"
    if one.next_crossing is None:
        return f"{told} so far; silence changes nothing more"
    then = f"{one.next_crossing.state} at {_minute(one.next_crossing.at)}"
    return f"{told} so far; without another sign of life {then}"
