"""Who may call."""

from __future__ import annotations

import hmac

from starlette.requests import HTTPConnection


def has_token(request: HTTPConnection, token: str) -> bool:
    """Whether the caller sends it as `Authorization: Bearer TOKEN`; takes as long for every wrong one."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and same(given.strip(), token)


def same(given: str, token: str) -> bool:
    """Equal, without telling by the time it takes how much of it is."""
    return hmac.compare_digest(given.encode(), token.encode())
