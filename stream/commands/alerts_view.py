"""Alerts as they stand, from the store: as JSON lines, or as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.commands.failures import DONE
from stream.commands.receivers import receivers_of
from stream.commands.watching import as_line, opened_board
from stream.pipeline.read_alerts import RESOLVED, StandingAlert, standing_alerts
from stream.settings import Settings
from stream.telemetry import escape

STYLES = {"critical": "red", "warning": "yellow", "info": "cyan"}
LONGEST = 400


async def print_alerts(settings: Settings, *, every: bool, as_json: bool) -> int:
    """Raises StoreUnreachable, StoreMisconfigured."""
    async with opened_board(settings) as board:
        found, off = await standing_alerts(board), await board.read_receivers_off()
    shown = [one for one in found if every or one.standing != RESOLVED]
    if as_json:
        sys.stdout.writelines(as_line(msgspec.json.encode(one)) + "\n" for one in shown)
        return DONE
    if shown:
        Console(highlight=False).print(_table(shown))
    else:
        rules = len(settings.alerts.rules)
        print("nothing fires" + (f": {rules} rules are set here" if rules else ", and no rule is set here"))
    for receiver in receivers_of(settings):
        if (why := off.get(receiver.fingerprint)) is not None:
            reason = escape(why.decode("utf-8", "replace"))
            print(f"{receiver.name} is switched off: {reason}; latido alerts enable {receiver.name}")
    return DONE


def _table(alerts: Sequence[StandingAlert]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("state", "since", "rule", "what"):
        table.add_column(name, no_wrap=name != "what", overflow="fold")
    for one in alerts:
        state = one.standing if one.severity is None else f"{one.standing} {one.severity}"
        style = STYLES.get(one.severity or "", "")
        table.add_row(
            Text(state, style), f"{one.since[:19]}Z", Text(escape(one.rule)), Text(escape(one.text, LONGEST))
        )
    return table
