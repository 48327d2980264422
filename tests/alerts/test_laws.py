"""Which alerts there are does not depend on when anybody looks, nor on restarts: for all rules together."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.hypothesis_profiles  # noqa: F401
from stream.core.alerts import LONGEST_GAP_MS, Rule, Silence
from stream.core.statistics import rate
from stream.pipeline.alert_record import AlertRecord
from stream.pipeline.alerts import (
    STORED_EVERY_MS,
    Alerting,
    AlertRules,
    NoBaselines,
    decode_kept,
    encode_kept,
)
from stream.pipeline.take_snapshot import SnapshotRecord
from tests.alerts.published import CTR, FINE, LOW, START_MS, UNSURE, S, ctr, published

LOWER = rate(5, 1000, of="impressions")
FEW = settings().max_examples // 3  # each of these is a history of three series
SEGMENTS = ("element=a", "element=b", "element=c")
ELEMENTS = msgspec.structs.replace(CTR, dimension="element")
SELDOM_S = (LONGEST_GAP_MS - STORED_EVERY_MS) // S
"""What was stored so long before may be bridged after a restart."""

HISTORIES = st.lists(
    st.tuples(st.sampled_from(SEGMENTS), st.sampled_from([LOW, LOWER, FINE, UNSURE]), st.integers(0, 90)),
    min_size=1, max_size=15,
)  # fmt: skip
RULES = st.lists(
    st.builds(
        lambda for_ms, cooldown_ms: msgspec.structs.replace(ELEMENTS, for_ms=for_ms, cooldown_ms=cooldown_ms),
        st.sampled_from([0, 30 * S, 120 * S]), st.sampled_from([0, 100 * S]),
    ),
    min_size=1, max_size=2,
).map(
    lambda rules: tuple(msgspec.structs.replace(one, name=f"r{n}") for n, one in enumerate(rules))
)  # fmt: skip
History = list[tuple[str, object, int]]


def boards(history: History) -> list[tuple[int, dict[str, SnapshotRecord]]]:
    """What is published at each second at which something changes, and at the end."""
    found: list[tuple[int, dict[str, SnapshotRecord]]] = []
    records, second = dict[str, SnapshotRecord](), 0
    for segment, kpi, lasts_s in history:
        made = ctr(second, kpi, segment)  # type: ignore[arg-type]
        records = {**records, made.key: made}
        if found and found[-1][0] == second:
            found.pop()
        found.append((second, records))
        second += lasts_s
    return [*found, (second + 1, records)]


def judged(history: History, rules: AlertRules, every_s: int, restarts: frozenset[int]) -> list[AlertRecord]:
    """What is told when somebody looks at each change, and so often in between."""
    alerting, stored, told, looks = Alerting(rules), dict[str, bytes](), list[AlertRecord](), 0
    steps = boards(history)
    for (second, records), (until, _) in zip(steps, [*steps[1:], (steps[-1][0] + 1, {})], strict=True):
        for at in range(second, until, every_s):
            step = alerting.look(published(at, *records.values()), NoBaselines())
            stored = {key: one for key, one in stored.items() if key not in step.gone}
            stored |= {key: encode_kept(kept) for key, kept in step.kept.items()}
            told += step.told
            looks += 1
            if looks in restarts:
                alerting = Alerting(rules, {key: decode_kept(data) for key, data in stored.items()})
    return told


def said(alerts: list[AlertRecord]) -> list[tuple[str, str, str, int]]:
    """Of each series in its order."""
    return sorted((one.dedupe_key, one.changed_at, one.state, one.sequence) for one in alerts)


@settings(max_examples=FEW)
@given(HISTORIES, RULES, st.integers(1, SELDOM_S), st.frozensets(st.integers(1, 60)), st.booleans())
def test_looking_more_often_or_starting_again_changes_no_alert(
    history: History, rules: tuple[Rule, ...], every_s: int, restarts: frozenset[int], silent: bool
) -> None:
    hush = Silence(segment="element=b", start_ms=START_MS + 60 * S, end_ms=START_MS + 200 * S)
    asked = AlertRules(rules, (hush,) if silent else ())
    seldom = judged(history, asked, SELDOM_S, frozenset())
    often = judged(history, asked, every_s, restarts)
    assert said(often) == said(seldom)
    assert len({(one.dedupe_key, one.sequence) for one in often}) == len(often)
