"""What was shown and clicked: gross counts by event, pairs of a visitor and an element by their lives."""

from __future__ import annotations

from stream.core import ctr
from stream.core.ctr import Exposure, Pair
from stream.core.events import Click, Impression
from stream.core.sessions import Session, Visitor, is_overlong
from stream.core.tallies import SegmentTally
from stream.core.windows import TEN_SECONDS_MS, Counts
from stream.pipeline.partition_state import ATTRIBUTION, PartitionState, Site, exposure_deadline_ms


def count_element(state: PartitionState, site: Site, event: Click | Impression, t: int, metric: str) -> None:
    """Gross counts: the site, the element, and everything the event says of where it was shown."""
    bucket, cap = t // TEN_SECONDS_MS, state.policy.dimension_values
    site.everyone.rows[bucket][metric] += 1
    for dimension, value in (("element", event.element_id), *ctr.dimensions_of(ctr.place_of(event))):
        site.segment(dimension, value, cap).rows[bucket][metric] += 1


def pair_seen_or_clicked(
    state: PartitionState, site: Site, session: Session, event: Click | Impression, t: int
) -> None:
    """An impression or click on a page: the pair of this session and the element."""
    if is_overlong(session, state.policy):
        return
    pairs = session.pairs
    if pairs is None:
        pairs = session.pairs = {}
    element, new = event.element_id, _pair_of(event, t)
    before = pairs.get(element)
    after = pairs[element] = new if before is None else ctr.merge_pair(before, new)
    if before is not None:
        if ctr.counts_the_same(before, after):
            return
        _count_pair(state, site, element, before, -1)
    _count_pair(state, site, element, after, 1)


def _pair_of(event: Click | Impression, t: int) -> Pair:
    if isinstance(event, Click):
        return ctr.clicked(t, event.event_id, ctr.place_of(event))
    return ctr.seen(t, event.event_id, ctr.place_of(event), opened=event.opened is True)


def expose(state: PartitionState, site: Site, visitor: Visitor, event: Click | Impression, t: int) -> None:
    """An impression or click in a mail, an ad or a push: one exposure until the attribution time passes."""
    surface, element = event.surface, event.element_id
    result = Exposure(surface, element, t, t, _pair_of(event, t))
    near_ms = state.policy.attribution_ms
    kept: list[Exposure] = []
    for exposure in visitor.exposures or []:
        same = exposure.surface == surface and exposure.element_id == element
        if same and exposure.first_ms - near_ms <= t <= exposure.last_ms + near_ms:
            _count_pair(state, site, element, exposure.pair, -1)
            result = ctr.merge_exposure(exposure, result)
        else:
            kept.append(exposure)
    _count_pair(state, site, element, result.pair, 1)
    dated_ms, _ = ctr.pair_counts(result.pair)
    if dated_ms != t:
        state.because(site, dated_ms, ATTRIBUTION)
    visitor.exposures = [*kept, result]
    state.closing.file(exposure_deadline_ms(result, state.policy), visitor)


def count_pairs(state: PartitionState, site: Site, pairs: ctr.Pairs, sign: int) -> None:
    for element, pair in pairs.items():
        _count_pair(state, site, element, pair, sign)


def _count_pair(state: PartitionState, site: Site, element: str, pair: Pair, sign: int) -> None:
    t, counts = ctr.pair_counts(pair)
    bucket, cap = t // TEN_SECONDS_MS, state.policy.dimension_values
    add_counts(site.everyone, bucket, counts, sign)
    add_counts(site.segment("element", element, cap), bucket, counts, sign)
    for dimension, value in ctr.dimensions_of(pair.place) if pair.place is not None else ():
        add_counts(site.segment(dimension, value, cap), bucket, counts, sign)


def add_counts(tally: SegmentTally, bucket: int, counts: Counts, sign: int) -> None:
    row = tally.rows[bucket]
    for metric, n in counts.items():
        row[metric] += sign * n
