"""How we talk to Redis or Valkey: one client per process, one try per call, errors in one line.

redis-py's own retries are off. It would send a command again without telling us, while the protocol needs
to know: only the caller may repeat, and only with the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    InvalidResponse,
    NoScriptError,
    RedisError,
    ResponseError,
)

from stream.pipeline.ports import StoreMisconfigured, StoreUnreachable
from stream.tables import resp

Command: TypeAlias = Sequence[str | bytes | int]

# Every answer of ours takes milliseconds; a store that is silent this long is as good as gone, and a try that
# may have reached it is repeated safely.
TIMEOUT_S = 5.0
# redis-py refuses above its limit instead of waiting, and a worker holds one connection per partition.
MAX_CONNECTIONS = 2000
# Reasons that pass by themselves (as the first word of an error, or inside the text of a failed script).
PASSING = frozenset(
    ["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN"]
)
# redis-py cuts the code off the text of an error that has a class of its own.
_CODES: dict[type[Exception], str] = {
    exceptions.BusyLoadingError: "LOADING",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.ClusterCrossSlotError: "CROSSSLOT",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.MovedError: "MOVED",
    exceptions.AskError: "ASK",
}
_CODE = re.compile(r"\b[A-Z]{3,}\b")
_LONGEST_REASON = 300


def connect(url: str, *, timeout_s: float = TIMEOUT_S) -> Redis:
    """A client for `redis://`, `rediss://` (TLS) or `unix://`. Connects at the first command.

    TLS checks the certificate and the host name; `?ssl_ca_certs=FILE` and redis-py's other `ssl_` options
    in the URL work. Raises StoreMisconfigured when the URL is not valid; no error text holds credentials.
    """
    options: dict[str, Any] = {
        "protocol": 2,  # all that Redis 6.2 and every proxy speak, and nothing here needs more
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
        "max_connections": MAX_CONNECTIONS,
        "client_name": "latido",
    }
    try:
        if urlsplit(url).scheme == "unix":
            del options["socket_keepalive"]
        return Redis.from_url(url, **options)
    except (ValueError, TypeError):
        # `from None`: the parser's text quotes parts of the URL, and a password with '/' or '@' ends up in
        # them.
        raise StoreMisconfigured(
            "the Redis URL is not valid, expected redis://[user:password@]host:port/db "
            "(rediss:// for TLS); percent-encode '@', ':' and '/' in the password"
        ) from None


def hide_credentials(url: str) -> str:
    """The URL without password and options, for logs and `config`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(not a valid URL)"
    user = f"{parts.username or ''}:***@" if parts.password else ""
    return f"{parts.scheme}://{user}{host}{port}{parts.path}"


def address(redis: Redis) -> str:
    """Where the client connects to, for error texts: host:port or the socket's path."""
    options = redis.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


def explain(error: Exception, where: str) -> StoreUnreachable | StoreMisconfigured:
    """The port's exception for one of redis-py's, with a reason in one line."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), None)
    text = " ".join(str(error).split()) or type(error).__name__
    reason = f"store at {where}: {code + ' ' if code and not text.startswith(code) else ''}{text}"
    reason = reason[:_LONGEST_REASON]
    return StoreUnreachable(reason) if _passes(error, code) else StoreMisconfigured(reason)


def _passes(error: Exception, code: str | None) -> bool:
    if isinstance(error, AuthenticationError | AuthorizationError | InvalidResponse):
        return False
    if isinstance(error, ResponseError):
        # Redis 6.2 wraps the error of a command in a script: "ERR Error running script (...) -OOM ...".
        words = [code] if code else _CODE.findall(str(error))
        return not PASSING.isdisjoint(words) and "WRONGTYPE" not in words
    refused_certificate = getattr(error.__cause__ or error.__context__, "verify_code", None) is not None
    return not refused_certificate


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raises StoreUnreachable or StoreMisconfigured for what redis-py and the network raise inside."""
    try:
        yield
    except (RedisError, OSError, EOFError) as error:
        raise explain(error, where) from error


async def ask(redis: Redis, command: Command) -> Any:
    """One command on any connection of the client. Raises redis-py's errors."""
    execute: Callable[..., Awaitable[Any]] = redis.execute_command
    return await execute(*command)


async def take_connection(redis: Redis) -> AbstractConnection:
    """A connected connection for the caller alone, until `drop_connection`."""
    take: Callable[[], Awaitable[AbstractConnection]] = redis.connection_pool.get_connection
    return await take()


async def drop_connection(redis: Redis, connection: AbstractConnection) -> None:
    """Close it and give the place in the pool back."""
    await connection.disconnect(nowait=True)
    await redis.connection_pool.release(connection)


@asynccontextmanager
async def borrowed(redis: Redis) -> AsyncIterator[AbstractConnection]:
    """A connection for the caller alone; closed when anything goes wrong, since a reply may be left over."""
    connection = await take_connection(redis)
    try:
        yield connection
    except BaseException:
        await drop_connection(redis, connection)
        raise
    await redis.connection_pool.release(connection)


async def send(connection: AbstractConnection, *commands: bytes) -> None:
    """Send commands of `resp`, without waiting for replies."""
    await connection.send_packed_command(commands, check_health=False)


async def converse(connection: AbstractConnection, commands: Sequence[bytes]) -> list[Any]:
    """Send all commands in one flight and read all replies. An error reply is returned in its place.

    Anything else that goes wrong is raised with the connection closed, so that no reply is left over in it.
    """
    await send(connection, *commands)
    return [await read_reply(connection) for _ in commands]


async def read_reply(connection: AbstractConnection) -> Any:
    """The next reply; an error reply is returned, not raised."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def checked(reply: Any) -> Any:
    """The reply itself. Raises it when it is an error."""
    if isinstance(reply, Exception):
        raise reply
    return reply


class Script:
    """A script of `lua/`, sent once per server and then called by its digest."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._source = files("stream.tables").joinpath("lua", name).read_text(encoding="utf-8")
        self._digest: str | None = None

    async def __call__(self, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        digest = self._digest or await self._load()
        call = ("EVALSHA", digest, len(keys), *keys, *arguments)
        try:
            return await ask(self._redis, call)
        except NoScriptError:  # the server was restarted, replaced, or its scripts flushed; nothing ran
            await self._load()
            return await ask(self._redis, call)

    async def many(self, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]) -> list[Any]:
        """Several calls, of keys and arguments, in one round trip."""
        for _ in range(2):
            digest = self._digest or await self._load()
            flight = [
                resp.command("EVALSHA", digest, len(keys), *keys, *arguments) for keys, arguments in calls
            ]
            async with borrowed(self._redis) as connection:
                replies = await converse(connection, flight)
            if not any(isinstance(reply, NoScriptError) for reply in replies):
                break
            self._digest = None  # as above; a script that only reads may run twice
        return [checked(reply) for reply in replies]

    async def _load(self) -> str:
        """The line `#!lua` makes Redis 7 refuse early when out of memory; Redis 6.2 does not know it."""
        try:
            loaded = await self._redis.script_load(self._source)
        except ResponseError as error:
            if "compiling script" not in str(error):
                raise
            loaded = await self._redis.script_load(self._source.replace("#!lua", "--", 1))
        self._digest = loaded if isinstance(loaded, str) else bytes(loaded).decode()
        return self._digest
