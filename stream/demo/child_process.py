"""A server as a child process: own folder, own process group, ready before use, gone afterwards.

Standard library only. Everything listens on 127.0.0.1 and writes below its own folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

HOST = "127.0.0.1"

# A port that was free when we asked can be taken before the server binds it.
START_ATTEMPTS = 3
POLL_S = 0.02
PROBE_TIMEOUT_S = 1.0
LOG_TAIL_BYTES = 2_000

# Linux tells a process when its parent dies, but only a process that asked for it. Asking from a small
# launcher that then becomes the server avoids `preexec_fn`, which can deadlock a parent with threads.
# The parent may have died before the question was asked: hence the comparison.
_LAUNCHER = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServerError(RuntimeError):
    """A server did not start or stop as it should; the message ends with the last lines of its log."""


def free_port() -> int:
    """Return a TCP port that is free on 127.0.0.1 at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def exchange(port: int, request: bytes, answer_bytes: int) -> bytes:
    """Send `request` to a local port and return the first `answer_bytes` of the answer.

    The result is shorter when the peer closes early. Raises OSError when nobody listens or answers.
    """
    with socket.create_connection((HOST, port), timeout=PROBE_TIMEOUT_S) as connection:
        connection.sendall(request)
        answer = b""
        while len(answer) < answer_bytes:
            chunk = connection.recv(answer_bytes - len(answer))
            if not chunk:
                break
            answer += chunk
        return answer


class ChildServer(ABC):
    """One server process on a port of 127.0.0.1.

    `folder` holds its data and log; without one a temporary folder is made, and removed by `close`.
    `with` and `async with` start the server and close it. Data survive `stop`, `kill` and `restart`.
    On Linux the kernel kills the server when the *thread* that started it ends: start it from a thread
    that lives as long as the server is needed.
    """

    name: ClassVar[str]
    start_limit_s: ClassVar[float] = 30.0
    stop_limit_s: ClassVar[float] = 10.0

    def __init__(self, folder: Path | None = None, port: int | None = None) -> None:
        self._owns_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix=f"latido-{self.name.split()[0].lower()}-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._port_is_fixed = port is not None
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> list[str]:
        """The program by absolute path, and its arguments."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server answers a request of its own protocol. May raise OSError."""

    def _prepare(self) -> None:  # noqa: B027 - most servers need nothing here
        """Write configuration files; called before every start, when the port is known."""

    def _environment(self) -> dict[str, str]:
        """The environment variables the server gets."""
        return dict(os.environ)

    @property
    def address(self) -> str:
        """The server's `host:port`."""
        return f"{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id. Raises ServerError when the server is not running."""
        if self._process is None or not self.running:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    @property
    def log_path(self) -> Path:
        """Where the server's output goes."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start and wait until the server answers. Raises ServerError after `start_limit_s`."""
        for _ in self._starting():
            time.sleep(POLL_S)

    async def start_async(self) -> None:
        """As `start`, without blocking the event loop while waiting."""
        for _ in self._starting():
            await asyncio.sleep(POLL_S)

    def stop(self) -> None:
        """Ask the server to end (SIGTERM); end it at once when it takes longer than `stop_limit_s`."""
        self._signal_group(signal.SIGTERM)
        if not self._reap(self.stop_limit_s):
            self.kill()

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would."""
        self._signal_group(signal.SIGKILL)
        if not self._reap(self.stop_limit_s):
            raise ServerError(f"{self.name} survived SIGKILL for {self.stop_limit_s:g} s")

    def restart(self) -> None:
        """Stop if running, then start again on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove the folder if it was made here."""
        self.stop()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _starting(self) -> Iterator[None]:
        """Launch, then yield after every look that found the server not ready yet."""
        if self.running:
            raise ServerError(f"{self.name} is running already")
        for _ in range(START_ATTEMPTS):
            process = self._launch()
            deadline = time.monotonic() + self.start_limit_s
            while process.poll() is None:
                if self._is_ready():
                    self._port_is_fixed = True
                    return
                if time.monotonic() > deadline:
                    self.kill()
                    raise ServerError(self._report(f"did not answer within {self.start_limit_s:g} s"))
                yield
            if self._port_is_fixed:
                break
            self.port = free_port()
        raise ServerError(self._report(f"ended while starting, exit code {process.returncode}"))

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the process, without waiting for it."""
        self._prepare()
        command = self._command()
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for us: we stop the server, and last
            )
        return self._process

    def _is_ready(self) -> bool:
        try:
            return self._answers()
        except OSError:
            return False

    def _signal_group(self, number: signal.Signals) -> None:
        """Signal the server and whatever it forked; a server that has ended is left alone."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _reap(self, limit_s: float) -> bool:
        """Wait for the end of the process and forget it; False if it still runs after `limit_s`."""
        if self._process is None:
            return True
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        self._process = None
        return True

    def _report(self, what: str) -> str:
        tail = self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return f"{self.name} {what}; its log ends:\n{tail}" if tail else f"{self.name} {what}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await self.start_async()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)
