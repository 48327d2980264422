"""A board with records of the test's own making, and the dashboard over it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from schemas.keys import segment_name, snapshot_key
from schemas.times import rfc3339
from stream.dashboard.app import create_app
from stream.dashboard.config import DashboardConfig
from stream.dashboard.reader import BoardReader
from stream.pipeline.ports import Board, Token
from stream.pipeline.take_snapshot import Completeness, Header
from stream.tables.memory import MemoryBoard
from tests.cli.publishing import EXAMPLE

START_MS = 1_795_000_000_000
COMPLETE = Completeness("complete", 4, 4, rfc3339(START_MS), 0, 3, 1)
URL = "http://127.0.0.1:8090"


def record(
    site: str = "shop-es", window: str = "5m", dimension: str = "all", value: str | None = None, **kpis: Any
) -> dict[str, Any]:
    """The contract's example as a record of that segment. kpis: values in place of the example's."""
    one: dict[str, Any] = json.loads(EXAMPLE.read_bytes())
    one["site_id"], one["window"]["name"] = site, window
    one["segment"] = {"dimension": dimension, "value": value}
    for name, number in kpis.items():
        one["kpis"].setdefault(name, {"type": "count"})["value"] = number
    return one


def key_of(one: dict[str, Any]) -> str:
    segment = segment_name(one["segment"]["dimension"], one["segment"]["value"])
    return snapshot_key(one["site_id"], one["window"]["name"], segment)


class Publisher:
    """Writes to a board as the publisher does."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._token: Token | None = None
        self._sequence = 0
        self.completeness = COMPLETE
        self.positions: dict[str, dict[int, int]] = {}

    async def publish(self, *records: dict[str, Any], at_ms: int, gone: Sequence[str] = ()) -> None:
        """One tick at that time: these records changed, those keys are gone."""
        if self._token is None:
            self._token = await self._board.take_token(0)
            self._sequence = self._token.sequence
        self._sequence += 1
        now = rfc3339(at_ms)
        header = Header(self._sequence, now, now, True, self.completeness, self.positions)
        raw = {key_of(one): json.dumps(one | {"sequence": self._sequence}).encode() for one in records}
        assert await self._board.write(self._token, self._sequence, msgspec.json.encode(header), raw, gone)


class Stage:
    """A dashboard over a board in memory; time moves when the test says so."""

    def __init__(self, **config: Any) -> None:
        self.now_ms = START_MS
        self.board = MemoryBoard()
        self.publisher = Publisher(self.board)
        self.config = DashboardConfig(**config)
        self.reader = BoardReader(self.board, "shop", self.config.viewers, lambda: self.now_ms)
        self.app = create_app(self.reader, self.board, self.config)

    async def publish(self, *records: dict[str, Any], gone: Sequence[str] = ()) -> None:
        """Publish now, and let the dashboard read it."""
        await self.publisher.publish(*records, at_ms=self.now_ms, gone=gone)
        await self.reader.read()

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url=URL, headers=headers)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """The answer to GET of a path under /api/v1, or of another that begins with a slash."""
        async with self.client(**headers) as http:
            return await http.get(path if path.startswith("/") else f"/api/v1/{path}")


def places(answer: httpx.Response) -> list[str]:
    """Site, window and segment of each record answered, in order."""
    return [key_of(one) for one in answer.json()["records"]]
