"""Live tables in Redis or Valkey (one primary, or one shard of a cluster)."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from stream.pipeline.ports import Claim, Commit, CommitAnswer, Owner, Stored, Table
from stream.tables import resp
from stream.tables.durability import Durability, DurableGate
from stream.tables.layout import COMMIT, HEAD, OWNER, Layout, decode_field
from stream.tables.redis_client import Script, address, ask, borrowed, checked, converse, translated
from stream.tables.redis_commit import Committer
from stream.tables.redis_load import load


class RedisTables:
    """`PartitionTables` over a client of `redis_client.connect`, which the caller keeps and closes.

    Every method is one try: it raises StoreUnreachable or StoreMisconfigured with a reason in one line.
    `replicas`: how many replicas must have an output's commit on disk too before it may leave.
    """

    def __init__(self, redis: Redis, namespace: str, *, stage: str = "", replicas: int = 0) -> None:
        self._redis = redis
        self._layout = Layout(namespace, stage)
        self._where = address(redis)
        self._claim = Script(redis, "claim.lua")
        self._committers: dict[int, Committer] = {}
        self._gate = DurableGate(redis, self._layout, replicas)

    async def claim(self, partition: int, nonce: str, assignment: int, last_epoch: int) -> Claim:
        keys = self._layout.partition(partition)
        with translated(self._where):
            epoch, commit_id = await self._claim(keys.all(), (last_epoch, nonce, assignment))
        self._gate.forget(partition)
        return Claim(partition, Owner(int(epoch), nonce, assignment), bytes(commit_id).decode())

    async def load(self, claim: Claim) -> Stored:
        """One million visitors of 150 bytes took 2 to 4.5 s on two shared cores, server included."""
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                return await load(connection, self._layout.partition(claim.partition), claim)

    async def read(self, partition: int, table: Table, fields: Sequence[str]) -> list[bytes | None]:
        if not fields:
            return []
        key = self._layout.partition(partition).tables[table]
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                [reply] = await converse(connection, [resp.hmget(key, fields)])
        values: list[bytes | None] = checked(reply)
        return values

    async def browse(
        self, partition: int, table: Table, cursor: str, fields: int
    ) -> tuple[str, dict[str, bytes]]:
        key = self._layout.partition(partition).tables[table]
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                asked = resp.command("HSCAN", key, cursor or "0", "COUNT", fields)
                [reply] = await converse(connection, [asked])
        following, flat = checked(reply)
        page = dict(zip(map(decode_field, flat[0::2]), flat[1::2], strict=True))
        return "" if following == b"0" else following.decode(), page

    async def commit(self, commit: Commit) -> CommitAnswer:
        committer = self._committers.get(commit.partition)
        if committer is None:
            committer = self._committers[commit.partition] = Committer(
                self._redis, self._layout.partition(commit.partition)
            )
        self._gate.sending(commit)
        with translated(self._where):
            answer = await committer.commit(commit)
        if answer is CommitAnswer.STORED:
            self._gate.stored(commit)
        else:
            self._gate.forget(commit.partition)
        return answer

    async def heads(self, partitions: int) -> list[bytes | None]:
        """One round trip."""
        metas = [self._layout.partition(number).meta for number in range(partitions)]
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                replies = await converse(connection, [resp.hmget(meta, (HEAD,)) for meta in metas])
        return [checked(reply)[0] for reply in replies]

    async def holder(self, partition: int) -> tuple[str, str]:
        with translated(self._where):
            owner, commit_id = await ask(
                self._redis, ("HMGET", self._layout.partition(partition).meta, OWNER, COMMIT)
            )
        return (owner or b"").decode(), (commit_id or b"").decode()

    async def wait_durable(self) -> None:
        """Also raises StateTorn when the store lost a commit that it had confirmed: claim and load again."""
        with translated(self._where):
            await self._gate.wait()

    async def durability(self) -> Durability:
        """What the store guarantees for outputs, for the warning at start."""
        with translated(self._where):
            return await self._gate.durability()

    async def close(self) -> None:
        """Gives the connections back to the client, which stays open."""
        for committer in self._committers.values():
            await committer.close()
        self._committers.clear()
        await self._gate.close()
