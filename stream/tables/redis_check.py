"""What is wrong with this store, and what to do: for the worker's start and for `latido doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from stream.tables.durability import Durability, Guarantee, find_durability
from stream.tables.redis_client import address, ask, translated

OLDEST_VERSION = (6, 2)
# The rights that latido needs, for `ACL SETUSER name on >password ...`; a test runs with exactly these.
ACL_RULES = (
    "~latido:*", "resetchannels", "&latido:*", "+@connection", "+@transaction",
    "+hget", "+hgetall", "+hkeys", "+hmget", "+hscan", "+hset", "+hdel", "+type", "+get", "+set",
    "+evalsha", "+script|load", "+publish", "+subscribe", "+unsubscribe", "+info", "+config|get", "+waitaof",
)  # fmt: skip


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with the store."""

    what: str
    do: str
    fatal: bool

    def __str__(self) -> str:
        return f"{'error' if self.fatal else 'warning'}: {self.what}; {self.do}"


async def check_store(redis: Redis, replicas: int = 0) -> list[Problem]:
    """Everything wrong with the store, fatal first. Raises StoreUnreachable, StoreMisconfigured.

    Works without the right to CONFIG, which many hosts refuse: INFO tells all but `appendfsync`.
    """
    with translated(address(redis)):
        try:
            info: Mapping[str, Any] = await redis.info()
        except ResponseError as error:
            return [
                Problem(
                    f"the store refuses INFO ({error})", "allow it, or check its settings yourself", False
                )
            ]
        info = {**info, **await _cluster(redis, info)}
        durability = await find_durability(redis, replicas)
    found = [_version(info), _role(info), _sharding(info), _eviction(info), _persistence(durability)]
    return sorted((problem for problem in found if problem), key=lambda problem: not problem.fatal)


async def _cluster(redis: Redis, info: Mapping[str, Any]) -> Mapping[str, Any]:
    if not int(info.get("cluster_enabled", 0)):
        return {}
    try:
        return dict(await ask(redis, ("CLUSTER INFO",)))
    except ResponseError:
        return {}


def _version(info: Mapping[str, Any]) -> Problem | None:
    """Valkey keeps a `redis_version` that says which Redis it is compatible with."""
    version = str(info.get("redis_version", "unknown"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers >= OLDEST_VERSION:
        return None
    return Problem(f"the store is version {version}", "use Redis 6.2 or newer, or Valkey", fatal=True)


def _role(info: Mapping[str, Any]) -> Problem | None:
    if info.get("role", "master") == "master":
        return None
    return Problem("the store is a replica, it refuses writes", "connect to its primary", fatal=True)


def _sharding(info: Mapping[str, Any]) -> Problem | None:
    if not int(info.get("cluster_enabled", 0)) or str(info.get("cluster_size")) == "1":
        return None
    return Problem(
        f"the store is a cluster of {info.get('cluster_size', 'unknown size')} shards",
        "use a single primary (with replicas), or a cluster of one shard",
        fatal=True,
    )


def _eviction(info: Mapping[str, Any]) -> Problem | None:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return None
    evicts_ours = policy.startswith("allkeys") and int(info.get("maxmemory", 0)) > 0
    danger = (
        "it drops whole tables when memory is full" if evicts_ours else "it may drop keys when memory is full"
    )
    return Problem(
        f"maxmemory-policy is {policy}: {danger}",
        "set 'maxmemory-policy noeviction' (a full store then refuses, and latido waits)",
        # A volatile policy evicts keys with a time to live only, and the tables have none.
        fatal=evicts_ours,
    )


def _persistence(durability: Durability) -> Problem | None:
    if durability.guarantee is not Guarantee.NONE:
        return None
    return Problem(durability.what, durability.do, fatal=False)
