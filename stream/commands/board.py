"""Commands that show what is counted: kpi, watch, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stream.commands import options

if TYPE_CHECKING:
    from stream.commands.watching import Choice

Site = Annotated[str | None, typer.Option("--site", metavar="ID", help="Only this site.")]
Windows = Annotated[
    list[str] | None,
    typer.Option("--window", metavar="NAME", help="Such as 5m, 1h or all; repeat it for more."),
]
Segment = Annotated[
    str,
    typer.Option("--segment", metavar="NAME", help="all, or such as element=cta-top; * is every one (JSON)."),
]


def kpi(
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    site: Site = None,
    window: Windows = None,
    segment: Segment = "all",
    as_json: options.AsJson = False,
) -> None:
    """Print the current KPIs.

    Each with its sample size n, its 95 % interval, and how complete the input is.

    \b
    Example:
      latido kpi --window 5m
      latido kpi --json --segment element=cta-top | jq .kpis.ctr
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.watching import print_once

    raise typer.Exit(
        asyncio.run(print_once(chosen, _choice(site, window, segment, as_json), as_json=as_json))
    )


def top(
    dimension: Annotated[
        str,
        typer.Argument(metavar="DIMENSION", help="Such as landing_page, channel, element or channel+device."),
    ],
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    site: Annotated[str | None, typer.Option("--site", metavar="ID", help="Else the first one.")] = None,
    window: Annotated[str, typer.Option("--window", metavar="NAME", help="Such as 1h, 24h or all.")] = "24h",
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", min=1, help="How many values.")] = 10,
    as_json: options.AsJson = False,
) -> None:
    """Print the largest values of a dimension, with counts and rates.

    By sessions; by impressions and clicks where there are none; then by answers, then by name.

    \b
    Example:
      latido top landing_page -n 10
      latido top channel+device --json | jq -c '[.segment.value, .kpis.session_conversion_rate.value]'
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.top import Wanted, print_top

    wanted = Wanted(dimension, window, site, count)
    raise typer.Exit(asyncio.run(print_top(chosen, wanted, as_json=as_json)))


def watch(
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    site: Site = None,
    window: Windows = None,
    segment: Segment = "all",
    once: Annotated[bool, typer.Option("--once", help="Print one screen and end.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Watch the KPIs move, in the terminal.

    Keys: q ends, s shows the next site. With --json each changed record is printed as one line.

    \b
    Example:
      latido watch
      latido watch --window 1m --window 1h --site shop-es
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio
    import sys

    from stream.commands import watching

    choice = _choice(site, window, segment, as_json)
    if once or not (as_json or sys.stdout.isatty()):
        raise typer.Exit(asyncio.run(watching.print_once(chosen, choice, as_json=as_json)))
    if as_json:
        asyncio.run(watching.print_changes(chosen, choice))
    raise typer.Exit(asyncio.run(watching.watch(chosen, choice)))


def scores(
    person: Annotated[
        str,
        typer.Argument(metavar="CUSTOMER", help="Customer id; of answers without, respondent or visitor."),
    ],
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    site: Site = None,
    as_json: options.AsJson = False,
) -> None:
    """Show a customer's NPS and CSAT answers, the oldest first.

    \b
    Example:
      latido scores c-1001
      latido scores c-1001 --json | jq .score
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.scoring import print_scores

    raise typer.Exit(asyncio.run(print_scores(chosen, person, site, as_json=as_json)))


def _choice(site: str | None, window: list[str] | None, segment: str, as_json: bool) -> Choice:
    from stream.commands.failures import WrongUse
    from stream.commands.watching import Choice

    if segment == "*" and not as_json:
        raise WrongUse("--segment '*' needs --json; on the screen choose one, such as element=cta-top")
    return Choice(site, tuple(window or ()), segment)
