"""`latido rebuild`: count everything again, under a name that readers can tell from the old one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from stream.commands import options

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from stream.settings import Settings


def rebuild(
    broker: options.Broker = None,
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="The new namespace; NAMESPACE-2 by default.")
    ] = None,
) -> None:
    """Start a new namespace from the log, after the store lost what it had confirmed.

    A worker refuses to go on when outputs have left that its store does not know (FLUSHALL, an older
    backup, a lost end of the append-only file): counted again, a session may come out otherwise, and
    readers would hold two versions under one identity. This finds a namespace that nobody has used (or
    clears the marks of the one given with --to, if the store holds nothing of it), and says how to start
    workers on it. They count from the beginning of the logs; what Kafka has deleted since is not in the
    counts.

    Readers see everything once more, its origin (header ce_source) /latido/NEW: of a session keep the
    records of the new origin, whose revisions begin at 1; snapshots need nothing, their sequence goes on.
    Tables of the old namespace are left where they are.

    \b
    Example:
      latido rebuild
      latido worker --namespace default-2
    """
    chosen = options.settings(broker=broker, redis=redis, namespace=namespace)
    options.quiet_logs()
    new, cleared = asyncio.run(_prepare(chosen, to))
    if cleared:
        typer.echo(
            f"forgot that outputs of {new} have left: readers cannot tell its old records from the new"
        )
    typer.echo(f"nothing is counted under namespace {new}; stop the workers of {chosen.namespace} and start:")
    typer.echo(f"  latido worker --namespace {new}")
    typer.echo("(or LATIDO_NAMESPACE; kpi and watch need it too). It counts from the beginning of the logs.")


async def _prepare(settings: Settings, to: str | None) -> tuple[str, bool]:
    """The new namespace, and whether marks of it had to be cleared. Raises Failed when it is in use."""
    from stream.commands.failures import Failed
    from stream.kafka.marks import clear_marks, marked_namespaces
    from stream.tables.redis_client import connect

    kafka = settings.kafka_options()
    client = connect(settings.redis_url)
    try:
        marked, partitions = await marked_namespaces(kafka)
        if to is None:
            return await _first_free(client, settings.namespace, marked, partitions), False
        if await _is_stored(client, to, partitions):
            raise Failed(f"the store holds tables of namespace {to}; name another one with --to")
        if to in marked:
            await clear_marks(kafka, to, partitions)
        return to, to in marked
    finally:
        await client.aclose()


async def _first_free(client: Redis, namespace: str, marked: Collection[str], partitions: int) -> str:
    """NAMESPACE-2, or the first one after it that neither Kafka nor the store knows."""
    found = re.fullmatch(r"(.+)-(\d+)", namespace)
    base, number = (found[1], int(found[2])) if found else (namespace, 1)
    while True:
        number += 1
        name = f"{base}-{number}"
        if name not in marked and not await _is_stored(client, name, partitions):
            return name


async def _is_stored(client: Redis, namespace: str, partitions: int) -> bool:
    """Whether anything was ever counted under this name."""
    from stream.tables.redis_board import RedisBoard

    board = RedisBoard(client, namespace)
    partials = await board.read_partials(range(partitions))
    return await board.read_header() is not None or any(one.head is not None for one in partials)
