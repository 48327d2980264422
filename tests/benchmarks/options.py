"""What to measure, and how much of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SCENARIOS: Final = ("backlog", "mixed", "latency", "standstill", "sessions", "publisher")
LEAST_EVENTS: Final = 30_000
"""Below, the whole backlog may be one commit per partition, and there is nothing between first and last."""
_SMOKE: Final = {
    "events": 40_000, "mixed_events": 40_000, "visitors": 4_000, "rounds": 1,
    "rate": 500, "seconds": 4.0, "sessions": 5_000, "publisher_sessions": 2_000,
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """One run."""

    scenarios: tuple[str, ...]
    events: int
    mixed_events: int
    visitors: int
    rounds: int
    rate: int
    seconds: float
    sessions: int
    publisher_sessions: int
    profile: bool
    collectors: bool
    write_docs: bool


def parse(arguments: Sequence[str]) -> Options:
    """Exits with 2 and one line when they make no sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    smoke = given.smoke
    del given.smoke
    if smoke:
        for name, value in _SMOKE.items():
            if getattr(given, name) == parser.get_default(name):
                setattr(given, name, value)
    if given.mixed_events is None:
        given.mixed_events = max(LEAST_EVENTS, given.events // 4)
    if min(given.events, given.mixed_events) < LEAST_EVENTS:
        parser.error(f"--events and --mixed-events: at least {LEAST_EVENTS}")
    given.scenarios = tuple(given.only or SCENARIOS)
    del given.only
    return Options(**vars(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Benchmarks on Apache Kafka and redis-server; the ratios inside one run are what counts.",
        epilog="Example: scripts/bench --events 300000 --only backlog --profile",
    )
    add = parser.add_argument
    add("--only", action="append", choices=SCENARIOS, help="one scenario (again for more); all by default")
    add("--events", type=int, default=2_000_000, metavar="N", help="page views of session-2m (%(default)s)")
    add("--mixed-events", type=int, metavar="N", help="events of mixed (a quarter of --events)")
    add("--visitors", type=int, default=200_000, metavar="N", help="visitors of both (%(default)s)")
    add("--rounds", type=int, default=2, metavar="N", help="times floor and worker take turns (%(default)s)")
    add("--rate", type=int, default=5_000, metavar="N", help="events a second when paced (%(default)s)")
    add("--seconds", type=float, default=20.0, metavar="N", help="how long to pace (%(default)s)")
    add("--sessions", type=int, default=1_000_000, metavar="N", help="open sessions (%(default)s)")
    add("--publisher-sessions", type=int, default=1_000_000, metavar="N",
        help="open sessions behind the publisher, and a hundredth of them (%(default)s)")  # fmt: skip
    add("--profile", action="store_true", help="also say in which functions the worker's time goes")
    add("--collectors", action="store_true", help="also compare settings of Python's garbage collector")
    add("--smoke", action="store_true", help="small sizes: does it run, and below the ceilings")
    add("--write-docs", action="store_true", help="write docs/performance.md from this run")
    return parser
