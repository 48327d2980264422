"""Runs of the command line as child processes that need not import everything again.

A server process imports the commands once; each run is a fork of it with folder, variables, standard streams
and exit code of its own, as `python -m stream ARGUMENTS` has. What is different: nothing is imported late.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_COMMANDS = (
    "backtest_view", "compare_view", "explaining", "ingesting", "replay_view", "results_view", "scoring",
    "sending", "top", "watching",
)  # fmt: skip
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    ["stream.cli", "stream.replay", *(f"stream.commands.{name}" for name in _COMMANDS)]
)


def run(
    arguments: Sequence[str], stdin: bytes, folder: Path, environment: Mapping[str, str], limit_s: float
) -> subprocess.CompletedProcess[bytes]:
    """Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryDirectory(prefix="latido-cli-") as kept:
        files = [Path(kept) / name for name in ("in", "out", "err")]
        files[0].write_bytes(stdin)
        child = _forks.Process(target=_main, args=(list(arguments), folder, dict(environment), files))
        child.start()
        child.join(limit_s)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired(list(arguments), limit_s)
        code = child.exitcode
        child.close()
        return subprocess.CompletedProcess(
            list(arguments), code, files[1].read_bytes(), files[2].read_bytes()
        )


def _main(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], files: Sequence[Path]
) -> None:
    """In the child."""
    from stream.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0)), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w")), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    sys.argv = ["latido", *arguments]
    main()
