"""The rights on Redis that docs/security.md names for `latido alerts` are enough, and few."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from stream.demo.servers import EmbeddedStore
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import ask, connect

TEXT = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")


async def test_the_rights_of_delivery(store: EmbeddedStore) -> None:
    [rules] = re.findall(r"on the same\s+keys, `([^`]*)`", TEXT)
    admin = connect(store.url)
    await ask(
        admin, ("ACL", "SETUSER", "teller", "on", ">secret", "~latido:*", "resetchannels", *rules.split())
    )
    client = connect(store.url.replace("redis://", "redis://teller:secret@"))
    board = RedisBoard(client, "told")
    try:
        await board.write_receiver_off("ops", b"gone")
        assert await board.read_receivers_off() == {"ops": b"gone"}
        await board.write_receiver_off("ops", None)
        assert await board.read_alerts() == {}
        for command in (("SET", "latido:{told:board}:clock", 1), ("HGETALL", "others")):
            with pytest.raises(NoPermissionError):
                await ask(client, command)
    finally:
        await ask(admin, ("ACL", "DELUSER", "teller"))
        await client.aclose()
        await admin.aclose()
