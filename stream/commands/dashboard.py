"""`latido dashboard`: the live page, and the same numbers over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stream.commands import options

if TYPE_CHECKING:
    from stream.settings import Settings


def dashboard(
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen; others need a token.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Where to listen; 0 takes a free port.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Better as LATIDO_DASHBOARD_TOKEN: others see flags in 'ps'."),
    ] = None,
) -> None:
    """Show the KPIs on a live page.

    Prints its address. The same numbers for programs are under /api/v1, which /docs explains. Reads Redis
    only; it needs neither Kafka nor a worker to start, and says what is missing.

    Listens on this machine only, unless told otherwise; then it needs a token. A browser opens
    /?token=TOKEN once, a program sends 'Authorization: Bearer TOKEN'.

    \b
    Example:
      latido dashboard --port 8090
      curl 'http://127.0.0.1:8090/api/v1/kpis?window=5m&kpi=bounce_rate'
    """
    given = {"host": host, "port": port, "token": token}
    chosen = options.settings(redis=redis, namespace=namespace, dashboard=given)
    options.service_logs(chosen)
    import asyncio

    raise typer.Exit(asyncio.run(_serve(chosen)))


async def _serve(settings: Settings) -> int:
    """Serve until stopped. Raises WrongUse, CannotListen, StoreMisconfigured."""
    from stream.commands.failures import WrongUse
    from stream.commands.watching import opened_board
    from stream.dashboard.config import DashboardConfig
    from stream.dashboard.server import serve
    from stream.serving.listening import NeedsToken

    chosen = settings.dashboard
    try:
        config = DashboardConfig(
            host=chosen.host,
            port=chosen.port,
            token=chosen.token.get_secret_value() if chosen.token else None,
            hosts=chosen.hosts,
            viewers=chosen.viewers,
            namespace=settings.namespace,
            exclude_bots=settings.exclude_bots,
        )
    except NeedsToken as error:
        raise WrongUse(str(error)) from None
    async with opened_board(settings) as board:
        return await serve(config, board)
