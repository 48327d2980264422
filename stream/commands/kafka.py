"""Commands about topics: `topics create`, `topics check`, `dead-letters list`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stream.commands import options

if TYPE_CHECKING:
    from stream.settings import Settings

topics = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Create or check the Kafka topics.

\b
Example:
  latido topics create
  latido topics check
""",
)
dead_letters = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Look at records that were refused.

\b
Example:
  latido dead-letters list --limit 20
""",
)


@topics.command("create")
def create(
    broker: options.Broker = None,
    partitions: Annotated[
        int | None, typer.Option(metavar="N", help="Partitions of each input topic; 4 by default.")
    ] = None,
    replication: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Copies of each; 3 by default, fewer with fewer brokers."),
    ] = None,
) -> None:
    """Create the topics that are missing; what exists is left as it is.

    Exit code 1 when --partitions is given and a topic exists with another number.

    \b
    Example:
      latido topics create --broker 127.0.0.1:9092 --partitions 8
    """
    chosen = options.settings(broker=broker, partitions=partitions)
    options.quiet_logs()
    import asyncio

    from stream.kafka.topics import create_topics

    created, existing = asyncio.run(create_topics(chosen.kafka_options(), chosen.partitions, replication))
    for name in created:
        typer.echo(f"created {name}")
    others = {} if partitions is None else asyncio.run(_with_other_counts(chosen, existing))
    for name in existing:
        count = others.get(name)
        left = "" if count is None else f" ({count} partitions, not {partitions}: left as it is)"
        typer.echo(f"exists  {name}{left}")
    raise typer.Exit(int(bool(others)))


async def _with_other_counts(chosen: Settings, existing: list[str]) -> dict[str, int]:
    """Partitions of the topics that exist and would have been created with another number."""
    if not existing:
        return {}
    from schemas.topics import topic_specs
    from stream.kafka.topics import describe_topics

    found = await describe_topics(chosen.kafka_options())
    wanted = {spec.name: spec.partitions for spec in topic_specs(chosen.partitions)}
    return {
        name: found[name].partitions
        for name in existing
        if name in found and found[name].partitions != wanted[name]
    }


@topics.command("check")
def check(broker: options.Broker = None) -> None:
    """Say what is wrong with the topics; exit code 1 if a worker would refuse them.

    \b
    Example:
      latido topics check --broker 127.0.0.1:9092
    """
    chosen = options.settings(broker=broker)
    options.quiet_logs()
    import asyncio

    from stream.kafka.topics import check_topics

    problems = asyncio.run(check_topics(chosen.kafka_options()))
    for problem in problems:
        typer.echo(str(problem))
    if not problems:
        typer.echo("the topics are as they should be")
    raise typer.Exit(int(any(problem.fatal for problem in problems)))


@dead_letters.command("list")
def list_refused(
    broker: options.Broker = None,
    code: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only these, such as late or invalid_event.")
    ] = None,
    topic: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this input topic.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after this many.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """List refused records: where each came from, its code and the reason.

    The records themselves hold personal data; they are printed with --json only.

    \b
    Example:
      latido dead-letters list --code late --limit 20
      latido dead-letters list --json | jq -r .error_code | sort | uniq -c
    """
    chosen = options.settings(broker=broker)
    options.quiet_logs()
    import asyncio

    from stream.commands.refused import Wanted, print_refused

    wanted = Wanted.of(topic, code, limit)
    asyncio.run(print_refused(chosen.kafka_options(), wanted, sys.stdout, as_json=as_json))
