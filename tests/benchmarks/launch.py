"""`python -m tests.benchmarks.launch FILE worker`: the console script, with its commits timed and its garbage
collector set. Everything else is as `latido worker` runs it.

Two clock reads per commit are all that is added. FILE gets one line per commit when the process ends by
itself: when it was sent (s, monotonic), how long the answer took (s).

Reads BENCH_GC: empty, `off`, or thresholds `700,10,10`, optionally followed by `+freeze`: once a second,
everything that lives is taken out of the collector's sight.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from array import array
from pathlib import Path

from stream import cli
from stream.pipeline.ports import Commit, CommitAnswer
from stream.tables.redis import RedisTables

_FREEZE_EVERY_S = 1.0


def time_commits(starts: array[float], durations: array[float]) -> None:
    """From now on every commit is timed."""
    commit = RedisTables.commit

    async def timed(tables: RedisTables, one: Commit) -> CommitAnswer:
        started = time.perf_counter()
        answer = await commit(tables, one)
        durations.append(time.perf_counter() - started)
        starts.append(started)
        return answer

    RedisTables.commit = timed  # type: ignore[method-assign,assignment]


def set_collector(how: str) -> None:
    """Apply BENCH_GC."""
    thresholds, _, freeze = how.partition("+")
    if thresholds == "off":
        gc.disable()
    elif thresholds:
        gc.set_threshold(*(int(number) for number in thresholds.split(",")))
    if freeze:
        threading.Thread(target=_keep_freezing, daemon=True).start()


def _keep_freezing() -> None:
    while True:
        time.sleep(_FREEZE_EVERY_S)
        gc.freeze()


def main() -> int:
    starts, durations = array("d"), array("d")
    time_commits(starts, durations)
    set_collector(os.environ.get("BENCH_GC", ""))
    code = cli.run(sys.argv[2:])
    lines = (f"{started:.6f} {took:.6f}\n" for started, took in zip(starts, durations, strict=True))
    Path(sys.argv[1]).write_text("".join(lines), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
