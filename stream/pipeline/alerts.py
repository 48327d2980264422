"""Every alert rule over what is published: which series there are, how each stands, what changed.

Pure: figures in, alerts out. `kafka/alerts_publisher.py` keeps the standings in the store and produces the
alerts; `latido alerts test` asks the same code about the figures of this moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, Protocol

import msgspec

from schemas.keys import snapshot_key
from schemas.times import parse_time, to_ms
from stream.core.alerts import (
    FIRING,
    LONGEST_GAP_MS,
    NEVER_AGAIN_MS,
    OK,
    PENDING,
    Baseline,
    Look,
    Muted,
    Rule,
    Silence,
    Standing,
    end,
    follow,
    muted_by,
)
from stream.core.policy import DAY_MS, SECOND_MS
from stream.pipeline.alert_record import (
    AlertRecord,
    Figure,
    Series,
    Sighting,
    alert_record,
    ended_record,
    figure_of,
)
from stream.pipeline.partition_state import OTHER
from stream.pipeline.take_snapshot import Completeness, SnapshotRecord

STORED_EVERY_MS = 20 * SECOND_MS
NEAR_MS = 5 * SECOND_MS
FORGOTTEN_AFTER_MS = 30 * DAY_MS
"""A series that was resolved so long ago leaves the tables and the topic."""


class AlertRules(msgspec.Struct, frozen=True):
    """What the settings say. monitor: the address of the live page, for links."""

    rules: tuple[Rule, ...] = ()
    silences: tuple[Silence, ...] = ()
    monitor: str | None = None


class Published(NamedTuple):
    """What readers were told at one tick."""

    as_of_ms: int
    wall_ms: int
    completeness: Completeness
    records: Mapping[str, SnapshotRecord]

    @property
    def is_whole(self) -> bool:
        """Whether everything is counted but for the newest seconds; while many events come, there are always
        some to be read. What was lost for good silences nothing for good."""
        of = self.completeness
        if of.status == "complete" or (of.lost_records and of.partitions_current == of.partitions):
            return True
        near = self.wall_ms - self.as_of_ms <= NEAR_MS
        return near and (of.status == "catching_up" or (of.status == "partial" and of.lost_records > 0))


class Baselines(Protocol):
    """The same hour of earlier weeks."""

    def of(self, rule: Rule, series: Series, at_ms: int) -> Baseline | None: ...


class NoBaselines:
    def of(self, rule: Rule, series: Series, at_ms: int) -> Baseline | None:
        return None


class Kept(msgspec.Struct, frozen=True):
    """What is stored of a series: how it stands, and the newest alert that told it."""

    standing: Standing
    series: Series
    rule: str
    alert: AlertRecord | None = None


class Step(NamedTuple):
    """What a look changed: series to store, alerts to tell, and series to forget with their last sequence."""

    kept: dict[str, Kept]
    gone: dict[str, int]
    told: list[AlertRecord]


class Seen(NamedTuple):
    """One series of one rule, as published."""

    rule: Rule
    series: Series
    figure: Figure
    from_ms: int


_decode_kept = msgspec.json.Decoder(Kept).decode
encode_kept = msgspec.json.Encoder().encode


def decode_kept(data: bytes) -> Kept:
    """Raises msgspec.ValidationError for one of another version."""
    return _decode_kept(data)


def series_of(rules: Sequence[Rule], records: Iterable[SnapshotRecord]) -> Iterator[Seen]:
    """Every series of the rules for which there is a figure."""
    places: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        places.setdefault((rule.window, rule.dimension), []).append(rule)
    for record in records:
        segment = record.segment
        for rule in places.get((record.window.name, segment.dimension), ()):
            kpi = record.kpis.get(rule.kpi)
            if kpi is None or not rule.wants(record.site_id, segment.dimension, segment.value):
                continue
            if segment.value == OTHER and rule.value is None:
                continue  # what is left over is another thing each time
            series = Series(record.site_id, segment.dimension, segment.value)
            yield Seen(rule, series, figure_of(kpi), _ms(record.as_of))


@lru_cache(maxsize=4096)
def _ms(text: str) -> int:
    """Of a time that many records share."""
    return to_ms(parse_time(text))


def measure(seen: Seen, published: Published, baselines: Baselines) -> Sighting:
    """The number a rule compares, and what it is compared with."""
    x = seen.figure.measured(seen.rule)
    known = None
    if seen.rule.deviations and x is not None:
        known = baselines.of(seen.rule, seen.series, published.as_of_ms)
        x = None if known is None else (x - known.median) / known.spread
    return Sighting(published.as_of_ms, published.completeness, seen.figure, x, known)


class Alerting:
    """How every series stands."""

    def __init__(self, settings: AlertRules, kept: Mapping[str, Kept] | None = None) -> None:
        self._settings = settings
        self._rules = {rule.name: rule for rule in settings.rules}
        self._still = [rule for rule in settings.rules if not rule.deviations]
        self._moving = [rule for rule in settings.rules if rule.deviations]
        self.kept: dict[str, Kept] = dict(kept or {})
        self._judged: dict[str, SnapshotRecord] = {}
        self._missing_ms: dict[str, int] = {}
        self._firing = Counter(one.rule for one in self.kept.values() if one.standing.state == FIRING)

    def look(self, published: Published, baselines: Baselines) -> Step:
        """Judge every series. A snapshot that is not whole changes nothing."""
        step = Step({}, {}, [])
        if not published.is_whole:
            return step
        # A distance from the baseline moves with the hour, whether or not the figure does.
        moving = series_of(self._moving, published.records.values())
        for seen in chain(series_of(self._still, self._news(published)), moving):
            self._follow(seen, measure(seen, published, baselines), step)
        for key in [*self.kept]:
            self._tidy(key, published, step)
        self._judged = dict(published.records)
        return step

    def _news(self, published: Published) -> Iterator[SnapshotRecord]:
        """The records that are not those of the last look, and those whose series only time moves on."""
        waiting = {
            self._place(kept) for kept in self.kept.values()
            if kept.standing.state == PENDING and not self._is_full(self._rules.get(kept.rule))
        }  # fmt: skip
        for key, record in published.records.items():
            if self._judged.get(key) is not record or key in waiting:
                yield record

    def _place(self, kept: Kept) -> str | None:
        """The key of the record that a series is judged by; None: its rule is no more."""
        rule = self._rules.get(kept.rule)
        return None if rule is None else snapshot_key(kept.series.site_id, rule.window, kept.series.segment)

    def _follow(self, seen: Seen, sighting: Sighting, step: Step) -> None:
        rule, key = seen.rule, seen.series.key(seen.rule.name)
        before = self.kept.get(key)
        if before is None and (sighting.x is None or not rule.passes(sighting.x)):
            return  # as nearly every one
        standing, changes = follow(
            rule,
            Standing() if before is None else before.standing,
            Look(sighting.as_of_ms, sighting.as_of_ms if rule.deviations else seen.from_ms, sighting.x),
            self._muted(rule, seen.series),
        )
        told = [
            alert_record(rule, seen.series, change, sighting, self._settings.monitor) for change in changes
        ]
        alert = None if before is None else before.alert
        self._keep(key, Kept(standing, seen.series, rule.name, alert), told, step)

    def _is_full(self, rule: Rule | None) -> bool:
        """Whether so many series of a rule fire that more would be a flood."""
        return rule is not None and self._firing[rule.name] >= rule.most

    def _muted(self, rule: Rule, series: Series) -> Muted:
        """By silences, and while the rule is full."""
        if self._is_full(rule):
            return lambda _: NEVER_AGAIN_MS
        silences = self._settings.silences
        return muted_by(one for one in silences if one.matches(rule.name, series.site_id, series.segment))

    def _tidy(self, key: str, published: Published, step: Step) -> None:
        """End what is not published any more or has no rule, and forget what is over since long."""
        kept, at_ms = self.kept[key], published.as_of_ms
        standing, place = kept.standing, self._place(kept)
        if standing.state == OK:
            if at_ms - (standing.resolved_ms or 0) > FORGOTTEN_AFTER_MS:
                del self.kept[key]
                step.gone[key] = standing.sequence
            return
        if place in published.records:
            self._missing_ms.pop(key, None)
            return
        if place is not None and at_ms - self._missing_ms.setdefault(key, at_ms) <= LONGEST_GAP_MS:
            return
        self._missing_ms.pop(key, None)
        standing, changes = end(standing, at_ms, "rule_removed" if place is None else "gone")
        told = [
            ended_record(kept.alert, change, at_ms, published.completeness)
            for change in changes if kept.alert is not None
        ]  # fmt: skip
        self._keep(key, msgspec.structs.replace(kept, standing=standing), told, step)

    def _keep(self, key: str, kept: Kept, told: list[AlertRecord], step: Step) -> None:
        self._firing[kept.rule] += sum(1 if one.state == "firing" else -1 for one in told)
        if told:
            kept = msgspec.structs.replace(kept, alert=told[-1])
            step.told.extend(told)
        before = self.kept.get(key)
        if kept.standing.state == OK and kept.standing.resolved_ms is None:
            if before is not None:  # it waited in vain
                del self.kept[key]
                step.gone[key] = 0
            return
        self.kept[key] = kept
        if before is None or told or _lasting(before.standing) != _lasting(kept.standing):
            step.kept[key] = kept


def _lasting(standing: Standing) -> Standing:
    """What must survive: when a series was looked at matters only while it waits, and less than
    `LONGEST_GAP_MS` ago is as good as now."""
    seen_ms = standing.seen_ms // STORED_EVERY_MS if standing.state == PENDING else 0
    return msgspec.structs.replace(standing, seen_ms=seen_ms, held_ms=0)
