"""`latido compare`: the same recorded events as six tools would count them."""

from __future__ import annotations

import msgspec
import typer

from stream.commands import options
from stream.commands.replay import Files, Goals, Grace, Zone, zone_of


def compare(
    files: Files,
    timezone: Zone = "UTC",
    grace: Grace = None,
    goals: Goals = None,
    as_json: options.AsJson = False,
) -> None:
    """Compare how six tools would count the same events, and say why they differ.

    The events run through the pipeline once; those it accepts are cut into sessions by the rules of
    latido, ga4, matomo, posthog, snowplow and plausible (docs/profiles.md). Every session of the file
    counts, as if all of them were over. The live worker runs latido.

    \b
    Example:
      latido compare events.jsonl.gz --timezone Europe/Madrid
      latido compare events.jsonl.gz --json | jq '{profile, sessions}'
    """
    from stream.settings import policy, with_goals

    zone = zone_of(timezone)
    chosen = policy(options.settings(grace=grace))
    if goals is not None:
        chosen = with_goals(chosen, goals)
    options.quiet_logs()
    from stream.replay import compare_profiles

    compared = compare_profiles(files, policy=chosen, zone=zone)
    if as_json:
        for one in compared.profiles:
            typer.echo(msgspec.json.encode(one).decode())
        return
    from rich.console import Console

    from stream.commands.compare_view import view

    Console().print(view(compared, zone.key, has_goals=bool(chosen.goals)))
