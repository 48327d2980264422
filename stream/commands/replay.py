"""`latido replay`: recorded events through the pipeline, without broker and Redis."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stream.commands import options


class What(enum.StrEnum):
    SESSIONS = "sessions"
    SNAPSHOT = "snapshot"
    ACCOUNTING = "accounting"
    DEAD_LETTERS = "dead-letters"


def replay(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="JSON lines, gzip too; - is standard input.", show_default=False
        ),
    ],
    what: Annotated[What, typer.Option("--print", help="What to print, as JSON lines.")] = What.SNAPSHOT,
    gap: Annotated[
        str | None, typer.Option(metavar="TIME", help="Silence that ends a session, such as 30m.")
    ] = None,
    grace: Annotated[
        str | None, typer.Option(metavar="TIME", help="How much later an event may arrive.")
    ] = None,
    survey_tolerance: Annotated[
        str | None, typer.Option(metavar="TIME", help="How late a survey answer may arrive, or unlimited.")
    ] = None,
    goals: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file with [[goals]] tables.")
    ] = None,
    until_final: Annotated[
        bool, typer.Option("--until-final", help="Let time run out at the end: every session ends final.")
    ] = False,
) -> None:
    """Compute from files, without Kafka and Redis.

    Recorded events run through the same pipeline on tables in memory. The file is one arrival order of all
    topics. Times are text: ms, s, m, h, d.

    \b
    Example:
      latido replay events.jsonl.gz --print sessions --gap 30m --until-final
      cat events.jsonl | latido replay - --print accounting
    """
    from stream.settings import policy, read_goals

    chosen = policy(options.settings(gap=gap, grace=grace, survey_tolerance=survey_tolerance))
    if goals is not None:
        chosen = msgspec.structs.replace(chosen, goals=read_goals(goals))
    options.quiet_logs()
    from stream.replay import replay as run_replay

    raise typer.Exit(
        run_replay(files, what=what.value, policy=chosen, until_final=until_final, out=sys.stdout)
    )
