"""What is wrong with a store is said before work begins, with what to do about it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from stream.demo.child_process import free_port
from stream.demo.servers import EmbeddedStore
from stream.pipeline.ports import CommitAnswer, StoreMisconfigured, StoreUnreachable, Table
from stream.tables import redis_check
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_check import ACL_RULES, check_store
from stream.tables.redis_client import ask, connect
from tests.contracts.backends import NAMESPACE, RedisBackend, Writer, visitors
from tests.servers import RealRedis


@pytest.fixture(params=[EmbeddedStore, pytest.param(RealRedis, marks=pytest.mark.real)])
async def redis(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    """A server of its own, since these tests change settings for good."""
    with request.param(fsync="always") as server:
        redis = RedisBackend(server.url)
        yield redis
        await redis.close()


async def _problems(redis: RedisBackend) -> list[str]:
    return [str(problem) for problem in await check_store(redis.admin)]


async def test_a_good_store_has_no_problem(redis: RedisBackend) -> None:
    assert await _problems(redis) == []


async def test_every_problem_is_told_with_its_remedy(redis: RedisBackend) -> None:
    for name, value in (("maxmemory-policy", "allkeys-lru"), ("maxmemory", "100mb"), ("appendonly", "no")):
        await redis.admin.config_set(name, value)
    await redis.admin.replicaof("127.0.0.1", 1)
    problems = await check_store(redis.admin)
    await redis.admin.replicaof("NO", "ONE")
    assert [problem.fatal for problem in problems] == [True, True, False]
    texts = [str(problem) for problem in problems]
    assert texts[0] == "error: the store is a replica, it refuses writes; connect to its primary"
    assert texts[1].startswith("error: maxmemory-policy is allkeys-lru")
    assert "noeviction" in texts[1]
    assert texts[2].startswith("warning: the store has no append-only file")
    assert texts[2].endswith("set 'appendonly yes'")


async def test_a_policy_that_cannot_evict_tables_is_a_warning(redis: RedisBackend) -> None:
    await redis.admin.config_set("maxmemory-policy", "volatile-lru")
    await redis.admin.config_set("maxmemory", "100mb")
    assert [problem.fatal for problem in await check_store(redis.admin)] == [False]
    await redis.admin.config_set("maxmemory", "0")
    await redis.admin.config_set("maxmemory-policy", "allkeys-lru")
    assert [problem.fatal for problem in await check_store(redis.admin)] == [False]


async def test_an_old_server_is_refused(redis: RedisBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, fits in (("5.0.14", False), ("6.0.16", False), ("6.2.0", True), ("10.0.1", True)):
        info = {**await redis.admin.info(), "redis_version": version}

        async def told(*_: object, info: dict[str, object] = info) -> dict[str, object]:
            return info

        with monkeypatch.context() as patch:
            patch.setattr(redis.admin, "info", told)
            problems = await check_store(redis.admin)
        assert [problem.fatal for problem in problems] == ([] if fits else [True]), version


async def test_a_refused_config_is_no_obstacle(redis: RedisBackend) -> None:
    await redis.admin.config_set("maxmemory-policy", "allkeys-lru")
    await redis.admin.config_set("maxmemory", "100mb")
    problems = await check_store(await _as_user(redis, *ACL_RULES, "-config"))
    assert problems[0].fatal
    assert "allkeys-lru" in problems[0].what


async def test_a_refused_info_is_a_warning(redis: RedisBackend) -> None:
    problems = await check_store(await _as_user(redis, *ACL_RULES, "-info"))
    assert [problem.fatal for problem in problems] == [False]
    assert "INFO" in problems[0].what


@pytest.mark.real
async def test_a_cluster_of_one_shard_works() -> None:
    """The key names keep every transaction and script in one slot, which a cluster insists on."""
    bus = ("--cluster-port", str(free_port()))  # the default, port + 10000, may lie above 65535
    with RealRedis(fsync="always", options=("--cluster-enabled", "yes", *bus)) as server:
        redis = RedisBackend(server.url)
        with pytest.raises(StoreUnreachable, match="CLUSTERDOWN"):
            await Writer(redis.tables()).claim()
        await ask(redis.admin, ("CLUSTER", "ADDSLOTSRANGE", 0, 16383))
        async with asyncio.timeout(20):
            while (await ask(redis.admin, ("CLUSTER INFO",)))["cluster_state"] != "ok":
                await asyncio.sleep(0.05)
        assert await check_store(redis.admin) == []
        await _use_everything(redis.client())
        await redis.close()


async def test_a_cluster_of_more_shards_is_refused(
    redis: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = {**await redis.admin.info(), "cluster_enabled": 1}

    async def told(*_: object) -> dict[str, object]:
        return info

    async def shards(*_: object) -> dict[str, object]:
        return {"cluster_size": "3"}

    monkeypatch.setattr(redis.admin, "info", told)
    monkeypatch.setattr(redis_check, "ask", shards)
    (problem,) = await check_store(redis.admin)
    assert problem.fatal
    assert problem.what == "the store is a cluster of 3 shards"


async def test_a_server_with_a_password(redis: RedisBackend) -> None:
    await redis.admin.config_set("requirepass", "s3cret/@:")
    where = redis.url.removeprefix("redis://")
    for url in (redis.url, f"redis://:wrong-pass@{where}"):
        client = connect(url)
        with pytest.raises(StoreMisconfigured) as caught:
            await RedisTables(client, NAMESPACE).claim(0, "one", 1, 0)
        assert "wrong-pass" not in str(caught.value)
        with pytest.raises(StoreMisconfigured):
            await check_store(client)
        await client.aclose()
    client = connect(f"redis://:s3cret%2F%40%3A@{where}")
    await _use_everything(client)
    await client.aclose()


async def test_the_documented_rights_are_enough(redis: RedisBackend) -> None:
    client = await _as_user(redis, *ACL_RULES)
    await _use_everything(client)
    assert await check_store(client) == []


@pytest.mark.parametrize("missing", ["-multi", "-exec", "-watch", "-hset", "-hkeys"])
async def test_a_commit_without_the_right_to_it_writes_nothing(redis: RedisBackend, missing: str) -> None:
    """Above all without MULTI: the writes must not run on their own."""
    await redis.tables().claim(0, "one", 1, 0)
    tables = RedisTables(await _as_user(redis, *ACL_RULES, missing), NAMESPACE)
    writer = Writer(redis.tables())
    await writer.claim()
    commit = writer.following("", puts=visitors(a=b"1"))
    for _ in range(2):
        with pytest.raises(StoreMisconfigured, match=r"(?i)permission"):
            await tables.commit(commit)
    await tables.close()
    assert await redis.admin.keys() == [b"latido:{contract:0}:meta"], "only what the claim wrote"


async def _as_user(redis: RedisBackend, *rules: str) -> Redis:
    user = ("ACL", "SETUSER", "latido", "reset", "on", ">pass")
    try:
        await ask(redis.admin, (*user, *rules))
    except ResponseError:  # a server before 7.2 does not know one of the commands
        await ask(redis.admin, (*user, *(rule for rule in rules if rule != "+waitaof")))
    return redis.adopt(connect(redis.url.replace("redis://", "redis://latido:pass@")))


async def _use_everything(client: Redis) -> None:
    """One call of every method of the tables and the board."""
    tables, board = RedisTables(client, NAMESPACE), RedisBoard(client, NAMESPACE)
    writer = Writer(tables)
    claim = await writer.claim()
    await tables.load(claim)
    first = writer.following("", puts=visitors(a=b"1", b=b"1"), outbox={1: b"x"})
    assert await tables.commit(first) is CommitAnswer.STORED
    await tables.wait_durable()
    second = writer.following(first.id, drops={Table.VISITORS: ["a"]}, produced_through=1)
    assert await tables.commit(second) is CommitAnswer.STORED
    assert await tables.read(0, Table.VISITORS, ["a", "b"]) == [None, b"1"]
    assert await tables.holder(0) == (str(claim.owner), second.id)
    token = await board.take_token(0)
    async with aclosing(board.announcements()) as reader:
        heard = asyncio.ensure_future(anext(reader))
        sequence = token.sequence
        async with asyncio.timeout(10):
            while not heard.done():
                sequence += 1
                assert await board.write(token, sequence, b"h", {"a": b"1"}, ["b"])
                await asyncio.wait([heard], timeout=0.05)
    assert (await board.read_header(), await board.read_records()) == (b"h", {"a": b"1"})
    assert len(await board.read_partials(range(2))) == 2
    await board.write_clock(5)
    assert await board.read_clock() == 5
    await tables.close()
