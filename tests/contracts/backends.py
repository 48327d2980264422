"""What a contract test runs on: a store that several clients share, and that can be taken back in time."""

from __future__ import annotations

from typing import Any, Protocol

from redis.asyncio import Redis

from stream.pipeline.ports import Board, Claim, Commit, Owner, PartitionTables, Table
from stream.tables.memory import MemoryBoard, MemoryStore, MemoryTables
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect

NAMESPACE = "contract"


class Backend(Protocol):
    """A store. Every `tables()` and `board()` is a client of its own, as in another process."""

    def tables(self, *, stage: str = "") -> PartitionTables: ...

    def board(self) -> Board: ...

    async def snapshot(self) -> Any:
        """A copy of everything stored."""

    async def restore(self, snapshot: Any) -> None:
        """Everything stored becomes the snapshot again."""

    async def flush(self) -> None: ...

    async def close(self) -> None: ...


class MemoryBackend:
    def __init__(self) -> None:
        self.store = MemoryStore()

    def tables(self, *, stage: str = "") -> PartitionTables:
        return MemoryTables(self.store, stage=stage)

    def board(self) -> Board:
        return MemoryBoard(self.store)

    async def snapshot(self) -> Any:
        return self.store.snapshot()

    async def restore(self, snapshot: Any) -> None:
        self.store.restore(snapshot)

    async def flush(self) -> None:
        self.store.flush()

    async def close(self) -> None: ...


class RedisBackend:
    """A server all to itself. `admin` is a connection of the test, beside the clients under test."""

    def __init__(self, url: str, namespace: str = NAMESPACE) -> None:
        self.url = url
        self.namespace = namespace
        self.admin: Redis = connect(url)
        self._clients: list[Redis] = []
        self._tables: list[RedisTables] = []

    def client(self) -> Redis:
        return self.adopt(connect(self.url))

    def adopt(self, client: Redis) -> Redis:
        """Closed with the backend."""
        self._clients.append(client)
        return client

    def tables(self, replicas: int = 0, *, stage: str = "") -> RedisTables:
        tables = RedisTables(self.client(), self.namespace, stage=stage, replicas=replicas)
        self._tables.append(tables)
        return tables

    def board(self) -> RedisBoard:
        return RedisBoard(self.client(), self.namespace)

    async def snapshot(self) -> Any:
        return {key: await self.admin.dump(key) for key in await self.admin.keys()}

    async def restore(self, snapshot: Any) -> None:
        pipeline = self.admin.pipeline(transaction=True)
        pipeline.flushall()
        for key, value in snapshot.items():
            pipeline.restore(key, 0, value)
        await pipeline.execute()

    async def flush(self) -> None:
        await self.admin.flushall()

    async def close(self) -> None:
        for tables in self._tables:
            await tables.close()
        for client in [*self._clients, self.admin]:
            await client.aclose()


class Writer:
    """A process that claims a partition and commits to it, one change after the other."""

    def __init__(self, tables: PartitionTables, nonce: str = "one", partition: int = 0) -> None:
        self.tables = tables
        self.nonce = nonce
        self.partition = partition
        self.assignment = 0
        self.claimed = Claim(partition, Owner(0, nonce, 0), "")
        self._commits = 0

    async def claim(self) -> Claim:
        self.assignment += 1
        last_epoch = self.claimed.owner.epoch
        self.claimed = await self.tables.claim(self.partition, self.nonce, self.assignment, last_epoch)
        return self.claimed

    def following(self, previous_id: str, **changes: Any) -> Commit:
        """A commit of this owner after `previous_id`; the head is its id unless given."""
        self._commits += 1
        commit_id = f"{self.nonce}-{self._commits}"
        changes.setdefault("head", commit_id.encode())
        return Commit(self.partition, self.claimed.owner, previous_id, commit_id, **changes)


def visitors(**values: bytes) -> dict[Table, dict[str, bytes]]:
    return {Table.VISITORS: values}
