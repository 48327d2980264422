"""A step of the pipeline that owns partitions: which topics it reads, where its state is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from stream.pipeline.claimed import Claimed, Head
from stream.pipeline.ports import Claim, PartitionTables


class Stage(msgspec.Struct, frozen=True):
    """`open` loads what the last commit of a claimed partition left."""

    name: str  # part of transactional ids and of the marks' keys; '' of the first one
    topics: tuple[str, ...]
    tables: PartitionTables
    open: Callable[[Claim], Awaitable[Claimed[Head]]]

    @property
    def named(self) -> dict[str, str]:
        """For a line of the log."""
        return {"stage": self.name} if self.name else {}
