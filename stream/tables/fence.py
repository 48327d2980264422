"""Who may write: one decision, used by every implementation of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream.pipeline.ports import Commit, CommitAnswer


class Held(NamedTuple):
    """What a partition's meta hash says; '' and 0 where it says nothing."""

    owner: str
    epoch: int
    commit: str


NOBODY = Held("", 0, "")


def parse_held(fields: Sequence[bytes | None]) -> Held:
    """From the stored owner, epoch and commit id, in this order."""
    owner, epoch, commit = fields
    return Held((owner or b"").decode(), int(epoch or 0), (commit or b"").decode())


def judge(held: Held, commit: Commit) -> CommitAnswer | None:
    """The answer to a commit, or None when it may be written now."""
    if held.owner == str(commit.owner):
        if held.commit == commit.previous_id:
            return None
        return CommitAnswer.STORED if held.commit == commit.id else CommitAnswer.WENT_BACK
    newer = held.epoch > commit.owner.epoch
    return CommitAnswer.NEWER_OWNER if newer else CommitAnswer.WENT_BACK
