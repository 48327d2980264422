"""A churn signal as the record of its topic."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from schemas.times import rfc3339
from stream.core.churn import STATES, Signal
from stream.core.churn_reasons import Fact, Part, parts_of
from stream.core.churn_rules import NOTHING, high_value


class PartRecord(msgspec.Struct, frozen=True):
    """schemas/churn.py says what each field means; a test holds both equal."""

    rule: str
    weight: float
    score: int
    is_tripped: bool
    threshold: str | None
    reason: str
    evidence: dict[str, Fact]


class Crossing(msgspec.Struct, frozen=True):
    state: str
    at: str


class SignalRecord(msgspec.Struct, frozen=True):
    site_id: str
    customer_id: str
    signal_id: str
    transition: int
    state: str
    previous_state: str
    changed_at: str
    cause: str
    health_score: int
    is_high_value: bool
    parts: tuple[PartRecord, ...]
    next_crossing: Crossing | None
    rules_version: str


def signal_record(signal: Signal) -> SignalRecord:
    """The record, with every part of the health score."""
    site_id, customer_id = signal.key
    customer, limits, at_ms = signal.customer, signal.limits, signal.changed_ms
    ahead = signal.next_state
    return SignalRecord(
        site_id=site_id,
        customer_id=customer_id,
        signal_id=f"{customer_id}:{signal.transition}",
        transition=signal.transition,
        state=STATES[signal.state],
        previous_state=STATES[signal.previous_state],
        changed_at=rfc3339(at_ms),
        cause=signal.cause,
        health_score=signal.health,
        is_high_value=high_value(customer, limits, at_ms) > NOTHING,
        parts=tuple(map(part_record, parts_of(customer, limits, at_ms))),
        next_crossing=None if ahead is None else Crossing(STATES[ahead[0]], rfc3339(ahead[1])),
        rules_version=limits.version,
    )


def encode_signal(signal: Signal) -> bytes:
    """The record's JSON."""
    return msgspec.json.encode(signal_record(signal))


def main_reason(state: str, parts: Iterable[PartRecord]) -> str | None:
    """What costs most health, in a sentence, whether a limit is reached or not; None of who is healthy."""
    worst = max(parts, key=lambda part: part.weight * (100 - part.score), default=None)
    return None if worst is None or state == STATES[NOTHING] else worst.reason


def signal_reason(record: SignalRecord) -> str | None:
    """The same of a signal; of who became something, why."""
    became = (part.reason for part in record.parts if part.rule == record.cause)
    return next(became, main_reason(record.state, record.parts))


def part_record(part: Part) -> PartRecord:
    """A part of the health score, its times as text."""
    evidence = {
        name: rfc3339(fact) if name.endswith("_at") and isinstance(fact, int) else fact
        for name, fact in part.evidence.items()
    }
    return PartRecord(
        part.rule, part.weight, part.score, part.is_tripped, part.threshold, part.reason, evidence
    )
