"""What the dashboard is told: values, no settings."""

from __future__ import annotations

import msgspec

from stream.serving.listening import NeedsToken, is_local


class DashboardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Raises NeedsToken on construction when `host` is not this machine and there is no token."""

    host: str = "127.0.0.1"
    port: int = 8090  # 0: a free one
    token: str | None = None
    hosts: tuple[str, ...] = ()  # names it is reached by, besides `host` and those of this machine
    viewers: int = 1000  # open streams
    namespace: str = "default"
    exclude_bots: bool = True  # whether the worker leaves them out, as far as the settings here say

    def __post_init__(self) -> None:
        if self.token is None and not is_local(self.host):
            raise NeedsToken(
                f"listening on {self.host} shows other machines your figures: set LATIDO_DASHBOARD_TOKEN "
                "(make one with: openssl rand -hex 24), or use --host 127.0.0.1"
            )

    def __repr__(self) -> str:  # the token stays out of logs and tracebacks
        return f"DashboardConfig({self.host}:{self.port})"
