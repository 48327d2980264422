"""Half a million ratings of vendors: which answers count, each way, against plain counts of the same rows."""

from __future__ import annotations

import gc
import io
import json
import lzma
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from stream.core.policy import Policy
from stream.replay import run
from tests.end_to_end.real_data import DATA

SATISFIED_FROM = 4  # of 0 to 5


class Review(NamedTuple):
    row: int
    reviewer: int
    vendor: str
    rating: int
    day: int


def reviews() -> list[Review]:
    """All rows, in the order of the file: by vendor, not by time."""
    with lzma.open(DATA / "vendor_reviews" / "reviews.txt.xz", "rt") as file:
        reviewers, vendors, ratings, days = (line.rstrip("\n").split(",") for line in file)
    found, known = [], 0
    for row, (who, vendor, rating, day) in enumerate(zip(reviewers, vendors, ratings, days, strict=True)):
        found.append(Review(row, int(who) if who else known, vendor, int(rating), int(day)))
        known += not who
    return found


def events(rows: Iterable[Review], *, per_vendor: bool) -> io.BytesIO:
    """JSON lines, written by hand: there are many. The ids stand in the order of the rows."""
    moments = [
        f"{datetime(2003, 1, 1, tzinfo=UTC) + timedelta(day):%Y-%m-%dT%H:%M:%SZ}" for day in range(3000)
    ]
    return io.BytesIO(
        "".join(
            f'{{"type":"survey_answer","event_id":"{one.row:06}","visitor_id":"{one.reviewer}",'
            f'"occurred_at":"{moments[one.day]}","survey_id":"{one.vendor if per_vendor else "all"}",'
            f'"survey_kind":"csat","score":{one.rating},"scale_min":0,"scale_max":5}}\n'
            for one in rows
        ).encode()
    )


def plain(rows: Iterable[Review], *, per_vendor: bool, every: bool) -> dict[str, tuple[int, int]]:
    """Segment -> (satisfied, answers): of all rows, or of the last one of each reviewer and survey."""
    counted: dict[Any, Review] = {}
    for one in sorted(rows, key=lambda one: (one.day, one.row)):
        counted[one.row if every else (one.reviewer, one.vendor if per_vendor else "all")] = one
    satisfied, answers = Counter[str](), Counter[str]()
    for one in counted.values():
        for segment in ("all", f"survey={one.vendor if per_vendor else 'all'}"):
            answers[segment] += 1
            satisfied[segment] += one.rating >= SATISFIED_FROM
    return {segment: (satisfied[segment], n) for segment, n in answers.items()}


@pytest.fixture
def few_collections() -> Iterator[None]:
    """As the worker sets it: half a million objects that live on need not be looked at again and again."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 20)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("few_collections")
@pytest.mark.parametrize(
    ("answers", "per_vendor", "counted", "segments"),
    [("every", True, 578_805, 248), ("latest", True, 542_998, 248), ("latest", False, 400_141, 2)],
    ids=["every-answer", "latest-per-vendor", "latest-per-person"],
)
async def test_satisfaction_with_vendors(answers: Any, per_vendor: bool, counted: int, segments: int) -> None:
    rows = reviews()
    assert len(rows) == 578_805
    expected = plain(rows, per_vendor=per_vendor, every=answers == "every")
    assert (expected["all"][1], len(expected)) == (counted, segments)
    sent = events(rows, per_vendor=per_vendor)
    del rows
    lines = await run(
        [sent],
        what="snapshot",
        policy=Policy(survey_tolerance_ms=None, answers=answers),
        until_final=False,
    )
    found = {}
    for line in lines:
        record = json.loads(line)
        if record["window"]["name"] == "all":
            segment, csat = record["segment"], record["kpis"]["csat"]
            name = "all" if segment["value"] is None else f"{segment['dimension']}={segment['value']}"
            found[name] = (csat["numerator"], csat["denominator"])
            assert csat["value"] == csat["numerator"] / csat["denominator"]
            assert csat["low"] < csat["value"] < csat["high"] or csat["value"] in (0, 1)
            assert record["completeness"]["late_records"] == record["completeness"]["refused_records"] == 0
    assert found == expected
