"""What a server can do to us: lose replies, refuse, forget, die. Every answer has one right reading."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from stream.demo.servers import EmbeddedStore
from stream.pipeline.ports import CommitAnswer, StateTorn, StoreMisconfigured, StoreUnreachable, Table
from stream.tables import redis_client, redis_load
from stream.tables.layout import Layout
from stream.tables.redis import RedisTables
from stream.tables.redis_client import connect
from tests.contracts.backends import NAMESPACE, RedisBackend, Writer, visitors
from tests.contracts.reply_thief import ReplyThief
from tests.servers import RealRedis

KEYS = Layout(NAMESPACE).partition(0)


@pytest.fixture
async def writer(redis: RedisBackend) -> Writer:
    """A writer with a first commit, `one-1`, stored."""
    writer = Writer(redis.tables())
    await writer.claim()
    assert await writer.tables.commit(writer.following("", puts=visitors(a=b"1"))) is CommitAnswer.STORED
    return writer


@contextlib.asynccontextmanager
async def _setting(redis: RedisBackend, name: str, value: str) -> AsyncIterator[None]:
    """A setting of the shared server, put back afterwards."""
    before = (await redis.admin.config_get(name))[name]
    await redis.admin.config_set(name, value)
    try:
        yield
    finally:
        await redis.admin.config_set(name, str(before))


async def test_a_lost_reply_is_unreachable_and_the_retry_is_stored_once(redis: RedisBackend) -> None:
    async with ReplyThief(urlsplit(redis.url).port or 0) as thief:
        client = connect(thief.url)
        writer = Writer(RedisTables(client, NAMESPACE))
        await writer.claim()
        first = writer.following("")
        await writer.tables.commit(first)
        commit = writer.following(first.id, puts=visitors(a=b"1"), outbox={1: b"x"})
        thief.stealing = True
        with pytest.raises(StoreUnreachable):
            await writer.tables.commit(commit)
        thief.stealing = False
        assert thief.stolen == 1
        assert await redis.admin.hget(KEYS.meta, "commit") == commit.id.encode(), "it was written"
        assert await writer.tables.commit(commit) is CommitAnswer.STORED
        assert await writer.tables.commit(writer.following(commit.id)) is CommitAnswer.STORED
        await writer.tables.close()
        await client.aclose()


async def test_a_claim_whose_reply_is_lost_was_tried_once(redis: RedisBackend, writer: Writer) -> None:
    """Nothing below us repeats by itself."""
    async with ReplyThief(urlsplit(redis.url).port or 0) as thief:
        client = connect(thief.url)
        tables = RedisTables(client, NAMESPACE)
        assert (await tables.claim(0, "two", 1, 0)).owner.epoch == 2
        thief.stealing = True
        with pytest.raises(StoreUnreachable):
            await tables.claim(0, "two", 2, 0)
        assert thief.stolen == 1
        assert (await redis.tables().holder(0))[0] == "3:two:2"
        await client.aclose()


async def test_produced_outputs_are_deleted_once(redis: RedisBackend, writer: Writer) -> None:
    previous = "one-1"
    for number in range(5):
        commit = writer.following(previous, outbox={number + 1: b"x"}, produced_through=number)
        await writer.tables.commit(commit)
        previous = commit.id
    await redis.admin.config_resetstat()
    await writer.tables.commit(writer.following(previous, produced_through=4))
    assert "cmdstat_hdel" not in await redis.admin.info("commandstats")


async def test_a_foreign_claim_loads_nothing(redis: RedisBackend, writer: Writer) -> None:
    await redis.tables().claim(0, "two", 1, 0)
    await redis.admin.config_resetstat()
    with pytest.raises(StateTorn):
        await writer.tables.load(writer.claimed)
    assert "cmdstat_hscan" not in await redis.admin.info("commandstats")


async def test_a_closed_connection_is_unreachable_once(redis: RedisBackend, writer: Writer) -> None:
    """And the fence is raised anew on the next connection: it never survives on hope."""
    await redis.admin.client_kill_filter(_type="normal", skipme=True)
    commit = writer.following("one-1")
    with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1"):
        await writer.tables.commit(commit)
    assert await writer.tables.commit(commit) is CommitAnswer.STORED


async def test_a_commit_can_be_cancelled_at_any_point(redis: RedisBackend, writer: Writer) -> None:
    """Before, while and after it is sent: the same commit again is stored, and so is the next."""
    previous, cancelled = "one-1", 0
    for turns in range(12):
        values = {f"{turns}-{number}": b"x" * 100 for number in range(5_000)}
        commit = writer.following(previous, puts={Table.VISITORS: values})
        task = asyncio.create_task(writer.tables.commit(commit))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])  # Python 3.11 may swallow a cancellation that meets a finished send
        cancelled += task.cancelled()
        assert await writer.tables.commit(commit) is CommitAnswer.STORED
        previous = commit.id
    assert cancelled > 5
    assert await redis.admin.hlen(KEYS.tables[Table.VISITORS]) == 12 * 5_000 + 1


async def test_commits_of_one_partition_wait_for_each_other(writer: Writer) -> None:
    commits = [writer.following("one-1")]
    for _ in range(20):
        commits.append(writer.following(commits[-1].id))
    answers = await asyncio.gather(*(writer.tables.commit(commit) for commit in commits))
    assert set(answers) == {CommitAnswer.STORED}


async def test_nobody_listens() -> None:
    client = connect("redis://:secret@127.0.0.1:1/0")
    tables = RedisTables(client, NAMESPACE)
    with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:1") as caught:
        await tables.claim(0, "one", 1, 0)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreUnreachable):
        await tables.load(Writer(tables).claimed)
    await client.aclose()


async def test_a_silent_server_is_unreachable_and_the_commit_is_safe_to_repeat() -> None:
    with EmbeddedStore() as server:
        client = connect(server.url, timeout_s=0.3)
        writer = Writer(RedisTables(client, NAMESPACE))
        await writer.claim()
        first = writer.following("")
        await writer.tables.commit(first)
        commit = writer.following(first.id, puts=visitors(a=b"1"))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for _ in range(2):
                with pytest.raises(StoreUnreachable, match=r"(?i)timeout"):
                    await writer.tables.commit(commit)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert await writer.tables.commit(commit) is CommitAnswer.STORED
        following = writer.following(commit.id)
        assert await writer.tables.commit(following) is CommitAnswer.STORED
        await writer.tables.close()
        await client.aclose()


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [("maxmemory", "1", "OOM"), ("min-replicas-to-write", "1", "NOREPLICAS")],
)
async def test_a_passing_refusal_writes_nothing(
    redis: RedisBackend, writer: Writer, setting: str, value: str, reason: str
) -> None:
    commit = writer.following(
        "one-1", drops={Table.VISITORS: ["a"]}, puts=visitors(b=b"2"), outbox={1: b"x"}, produced_through=0
    )
    async with _setting(redis, setting, value):
        with pytest.raises(StoreUnreachable, match=reason):
            await writer.tables.commit(commit)
        with pytest.raises(StoreUnreachable, match=reason):
            await writer.tables.claim(0, "one", 9, 0)
        assert await redis.admin.hgetall(KEYS.tables[Table.VISITORS]) == {b"a": b"1"}
        assert await redis.admin.hget(KEYS.meta, "commit") == b"one-1"
    assert await writer.tables.commit(commit) is CommitAnswer.STORED
    assert await redis.admin.hgetall(KEYS.tables[Table.VISITORS]) == {b"b": b"2"}


async def test_a_primary_that_became_a_replica_is_unreachable(redis: RedisBackend, writer: Writer) -> None:
    commit = writer.following("one-1", puts=visitors(a=b"2"))
    await redis.admin.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(StoreUnreachable, match="READONLY"):
            await writer.tables.commit(commit)
        with pytest.raises(StoreUnreachable):
            await writer.tables.claim(0, "one", 9, 0)
    finally:
        await redis.admin.replicaof("NO", "ONE")
    assert await writer.tables.commit(commit) is CommitAnswer.STORED


async def test_a_busy_server_is_unreachable(redis: RedisBackend, writer: Writer) -> None:
    commit = writer.following("one-1", puts=visitors(a=b"2"))
    endless = connect(redis.url)
    async with _setting(redis, "lua-time-limit", "10"):
        task = asyncio.ensure_future(endless.eval("while true do end", 0))
        async with asyncio.timeout(10):
            while not await _is_busy(redis):
                await asyncio.sleep(0.01)
            with pytest.raises(StoreUnreachable, match="BUSY"):
                await writer.tables.commit(commit)
        await redis.admin.script_kill()
        await asyncio.gather(task, return_exceptions=True)
    await endless.aclose()
    assert await writer.tables.commit(commit) is CommitAnswer.STORED


async def _is_busy(redis: RedisBackend) -> bool:
    try:
        await redis.admin.ping()
    except ResponseError:
        return True
    return False


async def test_forgotten_scripts_are_sent_again(redis: RedisBackend, writer: Writer) -> None:
    await redis.admin.script_flush()
    assert (await writer.claim()).commit_id == "one-1"
    board = redis.board()
    await board.take_token(1)
    await redis.admin.script_flush()
    assert (await board.take_token(1)).epoch == 2


@pytest.mark.parametrize("key", [KEYS.meta, KEYS.outbox, *KEYS.tables.values()])
async def test_a_key_of_the_wrong_type_stops_the_claim(redis: RedisBackend, key: str) -> None:
    await redis.admin.set(key, "not a hash")
    tables = redis.tables()
    with pytest.raises(StoreMisconfigured, match="WRONGTYPE"):
        await tables.claim(0, "one", 1, 0)
    assert await redis.admin.keys() == [key.encode()], "nothing was written"


async def test_a_board_key_of_the_wrong_type_stops_the_publisher_before_it_writes(
    redis: RedisBackend,
) -> None:
    board = redis.board()
    token = await board.take_token(1)
    layout = Layout(NAMESPACE)
    await redis.admin.set(layout.records, "not a hash")
    with pytest.raises(StoreMisconfigured, match="WRONGTYPE"):
        await board.write(token, 5, b"header", {"a": b"1"}, [])
    assert await board.read_header() is None
    assert await redis.admin.hget(layout.token, "sequence") == b"1"


async def test_a_key_of_the_wrong_type_after_the_claim_stops_the_commit(
    redis: RedisBackend, writer: Writer
) -> None:
    await redis.admin.set(KEYS.tables[Table.SEEN], "not a hash")
    with pytest.raises(StoreMisconfigured, match="WRONGTYPE"):
        await writer.tables.commit(writer.following("one-1", puts={Table.SEEN: {"a": b"1"}}))


async def test_a_flush_in_the_middle_of_a_load_is_torn(
    redis: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(redis.tables())
    await writer.claim()
    values = {f"v{number}": b"x" * 100 for number in range(20_000)}
    await writer.tables.commit(writer.following("", puts={Table.VISITORS: values}))
    pages = 0
    read_page = redis_client.read_reply

    async def flush_behind_the_third_page(connection: AbstractConnection) -> Any:
        nonlocal pages
        pages += 1
        if pages == 3:
            await redis.flush()
        return await read_page(connection)

    monkeypatch.setattr(redis_load, "PAGE_FIELDS", 100)
    monkeypatch.setattr(redis_load, "read_reply", flush_behind_the_third_page)
    with pytest.raises(StateTorn):
        await writer.tables.load(await writer.claim())
    assert pages > 3


async def test_a_claim_in_the_middle_of_a_load_is_torn(
    redis: RedisBackend, monkeypatch: pytest.MonkeyPatch, writer: Writer
) -> None:
    other = Writer(redis.tables(), "two")
    read_page = redis_client.read_reply

    async def claim_first(connection: AbstractConnection) -> Any:
        await other.claim()
        return await read_page(connection)

    claim = await writer.claim()
    monkeypatch.setattr(redis_load, "read_reply", claim_first)
    with pytest.raises(StateTorn):
        await writer.tables.load(claim)


@pytest.mark.parametrize("server_type", [EmbeddedStore, pytest.param(RealRedis, marks=pytest.mark.real)])
async def test_a_killed_server_keeps_every_commit_it_answered(
    server_type: type[EmbeddedStore] | type[RealRedis],
) -> None:
    """With appendfsync always; the same connection objects go on after the restart."""
    with server_type(fsync="always") as server:
        client = connect(server.url)
        writer = Writer(RedisTables(client, NAMESPACE))
        await writer.claim()
        previous = ""
        for number in range(30):
            commit = writer.following(previous, puts=visitors(**{f"v{number}": b"1"}), outbox={number: b"x"})
            if number % 10 == 5:
                server.kill()
                with pytest.raises(StoreUnreachable):
                    await writer.tables.commit(commit)
                await server.start_async()
            assert await writer.tables.commit(commit) is CommitAnswer.STORED
            await writer.tables.wait_durable()
            previous = commit.id
        stored = await writer.tables.load(await writer.claim())
        assert len(stored.tables[Table.VISITORS]) == 30
        assert len(stored.outbox) == 29, "entry 0 counts as produced"
        await writer.tables.close()
        await client.aclose()
