"""The worker as a process of its own, and what a process costs (Linux: read from /proc)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple, Self

ROOT: Final = Path(__file__).parents[2]
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_STOP_LIMIT_S: Final = 30.0


class WorkerFailed(RuntimeError):
    """The worker ended, or did not do what it should; the message ends with its log."""


class Timed(NamedTuple):
    """One commit: when it was sent (monotonic s), how long the answer took."""

    at_s: float
    took_s: float


class BenchWorker:
    """`latido worker` in a namespace of its own; see launch.py. Its log and commit times are files."""

    def __init__(self, broker: str, redis: str, namespace: str, collector: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="latido-bench-")
        self.log_path = Path(self._folder.name) / "worker.log"
        self._commits_path = Path(self._folder.name) / "commits"
        ours = {name for name in os.environ if name.startswith("LATIDO_")}
        environment = {name: value for name, value in os.environ.items() if name not in ours} | {
            "LATIDO_BROKER": broker, "LATIDO_REDIS": redis, "LATIDO_NAMESPACE": namespace,
            "LATIDO_LOG_FORMAT": "text", "BENCH_GC": collector,
        }  # fmt: skip
        self.started_s = time.monotonic()
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.launch", str(self._commits_path), "worker"],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self, characters: int = 3000) -> str:
        """Its last lines."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")[-characters:]

    def check_runs(self) -> None:
        """Raises WorkerFailed when it does not."""
        if self._process.poll() is not None:
            raise WorkerFailed(f"the worker ended, code {self._process.returncode}; its log:\n{self.log()}")

    def kill(self) -> None:
        """As a crash would."""
        self._process.kill()
        self._process.wait(_STOP_LIMIT_S)

    def stop(self) -> list[Timed]:
        """End it in order; returns its commits. Raises WorkerFailed when it fails or takes too long."""
        self.check_runs()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"the worker does not end:\n{self.log()}") from None
        if code != 0:
            raise WorkerFailed(f"the worker ended with code {code}; its log:\n{self.log()}")
        lines = self._commits_path.read_text(encoding="utf-8").splitlines()
        return [Timed(*(float(number) for number in line.split())) for line in lines]

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, user and system, with its living and its ended children."""
    own = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    ticks = sum(int(number) for number in own[11:15])  # utime, stime, cutime, cstime
    children: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        children |= {int(child) for child in (task / "children").read_text(encoding="ascii").split()}
    return ticks / _TICKS_PER_S + sum(cpu_s(child) for child in children)


def resident_bytes(pid: int) -> int:
    """What a process holds in memory now."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise WorkerFailed(f"process {pid} has no memory")
