"""What the collector is told: values, no settings."""

from __future__ import annotations

import msgspec

from stream.serving.listening import NeedsToken, is_local


class CollectorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Raises NeedsToken on construction when `host` is not this machine and there is no token."""

    host: str = "127.0.0.1"
    port: int = 8080  # 0: a free one
    token: str | None = None
    cors_origins: tuple[str, ...] = ()
    in_flight: int = 64
    acknowledge_within_s: float = 10.0

    def __post_init__(self) -> None:
        if self.token is None and not is_local(self.host):
            raise NeedsToken(
                f"listening on {self.host} lets other machines send events: set LATIDO_COLLECTOR_TOKEN "
                "(make one with: openssl rand -hex 24), or use --host 127.0.0.1"
            )

    def __repr__(self) -> str:  # the token stays out of logs and tracebacks
        return f"CollectorConfig({self.host}:{self.port})"
