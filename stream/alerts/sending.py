"""One attempt to deliver, and what came of it."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import aiohttp

from stream.alerts.addresses import public_socket
from stream.alerts.messages import message_for
from stream.alerts.news import News, Receiver

TIMEOUT_S: Final = 15.0
"""The specification recommends 15 to 30 s; a receiver that thinks longer should answer first."""
GONE: Final = 410
ACCEPTED: Final = range(200, 300)
REDIRECTS: Final = range(300, 400)


class Refused(Exception):
    """It was not taken. `retry_after_s`: not before, says the receiver."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class ReceiverGone(Exception):
    """The receiver says that it wants nothing any more."""


class Sender(Protocol):
    """How one receiver is reached."""

    async def send(self, news: News, now_ms: int) -> None:
        """One attempt. Raises Refused, ReceiverGone."""

    async def close(self) -> None: ...


class HttpSender:
    """Webhooks and Alertmanager. Follows no redirect, keeps no cookie, asks no proxy, reads no answer."""

    def __init__(self, receiver: Receiver, timeout_s: float = TIMEOUT_S) -> None:
        self._receiver = receiver
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                socket_factory=None if receiver.allow_private else public_socket, force_close=True
            ),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, news: News, now_ms: int) -> None:
        message = message_for(self._receiver, news, now_ms)
        try:
            async with self._session.post(
                message.url, data=message.body, headers=message.headers, allow_redirects=False
            ) as answer:
                _judge(answer.status, answer.headers.get("retry-after"), now_ms)
        except TimeoutError:
            raise Refused("no answer in time") from None
        except (aiohttp.ClientConnectorError, aiohttp.ClientSSLError) as error:
            raise Refused(_reason(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Refused(type(error).__name__) from None  # its text may hold the address

    async def close(self) -> None:
        await self._session.close()


def _judge(status: int, retry_after: str | None, now_ms: int) -> None:
    if status in ACCEPTED:
        return
    if status == GONE:
        raise ReceiverGone("it answered 410 Gone")
    what = f"it answered {status}" + (", a redirect, which is not followed" if status in REDIRECTS else "")
    raise Refused(what, _seconds(retry_after, now_ms))


def _seconds(retry_after: str | None, now_ms: int) -> float:
    """Retry-After as seconds from now; 0 where there is none, or nobody can read it."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now_ms / 1000)
    except (ValueError, OverflowError):
        return 0.0


def _reason(error: aiohttp.ClientError) -> str:
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    return str(getattr(cause, "strerror", None) or cause)


class AppriseSender:
    """Whatever Apprise reaches: mail, chat, phones. It makes its own connections."""

    def __init__(self, receiver: Receiver) -> None:
        import apprise  # large, and needed by few

        self._kinds = apprise.NotifyType
        self._format = apprise.NotifyFormat.TEXT
        self._apprise = apprise.Apprise()
        if not self._apprise.add(receiver.url):
            raise ValueError(f"receiver {receiver.name}: Apprise does not know such an address")

    async def send(self, news: News, now_ms: int) -> None:
        kind = self._kinds.SUCCESS if news.type == "alert.resolved" else self._kinds.WARNING
        try:
            async with asyncio.timeout(4 * TIMEOUT_S):
                done = await self._apprise.async_notify(
                    body=news.text, title=news.title, notify_type=kind, body_format=self._format
                )
        except TimeoutError:
            raise Refused("no answer in time") from None
        if not done:
            raise Refused("Apprise could not deliver it")

    async def close(self) -> None:
        """Apprise keeps nothing open."""


def sender_for(receiver: Receiver) -> Sender:
    """Raises ValueError for an address that cannot be used."""
    return AppriseSender(receiver) if receiver.kind == "apprise" else HttpSender(receiver)
