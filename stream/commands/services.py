"""Commands that keep running: worker, collector, demo."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.commands import options


def worker(
    broker: options.Broker = None,
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Kafka consumer group.")] = None,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Go on when Kafka deleted events before they were counted; snapshots say 'partial' then.",
        ),
    ] = False,
) -> None:
    """Count events and publish KPIs.

    Agents, live tables in Redis, and the publisher of KPI snapshots. Run as many as there are partitions to
    share; each event is counted once, whatever stops or starts.

    \b
    Example:
      latido worker --broker 127.0.0.1:9092 --redis redis://127.0.0.1:6379/0
    """
    chosen = options.settings(broker=broker, redis=redis, namespace=namespace, group=group)
    options.service_logs(chosen)
    from stream.wiring import run_worker

    raise typer.Exit(run_worker(chosen, accept_loss=accept_loss))


def collector(
    broker: options.Broker = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen; others need a token.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Where to listen; 0 takes a free port.")
    ] = None,
) -> None:
    """Take events over HTTP.

    POST /v1/events takes one event, an array or {"events": [...]}; 202 says that the broker has them.
    Listens on this machine only, unless told otherwise; then LATIDO_COLLECTOR_TOKEN must be set, and
    callers send it as 'Authorization: Bearer TOKEN'.

    Without a broker it starts, waits for one, and answers 503 until then.

    \b
    Example:
      latido collector --port 8080
      curl -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/events -d \\
        '{"type": "page_view", "event_id": "e1", "visitor_id": "v1", "url": "/",
          "occurred_at": "2026-11-22T10:19:58Z"}'
    """
    chosen = options.settings(broker=broker, collector={"host": host, "port": port})
    options.service_logs(chosen)
    from stream.commands.serve import serve_collector

    raise typer.Exit(serve_collector(chosen))


def demo(
    seconds: Annotated[float | None, typer.Option(min=1, metavar="N", help="Stop after that long.")] = None,
    broker: options.Broker = None,
    redis: options.Redis = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the live page where there is a screen.")
    ] = True,
) -> None:
    """Show everything at once, with nothing installed.

    Broker, store, worker, collector, recorded and generated traffic, the live page and the view in the
    terminal. Needs nothing installed but latido[demo]; it ends by comparing every figure with a plain
    recomputation.

    \b
    Example:
      latido demo --seconds 30
    """
    options.warn_of_unknown_variables()
    from stream.demo.run import run_demo

    raise typer.Exit(run_demo(seconds, broker, redis, browser=browser))
