"""What the event loop complains about that is nobody's fault: errors that aiokafka keeps twice.

A failed batch or transaction tells its error to whoever waits, and leaves copies in futures that nobody
holds; asyncio logs each as an error with a traceback when it is collected.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiokafka.errors import KafkaError

log = structlog.get_logger("latido.kafka")

_NEVER_RETRIEVED = "exception was never retrieved"
_DESTROYED = "Task was destroyed but it is pending"
_LIBRARIES = ("aiokafka", "faust", "mode")


def keep_quiet(loop: asyncio.AbstractEventLoop) -> None:
    """Log such complaints for --debug only; any other is handled as before."""
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if _is_leftover(context):
            log.debug("left over", what=context.get("message"), reason=repr(context.get("exception")))
        elif before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)


def _is_leftover(context: dict[str, Any]) -> bool:
    message = str(context.get("message"))
    if _NEVER_RETRIEVED in message:
        return isinstance(context.get("exception"), KafkaError)
    return message == _DESTROYED and _is_of_a_library(context.get("task"))


def _is_of_a_library(task: Any) -> bool:
    """Whether the task runs code of a client library: it was asked to stop and did not wait for its own."""
    frames = task.get_stack(limit=1) if isinstance(task, asyncio.Task) else []
    return any(f"/{name}/" in frame.f_code.co_filename for frame in frames for name in _LIBRARIES)
