"""Cancellation that client libraries cannot lose."""

from __future__ import annotations

import asyncio


def still_wanted() -> None:
    """Raise CancelledError again if a library swallowed it.

    aiokafka and redis-py both do when a reply and the cancellation come at the same moment; whoever loops
    over their calls would then never end. Call it after them.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
