"""`latido scores`: what one person answered, the oldest answer first."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.commands.board_view import LONGEST_NAME
from stream.commands.failures import DONE, Failed
from stream.commands.watching import as_line, nothing_yet, other_namespaces
from stream.pipeline.scores import GivenScore, scores_of
from stream.pipeline.take_snapshot import decode_header
from stream.settings import Settings
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from stream.telemetry import escape


async def print_scores(settings: Settings, person: str, site: str | None, *, as_json: bool) -> int:
    """Raises Failed when nothing is published, or nothing is known of the person."""
    found = await _read(settings, person)
    if found is None:
        raise Failed(nothing_yet(settings, await other_namespaces(settings)))
    found = [one for one in found if site in (None, one.site_id)]
    if not found:
        where = "" if site is None else f" on site {escape(site)}"
        raise Failed(
            f"no answer of {escape(person)}{where} is known; a customer is found by customer_id, "
            "anybody else by respondent_id or visitor_id"
        )
    if as_json:
        for one in found:
            print(as_line(msgspec.json.encode(one)))
    else:
        Console(highlight=False).print(as_table(found))
    return DONE


async def _read(settings: Settings, person: str) -> list[GivenScore] | None:
    """None when nothing was ever published: then nobody knows how many partitions there are."""
    client = connect(settings.redis_url)
    tables = RedisTables(client, settings.namespace)
    try:
        header = await RedisBoard(client, settings.namespace).read_header()
        if header is None:
            return None
        return await scores_of(tables, decode_header(header).completeness.partitions, person)
    finally:
        await tables.close()
        await client.aclose()


def as_table(found: Sequence[GivenScore]) -> Table:
    """One row per answer. Nothing out of an event is read as markup."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, border_style="bright_black")
    for heading in ("answered at", "site", "survey", "kind"):
        table.add_column(heading, no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("of", style="dim", no_wrap=True)
    table.add_column("says", no_wrap=True)
    for one in found:
        site, survey = (Text(escape(name, LONGEST_NAME)) for name in (one.site_id, one.survey_id))
        score = "-" if one.score is None else str(one.score)
        scale = f"{one.scale_min} to {one.scale_max}"
        table.add_row(one.answered_at, site, survey, one.survey_kind, score, scale, one.says)
    return table
