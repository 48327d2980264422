"""redis-server (or valkey-server) of this machine, with an append-only file in its own folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar, Literal

from stream.demo.child_process import ChildServer, ServerError
from stream.demo.servers import answers_ping, store_options


class RealRedis(ChildServer):
    """One redis-server. `options` are further command line options, such as `--maxmemory 10mb`.

    Raises ServerError when it is not installed.
    """

    name: ClassVar[str] = "redis-server"

    def __init__(
        self,
        folder: Path | None = None,
        port: int | None = None,
        fsync: Literal["always", "everysec", "no"] = "everysec",
        options: tuple[str, ...] = (),
    ) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise ServerError("redis-server is not installed: run scripts/real")
        super().__init__(folder, port)
        self._program = program
        self.fsync = fsync
        self.options = options

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://{self.address}/0"

    def _command(self) -> list[str]:
        return [self._program, *store_options(self.port, self.fsync), *self.options]

    def _answers(self) -> bool:
        return answers_ping(self.port)
