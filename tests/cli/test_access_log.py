"""Access logs: which lines are page views, of whom and when."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import PageView, parse_event
from stream.commands.access_log import Origin, Unreadable, Visitor, page_view, parse_line
from stream.commands.ingesting import Late
from stream.core.policy import Policy
from tests.builders import Lane
from tests.cli.conftest import ROOT, Run

LOG = Path(__file__).resolve().parents[1] / "data/access_log/access.log"
ORIGIN = Origin(salt=b"salt")
ASSET = re.compile(
    r"\.(gif|jpg|jpeg|png|ico|css|js|xbm|bmp|svg|mpg|mpeg|mov|avi|wav|au|mp3|mp4|zip|gz|tar|tgz|pdf|ps|eps|woff|ttf"
    r"|swf|rpm|deb|jar|exe|wmv)$",
    re.IGNORECASE,
)


def line(
    request: str = "GET /a HTTP/1.1",
    status: str = "200",
    client: str = "198.51.100.7",
    time: str = "17/May/2015:10:05:03 +0000",
    tail: str = ' "-" "Mozilla/5.0"',
) -> str:
    return f'{client} - - [{time}] "{request}" {status} 123{tail}'


def views_by_splitting(text: str) -> list[tuple[str, str]]:
    """(address, page) of each page view, by cutting at quotes and spaces: no code of the product."""
    found = []
    for one in text.splitlines():
        before, request, after = one.split('"')[:3]
        method, page = request.split(" ")[:2]
        path = page.split("?")[0]
        if method == "GET" and after.split()[0] in ("200", "304") and not ASSET.search(path):
            found.append((before.split(" ")[0], page))
    return found


def test_recorded_lines_give_the_page_views_of_a_plain_count() -> None:
    text = LOG.read_text(encoding="utf-8")
    origin = Origin(salt=b"x")
    views = [page_view(one, number, origin) for number, one in enumerate(text.splitlines(), 1)]
    expected = views_by_splitting(text)
    assert len(expected) > 80
    assert [view.url for view in views if view] == [page for _, page in expected]
    ids = {view.visitor_id for view in views if view}
    assert len(ids) == len({address for address, _ in expected})
    assert len({view.event_id for view in views if view}) == len(expected)


def test_common_and_combined_lines_are_read() -> None:
    common = page_view(line(tail=""), 1, ORIGIN)
    combined = page_view(line(tail=' "https://search.example/?q=x" "Mozilla \\"5\\""'), 1, ORIGIN)
    assert common is not None
    assert combined is not None
    assert (common.url, common.referrer) == ("/a", None)
    assert combined.referrer == "https://search.example/?q=x"
    assert common.occurred_at.isoformat() == "2015-05-17T10:05:03+00:00"


def test_the_user_agent_is_passed_on() -> None:
    def agent(tail: str) -> str | None:
        view = page_view(line(tail=tail), 1, ORIGIN)
        assert view is not None
        return view.user_agent

    assert agent(' "-" "Mozilla/5.0 (X11)"') == "Mozilla/5.0 (X11)"
    assert agent(' "-" "-"') is agent(' "-" ""') is agent("") is None
    assert agent(f' "-" "{"x" * 600}"') == "x" * 512


def test_bots_of_a_recorded_log_are_counted_as_such() -> None:
    """Each one whose user agent says so in plain words, and none that is plainly a browser."""
    text = LOG.read_text(encoding="utf-8")
    views = [view for n, one in enumerate(text.splitlines(), 1) if (view := page_view(one, n, ORIGIN))]
    lane = Lane(Policy(survey_tolerance_ms=None))
    lane.append(*(json.loads(view.model_dump_json(exclude_none=True)) for view in views))
    lane.fetch("V")
    accounting = lane.partition.state.accounting
    words = re.compile(
        r"bot|spider|slurp|crawl|feed|rss|reader|@|//|curl|wget|python|java|ruby", re.IGNORECASE
    )
    plain = [view for view in views if words.search(view.user_agent or "")]
    assert accounting.balances()
    assert accounting.bots == len(plain) == 60
    assert accounting.counted == len(views) - len(plain)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("POST /a HTTP/1.1", "200"), ("HEAD /a HTTP/1.1", "200"), ("GET /a HTTP/1.1", "404"),
        ("GET /a HTTP/1.1", "301"), ("GET /a/x.PNG HTTP/1.1", "200"), ("GET /x.css?v=1 HTTP/1.1", "200"),
        ("-", "408"), ("\\x16\\x03", "400"),
    ],
)  # fmt: skip
def test_other_requests_are_no_page_views(request_: str, status: str) -> None:
    assert page_view(line(request_, status), 1, ORIGIN) is None


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /a HTTP/1.1", "304"), ("GET / HTTP/1.0", "200"), ("GET /js/ HTTP/1.1", "200"),
        ("GET /png HTTP/1.1", "200"), ("GET /a?file=x.png HTTP/2", "200"), ("GET /a.png/b HTTP/1.1", "200"),
        ("GET /old", "200"), ("GET /a b HTTP/1.1", "200"), ("GET http://shop.example/a HTTP/1.1", "200"),
    ],
)  # fmt: skip
def test_these_are_page_views(request_: str, status: str) -> None:
    view = page_view(line(request_, status), 1, ORIGIN)
    assert isinstance(view, PageView)
    assert view.url == request_.removeprefix("GET ").split(" HTTP/")[0]


def test_a_time_keeps_its_zone() -> None:
    view = page_view(line(time="01/Jan/2026:00:30:00 +0130"), 1, ORIGIN)
    assert view is not None
    assert view.occurred_at.isoformat() == "2026-01-01T00:30:00+01:30"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "neither common nor combined"),
        ("junk", "neither common nor combined"),
        (line(time="17/Mai/2015:10:05:03 +0000"), "holds no time"),
        (line(time="32/May/2015:10:05:03 +0000"), "occurred_at"),
        (line("GET /" + "a" * 3000 + " HTTP/1.1"), "longer than 2048"),
        (line("garbage"), "holds no request"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        page_view(text, 1, ORIGIN)


def test_a_visitor_is_a_digest_that_depends_on_the_secret() -> None:
    def visitor(salt: bytes, kind: Visitor, agent: str = "A", client: str = "198.51.100.7") -> str:
        view = page_view(line(client=client, tail=f' "-" "{agent}"'), 1, Origin(salt=salt, visitor=kind))
        assert view is not None
        assert "198.51.100.7" not in view.model_dump_json()
        return view.visitor_id

    address, both = Visitor.ADDRESS, Visitor.ADDRESS_AND_AGENT
    assert visitor(b"1", address) == visitor(b"1", address, agent="B")
    assert visitor(b"1", address) != visitor(b"2", address)
    assert visitor(b"1", address) != visitor(b"1", address, client="198.51.100.8")
    assert visitor(b"1", both) != visitor(b"1", both, agent="B")
    assert visitor(b"1", both, client="1", agent="2A") != visitor(b"1", both, client="12", agent="A")


def test_the_same_line_at_the_same_place_is_the_same_event() -> None:
    def event_id(number: int, site: str = "a", text: str = "/a") -> str:
        view = page_view(line(f"GET {text} HTTP/1.1"), number, Origin(salt=b"s", site=site))
        assert view is not None
        return view.event_id

    assert event_id(1) == event_id(1)
    assert len({event_id(1), event_id(2), event_id(1, site="b"), event_id(1, text="/b")}) == 4


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        assert parse_line(text).request in text


def test_a_long_line_of_quotes_is_refused_quickly() -> None:
    with pytest.raises(Unreadable):
        parse_line('h - - [t] "' + '\\"' * 30_000)


@pytest.mark.parametrize("how", ["file", "gzip", "pipe", "common"])
def test_a_dry_run_prints_the_events(latido: Run, tmp_path: Path, how: str) -> None:
    content = LOG.read_bytes()
    (tmp_path / "log").write_bytes(gzip.compress(content) if how == "gzip" else content)
    if how == "pipe":
        done = latido("ingest", "-", "--dry-run", stdin=gzip.compress(content))
    else:
        done = latido("ingest", "log", "--dry-run", *(["--format", "common"] if how == "common" else []))
    expected = views_by_splitting(content.decode())
    assert done.returncode == 0
    assert [json.loads(one)["url"] for one in done.stdout.splitlines()] == [page for _, page in expected]
    others = 218 - len(expected)
    assert (
        done.stderr
        == f"218 lines: {len(expected)} page views found, {others} other requests, 0 not readable\n"
    )


def test_lines_that_cannot_be_read_are_listed_and_counted(latido: Run, tmp_path: Path) -> None:
    text = "\n".join([line(), *(f"junk {number} \x1b[2J" for number in range(8)), "", line(), ""])
    (tmp_path / "log").write_text(text, encoding="utf-8")
    done = latido("ingest", "log", "--dry-run")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.splitlines()[0] == "log: line 2: is neither common nor combined log format"
    assert done.stderr.splitlines()[5:] == [
        "... and 3 more",
        "11 lines: 2 page views found, 1 other requests, 8 not readable",
    ]


def test_no_line_that_can_be_read_is_a_failure(latido: Run, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "wrong.jsonl").write_text("{}\n\n", encoding="utf-8")
    assert latido("ingest", "junk", "--format", "common", "--dry-run").returncode == 1
    assert latido("ingest", "wrong.jsonl", "--dry-run").returncode == 1


def test_a_line_too_long_is_not_given_a_size_that_it_has_not(latido: Run, tmp_path: Path) -> None:
    (tmp_path / "events").write_text('{"type": "' + "x" * 200_000 + '"}\n', encoding="utf-8")
    done = latido("ingest", "events", "--dry-run")
    assert done.stderr.splitlines()[0] == "events: line 1: too_large: more than 65536 bytes"


def test_an_empty_file_is_named(latido: Run, tmp_path: Path) -> None:
    (tmp_path / "none.log").touch()
    done = latido("ingest", "none.log", "--dry-run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "none.log: is empty\n")


def test_a_dry_run_whose_reader_has_seen_enough_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("\n".join(line() for _ in range(20_000)), encoding="utf-8")
    command = f"'{sys.executable}' -m stream ingest log --dry-run | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 1, "")


@pytest.mark.parametrize(
    ("kind", "hours", "may_be_late"),
    [("page_view", 0.5, False), ("page_view", 1, True), ("survey_answer", 24, False),
     ("survey_answer", 24 * 31, True)],
)  # fmt: skip
def test_what_a_worker_may_refuse_as_late(kind: str, hours: float, may_be_late: bool) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    event = parse_event(
        {
            "type": kind, "event_id": "e", "visitor_id": "v",
            "occurred_at": (now - timedelta(hours=hours)).isoformat(),
            **({"url": "/"} if kind == "page_view" else {"survey_id": "s", "survey_kind": "nps", "score": 9}),
        }
    )  # fmt: skip
    assert Late.by(Policy(), now).may_be(event) is may_be_late
    forever = msgspec.structs.replace(Policy(), survey_tolerance_ms=None)
    assert not Late.by(forever, now).may_be(event) or kind == "page_view"


def test_json_lines_are_found_and_get_a_stable_id(latido: Run, tmp_path: Path) -> None:
    event = {"type": "page_view", "visitor_id": "v", "url": "/", "occurred_at": "2026-11-22T10:19:58Z"}
    (tmp_path / "events").write_text(f"\n{json.dumps(event)}\n{json.dumps(event)}\n[1]\n", encoding="utf-8")
    first, again = (latido("ingest", "events", "--dry-run") for _ in range(2))
    assert first.stdout == again.stdout
    ids = [json.loads(one)["event_id"] for one in first.stdout.splitlines()]
    assert len(set(ids)) == 2
    assert first.stderr.splitlines() == [
        "events: line 4: invalid_event: must be a JSON object",
        "4 lines: 2 events found, 1 empty, 1 not readable",
    ]


def test_a_file_of_neither_kind_is_refused(latido: Run, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" * 100, encoding="utf-8")
    done = latido("ingest", "x.csv", "--dry-run")
    assert done.returncode == 1
    assert done.stderr.startswith("latido: x.csv: holds neither JSON lines nor an access log")


def test_a_damaged_gzip_file_is_named(latido: Run, tmp_path: Path) -> None:
    (tmp_path / "log.gz").write_bytes(gzip.compress(LOG.read_bytes())[:-20])
    done = latido("ingest", "log.gz", "--dry-run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("latido: log.gz: cannot be read to its end")
