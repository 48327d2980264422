"""Page views out of a web server's access log, in common or combined format. No I/O.

A page view is a GET answered with 200 or 304 whose path is no asset (`ASSETS`). The visitor is a digest of
the client's address: an address is personal data, and the KPIs need only to know it is the same one.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Any, Final

import msgspec

from schemas.dead_letters import ErrorCode, InvalidRecord
from schemas.events import PageView, parse_event

ASSETS: Final = frozenset(
    {
        *("gif", "jpg", "jpeg", "png", "ico", "css", "js", "xbm", "bmp", "svg"),
        *("mpg", "mpeg", "mov", "avi", "wav", "au", "mp3", "mp4", "wmv", "swf"),
        *("zip", "gz", "tar", "tgz", "rpm", "deb", "jar", "exe"),
        *("pdf", "ps", "eps", "woff", "ttf"),
    }
)
SEEN: Final = frozenset({"200", "304"})
LONGEST_URL: Final = 2048
LONGEST_AGENT: Final = 512
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""English whatever the locale, which `calendar` and `strptime` would follow."""

# The last quote may be missing: some writers cut a long user agent off.
# Inside quotes a server writes a quote as \" and other bytes as \xhh: `(?:[^"\\]|\\.)*` reads over both.
_LINE = re.compile(
    r'(?P<client>\S+) \S+ (?P<user>.{0,200}?) \[(?P<time>[^\]]{1,64})\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r'(?P<status>\d{3}) (?:\d+|-)(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"?)?(?: .*)?'
)
_TIME = re.compile(r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})")
_REQUEST = re.compile(r"(?P<method>[A-Z]+) (?P<url>.+?)(?: HTTP/\d(?:\.\d)?)?")


class Visitor(StrEnum):
    """What counts as one visitor."""

    ADDRESS = "address"
    ADDRESS_AND_AGENT = "address+agent"


class Unreadable(ValueError):
    """The line is not in the format; the message is the reason."""


class LogLine(msgspec.Struct, frozen=True):
    """The fields of a line, as the server wrote them. `agent` and `referrer` are None in common format."""

    client: str
    time: str
    request: str
    status: str
    referrer: str | None
    agent: str | None


class Origin(msgspec.Struct, frozen=True):
    """What turns a line into the same event at every run. `salt`: who knows it can test addresses."""

    salt: bytes
    site: str = "default"
    visitor: Visitor = Visitor.ADDRESS


def parse_line(line: str) -> LogLine:
    """Split a line. Raises Unreadable."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise Unreadable("is neither common nor combined log format")
    return LogLine(
        found["client"],
        found["time"],
        found["request"],
        found["status"],
        found["referrer"],
        found["agent"],
    )


def _said(text: str | None, longest: int) -> str | None:
    """'' where the browser sent none ("-"), None where the log does not tell."""
    return text if text is None else "" if text == "-" else text[:longest]


def page_view(line: str, number: int, origin: Origin) -> PageView | None:
    """The page view in line `number` (from 1); None when the line is another request.

    Its event_id is a digest of line, number and site: a second run over the same file counts nothing twice.
    Raises Unreadable.
    """
    fields = parse_line(line)
    url = page_url(fields)
    if url is None:
        return None
    event = {
        "type": "page_view",
        "event_id": digest(origin.salt, "line", origin.site, str(number), line)[:32],
        "site_id": origin.site,
        "visitor_id": visitor_id(fields, origin),
        "occurred_at": event_time(fields.time),
        "url": url,
        "referrer": _said(fields.referrer, LONGEST_URL),
        "user_agent": _said(fields.agent, LONGEST_AGENT) or None,
    }
    try:
        return _as_page_view(event)
    except InvalidRecord as error:
        raise Unreadable(error.message) from None


def _as_page_view(fields: dict[str, Any]) -> PageView:
    event = parse_event(fields)
    if not isinstance(event, PageView):
        raise InvalidRecord(ErrorCode.INVALID_EVENT, "is no page view")
    return event


def page_url(fields: LogLine) -> str | None:
    """The address of the page asked for, None when the request is no page view. Raises Unreadable."""
    if fields.status not in SEEN:
        return None
    found = _REQUEST.fullmatch(fields.request)
    if found is None:
        raise Unreadable("holds no request such as GET /page HTTP/1.1")
    if found["method"] != "GET":
        return None
    path = re.split(r"[?#]", found["url"], maxsplit=1)[0]
    suffix = path.rpartition("/")[2].rpartition(".")
    if suffix[1] and suffix[2].lower() in ASSETS:
        return None
    if len(found["url"]) > LONGEST_URL:
        raise Unreadable(f"holds an address longer than {LONGEST_URL} characters")
    return found["url"]


def visitor_id(fields: LogLine, origin: Origin) -> str:
    """`v` and 16 hex digits: a digest of the address (and browser), never the address itself."""
    parts = [fields.client] if origin.visitor is Visitor.ADDRESS else [fields.client, fields.agent]
    return "v" + digest(origin.salt, "visitor", *parts)[:16]


def event_time(text: str) -> str:
    """`17/May/2015:10:05:03 +0000` as RFC 3339. Raises Unreadable."""
    found = _TIME.fullmatch(text)
    if found is None or found[2] not in MONTHS:
        raise Unreadable("holds no time such as 17/May/2015:10:05:03 +0000")
    day, month, year, clock, hours, minutes = found.groups()
    return f"{year}-{MONTHS.index(month) + 1:02}-{day}T{clock}{hours}:{minutes}"


def digest(salt: bytes, *parts: str) -> str:
    """A keyed digest in hex, 40 digits; the lengths keep different lists of parts apart."""
    encoded = [part.encode() for part in parts]
    joined = b"".join(b"%d:%b" % (len(part), part) for part in encoded)
    return hashlib.blake2b(joined, key=salt[:64], digest_size=20).hexdigest()
