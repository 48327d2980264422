"""`latido replay`: recorded events through the pipeline, without broker and Redis."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from zoneinfo import ZoneInfo

import msgspec
import typer

from stream.commands import options
from stream.commands.board import Windows

if TYPE_CHECKING:
    from stream.replay import What as Asked


class What(enum.StrEnum):
    SESSIONS = "sessions"
    SNAPSHOT = "snapshot"
    RESULTS = "results"
    KPI = "kpi"
    SCORES = "scores"
    ACCOUNTING = "accounting"
    DEAD_LETTERS = "dead-letters"


class Answers(enum.StrEnum):
    LATEST = "latest"
    EVERY = "every"


class ProfileName(enum.StrEnum):
    LATIDO = "latido"
    GA4 = "ga4"
    MATOMO = "matomo"
    POSTHOG = "posthog"
    SNOWPLOW = "snowplow"
    PLAUSIBLE = "plausible"


def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name; wrong use when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, no name at all, a folder of the database
        raise typer.BadParameter(
            f"{name!r} is no time zone; give one such as Europe/Madrid", param_hint="--timezone"
        ) from None


Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="JSON lines, gzip too; - is standard input.", show_default=False),
]
Grace = Annotated[str | None, typer.Option(metavar="TIME", help="How much later an event may arrive.")]
Goals = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TOML file with [[goals]] and [[funnels]]: docs/guide.md.")
]
Zone = Annotated[
    str,
    typer.Option(
        "--timezone", metavar="ZONE", help="Whose midnight: of results, and of profiles that cut there."
    ),
]


def _check_together(what: What, profile: ProfileName, *, picks: bool, own_gap: bool) -> None:
    """Wrong use when options contradict each other."""
    if picks and what not in (What.KPI, What.SNAPSHOT):
        raise typer.BadParameter(
            f"is of --print kpi and snapshot, not of {what}", param_hint="--window, --segment"
        )
    if own_gap and profile is not ProfileName.LATIDO:
        raise typer.BadParameter(f"the profile {profile} has a gap of its own", param_hint="--gap")


def replay(
    files: Files,
    what: Annotated[
        What, typer.Option("--print", help="What to print, as JSON lines; kpi is a table for people.")
    ] = What.SNAPSHOT,
    window: Windows = None,
    segment: Annotated[
        str | None,
        typer.Option("--segment", metavar="NAME", help="Of kpi and snapshot: all, or such as channel=Email."),
    ] = None,
    gap: Annotated[
        str | None, typer.Option(metavar="TIME", help="Silence that ends a session, such as 30m.")
    ] = None,
    grace: Grace = None,
    survey_tolerance: Annotated[
        str | None, typer.Option(metavar="TIME", help="How late a survey answer may arrive, or unlimited.")
    ] = None,
    answers: Annotated[
        Answers | None,
        typer.Option("--answers", help="Whether a respondent's latest answer counts, or every one."),
    ] = None,
    goals: Goals = None,
    until_final: Annotated[
        bool, typer.Option("--until-final", help="Let time run out at the end: every session ends final.")
    ] = False,
    profile: Annotated[
        ProfileName, typer.Option("--profile", help="Whose rules cut the sessions.")
    ] = ProfileName.LATIDO,
    timezone: Zone = "UTC",
) -> None:
    """Compute from files, without Kafka and Redis.

    Recorded events run through the same pipeline on tables in memory. The file is one arrival order of all
    topics. Times are text: ms, s, m, h, d.

    --profile prints sessions and snapshots as another tool would cut and judge them, from the same
    accepted events (docs/profiles.md). It is for recorded events only: the live worker runs latido.

    --goals takes a file with tables [[goals]] and [[funnels]], as the settings have them; 'latido --config
    FILE replay' takes all settings.

    --print kpi shows what `latido kpi` shows of a worker, --print scores each person's answers in time order.

    \b
    Example:
      latido replay events.jsonl.gz --print kpi --window all --segment channel=Email
      latido replay events.jsonl.gz --print sessions --gap 30m --until-final
      latido replay events.jsonl.gz --print kpi --window all --segment funnel=checkout --goals goals.toml
      latido replay events.jsonl.gz --print results --timezone Europe/Madrid --until-final
      latido replay events.jsonl.gz --print sessions --profile matomo --timezone Europe/Madrid
      cat events.jsonl | latido replay - --print accounting
    """
    from stream.settings import policy, with_goals

    _check_together(what, profile, picks=bool(window or segment), own_gap=gap is not None)
    chosen = policy(
        options.settings(gap=gap, grace=grace, survey_tolerance=survey_tolerance, answers=answers)
    )
    if goals is not None:
        chosen = with_goals(chosen, goals)
    zone = zone_of(timezone)
    chosen = msgspec.structs.replace(chosen, zone=zone.key, zones=())
    options.quiet_logs()
    from stream.commands.replay_view import Wanted, show
    from stream.core.profiles import PROFILES
    from stream.replay import Semantics, replay_lines

    lines = replay_lines(
        files,
        what="snapshot" if what is What.KPI else cast("Asked", what.value),
        policy=chosen,
        until_final=until_final,
        semantics=Semantics(PROFILES[profile.value], zone),
    )
    show(lines, Wanted(tuple(window or ()), segment, as_table=what is What.KPI), sys.stdout)
