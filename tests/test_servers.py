"""The servers themselves: local, ready when they say so, gone afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis import Redis

from stream.demo import servers as embedded
from stream.demo.child_process import ChildServer, ServerError
from stream.demo.servers import EmbeddedBroker, EmbeddedStore, NoEmbeddedServer, embedded_servers
from tests.servers import RealKafka, RealRedis

LIMIT_S = 20.0
PARTITIONS = 4
RECORDS = 200


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_S} s: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text(encoding="ascii", errors="replace").split(") ")[1][0] != "Z"


async def round_trip(address: str, topic: str) -> dict[int, list[bytes]]:
    """Create a topic, write RECORDS records over its partitions, and read each partition back."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
        assert [error[1] for error in answer.topic_errors] == [0]
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        for number in range(RECORDS):
            await producer.send_and_wait(topic, b"%d" % number, partition=number % PARTITIONS)
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    read: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
    async with AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while sum(map(len, read.values())) < RECORDS:
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                read[partition.partition].extend(record.value for record in records)
    return read


EXPECTED = {
    number: [b"%d" % value for value in range(number, RECORDS, PARTITIONS)] for number in range(PARTITIONS)
}


async def test_embedded_broker_keeps_every_record_in_order(broker: EmbeddedBroker) -> None:
    read = await asyncio.wait_for(round_trip(broker.address, "servers.round-trip"), LIMIT_S)
    assert read == EXPECTED


async def test_kafka_keeps_every_record_in_order(kafka: RealKafka) -> None:
    read = await asyncio.wait_for(round_trip(kafka.address, "servers.round-trip"), LIMIT_S)
    assert read == EXPECTED


def listeners_of(pid: int) -> set[str]:
    """The addresses a process listens on, as `ss` would show them; Linux only."""
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1].split(":")[0])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_embedded_servers_listen_on_localhost_only(broker: EmbeddedBroker, store: EmbeddedStore) -> None:
    localhost = "0100007F"
    assert listeners_of(broker.pid) == {localhost}
    assert listeners_of(store.pid) == {localhost}


def check_store_survives_a_kill(server: EmbeddedStore | RealRedis) -> None:
    with Redis.from_url(server.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("key", "kept")
        server.kill()
        server.start()
        assert client.get("key") == b"kept"


def test_embedded_store_keeps_what_it_confirmed() -> None:
    with EmbeddedStore(fsync="always") as server:
        check_store_survives_a_kill(server)


@pytest.mark.real
def test_redis_keeps_what_it_confirmed() -> None:
    with RealRedis(fsync="always") as server:
        check_store_survives_a_kill(server)


async def test_kafka_comes_back_after_kill_with_its_data(own_kafka: RealKafka) -> None:
    await asyncio.wait_for(round_trip(own_kafka.address, "servers.killed"), LIMIT_S)
    port = own_kafka.port
    own_kafka.kill()
    await own_kafka.start_async()
    assert own_kafka.port == port
    partition = TopicPartition("servers.killed", 0)
    async with AIOKafkaConsumer(bootstrap_servers=own_kafka.address) as consumer:
        assert await consumer.end_offsets([partition]) == {partition: RECORDS // PARTITIONS}


async def test_nothing_is_left_after_use() -> None:
    async with embedded_servers() as (broker, store):
        pids = broker.pid, store.pid
        folders = broker.folder, store.folder
        assert all(folder.is_dir() for folder in folders)
    assert [pid for pid in pids if is_alive(pid)] == []
    assert [folder for folder in folders if folder.exists()] == []


async def test_nothing_is_left_after_a_failure() -> None:
    pids: list[int] = []

    async def fail_in_the_middle() -> None:
        async with embedded_servers() as (broker, store):
            pids.extend([broker.pid, store.pid])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await fail_in_the_middle()
    assert len(pids) == 2
    assert [pid for pid in pids if is_alive(pid)] == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a child that its parent died")
def test_servers_die_with_their_parent(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from stream.demo.servers import EmbeddedStore\n"
        "server = EmbeddedStore(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), "the server ends")


class Broken(ChildServer):
    """Says something and ends before it listens."""

    name = "broken server"

    def _command(self) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit('this port is cursed')"]

    def _answers(self) -> bool:
        raise OSError


class Silent(ChildServer):
    """Runs, and never answers."""

    name = "silent server"
    start_limit_s = 0.3

    def _command(self) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    def _answers(self) -> bool:
        return False


def test_a_server_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"(?s)broken server ended.*this port is cursed"):
        Broken(tmp_path).start()


def test_a_server_that_never_answers_is_ended(tmp_path: Path) -> None:
    server = Silent(tmp_path)
    with pytest.raises(ServerError, match=r"did not answer within 0\.3 s"):
        server.start()
    with pytest.raises(ServerError, match="not running"):
        _ = server.pid


def test_a_taken_port_is_left_for_another(tmp_path: Path, broker: EmbeddedBroker) -> None:
    server = EmbeddedStore(tmp_path)
    server.port = broker.port
    with server:
        assert server.port != broker.port
        with Redis.from_url(server.url) as client:
            assert client.ping()


def test_without_wheels_the_message_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(NoEmbeddedServer, match=r"--broker HOST:PORT and --redis URL"):
        EmbeddedBroker()


def test_a_program_without_permission_is_copied(tmp_path: Path) -> None:
    program = tmp_path / "wheel" / "server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o600)
    copy = embedded.runnable(program, tmp_path)
    assert copy != program
    assert os.access(copy, os.X_OK)
