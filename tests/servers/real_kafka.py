"""Apache Kafka in KRaft mode as one process: broker and controller, data in its own folder.

The jars come from `scripts/real`, which puts them below `kafka_folder()`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from stream.demo.child_process import HOST, ChildServer, ServerError, free_port
from stream.demo.servers import brokers_in_metadata

KAFKA_VERSION = "4.3.1"  # scripts/real and pom.xml name it too; a test compares the three

_CLUSTER_ID = "latido-test-cluster-01"  # 22 characters of URL-safe base64, as Kafka wants it
_FORMAT_LIMIT_S = 60


def kafka_folder() -> Path:
    """Where scripts/real keeps the jars: below LATIDO_CACHE, else below ~/.cache/latido."""
    cache = os.environ.get("LATIDO_CACHE")
    return Path(cache or Path.home() / ".cache" / "latido") / f"kafka-{KAFKA_VERSION}"


class RealKafka(ChildServer):
    """A single Kafka node. `address` is the bootstrap server; `settings` override server.properties.

    Raises ServerError when Java or the jars are missing.
    """

    name: ClassVar[str] = "kafka"
    start_limit_s: ClassVar[float] = 90.0
    stop_limit_s: ClassVar[float] = 30.0

    def __init__(
        self, folder: Path | None = None, port: int | None = None, settings: dict[str, str] | None = None
    ) -> None:
        java = shutil.which("java")
        if java is None or not kafka_folder().is_dir():
            missing = "Java" if java is None else f"Apache Kafka in {kafka_folder()}"
            raise ServerError(f"{missing} is missing: run scripts/real")
        super().__init__(folder, port)
        self._java = java
        self.settings = settings or {}
        self.format_options: tuple[str, ...] = ()  # further options of `kafka-storage format`
        self.controller_port = free_port()

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _java_command(self, main: str, *arguments: str) -> list[str]:
        return [
            # Two cores: few threads of its own, and no compiling for a life of hours. It lives for a minute.
            *(self._java, "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            *("-cp", f"{kafka_folder() / 'libs'}/*", main, *arguments),
        ]

    def _command(self) -> list[str]:
        return self._java_command("kafka.Kafka", str(self._properties))

    def _answers(self) -> bool:
        return brokers_in_metadata(self.port) > 0

    def _prepare(self) -> None:
        """Write the settings (the port may have changed), and format the data folder once."""
        if not self._port_is_fixed:
            self.controller_port = free_port()
        lines = [f"{key}={value}" for key, value in {**self._defaults(), **self.settings}.items()]
        self._properties.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not (self.folder / "data" / "meta.properties").exists():
            self._format()

    def _defaults(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # After kill -9 the controller lets the broker in again when its old session has ended (9 s).
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
        }

    def _format(self) -> None:
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        command = self._java_command(
            "kafka.tools.StorageTool",
            "format",
            "-t",
            _CLUSTER_ID,
            "-c",
            str(self._properties),
            *self.format_options,
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_LIMIT_S, check=False)
        if done.returncode != 0:
            raise ServerError(f"kafka could not format its folder:\n{done.stdout}{done.stderr}")
