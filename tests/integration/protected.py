"""Apache Kafka behind TLS, SCRAM and ACLs, and redis-server behind TLS and a user with few rights."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from stream.demo.child_process import HOST, free_port
from stream.tables.redis_check import ACL_RULES
from tests.servers import RealKafka, RealRedis

USER: Final = "latido"
PASSWORD: Final = "not-a-secret-of-anybody"
_TOOL_LIMIT_S: Final = 60

# What docs/security.md tells an operator to grant; a test compares both.
KAFKA_RIGHTS: Final = (
    ("topic", "engagement.", ("Read", "Write", "Describe", "DescribeConfigs", "Create")),
    ("group", "latido-", ("Read",)),
    ("transactional-id", "latido-", ("Write", "Describe")),
)


class Certificates:
    """One certificate for `localhost`, signed by itself, in the forms both servers read."""

    def __init__(self, folder: Path) -> None:
        self.key, self.certificate, self.both = (
            folder / name for name in ("key.pem", "certificate.pem", "both.pem")
        )
        request = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        subprocess.run(
            [*request.split(), "-addext", "subjectAltName=DNS:localhost",
             "-keyout", str(self.key), "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        self.both.write_text(self.key.read_text() + self.certificate.read_text(), encoding="ascii")


class ProtectedKafka(RealKafka):
    """`secure_address` asks for TLS, a user and rights; `address` is the open door of the test itself."""

    def __init__(self, certificates: Certificates) -> None:
        secure = free_port()
        self.secure_address = f"localhost:{secure}"
        super().__init__(port=free_port())
        self.format_options = ("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
        protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL"
        open_doors = f"PLAINTEXT://{HOST}:{self.port}"
        self.settings = {
            "listeners": f"{open_doors},GUARDED://localhost:{secure},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"{open_doors},GUARDED://localhost:{secure}",
            "listener.security.protocol.map": protocols,
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.guarded.scram-sha-512.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(certificates.both),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }  # fmt: skip

    def grant(self, kind: str, prefix: str, operations: tuple[str, ...]) -> None:
        """Allow the user these operations on everything whose name begins with `prefix`."""
        wanted = [part for operation in operations for part in ("--operation", operation)]
        command = self._java_command(
            "org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.address, "--add",
            "--allow-principal", f"User:{USER}", *wanted, f"--{kind}", prefix,
            "--resource-pattern-type", "prefixed",
        )  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=_TOOL_LIMIT_S)


def protected_redis(certificates: Certificates) -> tuple[RealRedis, str]:
    """A redis-server, and the URL by which the user gets in.

    Before 7.2 there is no WAITAOF to grant: naming it would keep the server from starting.
    """
    rules = [rule for rule in ACL_RULES if rule != "+waitaof"]
    port = free_port()
    server = RealRedis(
        options=(
            "--tls-port", str(port), "--tls-auth-clients", "no",
            "--tls-cert-file", str(certificates.certificate), "--tls-key-file", str(certificates.key),
            "--tls-ca-cert-file", str(certificates.certificate),
            "--user", USER, "on", f">{PASSWORD}", *rules,
        )
    )  # fmt: skip
    return server, f"rediss://{USER}:{PASSWORD}@localhost:{port}/0?ssl_ca_certs={certificates.certificate}"
