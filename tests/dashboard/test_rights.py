"""The rights on Redis that docs/security.md names for the dashboard are enough, and let it write nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from stream.dashboard.app import create_app
from stream.dashboard.config import DashboardConfig
from stream.dashboard.reader import BoardReader
from stream.demo.servers import EmbeddedStore
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import ask, connect
from tests.dashboard.feeding import START_MS, Publisher, Stage, record

LIMIT_S = 10.0
TEXT = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")


async def test_the_rights_of_a_reader(own_store: EmbeddedStore) -> None:
    [rules] = [block.split() for block in TEXT.split("```") if "~latido:*" in block and "+hset" not in block]
    admin = connect(own_store.url)
    await ask(admin, ("ACL", "SETUSER", "reader", "on", ">secret", *rules))
    publisher = Publisher(RedisBoard(admin, "shop"))
    await publisher.publish(record(), at_ms=START_MS)
    client = connect(own_store.url.replace("redis://", "redis://reader:secret@"))
    try:
        stage, board = Stage(), RedisBoard(client, "shop")
        stage.reader = BoardReader(board, "shop", 1, lambda: START_MS)
        stage.app = create_app(stage.reader, board, DashboardConfig())
        await stage.reader.read()
        for path in ("kpis", "health", "results", "scores", "churn/signals", "alerts"):
            answer = await stage.get(path)
            assert answer.status_code == 200, answer.text
        announced = asyncio.ensure_future(anext(board.announcements()))
        async with asyncio.timeout(LIMIT_S):
            while not announced.done():
                await publisher.publish(record(), at_ms=START_MS)
                await asyncio.sleep(0.01)
        assert announced.result() > 0
        with pytest.raises(NoPermissionError):
            await ask(client, ("SET", "latido:{shop:board}:clock", 1))
    finally:
        await client.aclose()
        await admin.aclose()
