"""Every alert rule over what is published: which series there are, how each stands, what changed.

Pure: figures in, alerts out. `kafka/alerts_publisher.py` keeps the standings in the store and produces the
alerts; `latido alerts test` asks the same code about the figures of this moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from schemas.times import parse_time, to_ms
from stream.core.alerts import (
    LONGEST_GAP_MS,
    OK,
    PENDING,
    Baseline,
    Look,
    Rule,
    Silence,
    Standing,
    end,
    follow,
    muted_by,
)
from stream.core.policy import DAY_MS
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
    completeness: Completeness
    records: Mapping[str, SnapshotRecord]

    @property
    def is_whole(self) -> bool:
        """Whether everything readable is counted; what was lost for good silences nothing for good."""
        of = self.completeness
        return of.status in ("complete", "partial") and of.partitions_current == of.partitions > 0


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


def series_of(rules: Sequence[Rule], published: Published) -> Iterator[Seen]:
    """Every series of the rules for which there is a figure."""
    places: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        places.setdefault((rule.window, rule.dimension), []).append(rule)
    for record in published.records.values():
        segment = record.segment
        for rule in places.get((record.window.name, segment.dimension), ()):
            kpi = record.kpis.get(rule.kpi)
            if kpi is None or not rule.wants(record.site_id, segment.dimension, segment.value):
                continue
            if segment.value == OTHER and rule.value is None:
                continue  # what is left over is another thing each time
            series = Series(record.site_id, segment.dimension, segment.value)
            yield Seen(rule, series, figure_of(kpi), to_ms(parse_time(record.as_of)))


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
        self.kept: dict[str, Kept] = dict(kept or {})
        self._missing_ms: dict[str, int] = {}

    def look(self, published: Published, baselines: Baselines) -> Step:
        """Judge every series. A snapshot that is not whole changes nothing."""
        step = Step({}, {}, [])
        if not published.is_whole:
            return step
        seen_keys = set[str]()
        for seen in series_of(self._settings.rules, published):
            key = seen.series.key(seen.rule.name)
            seen_keys.add(key)
            self._follow(key, seen, measure(seen, published, baselines), step)
        for key in [key for key in self.kept if key not in seen_keys]:
            self._miss(key, published, step)
        for key in self._missing_ms.keys() - (self.kept.keys() - seen_keys):
            del self._missing_ms[key]
        return step

    def _follow(self, key: str, seen: Seen, sighting: Sighting, step: Step) -> None:
        rule, before = seen.rule, self.kept.get(key)
        # A distance from the baseline moves with the hour, whenever the figure was made.
        from_ms = sighting.as_of_ms if rule.deviations else seen.from_ms
        standing, changes = follow(
            rule,
            Standing() if before is None else before.standing,
            Look(sighting.as_of_ms, from_ms, sighting.x),
            muted_by(
                one for one in self._settings.silences
                if one.matches(rule.name, seen.series.site_id, seen.series.segment)
            ),
        )  # fmt: skip
        told = [
            alert_record(rule, seen.series, change, sighting, self._settings.monitor) for change in changes
        ]
        self._keep(
            key,
            Kept(standing, seen.series, rule.name, None if before is None else before.alert),
            told,
            sighting.as_of_ms,
            step,
        )

    def _miss(self, key: str, published: Published, step: Step) -> None:
        """The series is not published, or its rule is no more."""
        kept, at_ms = self.kept[key], published.as_of_ms
        removed = kept.rule not in self._rules
        if not removed and at_ms - self._missing_ms.setdefault(key, at_ms) <= LONGEST_GAP_MS:
            return
        standing, changes = end(kept.standing, at_ms, "rule_removed" if removed else "gone")
        told = [
            ended_record(kept.alert, change, published.as_of_ms, published.completeness)
            for change in changes if kept.alert is not None
        ]  # fmt: skip
        self._keep(key, msgspec.structs.replace(kept, standing=standing), told, at_ms, step)

    def _keep(self, key: str, kept: Kept, told: list[AlertRecord], at_ms: int, step: Step) -> None:
        if told:
            kept = msgspec.structs.replace(kept, alert=told[-1])
            step.told.extend(told)
        before, standing = self.kept.get(key), kept.standing
        if standing.state == OK and at_ms - (standing.resolved_ms or 0) > FORGOTTEN_AFTER_MS:
            if before is not None:
                del self.kept[key]
                step.gone[key] = standing.sequence
            return
        self.kept[key] = kept
        if before is None or told or _lasting(before.standing) != _lasting(standing):
            step.kept[key] = kept


def _lasting(standing: Standing) -> Standing:
    """What must survive: when a series was looked at matters only while it waits."""
    return standing if standing.state == PENDING else msgspec.structs.replace(standing, seen_ms=0)
