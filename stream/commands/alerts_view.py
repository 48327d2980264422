"""Alerts as they stand, from the store: as JSON lines, or as a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.keys import split_key
from schemas.times import rfc3339
from stream.commands.alerts_delivery import receivers_of
from stream.commands.failures import DONE, Failed
from stream.commands.watching import as_line, opened_board
from stream.core.alerts import OK, STATES
from stream.pipeline.alerts import Kept, decode_kept
from stream.settings import Settings
from stream.telemetry import escape

STYLES = {"critical": "red", "warning": "yellow", "info": "cyan"}


async def print_alerts(settings: Settings, *, every: bool, as_json: bool) -> int:
    """Raises Failed for what another version wrote, StoreUnreachable."""
    async with opened_board(settings) as board:
        stored, off = await board.read_alerts(), await board.read_receivers_off()
    found = _chosen(stored, every=every)
    if as_json:
        for kept in found.values():
            sys.stdout.write(as_line(msgspec.json.encode(_plain(kept))) + "\n")
        return DONE
    if found:
        Console(highlight=False).print(_table(found))
    else:
        rules = len(settings.alerts.rules)
        print(
            f"nothing fires: {rules} rules are set here"
            if rules
            else "nothing fires, and no rule is set here"
        )
    for receiver in receivers_of(settings):
        if (why := off.get(receiver.fingerprint)) is not None:
            reason = escape(why.decode("utf-8", "replace"))
            print(f"{receiver.name} is switched off: {reason}; latido alerts enable {receiver.name}")
    return DONE


def _chosen(stored: Mapping[str, bytes], *, every: bool) -> dict[str, Kept]:
    """Firing ones first, of these the newest."""
    try:
        kept = {key: decode_kept(data) for key, data in stored.items()}
    except msgspec.MsgspecError as error:
        raise Failed(
            f"alerts in the store are of another version of latido ({error}): use that one"
        ) from None
    wanted = {key: one for key, one in kept.items() if every or one.standing.state != OK}
    return dict(sorted(wanted.items(), key=lambda item: (-item[1].standing.state, -_since(item[1]))))


def _since(kept: Kept) -> int:
    """When it came to be as it is."""
    standing = kept.standing
    if standing.state == OK:
        return standing.resolved_ms or 0
    return standing.fired_ms if STATES[standing.state] == "firing" else standing.since_ms


def _plain(kept: Kept) -> dict[str, Any]:
    """The newest record of the series, and how it stands now: one that waits has none, or an old one."""
    site_id, dimension, value = kept.series
    record = {} if kept.alert is None else msgspec.to_builtins(kept.alert)
    return record | {
        "rule": kept.rule, "site_id": site_id, "segment": {"dimension": dimension, "value": value},
        "standing": _state(kept), "standing_since": rfc3339(_since(kept)),
    }  # fmt: skip


def _state(kept: Kept) -> str:
    return "resolved" if kept.standing.state == OK else STATES[kept.standing.state]


def _table(found: Mapping[str, Kept]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("state", "since", "rule", "what"):
        table.add_column(name, no_wrap=name != "what", overflow="fold")
    for key, kept in found.items():
        table.add_row(*_row(key, kept))
    return table


def _row(key: str, kept: Kept) -> Sequence[Text | str]:
    state, alert = _state(kept), kept.alert
    severity = "" if alert is None else alert.severity
    what = alert.summary if alert is not None and state != "pending" else _place(key)
    style = STYLES.get(severity, "") if state == "firing" else ""
    shown = f"{state} {severity}" if state == "firing" else state
    return Text(shown, style), rfc3339(_since(kept))[:19] + "Z", escape(kept.rule), Text(escape(what, 400))


def _place(key: str) -> str:
    site_id, _, segment = split_key(key)
    return f"site {site_id}, {segment}"
