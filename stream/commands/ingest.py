"""`latido ingest`: files of events, or of a web server's access log, to Kafka."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from stream.commands import options


class Format(enum.StrEnum):
    AUTO = "auto"
    JSON = "json"
    COMMON = "common"
    COMBINED = "combined"


class VisitorIs(enum.StrEnum):
    ADDRESS = "address"
    ADDRESS_AND_AGENT = "address+agent"


def ingest(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Gzip too; - is standard input.", show_default=False),
    ],
    broker: options.Broker = None,
    format_: Annotated[
        Format, typer.Option("--format", help="JSON lines, or an access log; found by looking at it.")
    ] = Format.AUTO,
    visitor: Annotated[
        VisitorIs, typer.Option("--visitor", help="Access log: what counts as one visitor.")
    ] = VisitorIs.ADDRESS_AND_AGENT,
    site: Annotated[str, typer.Option(metavar="ID", help="Access log: the site it is of.")] = "default",
    rate: Annotated[
        str | None, typer.Option(metavar="N/s", help="Send at most this many events per second.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the events, send nothing.")] = False,
) -> None:
    """Send a file of events or an access log.

    JSON lines of events, or an access log in common or combined format. Of an access log, page views are
    sent: GET, status 200 or 304, no asset such as .css or .png. The visitor
    is a digest of the client's address; LATIDO_SALT makes it one that nobody else can compute.

    Running it again counts nothing twice. Lines that cannot be read are counted, and the first ones shown;
    when none could be read, the exit code is 1. Events older than gap and grace may be refused as late.

    \b
    Example:
      latido ingest access.log.gz --rate 500/s
      latido ingest events.jsonl --dry-run | head
    """
    from datetime import UTC, datetime

    from stream.commands.ingesting import Late, Plan, parse_rate, run_ingest
    from stream.settings import policy

    chosen = options.settings(broker=broker)
    plan = Plan(
        files=tuple(files),
        format=format_.value,
        visitor=visitor.value,
        site=site,
        salt=chosen.salt.get_secret_value() if chosen.salt else None,
        rate=parse_rate(rate),
        dry_run=dry_run,
        late=None if dry_run else Late.by(policy(chosen), datetime.now(UTC)),
    )
    options.quiet_logs()
    raise typer.Exit(run_ingest(chosen, plan))
