"""Where the worker's time goes: py-spy looks at it from outside, many times a second."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

SAMPLES_PER_S = 200
_STOP_LIMIT_S = 30.0
_WAITING = ("EpollSelector.select", "select (")
_FRAMEWORKS = ("site-packages/", "lib/python")


class NoSampler(RuntimeError):
    """py-spy is not there, or may not look."""


class Spent(NamedTuple):
    """One function: samples in which it ran itself, and in which it or anything it called ran."""

    function: str
    itself: int
    total: int


class Sampler:
    """Samples a process until `stop`; threads that wait are left out. Raises NoSampler."""

    def __init__(self, pid: int, stacks: Path) -> None:
        program = Path(sys.executable).with_name("py-spy")
        found = str(program) if program.exists() else shutil.which("py-spy")
        if found is None:
            raise NoSampler("py-spy is missing: pip install 'latido[bench]'")
        self._stacks = stacks
        self._process = subprocess.Popen(
            [found, "record", "--pid", str(pid), "--format", "raw", "--rate", str(SAMPLES_PER_S),
             "--function", "--output", str(stacks)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def stop(self) -> None:
        """Write what was seen. Raises NoSampler when it saw nothing."""
        self._process.send_signal(signal.SIGINT)
        try:
            _, errors = self._process.communicate(timeout=_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise NoSampler("py-spy does not end") from None
        if not self._stacks.exists():
            raise NoSampler(f"py-spy saw nothing: {errors.strip()[-500:]}")


def spent(stacks: str) -> tuple[list[Spent], int]:
    """Every function in collapsed stacks (`a;b;c 12` a line), most time in itself first; and all samples."""
    itself: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples = 0
    for line in stacks.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = [_short(frame) for frame in stack.split(";")]
        if frames[-1].startswith(_WAITING):  # the sampler catches a thread on its way into the wait
            continue
        samples += int(number)
        itself[frames[-1]] += int(number)
        for frame in set(frames):  # a recursive function is there once
            total[frame] += int(number)
    found = [Spent(name, itself[name], total[name]) for name in total]
    return sorted(found, key=lambda one: (-one.itself, -one.total)), samples


def _short(frame: str) -> str:
    """`fold (/long/way/stream/pipeline/fold.py)` -> `fold (stream/pipeline/fold.py)`."""
    name, _, place = frame.partition(" (")
    path = place.rstrip(")")
    for mark in _FRAMEWORKS:
        _, found, rest = path.partition(mark)
        if found:
            return f"{name} ({rest})"
    for mark in ("/stream/", "/schemas/", "/tests/"):
        _, found, rest = path.rpartition(mark)
        if found:
            return f"{name} ({mark[1:]}{rest})"
    return f"{name} ({path})" if path else name
