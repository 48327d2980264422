"""Commands about latido itself: config, doctor, version."""

from __future__ import annotations

import sys

import typer

from stream import __version__
from stream.commands import options


def version() -> None:
    """Print the version.

    \b
    Example:
      latido version
    """
    typer.echo(f"latido {__version__}")


def config(as_json: options.AsJson = False) -> None:
    """Print the settings in force, secrets hidden.

    Each comes from a flag, a LATIDO_ variable, the settings file, or is the default, in that order.

    \b
    Example:
      latido config > latido.toml
      latido --config staging.toml config --json
    """
    from stream.commands.config_text import as_plain, as_toml
    from stream.settings import find_config

    chosen = options.settings()
    if as_json:
        import json

        typer.echo(json.dumps(as_plain(chosen), indent=2, ensure_ascii=False))
    else:
        typer.echo(as_toml(chosen, find_config(options.Shared.config)), nl=False)


def doctor(
    broker: options.Broker = None,
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    as_json: options.AsJson = False,
) -> None:
    """Check everything and say what to change.

    Python, broker, topics, Redis and settings. Ends with exit code 1 when a worker could not run.

    \b
    Example:
      latido doctor --broker 127.0.0.1:9092 --redis redis://127.0.0.1:6379/0
    """
    chosen = options.unchecked_settings(broker=broker, redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.checks import examine, print_findings

    findings = asyncio.run(examine(chosen, options.Shared.config))
    raise typer.Exit(print_findings(findings, sys.stdout, as_json=as_json))
