"""The publisher follows change by change: it has what it would read whole, and so have its records."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import msgspec
from hypothesis import given

from schemas.keys import split_key
from stream.core.policy import MINUTE_MS, Policy
from stream.pipeline.ports import CHANGES_KEPT
from stream.pipeline.renew_records import LARGE, LARGE_EVERY_MS, Records, take_snapshot
from stream.pipeline.sums import ALL_WINDOWS, Followed
from stream.pipeline.take_snapshot import Snapshot, SnapshotRecord, look_at_heads
from stream.tables.memory import MemoryBoard
from tests.builders import BASE_MS, Lane, now
from tests.oracle.facts import add_up, facts
from tests.oracle.judging import FOREVER, judge
from tests.pipeline.histories import STEPS, UNITS, Draft, Step, _take, build, drafts, play_replay
from tests.snapshot_reading import counts_of, is_told, published_of, read

LIMIT = 2


class Reader:
    """A publisher without servers."""

    def __init__(self, lane: Lane, limit: int = LIMIT) -> None:
        self.lane = lane
        self.board = MemoryBoard(lane.store)
        self.followed = Followed(1)
        self.records = Records(self.followed, limit)
        self.wholes = 0
        self.told: dict[str, SnapshotRecord] = {}

    def look(self, now_ms: int, *, everything: bool = True) -> Snapshot:
        lost = self.followed.take(now(self.board.read_changes(self.followed.seen)))
        self.wholes += len(lost)
        self.followed.take(now(self.board.read_partials(lost)))
        snapshot = look_at_heads(self.followed.heads, 1, self.written_ms)
        if snapshot.as_of_ms is not None:
            renewed = self.records.renew(snapshot, ALL_WINDOWS, now_ms, everything=everything)
            assert not renewed.records.keys() & {*renewed.gone}
            self.told.update(renewed.records)
            for key in renewed.gone:
                del self.told[key]
        return snapshot

    @property
    def written_ms(self) -> int:
        return self.lane.partition.head.written_at_ms if self.lane.partition.head else 0


def figures(records: dict[str, SnapshotRecord]) -> dict[str, Any]:
    """What does not depend on when a record was made."""
    return {
        key: (msgspec.to_builtins(one.kpis), one.truncated, one.completeness.status)
        for key, one in records.items()
    }


@given(made=drafts(), unit=UNITS, steps=STEPS)
def test_following_is_reading_whole(made: list[Draft], unit: int, steps: list[Step]) -> None:
    """With restarts, lost replies and looks at any moment; dimensions of more than two values are cut."""
    logs = build(made, unit, None)
    lane = logs.lane()
    lane.wall_ms = BASE_MS
    reader, now_ms = Reader(lane), 0
    for step in [*steps, *(Step(topic, 10**9, 0, "tick") for topic in range(4))]:
        lane.wall_ms += step.pause_ms + unit
        _take(lane, step, step.ahead)
        if step.records % 2:
            now_ms += LARGE_EVERY_MS
            reader.look(now_ms, everything=bool(step.back))
    lane.know_ends()
    lane.tick(lane.wall_ms + 1000)
    snapshot = reader.look(now_ms + LARGE_EVERY_MS)
    whole = take_snapshot(now(reader.board.read_partials([0])), 1, reader.written_ms, LIMIT)
    assert snapshot.as_of_ms == whole.as_of_ms
    assert figures(reader.told) == figures(reader.records.records) == figures(whole.records)


@given(made=drafts(), unit=UNITS)
def test_the_cut_is_what_the_facts_say(made: list[Draft], unit: int) -> None:
    """Window `all`, recomputed: the largest two values of every dimension, and what is left of it."""
    logs = build(made, unit, None)
    lane = logs.lane()
    play_replay(lane, [])
    snapshot = take_snapshot(now(MemoryBoard(lane.store).read_partials([0])), 1, 0, LIMIT)
    verdict = judge(lane.logs, logs.rules)
    live_ms = lane.partition.state.progress.live_ms
    told = [one for one in facts(verdict.counted, logs.rules, live_ms) if is_told(one, "all")]
    expected = cut_of(add_up(told, -FOREVER, FOREVER))
    kpis = {
        (site, segment): one for (window, site, segment), one in read(snapshot).items() if window == "all"
    }
    for place in {*expected, *kpis}:
        assert counts_of(kpis[place]) == published_of(kpis[place], expected.get(place, Counter())), place


def cut_of(sums: dict[tuple[str, str], Counter[str]]) -> dict[tuple[str, str], Counter[str]]:
    """(site, segment) -> counts, each dimension cut to its largest values."""
    found, values = {}, defaultdict[tuple[str, str], list[tuple[str, Counter[str]]]](list)
    for (site, segment), counts in sums.items():
        dimension, said, value = segment.partition("=")
        if said and +counts:
            values[site, dimension].append((value, counts))
        else:
            found[site, segment] = counts
    for (site, dimension), of_values in values.items():
        ranked = sorted(of_values, key=rank)
        for value, counts in ranked[:LIMIT]:
            found[site, f"{dimension}={value}"] = counts
        if ranked[LIMIT:]:
            rest = sum((counts for _, counts in ranked[LIMIT:]), Counter[str]())
            found[site, f"{dimension}=(other)"] = rest
    return found


def rank(item: tuple[str, Counter[str]]) -> tuple[int, int, int, str]:
    value, counts = item
    answers = sum(counts[name] for name in ("promoters", "passives", "detractors", "csat_answers"))
    return -counts["open"] - counts["ended"], -counts["impressions"] - counts["clicks"], -answers, value


def busy(values: dict[str, int], policy: Policy | None = None) -> Lane:
    """Visitors of campaigns, so many of each."""
    lane = Lane(policy or Policy())
    lane.wall_ms = BASE_MS + MINUTE_MS
    lane.empty("VCFS")
    for name, n in values.items():
        for number in range(n):
            lane.feed("V", number, visitor=f"{name}{number}", campaign=name)
    lane.tick(BASE_MS + MINUTE_MS + 2000)
    return lane


def campaigns(records: dict[str, SnapshotRecord]) -> dict[str, tuple[int, Any]]:
    """Value -> sessions since the beginning, and `truncated`."""
    return {
        one.segment.value or "": (one.kpis["sessions"].value, one.truncated)  # type: ignore[misc]
        for key, one in records.items()
        if split_key(key)[1] == "all" and one.segment.dimension == "campaign"
    }


def test_the_largest_values_are_kept_and_the_rest_is_complete() -> None:
    reader = Reader(busy({"d": 1, "c": 1, "b": 2, "a": 5}))
    reader.look(0)
    unset = msgspec.UNSET
    assert campaigns(reader.told) == {"a": (5, unset), "b": (2, unset), "(other)": (2, 4)}
    reader.lane.feed("V", *range(3), visitor="x", campaign="d")
    for number in range(3):
        reader.lane.feed("V", number, visitor=f"y{number}", campaign="d")
    reader.lane.tick(BASE_MS + MINUTE_MS + 4000)
    reader.look(0)
    assert campaigns(reader.told) == {"a": (5, unset), "d": (5, unset), "(other)": (3, 4)}


def test_among_equals_the_name_decides() -> None:
    reader = Reader(busy({"c": 1, "b": 1, "a": 1}))
    reader.look(0)
    assert campaigns(reader.told).keys() == {"a", "b", "(other)"}


def test_what_a_partition_could_not_admit_is_in_the_rest() -> None:
    reader = Reader(busy({"a": 3, "b": 2, "c": 1, "d": 1, "e": 1}, Policy(dimension_values=3)))
    reader.look(0)
    assert campaigns(reader.told) == {
        "a": (3, msgspec.UNSET), "b": (2, msgspec.UNSET), "(other)": (3, 3),
    }  # fmt: skip


def test_a_tick_in_which_nothing_happened_says_nothing() -> None:
    reader = Reader(busy({"a": 2, "b": 1}))
    snapshot = reader.look(0)
    assert not reader.records.renew(snapshot, ALL_WINDOWS, 1).records
    assert reader.wholes == 1
    reader.lane.feed("V", 10, visitor="new", campaign="b")
    reader.lane.tick(BASE_MS + MINUTE_MS + 4000)
    reader.followed.take(now(reader.board.read_changes(reader.followed.seen)))
    renewed = reader.records.renew(snapshot, {"all"}, 2).records
    assert renewed.keys() == {"default|all|all", "default|all|campaign=b"}


def test_who_is_too_far_behind_reads_all() -> None:
    lane = busy({"a": 1})
    reader = Reader(lane)
    reader.look(0)
    for number in range(CHANGES_KEPT + 1):
        lane.feed("V", number, visitor="b", campaign="b")
        lane.tick((lane.wall_ms or 0) + 1000)
    reader.look(1)
    assert reader.wholes == 2
    assert campaigns(reader.told).keys() == {"a", "b"}


def test_a_large_dimension_waits_ten_seconds() -> None:
    lane = busy({f"c{number}": 1 for number in range(LARGE + 1)})
    reader = Reader(lane, limit=1000)
    reader.look(20_000, everything=False)
    assert len(campaigns(reader.told)) == LARGE + 1
    lane.feed("V", 10, visitor="new", campaign="c7")
    lane.tick(BASE_MS + MINUTE_MS + 4000)
    reader.look(21_000, everything=False)
    assert campaigns(reader.told)["c7"] == (1, msgspec.UNSET)
    reader.look(20_000 + LARGE_EVERY_MS, everything=False)
    assert campaigns(reader.told)["c7"] == (2, msgspec.UNSET)


def test_a_change_of_status_reaches_every_record() -> None:
    reader = Reader(busy({"a": 1}))
    snapshot = reader.look(0)
    snapshot.completeness = msgspec.structs.replace(snapshot.completeness, status="catching_up")
    renewed = reader.records.renew(snapshot, ALL_WINDOWS, 1000)
    assert {split_key(key)[2] for key in renewed.records} == {"all"}
    renewed = reader.records.renew(snapshot, ALL_WINDOWS, LARGE_EVERY_MS)
    assert {split_key(key)[2] for key in renewed.records} == {"campaign=a"}
