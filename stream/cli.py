"""The console script `latido`: its commands, and what happens when one fails."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from stream import __version__
from stream.commands import (
    about,
    alerts,
    board,
    churn,
    compare,
    dashboard,
    ingest,
    kafka,
    meaning,
    rebuild,
    replay,
    results,
    send,
    services,
)
from stream.commands.failures import DONE, INTERRUPTED, explain
from stream.commands.options import Shared
from stream.commands.order import InOrder

# Typer carries its own click or uses the installed one, by version: this is its error either way.
ClickException: Final[type[Exception]] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="latido",
    cls=InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command()(services.demo)
app.command()(services.worker)
app.command()(services.collector)
app.command()(dashboard.dashboard)
app.add_typer(send.app, name="send")
app.command()(ingest.ingest)
app.command()(board.kpi)
app.command()(board.top)
app.command()(board.watch)
app.command()(results.results)
app.command()(board.scores)
app.command()(meaning.explain)
app.command()(meaning.kpis)
app.command()(replay.replay)
app.command()(compare.compare)
app.command()(churn.customer)
app.command()(churn.backtest)
app.add_typer(churn.app, name="churn")
app.add_typer(alerts.app, name="alerts")
app.command()(rebuild.rebuild)
app.add_typer(kafka.topics, name="topics")
app.add_typer(kafka.dead_letters, name="dead-letters")
app.command()(about.config)
app.command()(about.doctor)
app.command()(about.version)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"latido {__version__}")
        raise typer.Exit


@app.callback()
def latido(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings file (TOML); else LATIDO_CONFIG, else ./latido.toml."),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log more, and show where an error comes from.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Live, exact engagement KPIs: Kafka events in, tables in Redis, KPI snapshots out.

    --config and --debug may stand before or after the command.

    \b
    Example:
      latido demo --seconds 30
      latido COMMAND --help
    """
    Shared.config = config
    Shared.debug = debug


def main() -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code. A failure is one line on standard error."""
    debug = "--debug" in arguments
    try:
        outcome = app(_shared_first(arguments), prog_name="latido", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else DONE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _leave_the_pipe()
        return DONE
    except SystemExit as ended:
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        _leave_the_pipe()  # click makes exit code 1 of it, also where it is asked to leave errors alone
        return DONE
    except ClickException as error:
        return _wrong_use(error)
    except Exception as error:
        if debug:
            traceback.print_exc()
        line, code = explain(error)
        print(f"latido: {line}", file=sys.stderr)
        return code


def _shared_first(arguments: Sequence[str]) -> list[str]:
    """Move --config and --debug to the front, where they belong to `latido` itself."""
    shared: list[str] = []
    rest: list[str] = []
    queue = list(arguments)
    while queue:
        one = queue.pop(0)
        if one == "--":
            rest += [one, *queue]
            break
        if one == "--config" and queue:
            shared += [one, queue.pop(0)]
        elif one == "--debug" or one.startswith("--config="):
            shared.append(one)
        else:
            rest.append(one)
    return shared + rest


def _wrong_use(error: Exception) -> int:
    """Typer's own complaints in one line, with the help that answers them."""
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "latido")
    message = " ".join(str(getattr(error, "format_message", lambda: error)()).split())
    message = message.replace(": Value error, ", ": ", 1)  # of the validator behind typer's choices
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the whole help
        print(getattr(error, "message", message), file=sys.stderr)
    else:
        print(f"latido: {message.rstrip('.')}; see '{path} --help'", file=sys.stderr)
    return int(getattr(error, "exit_code", 2))


def _leave_the_pipe() -> None:
    """The reader went away (`latido kpi | head`): nothing more to say, not even at interpreter exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
