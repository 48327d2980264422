"""When is a commit on disk? The wait that stands between a commit and its outputs.

Redis answers a command before its append-only file is synced (unless `appendfsync always`). WAITAOF waits
for the sync, but only of what *its own* connection wrote, and it blocks that connection for up to a second.
So it runs on a connection of its own, after one small write there: the file is one sequence, and once the
small write is synced, so is every commit of any connection that was answered before it.

One gap is left by that, and closed by looking again afterwards: when the server crashed and came back
*between* the commit and the small write, the commit may be gone and the wait succeeds all the same. So the
commit ids are read behind the wait, on the same connection.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from stream.pipeline.ports import Commit, Owner, StateTorn, StoreUnreachable
from stream.tables import resp
from stream.tables.fence import Held, parse_held
from stream.tables.layout import COMMIT, EPOCH, OWNER, Layout
from stream.tables.redis_client import ask, checked, converse, drop_connection, take_connection

# `appendfsync everysec` syncs each second, and postpones for two more while a rewrite keeps the disk busy.
WAIT_MS = 4000
_MARK_EXPIRES_S = 3600


class Guarantee(enum.StrEnum):
    WAITAOF = "waitaof"
    ALWAYS = "always"
    NONE = "none"


class Durability(msgspec.Struct, frozen=True):
    """What this store can promise for outputs: what is so, and what to do about it ('' when all is well)."""

    guarantee: Guarantee
    what: str
    do: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.do}" if self.do else self.what


_AFTER_A_CRASH = "after it crashes, outputs of its last moments may be sent again with other content"
_WAITAOF = Durability(
    Guarantee.WAITAOF,
    "outputs leave when their commit is on disk (WAITAOF): up to a second later with 'appendfsync everysec'",
)
_ALWAYS = Durability(Guarantee.ALWAYS, "every commit is on disk before it is answered (appendfsync always)")
_NO_FILE = Durability(
    Guarantee.NONE, f"the store has no append-only file: {_AFTER_A_CRASH}", "set 'appendonly yes'"
)
_NO_SYNC = Durability(
    Guarantee.NONE,
    f"the store leaves syncing its file to the system (appendfsync no): {_AFTER_A_CRASH}",
    "set 'appendfsync everysec' or 'always'",
)
_NO_WAIT = Durability(
    Guarantee.NONE,
    f"the store cannot say when a commit is on disk: {_AFTER_A_CRASH}",
    "set 'appendfsync always', or use Valkey or Redis 7.2 (they know WAITAOF)",
)


async def find_durability(redis: Redis, replicas: int = 0) -> Durability:
    """Ask the store. Raises redis-py's errors."""
    persistence: dict[str, Any] = await redis.info("persistence")
    if not int(persistence.get("aof_enabled", 0)):
        return _NO_FILE
    try:
        settings = await redis.config_get("appendfsync")
    except ResponseError:  # CONFIG is refused or renamed by many hosts
        settings = {}
    if settings.get("appendfsync") == "no":  # a WAITAOF would never return
        return _NO_SYNC
    if settings.get("appendfsync") == "always" and not replicas:
        return _ALWAYS
    return _WAITAOF if await _knows_waitaof(redis) else _NO_WAIT


async def _knows_waitaof(redis: Redis) -> bool:
    """Only "unknown command" means no: a busy server or a demoted one must not pass for one without it."""
    try:
        await ask(redis, ("WAITAOF", 0, 0, 1))  # zero copies wanted: answers at once
    except ResponseError as error:
        text = str(error).lower()
        if "unknown command" in text:
            return False
        if "replica" in text:
            raise StoreUnreachable("the store is a replica now, commits are not durable here") from error
        raise
    return True


class _Sent:
    """Commits of one owner that the store may hold, oldest first, and the newest one answered."""

    __slots__ = ("ids", "owner", "stored")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.ids: list[str] = []
        self.stored = ""

    def since(self, commit_id: str) -> list[str]:
        return self.ids[self.ids.index(commit_id) :]


class DurableGate:
    """Waits until every commit answered so far is on disk; callers share one WAITAOF where they can."""

    def __init__(self, redis: Redis, layout: Layout, replicas: int = 0) -> None:
        self._redis = redis
        self._layout = layout
        self._replicas = replicas
        self._durability: Durability | None = None
        self._sent: dict[int, _Sent] = {}
        self._lock = asyncio.Lock()
        self._asked = 0
        self._covered = 0
        self._connection: AbstractConnection | None = None
        timeout_s = redis.connection_pool.connection_kwargs.get("socket_timeout")
        self._wait_ms = min(WAIT_MS, int(timeout_s * 800)) if timeout_s else WAIT_MS

    async def durability(self) -> Durability:
        if self._durability is None:
            self._durability = await find_durability(self._redis, self._replicas)
        return self._durability

    def sending(self, commit: Commit) -> None:
        """Before a try: from now on the store may hold this commit."""
        sent = self._sent.get(commit.partition)
        if sent is None or sent.owner != commit.owner:
            sent = self._sent[commit.partition] = _Sent(commit.owner)
        if not sent.ids or sent.ids[-1] != commit.id:
            sent.ids.append(commit.id)

    def stored(self, commit: Commit) -> None:
        """After the answer. A running wait may still meet an earlier id: cut the list only between waits."""
        sent = self._sent.get(commit.partition)
        if sent is not None and commit.id in sent.ids:
            sent.stored = commit.id
            if not self._lock.locked():
                sent.ids = sent.since(commit.id)

    def forget(self, partition: int) -> None:
        """The partition is claimed anew, or lost: earlier commits concern us no more."""
        self._sent.pop(partition, None)

    async def wait(self) -> None:
        """Raises StoreUnreachable when the sync takes too long, StateTorn when a stored commit is gone."""
        if (await self.durability()).guarantee is not Guarantee.WAITAOF:
            return
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            if self._covered >= ticket:  # a wait that began after this call has covered it
                return
            covers = self._asked
            try:
                await self._write_and_wait()
            except BaseException:
                self._durability = None  # the store may come back with other settings
                raise
            self._covered = covers

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await drop_connection(self._redis, connection)

    async def _write_and_wait(self) -> None:
        expected = [(partition, sent, sent.stored) for partition, sent in self._sent.items() if sent.stored]
        if self._connection is None:
            self._connection = await take_connection(self._redis)
        commands = [
            resp.command("SET", self._layout.durable, 1, "EX", _MARK_EXPIRES_S),
            resp.command("WAITAOF", 1, self._replicas, self._wait_ms),
        ]
        for partition, *_ in expected:
            meta = self._layout.partition(partition).meta
            commands.append(resp.command("HMGET", meta, OWNER, EPOCH, COMMIT))
        _, synced, *found = [checked(reply) for reply in await converse(self._connection, commands)]
        if synced[0] < 1 or synced[1] < self._replicas:
            raise StoreUnreachable(
                f"the store did not sync its append-only file within {self._wait_ms} ms "
                f"(here: {synced[0]} of 1, replicas: {synced[1]} of {self._replicas})"
            )
        for (partition, sent, commit_id), fields in zip(expected, found, strict=True):
            if self._sent.get(partition) is sent:  # else claimed anew during the wait
                self._look_again(partition, sent, commit_id, parse_held(fields))

    def _look_again(self, partition: int, sent: _Sent, commit_id: str, held: Held) -> None:
        since = sent.since(commit_id)
        if held.owner == str(sent.owner) and held.commit in since:
            sent.ids = since
        elif held.epoch > sent.owner.epoch:  # the outputs of a former owner are the fence's matter, not ours
            self.forget(partition)
        else:
            raise StateTorn(f"partition {partition}: the store lost a commit that it had confirmed")
