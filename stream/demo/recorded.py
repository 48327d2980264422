"""The recorded traffic: page views of a real web server, moved in time as a whole."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.times import rfc3339

FILE: Final = Path(__file__).parent / "data" / "nasa_19950701.tsv.gz"
SECOND_MS: Final = 1000

# The part of the log's time that is played at once, to end now; the rest follows at its own pace.
PAST_SHARE: Final = 0.75

ASSETS: Final = (
    *(".gif", ".jpg", ".jpeg", ".png", ".ico", ".css", ".js", ".xbm", ".bmp", ".svg", ".mpg", ".mpeg"),
    *(".mov", ".avi", ".wav", ".au", ".mp3", ".mp4", ".zip", ".gz", ".tar", ".tgz", ".pdf", ".ps", ".eps"),
    *(".woff", ".ttf", ".swf", ".rpm", ".deb", ".jar", ".exe", ".wmv"),
)


@dataclass(frozen=True)
class View:
    """One page view of the log. `row` tells requests of the same second apart."""

    row: int
    time_ms: int
    visitor: str
    url: str

    def event(self, shift_ms: int) -> bytes:
        """The event as JSON, `shift_ms` later than it was recorded."""
        event = {
            "type": "page_view",
            "event_id": f"nasa-{self.row}",
            "visitor_id": self.visitor,
            "occurred_at": rfc3339(self.time_ms + shift_ms),
            "url": self.url,
        }
        return json.dumps(event, separators=(",", ":")).encode()


def read_views(file: Path = FILE) -> list[View]:
    """The page views, in the order of the log."""
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        next(lines)  # the header
        return list(_views(lines))


def _views(lines: Iterator[str]) -> Iterator[View]:
    for row, line in enumerate(lines, start=1):
        host, _, seconds, method, url, status = line.rstrip("\n").split("\t")[:6]
        if is_page_view(method, url, status):
            yield View(row, int(seconds) * SECOND_MS, host, url)


def is_page_view(method: str, url: str, status: str) -> bool:
    """Whether a request of an access log is a page view: successful, and no asset."""
    path = url.split("?", 1)[0].split("#", 1)[0].lower()
    return method == "GET" and status in ("200", "304") and not path.endswith(ASSETS)


def split(views: list[View], share: float = PAST_SHARE) -> tuple[list[View], list[View], int]:
    """(the views to play at once, those to play live, the time in the log that is now), by the log's time."""
    first, last = views[0].time_ms, views[-1].time_ms
    now_ms = first + round((last - first) * share)
    return [v for v in views if v.time_ms <= now_ms], [v for v in views if v.time_ms > now_ms], now_ms
