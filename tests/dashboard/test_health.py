"""GET /api/v1/health: what the partitions' heads say, of the pipeline's own making."""

from __future__ import annotations

import csv
import io

from schemas.topics import PAGE_VIEWS
from stream.core.policy import Policy
from stream.pipeline.take_snapshot import Completeness
from tests.builders import BASE_MS, Lane, event
from tests.dashboard.feeding import Stage, record

HOUR_MS = 3_600_000


def lane_with_everything() -> Lane:
    """Good, repeated, late and broken records of one partition."""
    lane = Lane(Policy())
    lane.wall_ms = BASE_MS + 2 * HOUR_MS
    lane.append(event("V", HOUR_MS, "e1"), event("V", HOUR_MS, "e1"), event("V", 0, "e2"))
    lane.append({**event("V", HOUR_MS, "e3"), "url": 5}, event("V", HOUR_MS, "e4", consent="denied"))
    lane.append({**event("V", HOUR_MS, "e5"), "url": 5})
    lane.append({**event("V", 9 * HOUR_MS, "e6")})
    log = lane.logs[PAGE_VIEWS]
    log[-1] = log[-1]._replace(timestamp=BASE_MS + HOUR_MS)  # eight hours before it happened
    lane.fetch("V", log_end=len(log) + 5)
    lane.empty("CFS")
    return lane


async def test_every_record_read_is_accounted_for(stage: Stage) -> None:
    lane = lane_with_everything()
    stage.board.store.partitions[0] = lane.store.partition(0)
    stage.publisher.completeness = Completeness("catching_up", 2, 0, None, 5, 1, 3)
    stage.now_ms = BASE_MS + 2 * HOUR_MS
    await stage.publish(record())
    health = (await stage.get("health")).json()
    assert health["state"]["status"] == "catching_up"
    assert health["header"]["completeness"]["partitions"] == 2
    accounting = health["accounting"]
    assert accounting["read"] == 7 == sum(accounting.values()) - accounting["read"]
    assert (accounting["counted"], accounting["duplicates"], accounting["no_consent"]) == (1, 1, 1)
    assert health["dead_letters"] == {"invalid_event": 2, "late": 1, "future_timestamp": 1}
    [partition] = health["partitions"]  # of two; nobody has written the other
    assert (partition["partition"], partition["worker"], partition["silent"]) == (0, "test", False)
    views = partition["topics"][0]
    assert (views["topic"], views["position"], views["end"], views["lag_records"]) == (PAGE_VIEWS, 7, 12, 5)
    assert (partition["behind"], partition["lag_records"], partition["lost_records"]) == (True, 5, 0)
    assert [(one["id"], one["partitions"], one["silent"]) for one in health["workers"]] == [
        ("test", [0], False)
    ]  # fmt: skip


async def test_a_worker_that_is_silent_is_shown_as_such(stage: Stage) -> None:
    stage.board.store.partitions[0] = lane_with_everything().store.partition(0)
    stage.now_ms = BASE_MS + 2 * HOUR_MS + 60_000
    await stage.publish(record())
    health = (await stage.get("health")).json()
    assert health["workers"][0]["silent"]
    [partition] = health["partitions"]
    assert partition["silent"]
    [row] = csv.DictReader(io.StringIO((await stage.get("health.csv")).text))
    assert (row["partition"], row["worker"], row["silent"]) == ("0", "test", "true")
    assert row["lag_records"] == str(partition["lag_records"])


async def test_codes_survive_a_restart() -> None:
    lane = lane_with_everything()
    lane.open()
    assert lane.partition.state.accounting.refused_as == {"invalid_event": 2, "future_timestamp": 1}


async def test_before_anything_is_published_there_is_nothing(stage: Stage) -> None:
    await stage.reader.read()
    health = (await stage.get("health")).json()
    assert (health["state"]["status"], health["partitions"], health["workers"]) == ("empty", [], [])


async def test_many_who_ask_cost_one_look(stage: Stage) -> None:
    await stage.publish(record())
    looks = 0
    read = stage.board.read_heads

    async def counting(partitions: int) -> object:
        nonlocal looks
        looks += 1
        return await read(partitions)

    stage.board.read_heads = counting  # type: ignore[method-assign, assignment]
    for _ in range(20):
        assert (await stage.get("health")).status_code == 200
    assert looks == 1
