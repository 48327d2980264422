"""How alerts stand in the store, on every implementation of the board."""

from __future__ import annotations

from stream.pipeline.ports import AlertsWrite
from tests.contracts.backends import Backend

NOW_MS = 1_790_000_000_000


async def test_an_empty_board_has_no_alerts(backend: Backend) -> None:
    board = backend.board()
    assert await board.read_alerts() == {}
    assert await board.read_alerts_outbox() == {}
    assert await board.take_alerts_token(NOW_MS) == NOW_MS


async def test_what_a_judge_wrote_is_read_by_the_next_one(backend: Backend) -> None:
    board = backend.board()
    epoch = await board.take_alerts_token(NOW_MS)
    kept = {"shop|ctr|all": b"\0\xff", "shop|ctr|channel=\U0001f600": b"{}"}
    assert await board.write_alerts(epoch, AlertsWrite(kept, outbox={"a/1": b"{}", "b/2": b""}))
    again = backend.board()
    assert await again.take_alerts_token(0) == epoch + 1
    assert await again.read_alerts() == kept
    assert await again.read_alerts_outbox() == {"a/1": b"{}", "b/2": b""}
    assert await again.write_alerts(epoch + 1, AlertsWrite(gone=["shop|ctr|all"], produced=["a/1"]))
    assert [*await again.read_alerts()] == ["shop|ctr|channel=\U0001f600"]
    assert [*await again.read_alerts_outbox()] == ["b/2"]


async def test_an_older_judge_is_refused_and_writes_nothing(backend: Backend) -> None:
    board = backend.board()
    old = await board.take_alerts_token(NOW_MS)
    await backend.board().take_alerts_token(0)
    assert not await board.write_alerts(old, AlertsWrite({"k": b"old"}, outbox={"k/1": b"old"}))
    assert await board.read_alerts() == {}
    assert await board.read_alerts_outbox() == {}
    await backend.flush()
    assert not await board.write_alerts(old + 1, AlertsWrite({"k": b"old"}))


async def test_a_receiver_is_switched_off_and_on(backend: Backend) -> None:
    board = backend.board()
    assert await board.read_receivers_off() == {}
    await board.write_receiver_off("ops/1", b"gone")
    await board.write_receiver_off("mail/2", b"")
    assert await backend.board().read_receivers_off() == {"ops/1": b"gone", "mail/2": b""}
    await board.write_receiver_off("ops/1", None)
    await board.write_receiver_off("ops/1", None)
    assert [*await board.read_receivers_off()] == ["mail/2"]
