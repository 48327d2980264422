"""Worker, collector and dashboard of the demo, as child processes with settings of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Final

import stream
from stream.demo.child_process import ChildServer, ServerError, exchange

# Settings of whoever starts the demo must not change what it counts; how to get into a protected Kafka
# is the exception.
_KEPT: Final = "LATIDO_KAFKA_"
_ROOT: Final = Path(stream.__file__).parent.parent


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: ours, with `settings` (names without LATIDO_) as its only ones."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("LATIDO_") or name.upper().startswith(_KEPT)
    }
    # Children run in folders of their own: `stream` must be found without the current one.
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, **{f"LATIDO_{name}": value for name, value in settings.items()}}


class LatidoProcess(ChildServer):
    """`python -m stream COMMAND` in a folder of its own."""

    command: ClassVar[str]

    def __init__(self, folder: Path, settings: Mapping[str, str], port: int | None = None) -> None:
        super().__init__(folder, port)
        self._settings = settings

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "stream", self.command]

    def _environment(self) -> dict[str, str]:
        return environment(self._settings)

    def _answers(self) -> bool:
        return True

    def check(self) -> None:
        """Raises ServerError, with the end of the log, when the process has ended by itself."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise ServerError(self._report(f"ended by itself, exit code {code}"))


class WorkerProcess(LatidoProcess):
    """A worker; whether it counts is seen at what it publishes."""

    name: ClassVar[str] = "worker"
    command: ClassVar[str] = "worker"


class _WebProcess(LatidoProcess):
    """One that listens on `port`, and is ready when its `health` answers."""

    health: ClassVar[str]

    def _environment(self) -> dict[str, str]:
        return environment({**self._settings, f"{self.command.upper()}_PORT": str(self.port)})

    def _answers(self) -> bool:
        request = f"GET {self.health} HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n\r\n"
        return exchange(self.port, request.encode(), answer_bytes=12) == b"HTTP/1.1 200"


class CollectorProcess(_WebProcess):
    """A collector; `url` is where events are posted."""

    name: ClassVar[str] = "collector"
    command: ClassVar[str] = "collector"
    health: ClassVar[str] = "/health"

    @property
    def url(self) -> str:
        return f"http://{self.address}/v1/events"


class DashboardProcess(_WebProcess):
    """A dashboard; `url` is its page."""

    name: ClassVar[str] = "dashboard"
    command: ClassVar[str] = "dashboard"
    health: ClassVar[str] = "/api/v1/health"

    @property
    def url(self) -> str:
        return f"http://{self.address}/"


def check_all(processes: Iterator[LatidoProcess] | list[LatidoProcess]) -> None:
    """Raises ServerError when one of them has ended."""
    for process in processes:
        process.check()
