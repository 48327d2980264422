"""An empty namespace names the others in which something is published."""

from __future__ import annotations

import pytest
from redis import Redis

from stream.commands import watching
from stream.demo.servers import EmbeddedStore
from stream.settings import load_settings
from stream.tables.layout import Layout
from tests.cli.conftest import Run
from tests.cli.publishing import publish


async def test_an_empty_namespace_names_those_that_are_not(latido: Run, own_store: EmbeddedStore) -> None:
    await publish(own_store, "demo-df462afa")
    done = latido("kpi", LATIDO_REDIS=own_store.url)
    assert (done.returncode, done.stderr) == (
        1,
        "latido: nothing is published in namespace default yet; "
        "there is demo-df462afa: --namespace demo-df462afa\n",
    )
    assert latido("kpi", "--namespace", "demo-df462afa", LATIDO_REDIS=own_store.url).returncode == 0


async def test_many_are_counted_and_foreign_keys_are_none(own_store: EmbeddedStore) -> None:
    with Redis.from_url(own_store.url) as client:
        client.set("latido:{half:0}:meta", "x")
        client.set("somebody:else", "x")
        client.set(Layout("empty").header, "x")
    settings = load_settings(None, redis=own_store.url, namespace="empty")
    assert await watching.other_namespaces(settings) == ()
    for number in range(6):
        await publish(own_store, f"n{number}")
    others = await watching.other_namespaces(settings)
    assert others == tuple(f"n{number}" for number in range(6))
    assert watching.nothing_yet(settings, others).endswith(
        "there is n0, n1, n2, n3 and 2 more: --namespace n0"
    )


async def test_only_a_part_of_a_large_store_is_looked_at(
    own_store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SCANS", 2)
    monkeypatch.setattr(watching, "KEYS_PER_SCAN", 10)
    with Redis.from_url(own_store.url) as client:
        client.mset({f"somebody:{number}": "x" for number in range(5000)})
        client.config_resetstat()
        await watching.other_namespaces(load_settings(None, redis=own_store.url))
        assert client.info("commandstats")["cmdstat_scan"]["calls"] == 2


async def test_a_store_that_does_not_answer_gives_no_hint() -> None:
    with EmbeddedStore() as gone:
        settings = load_settings(None, redis=gone.url)
    assert await watching.other_namespaces(settings) == ()
