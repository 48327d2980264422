"""`latido alerts test RULE`: the figures of this moment under a rule, and a message that says so."""

from __future__ import annotations

import difflib
import secrets
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.times import parse_time, to_ms
from stream.alerts.news import TEST, News, Receiver, read_alert
from stream.commands.failures import DONE, FAILED, Failed, WrongUse
from stream.commands.receivers import receivers_of
from stream.commands.watching import nothing_yet, opened_board
from stream.core.alerts import Change, Rule
from stream.core.registry import KPIS
from stream.pipeline.alert_baselines import SettledBaselines
from stream.pipeline.alert_record import Series, Sighting, alert_record, written
from stream.pipeline.alerts import Published, measure, series_of
from stream.pipeline.explain import completeness_text, read_record
from stream.pipeline.ports import Board
from stream.pipeline.take_snapshot import decode_header
from stream.settings import Settings, policy
from stream.settings.alerts import alert_rules
from stream.telemetry import escape

SHOWN = 40


class Judged(NamedTuple):
    """One series and what the rule sees of it."""

    series: Series
    sighting: Sighting


async def judge_now(settings: Settings, name: str, *, send: bool) -> int:
    """Print how it is judged. Raises WrongUse, Failed, StoreUnreachable."""
    rule = _find(settings, name)
    async with opened_board(settings) as board:
        published = await _published(settings, board)
        judged = await _judge(settings, board, rule, published)
    if not judged:
        raise Failed(f"{rule.kpi} is not published for any series of {name} now; see 'latido kpi'")
    _show(rule, judged, published)
    return await _send(settings, rule, judged[0]) if send else DONE


def _find(settings: Settings, name: str) -> Rule:
    rules = {rule.name: rule for rule in alert_rules(settings.alerts).rules}
    if name not in rules:
        near = difflib.get_close_matches(name, rules, 1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(rules) or 'none'}"
        raise WrongUse(f"the settings have no rule {name!r}; {hint}")
    return rules[name]


async def _published(settings: Settings, board: Board) -> Published:
    header, raw = await board.read_header(), await board.read_records()
    if header is None:
        raise Failed(nothing_yet(settings))
    try:
        newest = decode_header(header)
        records = {key: read_record(data) for key, data in raw.items()}
    except msgspec.MsgspecError as error:
        raise Failed(
            f"what is published cannot be read ({error}): use the same version as the worker"
        ) from None
    as_of = newest.as_of or newest.published_at
    return Published(to_ms(parse_time(as_of)), time.time_ns() // 1_000_000, newest.completeness, records)


async def _judge(settings: Settings, board: Board, rule: Rule, published: Published) -> list[Judged]:
    """Those beyond the limit first."""
    baselines = SettledBaselines(board, [rule], policy(settings).zone_of)
    await baselines.refresh({one.site_id for one in published.records.values()}, published.as_of_ms)
    found = [
        Judged(seen.series, measure(seen, published, baselines))
        for seen in series_of([rule], published.records.values())
    ]
    return sorted(found, key=lambda one: (not _fires(rule, one.sighting), one.series.key(rule.name)))


def _fires(rule: Rule, sighting: Sighting) -> bool:
    return sighting.x is not None and rule.passes(sighting.x)


def _show(rule: Rule, judged: Sequence[Judged], published: Published) -> None:
    beyond = [one for one in judged if _fires(rule, one.sighting)]
    print(f"{_asked(rule)}; {len(beyond)} of {len(judged)} series are beyond it")
    if not published.is_whole:
        print(f"Nothing fires or is resolved now. {completeness_text(published.completeness)}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("site", "segment", "value", "95 % interval", "n", "compared", "judgement"):
        right = name in ("value", "n", "compared")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for one in judged[:SHOWN]:
        table.add_row(*_row(rule, one))
    Console(highlight=False).print(table)
    if len(judged) > SHOWN:
        print(f"and {len(judged) - SHOWN} more")


def _asked(rule: Rule) -> str:
    what = {"value": "value", "low": "lower bound", "high": "upper bound"}[rule.measure]
    limit = (
        f"{rule.limit:+g} deviations from the same hour of earlier weeks"
        if rule.deviations else written(KPIS[rule.kpi], rule.limit)
    )  # fmt: skip
    return f"{rule.name}: {what} of {rule.kpi} ({rule.window}) {rule.direction} {limit}"


def _row(rule: Rule, one: Judged) -> list[Text]:
    definition, sighting = KPIS[rule.kpi], one.sighting
    figure = sighting.figure
    interval = "-"
    if figure.low is not None and figure.high is not None:
        interval = f"{written(definition, figure.low)} to {written(definition, figure.high)}"
    compared = "-"
    if sighting.x is not None:
        compared = f"{sighting.x:+.2f}" if rule.deviations else written(definition, sighting.x)
    cells = (
        one.series.site_id, one.series.segment, written(definition, figure.value), interval,
        "-" if figure.n is None else f"{figure.n:,}", compared, _judgement(rule, sighting),
    )  # fmt: skip
    return [Text(escape(cell)) for cell in cells]


def _judgement(rule: Rule, sighting: Sighting) -> str:
    n = sighting.figure.n
    if sighting.x is not None:
        return "beyond the limit" if rule.passes(sighting.x) else "fine"
    if n is not None and n < rule.least_n:
        return f"not judged: n is under {rule.least_n}"
    if rule.deviations and sighting.figure.value is not None:
        return "not judged: too few earlier weeks"
    return "not judged: there is no such number"


async def _send(settings: Settings, rule: Rule, one: Judged) -> int:
    """One attempt for each receiver of the rule. Raises Failed when there is none."""
    now_ms = time.time_ns() // 1_000_000
    change = Change(True, now_ms, now_ms, now_ms, "limit", now_ms)
    record = alert_record(rule, one.series, change, one.sighting, settings.alerts.monitor)
    news = read_alert(msgspec.json.encode(record), now_ms)
    news = news._replace(id=f"msg_test_{secrets.token_hex(12)}", type=TEST)
    wanted = [receiver for receiver in receivers_of(settings) if receiver.wants(news)]
    if not wanted:
        raise Failed(
            f"no receiver hears of {rule.name} at severity {rule.severity}; see [[alerts.receivers]]"
        )
    failures = [reason for receiver in wanted if (reason := await _attempt(receiver, news, now_ms))]
    return FAILED if failures else DONE


async def _attempt(receiver: Receiver, news: News, now_ms: int) -> str | None:
    """Why it was not taken."""
    from stream.alerts.sending import ReceiverGone, Refused, sender_for

    try:
        sender = sender_for(receiver)
    except ValueError as error:
        raise Failed(str(error)) from None
    try:
        await sender.send(news, now_ms)
    except (Refused, ReceiverGone) as error:
        print(f"{receiver.name}: not delivered, {escape(str(error))}")
        return str(error)
    finally:
        await sender.close()
    print(f"{receiver.name}: delivered")
    return None
