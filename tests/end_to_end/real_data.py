"""The recorded data as events, one JSON object each, and what a plain count makes of the same rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).parents[1] / "data"
NASA = Path(__file__).parents[2] / "stream" / "demo" / "data" / "nasa_19950701.tsv.gz"
GAP_S = 1800
ASSETS = (
    ".gif", ".jpg", ".jpeg", ".png", ".ico", ".css", ".js", ".xbm", ".bmp", ".svg", ".mpg", ".mpeg", ".mov",
    ".avi", ".wav", ".au", ".mp3", ".mp4", ".zip", ".gz", ".tar", ".tgz", ".pdf", ".ps", ".eps", ".woff",
    ".ttf", ".swf", ".rpm", ".deb", ".jar", ".exe", ".wmv",
)  # fmt: skip

Event = dict[str, Any]


def rows_of(path: Path, delimiter: str = ",") -> Iterator[dict[str, str]]:
    with gzip.open(path, "rb") as file:
        yield from csv.DictReader(io.TextIOWrapper(file, "utf-8", errors="replace"), delimiter=delimiter)


def lines(events: Iterable[Event]) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(event).encode() + b"\n" for event in events))


def rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# ---------------------------------------------------------------- page views


class View(NamedTuple):
    visitor: str
    at_s: int
    url: str
    row: int

    def event(self) -> Event:
        return {
            "type": "page_view", "event_id": f"row-{self.row}", "visitor_id": self.visitor,
            "occurred_at": rfc3339(datetime.fromtimestamp(self.at_s, UTC)), "url": self.url,
        }  # fmt: skip


def nasa_views() -> list[View]:
    found = []
    for n, row in enumerate(rows_of(NASA, "\t")):
        path = row["url"].split("?")[0].split("#")[0].lower()
        if row["method"] == "GET" and row["response"] in ("200", "304") and not path.endswith(ASSETS):
            found.append(View(row["host"], int(row["time"]), row["url"], n))
    return found


def plain_sessions(views: Iterable[View]) -> list[tuple[str, int, int, int]]:
    """(visitor, first second, last second, pages): a silence of more than 1800 s begins another."""
    times: dict[str, list[int]] = defaultdict(list)
    for view in views:
        times[view.visitor].append(view.at_s)
    found = []
    for visitor, seconds in times.items():
        seconds.sort()
        run = [seconds[0]]
        for at_s in seconds[1:]:
            if at_s - run[-1] > GAP_S:
                found.append((visitor, run[0], run[-1], len(run)))
                run = []
            run.append(at_s)
        found.append((visitor, run[0], run[-1], len(run)))
    return sorted(found)


# ---------------------------------------------------------------- survey answers


class Answer(NamedTuple):
    """One row; `score` is None where the question was left blank, `respondent` '' where nobody is named."""

    row: int
    at: datetime
    respondent: str
    score: int | None
    area: str | None = None
    airline: str | None = None

    def event(self, survey: str) -> Event:
        return {
            "type": "survey_answer", "event_id": f"row-{self.row:05d}", "occurred_at": rfc3339(self.at),
            "visitor_id": self.respondent or f"row-{self.row:05d}", "respondent_id": self.respondent,
            "survey_id": survey, "survey_kind": "nps", "score": self.score, "skipped": self.score is None,
            "channel": self.area, "campaign": self.airline,
        }  # fmt: skip


def sfo_answers() -> list[Answer]:
    """The day of the survey and, where it is given in one of the two ways, the hour."""
    found = []
    for n, row in enumerate(rows_of(DATA / "sfo_nps" / "sfo_2017.csv.gz")):
        at = datetime(2017, 5, int(row["INTDATE"]), tzinfo=UTC) + _time_of_day(row["ARRTIME"])
        score = row["NETPRO"].strip()
        where = (row["BAREA"].strip() or None, row["AIRLINE"].strip() or None)
        found.append(Answer(n, at, f"2017-{row['RESPNUM']}", int(score) if score else None, *where))
    return found


def _time_of_day(text: str) -> timedelta:
    for form in ("%H:%M:%S", "%I:%M %p"):
        try:
            read = datetime.strptime(text.strip(), form)
        except ValueError:
            continue
        return timedelta(hours=read.hour, minutes=read.minute)
    return timedelta()


def carpentries_answers() -> list[Answer]:
    found = []
    for n, row in enumerate(rows_of(DATA / "carpentries_nps" / "instructor_training_post.csv.gz")):
        at = datetime.strptime(row["Date"], "%m/%d/%y %H:%M").replace(tzinfo=UTC)
        score = row["LikelyToRecommend"].strip()
        found.append(Answer(n, at, row["Respondent"].strip(), int(score) if score else None))
    return found


def plain_nps(answers: Iterable[Answer]) -> dict[str, Any]:
    """Promoters, passives, detractors of each respondent's latest valid score, and the blanks."""
    latest: dict[str, Answer] = {}
    skipped = 0
    for answer in sorted(answers, key=lambda a: (a.at, a.row)):
        if answer.score is None:
            skipped += 1
        elif 0 <= answer.score <= 10:
            latest[answer.respondent or f"row-{answer.row}"] = answer
    scores = [answer.score or 0 for answer in latest.values()]
    promoters, detractors = sum(s >= 9 for s in scores), sum(s <= 6 for s in scores)
    return {
        "promoters": promoters,
        "detractors": detractors,
        "passives": len(scores) - promoters - detractors,
        "n": len(scores),
        "skipped": skipped,
        "value": 100 * (promoters - detractors) / len(scores),
    }


# ---------------------------------------------------------------- impressions and clicks


class Shown(NamedTuple):
    """One recommendation that was shown, and whether it was clicked."""

    arm: str
    row: int
    at: datetime
    item: str
    position: int
    clicked: bool

    def events(self) -> list[Event]:
        common = {
            "visitor_id": f"{self.arm}-{self.row}", "occurred_at": rfc3339(self.at), "element_id": self.item,
            "position": self.position, "url": "/men", "campaign": "men", "variant": self.arm,
        }  # fmt: skip
        event_id = f"{self.arm}-{self.row}"
        shown = {"type": "impression", "event_id": event_id, **common}
        return [shown, {"type": "click", "event_id": event_id, **common}] if self.clicked else [shown]


def open_bandit() -> list[Shown]:
    """Both arms, in the order in which they happened."""
    found = []
    for arm in ("random", "bts"):
        for row in rows_of(DATA / "open_bandit_clicks" / f"{arm}_men.csv.gz"):
            at = datetime.fromisoformat(row["timestamp"])
            clicked = row["click"] == "1"
            found.append(Shown(arm, int(row["row"]), at, row["item_id"], int(row["position"]), clicked))
    return sorted(found, key=lambda one: one.at)


# ---------------------------------------------------------------- an access log as it was written


_REQUEST = re.compile(r'(\S+) \S+ \S+ \[([^]]+)] "([A-Z]+) (\S+)[^"]*" (\d+) ')


def semicomplete_views() -> list[View]:
    """The client is the visitor, whoever it is; lines that do not parse are no page views."""
    found = []
    with gzip.open(DATA / "semicomplete_apache" / "apache_logs.gz", "rt", errors="replace") as file:
        for n, line in enumerate(file):
            read = _REQUEST.match(line)
            if read is None or read[3] != "GET" or read[5] not in ("200", "304"):
                continue
            if read[4].split("?")[0].split("#")[0].lower().endswith(ASSETS):
                continue
            at = datetime.strptime(read[2], "%d/%b/%Y:%H:%M:%S %z")
            found.append(View(read[1], int(at.timestamp()), read[4], n))
    return found


# ---------------------------------------------------------------- comparing


def has_figures(kpi: Event, expected: Event) -> bool:
    """Whether a KPI says what a plain computation does: counts to the digit, the others to nine places."""
    for name, value in expected.items():
        near = isinstance(value, float) and math.isclose(kpi[name], value, rel_tol=1e-9, abs_tol=1e-9)
        if not near and value != kpi[name]:
            return False
    return True
