"""How alerts stand, for readers: the command and the live page show the same."""

from __future__ import annotations

import msgspec

from schemas.keys import ALL
from schemas.times import rfc3339
from stream.core.alerts import FIRING, OK, STATES
from stream.pipeline.alert_record import AlertRecord
from stream.pipeline.alerts import Kept, decode_kept
from stream.pipeline.ports import AlertsBoard, StoreMisconfigured
from stream.pipeline.take_snapshot import SegmentName

RESOLVED = "resolved"


class StandingAlert(msgspec.Struct, frozen=True):
    """One series of a rule. `alert` is the newest record that told a change of it, null before the first."""

    standing: str  # firing, pending (it will fire if this lasts) or resolved
    since: str
    site_id: str
    rule: str
    segment: SegmentName
    alert: AlertRecord | None

    @property
    def segment_name(self) -> str:
        return ALL if self.segment.value is None else f"{self.segment.dimension}={self.segment.value}"

    @property
    def severity(self) -> str | None:
        """Of what fires."""
        return self.alert.severity if self.alert is not None and self.standing == STATES[FIRING] else None

    @property
    def text(self) -> str:
        """What fired or was resolved; of what is pending whom it is about."""
        if self.alert is None or self.standing not in (STATES[FIRING], RESOLVED):
            return f"site {self.site_id}, {self.segment_name}"
        return self.alert.summary


async def standing_alerts(board: AlertsBoard, site: str | None = None) -> list[StandingAlert]:
    """Firing ones first, then pending, then resolved, of each the newest first. site None: of every one.

    Raises StoreUnreachable, StoreMisconfigured.
    """
    try:
        kept = [decode_kept(data) for data in (await board.read_alerts()).values()]
    except msgspec.MsgspecError as error:
        raise StoreMisconfigured(
            f"what is kept of alerts cannot be read ({error}): use the version of the worker"
        ) from None
    wanted = [one for one in kept if site in (None, one.series.site_id)]
    return [_standing(one) for one in sorted(wanted, key=lambda one: (-one.standing.state, -_since_ms(one)))]


def _standing(kept: Kept) -> StandingAlert:
    state, series = kept.standing.state, kept.series
    return StandingAlert(
        standing=RESOLVED if state == OK else STATES[state],
        since=rfc3339(_since_ms(kept)),
        site_id=series.site_id,
        rule=kept.rule,
        segment=SegmentName(series.dimension, series.value),
        alert=kept.alert,
    )


def _since_ms(kept: Kept) -> int:
    """When it came to be as it is."""
    standing = kept.standing
    if standing.state == OK:
        return standing.resolved_ms or 0
    return standing.fired_ms if standing.state == FIRING else standing.since_ms
