"""From commit to output topics: what a partition has committed leaves in order, when it is on disk.

One task per owned partition. After an error everything from the first unacknowledged entry goes out again;
readers recognise a repeat by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain, islice

import structlog
from aiokafka.errors import KafkaError

from stream.kafka import producer as producers
from stream.kafka.producer import OutputProducer
from stream.pipeline.batch import Output
from stream.pipeline.claimed import Claimed, Head
from stream.pipeline.ports import PartitionTables, StateTorn, StoreUnreachable

log = structlog.get_logger("latido.kafka")

# Entries of one transaction: bounds what is repeated after an error.
_ENTRIES_AT_ONCE = 200
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


class Outbox:
    """Drains `partition.outbox`. `mark` makes the record that goes out with an entry (marks.py);
    `on_lost` is called when the partition must be claimed again."""

    def __init__(
        self, partition: Claimed[Head], tables: PartitionTables, producer: OutputProducer, limit_records: int,
        mark: Callable[[int], Output], on_lost: Callable[[str], None],
        on_broken: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._mark = mark
        self._partition = partition
        self._tables = tables
        self._producer = producer
        self._limit_records = limit_records
        self._on_lost, self._on_broken = on_lost, on_broken
        self._committed = asyncio.Event()
        self._drained = asyncio.Event()
        self._given_up = False
        self._task = asyncio.create_task(self._run(), name=f"outbox-{partition.number}")

    def wake(self) -> None:
        """There may be new entries."""
        if self._partition.outbox:
            self._committed.set()
            if self.is_full():
                self._drained.clear()

    def is_full(self) -> bool:
        """More records wait than memory should hold: apply nothing more until they are out."""
        return sum(len(outputs) for _, outputs in self._partition.outbox) >= self._limit_records

    async def wait_for_room(self) -> None:
        """Until there is room, or nobody waits any more."""
        while self.is_full() and not self._given_up and not self._task.done():
            self._drained.clear()
            self.wake()
            await self._drained.wait()

    def stop_waiting(self) -> None:
        """The partition is being taken away: let go of who waits for room."""
        self._given_up = True
        self._drained.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._producer.stop()

    async def _run(self) -> None:
        try:
            await self._drain()
        except (producers.Fenced, StateTorn) as error:
            self._on_lost(str(error))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._on_broken(error)
        finally:
            self._drained.set()

    async def _drain(self) -> None:
        pause_s = _PAUSE_S
        while True:
            await self._committed.wait()
            self._committed.clear()
            while entries := list(islice(self._partition.outbox, _ENTRIES_AT_ONCE)):
                try:
                    await self._tables.wait_durable()
                    outputs = chain.from_iterable(outputs for _, outputs in entries)
                    await self._producer.produce(chain(outputs, (self._mark(entries[-1][0]),)))
                except (TimeoutError, StoreUnreachable, KafkaError, OSError) as error:
                    log.warning(
                        "outputs wait", partition=self._partition.number, reason=str(error) or repr(error)
                    )
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                    continue
                pause_s = _PAUSE_S
                self._partition.produced(entries[-1][0])
                self._drained.set()
