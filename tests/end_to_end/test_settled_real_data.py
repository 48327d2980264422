"""Settled hours and days of recorded clicks and answers, segment by segment, against plain counts."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from stream.core.policy import Policy
from stream.demo import plain_statistics
from stream.replay import run
from tests.end_to_end.real_data import Event, has_figures, lines, open_bandit, sfo_answers

Place = tuple[str, str, str]
"""Kind, start, segment."""


async def results(events: Iterable[Event]) -> dict[Place, dict[str, Any]]:
    policy = Policy(survey_tolerance_ms=None)
    found = {}
    for line in await run([lines(events)], what="results", policy=policy, until_final=True):
        record = json.loads(line)
        segment = record["segment"]
        name = "all" if segment["value"] is None else f"{segment['dimension']}={segment['value']}"
        found[record["window"]["kind"], record["window"]["start"], name] = record["kpis"]
    return found


def windows_at(at: datetime) -> list[tuple[str, str]]:
    return [("hour", f"{at:%Y-%m-%dT%H}:00:00.000Z"), ("day", f"{at:%Y-%m-%d}T00:00:00.000Z")]


async def test_ctr_per_day_hour_position_item_and_policy() -> None:
    shown, clicked = Counter[Place](), Counter[Place]()
    rows = open_bandit()
    for one in rows:
        for window in windows_at(one.at):
            for segment in ("all", f"position={one.position}", f"element={one.item}", f"variant={one.arm}"):
                shown[*window, segment] += 1
                clicked[*window, segment] += one.clicked
    found = await results(event for one in rows for event in one.events())
    named = {
        place for place in found if place[2].partition("=")[0] in ("all", "position", "element", "variant")
    }
    assert named == shown.keys()
    assert len({start for kind, start, _ in named if kind == "day"}) == 7
    for place, n in shown.items():
        expected = plain_statistics.rate(clicked[place], n, "impressions")
        assert has_figures(found[place]["ctr"], expected)
        expected["of"] = "visitor and element pairs seen"  # every row is a visitor
        assert has_figures(found[place]["unique_ctr"], expected)
    assert sum(n for (kind, _, segment), n in shown.items() if (kind, segment) == ("day", "all")) == 20_000


async def test_nps_per_day_boarding_area_and_airline() -> None:
    scores, skipped = defaultdict[Place, list[int]](list), Counter[Place]()
    rows = [one for one in sfo_answers() if one.score is None or one.score <= 10]  # 11 is the code for blank
    for one in rows:
        segments = ["all", "survey=sfo"]
        segments += [f"channel={one.area}"] if one.area else []
        segments += [f"campaign={one.airline}"] if one.airline else []
        for window in windows_at(one.at):
            for segment in segments:
                place = (*window, segment)
                if one.score is None:
                    skipped[place] += 1
                else:
                    scores[place].append(one.score)
    found = await results(one.event("sfo") for one in rows)
    assert found.keys() == scores.keys() | skipped.keys()
    assert len({segment for *_, segment in found}) == 46
    for place in found:
        assert has_figures(found[place]["nps"], plain_statistics.score(scores[place], skipped[place]))
