"""All rules over what is published: series, standings, and the records that tell changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from pydantic import BaseModel

import schemas.alerts
from schemas.alerts import Alert
from schemas.keys import alert_key
from stream.core.alerts import Baseline, Rule, Silence
from stream.pipeline.alert_record import (
    AlertRecord,
    BaselineRecord,
    ConditionRecord,
    ObservedRecord,
    Series,
)
from stream.pipeline.alerts import (
    FORGOTTEN_AFTER_MS,
    Alerting,
    AlertRules,
    NoBaselines,
    Published,
    decode_kept,
    encode_kept,
)
from stream.pipeline.take_snapshot import Completeness
from tests.alerts.published import CTR, FINE, LOW, START_MS, UNSURE, S, complete, ctr, published, views

NOTHING = NoBaselines()
HOSTILE = "<script>alert(1)</script> '; rm -rf / #| %\u202e"


class Judge:
    """Judges, and starts anew before each look as after a crash: from what was stored."""

    def __init__(self, *rules: Rule, silences: tuple[Silence, ...] = (), monitor: str | None = None) -> None:
        self.settings = AlertRules(rules, silences, monitor)
        self.stored: dict[str, bytes] = {}
        self.told: list[AlertRecord] = []
        self.gone: dict[str, int] = {}

    def look(self, seen: Published, baselines: object = NOTHING) -> list[AlertRecord]:
        alerting = Alerting(self.settings, {key: decode_kept(data) for key, data in self.stored.items()})
        step = alerting.look(seen, baselines)  # type: ignore[arg-type]
        self.stored |= {key: encode_kept(kept) for key, kept in step.kept.items()}
        for key in step.gone:
            del self.stored[key]
        self.gone |= step.gone
        for alert in step.told:
            assert Alert.model_validate_json(msgspec.json.encode(alert)).key == alert.dedupe_key
        self.told += step.told
        return step.told


def short(alerts: Sequence[AlertRecord]) -> list[tuple[str, str, str]]:
    return [(one.state, one.cause, one.dedupe_key) for one in alerts]


@pytest.mark.parametrize(
    ("record", "model"),
    [
        (AlertRecord, schemas.alerts.Alert), (ConditionRecord, schemas.alerts.Condition),
        (ObservedRecord, schemas.alerts.Observed), (BaselineRecord, schemas.alerts.Baseline),
    ],
)  # fmt: skip
def test_a_record_has_the_fields_of_the_contract_in_their_order(
    record: type[msgspec.Struct], model: type[BaseModel]
) -> None:
    assert list(record.__struct_fields__) == list(model.model_fields)


def test_it_fires_once_and_is_resolved_once_and_says_why() -> None:
    judge = Judge(CTR, monitor="https://monitor.example/")
    for second in range(0, 200, 10):
        judge.look(published(second, ctr(0, LOW)))
    for second in range(200, 400, 10):
        judge.look(published(second, ctr(200, FINE)))
    firing, resolved = judge.told
    assert short(judge.told) == [
        ("firing", "limit", "shop|ctr-low|all"), ("resolved", "cleared", "shop|ctr-low|all"),
    ]  # fmt: skip
    assert firing.summary == (
        "Click-through rate, site shop, window 1h: 1.00 %, the whole interval below 5.00 %"
    )
    assert firing.reasons == (
        "Now 1.00 %, with a 95 % interval from 0.54 % to 1.83 %, n = 1,000.",
        f"Beyond the limit since {firing.since}, for 1 min by now.",
    )
    assert firing.changed_at == firing.fired_at == "2026-09-21T14:14:20.000Z"
    assert firing.explain == "latido explain ctr --window 1h --site shop"
    assert firing.link == "https://monitor.example/api/v1/explain?kpi=ctr&window=1h&segment=all&site=shop"
    assert resolved.reasons[-1] == f"It fired at {firing.fired_at} and lasted 2 min 20 s."
    assert resolved.sequence > firing.sequence


def test_by_the_interval_few_figures_do_not_fire_by_the_value_they_do() -> None:
    by_value = msgspec.structs.replace(CTR, name="by-value", measure="value", for_ms=0)
    by_interval = msgspec.structs.replace(CTR, for_ms=0)
    judge = Judge(by_value, by_interval)
    assert short(judge.look(published(0, ctr(0, UNSURE)))) == [("firing", "limit", "shop|by-value|all")]
    few = Judge(msgspec.structs.replace(by_value, least_n=41))
    assert few.look(published(0, ctr(0, UNSURE))) == []


@pytest.mark.parametrize(
    ("of", "age_s"),
    [
        (complete("catching_up", 0), 5.1),
        (complete("stale"), 0),
        (complete("partial", 0), 0),
        (complete("partial", 0, lost=7), 5.1),
    ],
)
def test_an_incomplete_snapshot_neither_fires_nor_clears(of: Completeness, age_s: float) -> None:
    judge = Judge(msgspec.structs.replace(CTR, for_ms=0))
    judge.look(published(0, ctr(0, LOW), of=of, age_s=age_s))
    assert judge.told == []
    judge.look(published(10, ctr(0, LOW)))
    judge.look(published(20, ctr(20, FINE), of=of, age_s=age_s))
    judge.look(published(2000, of=of, age_s=age_s))
    assert short(judge.told) == [("firing", "limit", "shop|ctr-low|all")]


@pytest.mark.parametrize(
    ("of", "age_s"),
    [
        (complete("catching_up", 0), 4.9),
        (complete("partial", 1, lost=7), 60),
        (complete("partial", 0, lost=7), 4.9),
    ],
)
def test_what_is_nearly_read_or_lost_for_good_silences_nothing(of: Completeness, age_s: float) -> None:
    judge = Judge(msgspec.structs.replace(CTR, for_ms=0))
    assert judge.look(published(0, ctr(0, LOW), of=of, age_s=age_s))


def test_each_value_of_a_dimension_is_a_series_and_what_is_left_over_is_none() -> None:
    rule = msgspec.structs.replace(CTR, dimension="channel", for_ms=0)
    records = [
        ctr(0, LOW, "channel=Email"), ctr(0, FINE, "channel=Display"), ctr(0, LOW, f"channel={HOSTILE}"),
        ctr(0, LOW, "channel=(other)"), ctr(0, LOW, "channel=Email", "blog"), ctr(0, LOW),
        ctr(0, LOW, "element=a"),
    ]  # fmt: skip
    told = Judge(rule).look(published(0, *records))
    assert {one.dedupe_key for one in told} == {
        "shop|ctr-low|channel=Email", "blog|ctr-low|channel=Email",
        alert_key("shop", "ctr-low", f"channel={HOSTILE}"),
    }  # fmt: skip
    [hostile] = [one for one in told if one.segment.value == HOSTILE]
    assert hostile.explain.endswith("--segment 'channel=" + HOSTILE.replace("'", "'\"'\"'") + "'")
    one_site = Judge(msgspec.structs.replace(rule, site="blog", value="Email"))
    assert [one.site_id for one in one_site.look(published(0, *records))] == ["blog"]


def test_a_segment_that_is_not_published_for_a_minute_is_resolved() -> None:
    rules = AlertRules((msgspec.structs.replace(CTR, for_ms=0),))
    alerting = Alerting(rules)
    assert alerting.look(published(0, ctr(0, LOW)), NOTHING).told
    for second in (10, 60):
        assert alerting.look(published(second, views(0, 1, "blog")), NOTHING).told == []
    [told] = alerting.look(published(71, views(0, 1, "blog")), NOTHING).told
    assert (told.state, told.cause, told.observed) == ("resolved", "gone", None)
    assert told.summary == "Click-through rate, site shop, window 1h: not published any more"


def test_the_alert_of_a_rule_that_is_no_more_is_resolved() -> None:
    judge = Judge(msgspec.structs.replace(CTR, for_ms=0))
    judge.look(published(0, ctr(0, LOW)))
    judge.settings = AlertRules()
    [told] = judge.look(published(1, ctr(0, LOW)))
    assert (told.state, told.cause, told.condition) == ("resolved", "rule_removed", None)


def test_what_is_over_since_long_is_forgotten_with_its_key() -> None:
    judge = Judge(msgspec.structs.replace(CTR, for_ms=0))
    judge.look(published(0, ctr(0, LOW)))
    [resolved] = judge.look(published(10, ctr(10, FINE)))
    judge.look(published(11 + FORGOTTEN_AFTER_MS / S, ctr(10, FINE)))
    assert judge.gone == {"shop|ctr-low|all": resolved.sequence}
    assert judge.stored == {}


def test_nothing_is_stored_of_series_that_are_fine() -> None:
    judge = Judge(CTR)
    judge.look(published(0, ctr(0, FINE)))
    assert judge.stored == {}
    judge.look(published(10, ctr(10, LOW)))
    assert len(judge.stored) == 1
    judge.look(published(20, ctr(20, FINE)))
    assert judge.stored == {}


def test_a_series_that_waits_is_stored_now_and_then_and_one_that_fires_once() -> None:
    alerting = Alerting(AlertRules((msgspec.structs.replace(CTR, for_ms=300 * S),)))
    writes = [len(alerting.look(published(second, ctr(0, LOW)), NOTHING).kept) for second in range(400)]
    assert sum(writes[1:299]) == pytest.approx(300 / 20, abs=1)
    assert writes[300] == 1
    assert sum(writes[301:]) == 0


def test_a_silence_holds_back_its_series_only() -> None:
    hush = Silence(segment="channel=E*", end_ms=START_MS + 100 * S)
    judge = Judge(msgspec.structs.replace(CTR, dimension="channel", for_ms=0), silences=(hush,))
    records = [ctr(0, LOW, "channel=Email"), ctr(0, LOW, "channel=Display")]
    assert [one.segment.value for one in judge.look(published(0, *records))] == ["Display"]
    assert judge.look(published(50, *records)) == []
    [late] = judge.look(published(101, *records))
    assert (late.segment.value, late.changed_at) == ("Email", "2026-09-21T14:15:00.000Z")


def test_no_more_than_so_many_series_fire_at_a_time_and_others_wait_for_their_turn() -> None:
    judge = Judge(msgspec.structs.replace(CTR, dimension="element", for_ms=0, most=2))
    low = [ctr(0, LOW, f"element={name}") for name in "abcd"]
    assert [one.segment.value for one in judge.look(published(0, *low))] == ["a", "b"]
    assert judge.look(published(10, *low)) == []
    fine = ctr(20, FINE, "element=a")
    found = judge.look(published(20, fine, *low[1:]))
    assert [(one.segment.value, one.state) for one in found] == [("a", "resolved"), ("c", "firing")]
    assert [one.segment.value for one in judge.look(published(30, fine, *low[1:]))] == []


class Usual:
    """A baseline of 1000 page views, give or take 100."""

    def of(self, rule: Rule, series: Series, at_ms: int) -> Baseline | None:
        return Baseline(1000, 100, 4) if series.site_id == "shop" else None


def test_against_earlier_weeks_the_limits_are_deviations() -> None:
    rule = Rule(
        name="quiet", kpi="page_views", window="1h", direction="below", limit=-3, clear=-1, deviations=True
    )
    judge = Judge(rule)
    assert judge.look(published(0, views(0, 710), views(0, 0, "blog")), Usual()) == []
    [told] = judge.look(published(10, views(10, 690), views(0, 0, "blog")), Usual())
    assert told.summary == (
        "Page views, site shop, window 1h: 690, more than 3 deviations below the same hour of earlier weeks"
    )
    assert told.reasons[1] == (
        "The same hour of 4 earlier weeks: median 1,000, deviation 100; this is -3.1 of them."
    )
    assert told.observed is not None
    assert told.observed.measured == pytest.approx(-3.1)
    assert judge.look(published(20, views(20, 890)), Usual()) == []
    assert short(judge.look(published(30, views(30, 900)), Usual()))[0][:2] == ("resolved", "cleared")
