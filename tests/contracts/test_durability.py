"""When is a commit on disk, and who waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from stream.demo.servers import EmbeddedStore
from stream.pipeline.ports import CommitAnswer, StateTorn, StoreUnreachable
from stream.tables import durability
from stream.tables.durability import Guarantee, find_durability
from stream.tables.redis import RedisTables
from tests.contracts.backends import RedisBackend, Writer
from tests.servers import RealRedis


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedStore]:
    """A Valkey (it knows WAITAOF) whose settings these tests change as they like."""
    with EmbeddedStore() as server:
        yield server


@pytest.fixture
async def redis(server: EmbeddedStore) -> AsyncIterator[RedisBackend]:
    redis = RedisBackend(server.url)
    await redis.flush()
    await _set(redis, appendonly="yes", appendfsync="everysec")
    yield redis
    await redis.close()


@pytest.fixture
async def tables(redis: RedisBackend) -> RedisTables:
    return redis.tables()


@pytest.fixture
async def writer(tables: RedisTables) -> Writer:
    writer = Writer(tables)
    await writer.claim()
    assert await writer.tables.commit(writer.following("")) is CommitAnswer.STORED
    return writer


async def _set(redis: RedisBackend, **settings: str) -> None:
    for name, value in settings.items():
        await redis.admin.config_set(name, value)


async def _waits_sent(redis: RedisBackend) -> int:
    statistics = await redis.admin.info("commandstats")
    return int(statistics.get("cmdstat_waitaof", {"calls": 0})["calls"])


@pytest.mark.parametrize(
    ("settings", "guarantee", "advice"),
    [
        ({"appendonly": "yes", "appendfsync": "everysec"}, Guarantee.WAITAOF, ""),
        ({"appendonly": "yes", "appendfsync": "always"}, Guarantee.ALWAYS, ""),
        (
            {"appendonly": "yes", "appendfsync": "no"},
            Guarantee.NONE,
            "set 'appendfsync everysec' or 'always'",
        ),
        ({"appendonly": "no"}, Guarantee.NONE, "set 'appendonly yes'"),
    ],
)
async def test_the_guarantee_follows_the_settings(
    redis: RedisBackend, settings: dict[str, str], guarantee: Guarantee, advice: str
) -> None:
    await _set(redis, **settings)
    found = await redis.tables().durability()
    assert (found.guarantee, found.do) == (guarantee, advice)


async def test_required_replicas_need_waitaof(redis: RedisBackend) -> None:
    await _set(redis, appendfsync="always")
    assert (await find_durability(redis.admin, replicas=1)).guarantee is Guarantee.WAITAOF


@pytest.mark.real
async def test_a_store_without_waitaof_says_so(contract_redis: RealRedis) -> None:
    """redis-server 7.0 and older; newer ones know it."""
    redis = RedisBackend(contract_redis.url)
    version = str((await redis.admin.info("server"))["redis_version"])
    found = await redis.tables().durability()
    knows = tuple(int(part) for part in version.split(".")[:2]) >= (7, 2)
    assert found.guarantee is (Guarantee.WAITAOF if knows else Guarantee.NONE)
    await redis.tables().wait_durable()
    await redis.close()


async def test_a_replica_does_not_pass_for_a_store_that_cannot_wait(redis: RedisBackend) -> None:
    await redis.admin.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(StoreUnreachable):
            await redis.tables().wait_durable()
    finally:
        await redis.admin.replicaof("NO", "ONE")
    await redis.tables().wait_durable()


async def test_a_wait_covers_the_commits_of_all_connections(redis: RedisBackend, writer: Writer) -> None:
    """The file is one sequence: what the waiting connection waits for lies behind every earlier commit."""
    before = int((await redis.admin.info("persistence"))["aof_current_size"])
    await writer.tables.wait_durable()
    after = await redis.admin.info("persistence")
    assert await _waits_sent(redis) > 0
    assert int(after["aof_current_size"]) > before, "the small write"
    assert int(after["aof_pending_bio_fsync"]) == 0


async def test_many_waits_share_one(redis: RedisBackend, writer: Writer) -> None:
    await writer.tables.wait_durable()
    before = await _waits_sent(redis)
    await asyncio.gather(*(writer.tables.wait_durable() for _ in range(50)))
    assert 1 <= await _waits_sent(redis) - before <= 2


async def test_a_wait_blocks_no_commit(redis: RedisBackend, tables: RedisTables, writer: Writer) -> None:
    assert (await tables.durability()).guarantee is Guarantee.WAITAOF
    await _set(redis, appendfsync="no")  # from here on a WAITAOF does not come back
    await writer.tables.commit(writer.following("one-1"))
    waiting = asyncio.create_task(writer.tables.wait_durable())
    previous = "one-2"
    for _ in range(20):
        commit = writer.following(previous)
        assert await writer.tables.commit(commit) is CommitAnswer.STORED
        previous = commit.id
    assert not waiting.done()
    await _set(redis, appendfsync="everysec")
    await asyncio.wait_for(waiting, 10)


async def test_a_sync_that_does_not_come_is_unreachable(
    redis: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "WAIT_MS", 1_500)  # longer than the second between two syncs
    tables = redis.tables()
    await tables.durability()
    writer = Writer(tables)
    await writer.claim()
    await _set(redis, appendfsync="no")
    await writer.tables.commit(writer.following(""))
    with pytest.raises(StoreUnreachable, match="did not sync"):
        await writer.tables.wait_durable()
    await _set(redis, appendfsync="everysec")
    async with asyncio.timeout(30):
        while True:  # on a busy disk a sync takes longer, too
            with contextlib.suppress(StoreUnreachable):
                await writer.tables.wait_durable()
                return


async def test_a_missing_replica_is_unreachable(redis: RedisBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durability, "WAIT_MS", 50)
    tables = redis.tables(replicas=1)
    with pytest.raises(StoreUnreachable, match="replicas: 0 of 1"):
        await tables.wait_durable()


async def test_a_commit_lost_before_the_wait_is_noticed(redis: RedisBackend, writer: Writer) -> None:
    """The server died and came back with an older file between the answer and the wait."""
    snapshot = await redis.snapshot()
    second = writer.following("one-1")
    await writer.tables.commit(second)
    await redis.restore(snapshot)
    with pytest.raises(StateTorn, match="partition 0"):
        await writer.tables.wait_durable()
    await writer.claim()
    await writer.tables.wait_durable()


async def test_a_repeated_or_a_following_commit_is_no_loss(redis: RedisBackend, writer: Writer) -> None:
    second = writer.following("one-1")
    for _ in range(3):
        await writer.tables.commit(second)
    await writer.tables.wait_durable()
    waiting = asyncio.create_task(writer.tables.wait_durable())
    previous = second.id
    while not waiting.done():
        commit = writer.following(previous)
        await writer.tables.commit(commit)
        previous = commit.id
    await waiting


async def test_a_new_owner_does_not_disturb_the_wait_of_the_former(
    redis: RedisBackend, writer: Writer
) -> None:
    """Its other partitions go on; outputs of a former owner are the broker's fence's matter."""
    other = Writer(redis.tables(), "two")
    await other.claim()
    await other.tables.commit(other.following("one-1"))
    await writer.tables.wait_durable()
    assert await writer.tables.commit(writer.following("one-1")) is CommitAnswer.NEWER_OWNER
    await writer.tables.wait_durable()
