"""`python -m tests.faults.shifted_worker FILE worker`: its wall clock is off by what FILE says, in ms."""

from __future__ import annotations

import sys
from pathlib import Path

from stream import cli
from stream.kafka import worker_app


def shift_clock(file: Path) -> None:
    """From now on. The file may change at any moment."""
    true_ms = worker_app.wall_ms

    def wall_ms() -> int:
        return true_ms() + int(file.read_text(encoding="ascii") or 0)

    worker_app.wall_ms = wall_ms


if __name__ == "__main__":
    shift_clock(Path(sys.argv[1]))
    sys.exit(cli.run(sys.argv[2:]))
