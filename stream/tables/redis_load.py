"""Reading a partition at a claim: everything over one connection, checked for being of one moment.

A field costs about as much to parse here as to send there, so the next page is asked for before this one is
parsed.
"""

from __future__ import annotations

from collections.abc import Iterable

from redis.asyncio.connection import AbstractConnection

from stream.pipeline.ports import HOT_TABLES, Claim, StateTorn, Stored
from stream.tables import resp
from stream.tables.layout import COMMIT, HEAD, OWNER, PartitionKeys, decode_field
from stream.tables.redis_client import checked, converse, read_reply, send

# Fields per page. The server does nothing else while it gathers a page: 5 to 10 ms for this many.
PAGE_FIELDS = 5_000


async def load(connection: AbstractConnection, keys: PartitionKeys, claim: Claim) -> Stored:
    """Raises StateTorn when owner or commit id are not the claim's before and after; redis-py's errors."""
    head = await _head(connection, keys, claim)
    tables = {table: await _scan(connection, keys.tables[table]) for table in HOT_TABLES}
    outbox = await _scan(connection, keys.outbox)
    await _head(connection, keys, claim)
    return Stored(head, tables, sorted((int(output_id), value) for output_id, value in outbox.items()))


async def _head(connection: AbstractConnection, keys: PartitionKeys, claim: Claim) -> bytes | None:
    (reply,) = await converse(connection, [resp.command("HMGET", keys.meta, OWNER, COMMIT, HEAD)])
    owner, commit_id, head = checked(reply)
    if ((owner or b"").decode(), (commit_id or b"").decode()) != (str(claim.owner), claim.commit_id):
        raise StateTorn(f"partition {claim.partition}: changed by another since it was claimed")
    return head if head is None else bytes(head)


async def _scan(connection: AbstractConnection, key: str) -> dict[str, bytes]:
    """A whole hash. A field that a page repeats (the server was resizing the hash) overwrites itself."""
    found: dict[str, bytes] = {}
    await _ask(connection, key, b"0")
    while True:
        cursor, flat = checked(await read_reply(connection))
        more = cursor != b"0"
        if more:
            await _ask(connection, key, cursor)
        found.update(zip(_decode(flat[0::2]), flat[1::2], strict=True))
        if not more:
            return found


async def _ask(connection: AbstractConnection, key: str, cursor: bytes) -> None:
    await send(connection, resp.command("HSCAN", key, cursor, "COUNT", PAGE_FIELDS))


def _decode(fields: list[bytes]) -> Iterable[str]:
    try:
        return [field.decode() for field in fields]
    except UnicodeDecodeError:
        return [decode_field(field) for field in fields]
