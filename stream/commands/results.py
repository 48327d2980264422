"""`latido results`: hours and days as they are settled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from stream.commands import options
from stream.commands.board import Site


def results(
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    site: Site = None,
    hour: Annotated[bool, typer.Option("--hour/--day", help="Hours, or days, of the site's zone.")] = True,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="How far back, such as 24h or 30d, or a time such as 2026-11-22."
        ),
    ] = None,
    segment: Annotated[
        str,
        typer.Option("--segment", metavar="NAME", help="all, or channel=Email; * is every one (JSON)."),
    ] = "all",
    as_json: options.AsJson = False,
) -> None:
    """Print settled hours and days: what does not move any more.

    A window is running, then final; what comes after that is a correction with its reason. Without --since
    the last 24 hours or 30 days.

    \b
    Example:
      latido results --day --since 7d
      latido results --hour --since 2026-11-22 --segment channel=Email --json | jq .kpis.nps
    """
    from stream.commands.failures import WrongUse

    if segment == "*" and not as_json:
        raise WrongUse("--segment '*' needs --json; on the screen choose one, such as channel=Email")
    since_ms = _since_ms(since or ("24h" if hour else "30d"))
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.results_view import print_results

    kind = "hour" if hour else "day"
    raise typer.Exit(asyncio.run(print_results(chosen, kind, since_ms, site, segment, as_json=as_json)))


def _since_ms(text: str) -> int:
    """A duration back from now, or a time; one without an offset is UTC."""
    from stream.settings import parse_duration

    try:
        return int(datetime.now(UTC).timestamp() * 1000) - parse_duration(text)
    except ValueError:
        pass
    moment = options.moment(text, "--since", "24h, 30d, ")
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
