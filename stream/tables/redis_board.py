"""The published snapshot in Redis or Valkey, for readers without Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from stream.pipeline.ports import (
    CHANGES_KEPT,
    CUSTOMERS,
    AlertsWrite,
    Partial,
    ResultsWrite,
    Seen,
    SettledPartial,
    Standing,
    StoreUnreachable,
    Table,
    Token,
)
from stream.tables import resp
from stream.tables.layout import HEAD, OWNER, Layout, decode_field, encode_field
from stream.tables.redis_client import Script, address, ask, borrowed, checked, converse, explain, translated

# A quiet channel and a dead connection look the same, so after this long a ping must come back in as long
# again.
QUIET_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


class RedisBoard:
    """`Board` over a client of `redis_client.connect`, which the caller keeps and closes."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._layout = Layout(namespace)
        self._customers = Layout(namespace, CUSTOMERS)
        self._where = address(redis)
        self._take_token = Script(redis, "take_token.lua")
        self._read_changes = Script(redis, "read_changes.lua")
        self._publish = Script(redis, "publish.lua")
        self._publish_results = Script(redis, "publish_results.lua")

    async def take_token(self, at_least: int) -> Token:
        with translated(self._where):
            epoch, sequence = await self._take_token([self._layout.token], (at_least,))
        return Token(int(epoch), int(sequence))

    async def read_partials(self, partitions: Iterable[int]) -> list[Partial]:
        """Each partition at one moment: its head belongs to its windows. One round trip for all of them."""
        flight: list[bytes] = []
        numbers = list(partitions)
        for number in numbers:
            keys = self._layout.partition(number)
            flight += [  # one transaction each: a cluster allows one slot
                resp.MULTI,
                resp.command("HGET", keys.meta, HEAD),
                resp.command("HGETALL", keys.tables[Table.WINDOWS]),
                resp.EXEC,
            ]
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                replies = [checked(reply) for reply in await converse(connection, flight)]
        return [_partial(number, *answers) for number, answers in zip(numbers, replies[3::4], strict=True)]

    async def read_heads(self, partitions: int) -> list[Standing]:
        """One round trip."""
        metas = [self._layout.partition(number).meta for number in range(partitions)]
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                replies = await converse(connection, [resp.hmget(meta, (OWNER, HEAD)) for meta in metas])
        found = [checked(reply) for reply in replies]
        return [Standing(number, (owner or b"").decode(), head) for number, (owner, head) in enumerate(found)]

    async def read_changes(self, seen: Sequence[Seen]) -> list[Partial]:
        """As above, each at one moment, and one round trip."""
        calls: list[tuple[Sequence[str], Sequence[str | int]]] = []
        for number, before in enumerate(seen):
            keys = self._layout.partition(number)
            tables = [keys.meta, keys.tables[Table.WINDOWS], keys.tables[Table.CHANGED]]
            calls.append((tables, (before.run, before.number, CHANGES_KEPT)))
        with translated(self._where):
            replies = await self._read_changes.many(calls)
        return [_changes(number, seen[number].run, *reply) for number, reply in enumerate(replies)]

    async def read_answers(self, partitions: int, field: str) -> list[bytes | None]:
        return await self._read_everywhere(self._layout, partitions, Table.ANSWERS, field)

    async def read_signals(self, partitions: int, site_id: str) -> list[bytes | None]:
        return await self._read_everywhere(self._customers, partitions, Table.SIGNALS, site_id)

    async def _read_everywhere(
        self, layout: Layout, partitions: int, table: Table, field: str
    ) -> list[bytes | None]:
        """One field in each partition. One round trip."""
        keys = [layout.partition(number).tables[table] for number in range(partitions)]
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                replies = await converse(connection, [resp.hmget(key, [field]) for key in keys])
        return [value for reply in replies for value in checked(reply)]

    async def read_header(self) -> bytes | None:
        with translated(self._where):
            header: bytes | None = await ask(self._redis, ("GET", self._layout.header))
        return header

    async def read_records(self) -> dict[str, bytes]:
        return await self._read_hash(self._layout.records)

    async def write(
        self, token: Token, sequence: int, header: bytes, changed: Mapping[str, bytes], gone: Sequence[str]
    ) -> bool:
        """False also when `sequence` is not above the last one: compute again, never send the same twice."""
        layout = self._layout
        arguments: list[str | bytes | int] = [token.epoch, sequence, header, layout.channel, len(changed)]
        for key, record in changed.items():
            arguments += (encode_field(key), record)
        arguments += (encode_field(key) for key in gone)
        with translated(self._where):
            written = await self._publish([layout.token, layout.header, layout.records], arguments)
        return bool(written)

    async def take_results_token(self, at_least: int) -> tuple[int, bytes | None]:
        key = self._layout.results_token
        with translated(self._where):
            epoch, _ = await self._take_token([key], (at_least,))
            state: bytes | None = await ask(self._redis, ("HGET", key, "state"))
        return int(epoch), state

    async def read_settled(self, partitions: int) -> list[SettledPartial]:
        """Each partition at one moment, as `read_partials`."""
        flight: list[bytes] = []
        for number in range(partitions):
            keys = self._layout.partition(number)
            flight += [
                resp.MULTI,
                resp.command("HGET", keys.meta, HEAD),
                resp.command("HGETALL", keys.tables[Table.SETTLING]),
                resp.command("HGETALL", keys.tables[Table.CLOSED]),
                resp.EXEC,
            ]
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                replies = [checked(reply) for reply in await converse(connection, flight)]
        return [
            SettledPartial(number, checked(head), _pairs(checked(settling)), _pairs(checked(closed)))
            for number, (head, settling, closed) in enumerate(replies[4::5])
        ]

    async def read_closed(self, partition: int, fields: Sequence[str]) -> list[bytes | None]:
        return await self._read_fields(self._layout.partition(partition).tables[Table.SETTLED], fields)

    async def result_windows(self) -> list[str]:
        with translated(self._where):
            fields: list[bytes] = await ask(self._redis, ("HKEYS", self._layout.results))
        return [decode_field(field) for field in fields]

    async def read_results(self, fields: Sequence[str]) -> list[bytes | None]:
        return await self._read_fields(self._layout.results, fields)

    async def read_results_outbox(self) -> dict[str, bytes]:
        return await self._read_hash(self._layout.results_outbox)

    async def write_results(self, epoch: int, write: ResultsWrite) -> bool:
        layout = self._layout
        keys = [layout.results_token, layout.results, layout.results_outbox]
        changes = ((write.windows, write.gone), (write.outbox, write.produced))
        return await self._write_fenced(keys, epoch, write.state, changes)

    async def take_alerts_token(self, at_least: int) -> int:
        with translated(self._where):
            epoch, _ = await self._take_token([self._layout.alerts_token], (at_least,))
        return int(epoch)

    async def read_alerts(self) -> dict[str, bytes]:
        return await self._read_hash(self._layout.alerts)

    async def read_alerts_outbox(self) -> dict[str, bytes]:
        return await self._read_hash(self._layout.alerts_outbox)

    async def write_alerts(self, epoch: int, write: AlertsWrite) -> bool:
        layout = self._layout
        keys = [layout.alerts_token, layout.alerts, layout.alerts_outbox]
        changes = ((write.kept, write.gone), (write.outbox, write.produced))
        return await self._write_fenced(keys, epoch, b"", changes)

    async def read_receivers_off(self) -> dict[str, bytes]:
        return await self._read_hash(self._layout.receivers_off)

    async def write_receiver_off(self, receiver: str, why: bytes | None) -> None:
        key, field = self._layout.receivers_off, encode_field(receiver)
        with translated(self._where):
            await ask(self._redis, ("HDEL", key, field) if why is None else ("HSET", key, field, why))

    async def _write_fenced(
        self,
        keys: Sequence[str],
        epoch: int,
        state: bytes,
        changes: Iterable[tuple[Mapping[str, bytes], Sequence[str]]],
    ) -> bool:
        """Put and remove fields of the second and the third key, unless the first one's epoch is another."""
        arguments: list[str | bytes | int] = [epoch, state]
        for values, gone in changes:
            arguments.append(2 * len(values))
            for field, value in values.items():
                arguments += (encode_field(field), value)
            arguments += (len(gone), *map(encode_field, gone))
        with translated(self._where):
            written = await self._publish_results(keys, arguments)
        return bool(written)

    async def _read_hash(self, key: str) -> dict[str, bytes]:
        with translated(self._where):
            fields: dict[bytes, bytes] = await ask(self._redis, ("HGETALL", key))
        return _texts(fields.items())

    async def _read_fields(self, key: str, fields: Sequence[str]) -> list[bytes | None]:
        if not fields:
            return []
        with translated(self._where):
            async with borrowed(self._redis) as connection:
                [reply] = await converse(connection, [resp.hmget(key, fields)])
        values: list[bytes | None] = checked(reply)
        return values

    async def write_clock(self, live_ms: int) -> None:
        with translated(self._where):
            await ask(self._redis, ("SET", self._layout.clock, live_ms))

    async def read_clock(self) -> int | None:
        with translated(self._where):
            live_ms = await ask(self._redis, ("GET", self._layout.clock))
        return None if live_ms is None else int(live_ms)

    async def announcements(self) -> AsyncGenerator[int, None]:
        """Subscribes again by itself after an outage; what was published meanwhile is not repeated.

        Raises StoreMisconfigured when subscribing is refused for good.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(self._layout.channel)
                    while True:
                        sequence = await _next_announcement(pubsub)
                        pause_s = _FIRST_PAUSE_S
                        if sequence is not None:
                            yield sequence
            except (RedisError, OSError) as error:
                reason = explain(error, self._where)
                if not isinstance(reason, StoreUnreachable):
                    raise reason from error
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _next_announcement(pubsub: PubSub) -> int | None:
    """The next sequence, or None after a quiet while. Raises TimeoutError when a ping is not answered."""
    message = await pubsub.get_message(timeout=QUIET_S)
    if message is None:
        await pubsub.ping()
        message = await pubsub.get_message(timeout=QUIET_S)
        if message is None:
            raise TimeoutError("no answer on the subscribed connection")
    return int(message["data"]) if message["type"] == "message" else None


def _partial(number: int, head: bytes | None, windows: list[bytes]) -> Partial:
    return Partial(number, checked(head), _pairs(checked(windows)))


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    return _texts(zip(flat[0::2], flat[1::2], strict=True))


def _changes(
    number: int, run: str, head: bytes | None, last: bytes, fields: list[bytes], values: list[bytes | None]
) -> Partial:
    windows = {decode_field(field): value for field, value in zip(fields, values, strict=True)}
    return Partial(number, head, windows, Seen(run, int(last)))


def _texts(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, bytes]:
    return {decode_field(field): value for field, value in fields}
