"""Who may look: the right host, no foreign page, the token where there is one."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from stream.dashboard.config import DashboardConfig
from stream.serving.access import has_token, same
from stream.serving.listening import is_local

COOKIE: Final = "latido-dashboard"
PAGE: Final = "/"
AGAIN: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0">'
    '<title>latido</title><p><a href="">Open the page</a>.</p></html>'
)
"""To who follows a link from elsewhere: a browser keeps its cookie to itself then, and brings it when our own
page asks."""
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets a request through or answers it. Everything is read-only, so GET and HEAD are all there is."""

    def __init__(self, app: ASGIApp, config: DashboardConfig) -> None:
        self.app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(Request(scope)) if scope["type"] == "http" else None
        await (answer or self.app)(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        """None: come in."""
        if request.method not in ("GET", "HEAD"):
            return refusal(405, "only GET and HEAD: nothing can be changed here", {"Allow": "GET, HEAD"})
        host = request.headers.get("host", "")
        if not self._is_ours(host):
            return refusal(421, "this host name is not ours; add it to hosts of [dashboard]")
        if _is_foreign(request) and not _is_navigation(request):
            return refusal(403, "pages of other origins may not read this")
        return self._answer_without_token(request)

    def _is_ours(self, host: str) -> bool:
        """Against names that an attacker's name server points at this machine (DNS rebinding)."""
        name = _name_of(host)
        if name is None:
            return False
        config = self._config
        if is_local(name) or name in (config.host.strip("[]").lower(), *config.hosts):
            return True
        return config.host.strip("[]") in ("0.0.0.0", "::") and _is_address(name)

    def _answer_without_token(self, request: Request) -> Response | None:
        token = self._config.token
        if token is None:
            return None
        if request.url.path == PAGE and "token" in request.query_params:
            if not same(request.query_params["token"], token):
                return refusal(401, "this is not the token of LATIDO_DASHBOARD_TOKEN")
            return _entered(request, token)
        if has_token(request, token) or same(request.cookies.get(COOKIE, ""), _cookie_of(token)):
            return None
        if _is_foreign(request):
            return Response(AGAIN, media_type="text/html")
        return refusal(
            401,
            "send the token as 'Authorization: Bearer TOKEN'; in a browser open /?token=TOKEN once",
            {"WWW-Authenticate": "Bearer"},
        )


def refusal(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the form all of them have."""
    return Response(msgspec.json.encode({"error": reason}), status, headers, "application/json")


def _entered(request: Request, token: str) -> Response:
    """The token leaves the address, where a glance or a history would find it."""
    rest = urlencode([one for one in request.query_params.multi_items() if one[0] != "token"])
    answer = RedirectResponse(f"{PAGE}?{rest}" if rest else PAGE, 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, _cookie_of(token), httponly=True, samesite="strict", secure=secure)
    return answer


def _cookie_of(token: str) -> str:
    """What the browser keeps instead of the token: plain characters, and of no use as Authorization."""
    return hashlib.sha256(f"{COOKIE}:{token}".encode()).hexdigest()


def _is_foreign(request: Request) -> bool:
    """Whether a page of another origin makes a browser ask. Browsers say so, others do not matter here."""
    origin = request.headers.get("origin")
    own = origin is None or urlsplit(origin).netloc.lower() == request.headers["host"].lower()
    return not own or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _is_navigation(request: Request) -> bool:
    """A link to the page, which may stand anywhere; what answers is shown, not read."""
    return request.url.path == PAGE and request.headers.get("sec-fetch-mode") == "navigate"


def _name_of(host: str) -> str | None:
    """The name in a Host header, lower case, without port; None when it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
