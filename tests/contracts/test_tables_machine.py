"""Random lives of one partition, against a model."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from stream.demo.servers import EmbeddedStore
from tests.contracts.backends import Backend, MemoryBackend, RedisBackend
from tests.contracts.tables_machine import TablesMachine

settings.register_profile(
    "machine", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
PROFILE = settings.get_profile("machine")


class OnMemory(TablesMachine):
    @staticmethod
    def make_backend() -> Backend:
        return MemoryBackend()


def test_memory_is_the_model() -> None:
    run_state_machine_as_test(OnMemory, settings=settings(PROFILE, max_examples=100, stateful_step_count=40))


def test_the_embedded_store_is_the_model(contract_store: EmbeddedStore) -> None:
    class OnEmbedded(TablesMachine):
        @staticmethod
        def make_backend() -> Backend:
            return RedisBackend(contract_store.url)

    run_state_machine_as_test(OnEmbedded, settings=settings(PROFILE, max_examples=25, stateful_step_count=30))
