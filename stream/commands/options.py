"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stream.settings import Settings

Broker = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST:PORT", help="Kafka servers, more by commas.", show_default=False),
]
Redis = Annotated[
    str | None,
    typer.Option("--redis", metavar="URL", help="Redis or Valkey, such as redis://127.0.0.1:6379/0."),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", metavar="NAME", help="Whose tables, in a Redis shared by several."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON lines for programs.")]


class Shared:
    """Options of `latido` itself, for every command."""

    config: Path | None = None
    debug: bool = False


def settings(**given: Any) -> Settings:
    """Load the settings with the flags given (None: not given). Raises SettingsProblem.

    LATIDO_ variables that set nothing are named on standard error.
    """
    warn_of_unknown_variables()
    return unchecked_settings(**given)


def unchecked_settings(**given: Any) -> Settings:
    """As `settings`, for a command that itself reports variables that set nothing."""
    from stream.settings import load_settings

    return load_settings(Shared.config, **given)


def warn_of_unknown_variables() -> None:
    """One line each: a typing error must not go unnoticed, but somebody else's variable is no error."""
    from stream.settings.load import close_variable, unknown_variables
    from stream.telemetry import escape

    for name in unknown_variables():
        meant = close_variable(name)
        hint = f", did you mean {meant}?" if meant else "; see 'latido config'"
        print(f"latido: warning: {escape(name)} is no setting{hint}", file=sys.stderr)


def moment(text: str, option: str, others: str = "") -> datetime:
    """A time; without a zone where the text names no offset. others: what the option takes besides."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; give one such as {others}2026-11-22 or 2026-11-22T10:00+01:00",
            param_hint=option,
        ) from None


def quiet_logs() -> None:
    """For commands that answer once: client libraries stay silent, the command says itself what failed."""
    from stream import telemetry

    telemetry.configure("debug" if Shared.debug else "error", "text")
    if not Shared.debug:
        telemetry.silence_libraries()


def service_logs(chosen: Settings) -> None:
    """For commands that keep running."""
    from stream import telemetry

    telemetry.configure("debug" if Shared.debug else chosen.log_level, chosen.log_format)
