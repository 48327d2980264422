"""The stores of the contract suite: memory, the embedded store, and with `--real` redis-server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from stream.demo.servers import EmbeddedStore
from tests.contracts.backends import Backend, MemoryBackend, RedisBackend, Writer
from tests.servers import RealRedis

REAL = pytest.param("real", marks=pytest.mark.real)


@pytest.fixture(scope="session")
def contract_store() -> Iterator[EmbeddedStore]:
    """An embedded store that these tests flush as they like."""
    with EmbeddedStore() as server:
        yield server


@pytest.fixture(scope="session")
def contract_redis() -> Iterator[RealRedis]:
    with RealRedis() as server:
        yield server


@pytest.fixture(params=["memory", "embedded", REAL])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryBackend()
        return
    server = request.getfixturevalue("contract_store" if request.param == "embedded" else "contract_redis")
    redis = RedisBackend(server.url)
    await redis.flush()
    yield redis
    await redis.close()


@pytest.fixture(params=["embedded", REAL])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[RedisBackend]:
    """An empty store that is a server, for what memory cannot do."""
    server = request.getfixturevalue("contract_store" if request.param == "embedded" else "contract_redis")
    redis = RedisBackend(server.url)
    await redis.flush()
    yield redis
    await redis.close()


@pytest.fixture
def one(backend: Backend) -> Writer:
    return Writer(backend.tables(), "one")


@pytest.fixture
def two(backend: Backend) -> Writer:
    return Writer(backend.tables(), "two")
