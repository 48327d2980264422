"""`python -m tests.faults.dying_worker POINT TIMES worker`: the worker, which kills itself at a named point.

SIGKILL, as a crash would: nothing is flushed, closed or said. TIMES: at which pass of the point.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeVar

from stream import cli
from stream.kafka.assignment import Assignment
from stream.kafka.producer import OutputProducer
from stream.tables.redis import RedisTables

P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[P, Awaitable[R]]


class Fuse:
    """Burns down by one at each pass."""

    def __init__(self, passes: int) -> None:
        self._left = passes

    def burn(self) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def before(method: Method[P, R], fuse: Fuse, counts: Callable[..., bool]) -> Method[P, R]:
    async def dying(*args: P.args, **kwargs: P.kwargs) -> R:
        if counts(*args):
            fuse.burn()
        return await method(*args, **kwargs)

    return dying


def after(method: Method[P, R], fuse: Fuse, counts: Callable[..., bool]) -> Method[P, R]:
    async def dying(*args: P.args, **kwargs: P.kwargs) -> R:
        answer = await method(*args, **kwargs)
        if counts(*args):
            fuse.burn()
        return answer

    return dying


def _always(*_: object) -> bool:
    return True


def _has_outputs(_: object, commit: Any) -> bool:
    return bool(commit.outbox)


def _is_of_a_partition(producer: Any, *_: object) -> bool:
    """Not the publisher's."""
    return not str(producer._transactional_id).endswith("-publisher")


# Point -> (class, method, how it is wrapped, which calls count).
POINTS: Final[dict[str, tuple[type, str, Callable[..., Any], Callable[..., bool]]]] = {
    "after the poll": (Assignment, "process", before, _always),
    "before the commit": (RedisTables, "commit", before, _has_outputs),
    "after the commit, before producing": (RedisTables, "commit", after, _has_outputs),
    "in the middle of producing": (OutputProducer, "_send_group", after, _is_of_a_partition),
    "after producing, before the outbox is emptied": (OutputProducer, "produce", after, _is_of_a_partition),
    "between claim and load": (RedisTables, "claim", after, _always),
}


def main() -> int:
    owner, name, wrapped, counts = POINTS[sys.argv[1]]
    setattr(owner, name, wrapped(getattr(owner, name), Fuse(int(sys.argv[2])), counts))
    return cli.run(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
