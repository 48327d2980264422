"""Key names: one slot per partition, nothing from outside in them."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from stream.pipeline.ports import StoreMisconfigured, Table
from stream.tables.layout import Layout


def test_the_keys_of_a_partition_share_a_slot_and_no_name() -> None:
    layout = Layout("shop-es")
    everything: list[str] = []
    for number in range(64):
        keys = layout.partition(number).all()
        assert len({key_slot(key.encode()) for key in keys}) == 1
        everything += keys
    board = [layout.token, layout.header, layout.records]
    assert len({key_slot(key.encode()) for key in board}) == 1
    everything += [*board, layout.clock, layout.channel, layout.durable]
    assert len(set(everything)) == len(everything)
    assert all(key.startswith("latido:{shop-es:") for key in everything)


def test_the_names_are_documented_ones() -> None:
    keys = Layout("default").partition(3)
    assert keys.meta == "latido:{default:3}:meta"
    assert keys.outbox == "latido:{default:3}:outbox"
    assert keys.tables[Table.VISITORS] == "latido:{default:3}:visitors"


@pytest.mark.parametrize("namespace", ["a", "shop-es", "A.b_c-9", "x" * 64])
def test_a_plain_namespace_is_taken(namespace: str) -> None:
    assert Layout(namespace).namespace == namespace


@pytest.mark.parametrize("namespace", ["", "a:b", "{a}", "a}", "a b", "a*", "ñ", "a\n", "a\0", "x" * 65, "٣"])
def test_any_other_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(StoreMisconfigured, match="namespace"):
        Layout(namespace)
