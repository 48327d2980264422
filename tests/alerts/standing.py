"""Series as a judge leaves them in the store: one that fires, one that waits, one that is resolved."""

from __future__ import annotations

import msgspec

from schemas.topics import ALERTS
from stream.core.alerts import FIRING, OK, PENDING, Standing
from stream.pipeline.alert_record import AlertRecord, Series
from stream.pipeline.alerts import Kept, encode_kept
from tests.schemas.examples import FOLDER

HOSTILE = "\x1b[2J[red]<img src=x onerror=alert(1)>"


def example(name: str) -> AlertRecord:
    return msgspec.json.decode((FOLDER / ALERTS / "valid" / f"{name}.json").read_bytes(), type=AlertRecord)


def kept_of() -> dict[str, bytes]:
    """Alert key -> what is stored of its series."""
    firing, resolved = example("firing-by-the-interval"), example("resolved-not-published-any-more")
    at_ms = firing.sequence
    kept = [
        Kept(
            Standing(FIRING, at_ms, 0, at_ms, at_ms, None, at_ms),
            Series("shop-es", "channel", "Email"), "ctr-low", firing,
        ),
        Kept(Standing(PENDING, at_ms + 5_000, 0, at_ms), Series("shop-es", "channel", HOSTILE), "ctr-low"),
        Kept(
            Standing(OK, at_ms, 0, at_ms, at_ms, at_ms, 9), Series("shop", "all", None), "ctr-low", resolved
        ),
    ]  # fmt: skip
    return {one.series.key(one.rule): encode_kept(one) for one in kept}
