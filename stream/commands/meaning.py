"""Commands that say what a KPI means: kpis, explain."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.commands import options


def kpis(
    as_json: options.AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/kpis.md.")] = False,
) -> None:
    """List every KPI: what it means, its formula, where it is published.

    \b
    Example:
      latido kpis
      latido kpis --json | jq -r .id
    """
    from stream.commands import catalogue

    if markdown:
        typer.echo(catalogue.as_markdown(), nl=False)
    elif as_json:
        for line in catalogue.as_json_lines():
            typer.echo(line)
    else:
        catalogue.show()


def explain(
    kpi: Annotated[str, typer.Argument(metavar="KPI", help="Such as ctr; 'latido kpis' lists them.")],
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    site: Annotated[str | None, typer.Option("--site", metavar="ID", help="Else the first one.")] = None,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", metavar="NAME", help="Such as 1h or all; hour or day: a settled one. Else 5m."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="The hour or day that holds it, by the site's clocks. Else the newest.",
        ),
    ] = None,
    segment: Annotated[
        str, typer.Option("--segment", metavar="NAME", help="all, or such as element=cta-top.")
    ] = "all",
    as_json: options.AsJson = False,
) -> None:
    """Explain one number: its formula with the counts put in, its interval, and what is missing.

    Of a rolling window the number as it stands now; of an hour or a day (--window hour, day) the one that is
    published, and whether it may still move.

    \b
    Example:
      latido explain ctr --window 1h --segment element=cta-top
      latido explain nps --window all --json
      latido explain sessions --window day
      latido explain bounce_rate --window hour --at 2026-11-22T10:00 --segment channel=Email
    """
    from stream.commands.failures import WrongUse

    if at is not None and window not in ("hour", "day"):
        raise WrongUse("--at goes with --window hour or --window day: rolling windows end now")
    moment = None if at is None else options.moment(at, "--at")
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.explaining import Question, print_explanation

    question = Question(kpi, site, window or "5m", segment, moment)
    raise typer.Exit(asyncio.run(print_explanation(chosen, question, as_json=as_json)))
