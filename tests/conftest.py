"""Servers for tests: `broker` and `store` are embedded, `kafka` and `redis_server` are the real ones.

A test that uses a real server is marked `real`; without `--real` it is deselected, with it a missing
server is an error, never a skip.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest
import structlog

from stream.demo.servers import EmbeddedBroker, EmbeddedStore
from tests.servers import RealKafka, RealRedis

REAL_SERVER_FIXTURES = {"kafka", "redis_server", "own_kafka", "own_redis"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real", action="store_true", help="also run the tests on Apache Kafka and redis-server"
    )
    parser.addoption(
        "--customers", type=int, default=80, help="how many customers the test of the customer stage has"
    )


def pytest_configure() -> None:
    """Forget the settings of whoever runs the tests; only the place of the fetched servers is theirs.

    Ctrl-C, too: what a shell starts in the background ignores it, and passes that on to every child.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("LATIDO_") and name != "LATIDO_CACHE"]:
        del os.environ[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what asks for a real server, and leave the marked out unless asked for."""
    for item in items:
        if REAL_SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)
    if config.getoption("--real"):
        return
    left_out = [item for item in items if item.get_closest_marker("real")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("real")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured (`record_property`): the processes that run them print nothing themselves."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """What a test changes about logs is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """The embedded broker, shared: `broker.address`. Take topic names of your own."""
    with EmbeddedBroker() as server:
        yield server


@pytest.fixture(scope="session")
def store() -> Iterator[EmbeddedStore]:
    """The embedded store, shared: `store.url`. Take a namespace of your own."""
    with EmbeddedStore() as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[RealKafka]:
    """Apache Kafka, shared: `kafka.address`. Take topic names of your own, and leave it running."""
    with RealKafka() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RealRedis]:
    """redis-server, shared: `redis_server.url`. Take a namespace of your own, and leave it running."""
    with RealRedis() as server:
        yield server


@pytest.fixture
def own_kafka() -> Iterator[RealKafka]:
    """Apache Kafka for one test alone, to kill and restart (about 5 s each)."""
    with RealKafka() as server:
        yield server


@pytest.fixture(scope="session")
def broker_for_faults() -> Iterator[RealKafka]:
    with RealKafka() as server:
        yield server


@pytest.fixture
def faulty_kafka(broker_for_faults: RealKafka) -> RealKafka:
    """Apache Kafka that runs when the test begins, to do anything to: kill it, delete its topics."""
    if not broker_for_faults.running:
        broker_for_faults.start()
    return broker_for_faults


@pytest.fixture
def own_redis() -> Iterator[RealRedis]:
    """redis-server for one test alone, to kill, restart and fill."""
    with RealRedis() as server:
        yield server
