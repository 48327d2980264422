"""The hand-worked cases of docs/profiles.md, read from profile_cases.json. Times are of one day, in UTC."""

from __future__ import annotations

import json
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from schemas.times import rfc3339
from stream.core.events import Event, event_time_ms
from stream.core.policy import Goal, Goals
from stream.core.profiles import PROFILES, Profile
from stream.core.profiles_fold import Step, Visit, step_of, visits_of
from stream.core.sessions import Origin

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("profile_cases.json").read_text("utf-8"))
DAY_MS = 1_795_305_600_000  # 2026-11-22T00:00:00Z
GOALS = Goals((Goal("thanks", page="/thanks"),))
TOPIC = {"page_view": 0, "page_ping": 0, "click": 1}
OWN: dict[str, dict[str, Any]] = {
    "page_view": {"url": "/"},
    "page_ping": {"url": "/", "engaged_ms": 10_000},
    "click": {"element_id": "buy"},
}


def ms(clock: str) -> int:
    """`24:20:00.001` as milliseconds."""
    hours, minutes, seconds = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)


def clock(t: int) -> str:
    """The other way round, as the cases are written."""
    hours, rest = divmod(t - DAY_MS, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, thousandth = divmod(rest, 1000)
    return f"{hours}:{minutes:02}:{seconds:02}" + (f".{thousandth:03}" if thousandth else "")


def steps(case: dict[str, Any]) -> list[Step]:
    found: list[Step] = []
    for kind, start, *more in case["events"]:
        fields, series = [*more, {}, {}][:2]
        last = ms(series.get("until", start))
        for t in range(ms(start), last + 1, series.get("every_s", 1) * 1000):
            event = msgspec.convert(
                {"type": kind, "event_id": f"e{len(found)}", "visitor_id": "v",
                 "occurred_at": rfc3339(DAY_MS + t), **OWN[kind], **fields},
                type=Event,
            )  # fmt: skip
            origin = Origin(getattr(event, "referrer", None), None, event.campaign)
            step = step_of(TOPIC[kind], event, event_time_ms(event), origin, GOALS)
            assert step is not None
            found.append(step)
    return found


def zone_of(case: dict[str, Any]) -> tzinfo:
    return ZoneInfo(case.get("zone", "UTC"))


def visits(case: dict[str, Any], profile: Profile) -> list[Visit]:
    return visits_of(steps(case), profile, zone_of(case))[0]


def described(visit: Visit, profile: Profile) -> dict[str, Any]:
    """A visit in the words of the cases."""
    session = visit.session
    counted = profile.counts_for_bounces(session)
    return {
        "from": clock(session.first_ms),
        "to": clock(session.last_ms),
        "begins": visit.begins,
        "bounce": profile.is_bounce(session) if counted else None,
        "engaged": profile.is_engaged(session),
        "duration_s": profile.duration.of(session) / 1000,
        "campaign": session.origin.campaign,
        "engaged_s": session.engaged_ms / 1000,
    }


def expected(case: dict[str, Any], name: str) -> list[dict[str, Any]]:
    [found] = [sessions for names, sessions in case["expect"].items() if name in names.split()]
    return found  # type: ignore[no-any-return]


def as_markdown() -> str:
    """All cases as a table: what each profile makes of them."""
    lines = ["| rule | case | " + " | ".join(PROFILES) + " |", "|---" * (2 + len(PROFILES)) + "|"]
    for case in CASES:
        cells = ["<br>".join(map(_in_short, expected(case, name))) for name in PROFILES]
        lines.append(f"| {case['rule']} | {_story(case)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _story(case: dict[str, Any]) -> str:
    parts = []
    for kind, start, *more in case["events"]:
        fields, series = [*more, {}, {}][:2]
        word = {"page_view": "view", "page_ping": "ping"}.get(kind, kind)
        said = "".join(f" {name} `{value}`" for name, value in fields.items())
        parts.append(f"{word} {start}{said}" + (f" to {series['until']}" if series else ""))
    return f"{case['case']}: " + ", ".join(parts)


def _in_short(session: dict[str, Any]) -> str:
    start, end = session["from"], session["to"]
    seconds = f"{session['duration_s']:.3f}".rstrip("0").rstrip(".")
    words = [start if start == end else f"{start}-{end}", f"{seconds} s"]
    words.append({True: "bounce", False: "no bounce", None: "not counted"}[session["bounce"]])
    if session["engaged"] is not None:
        words.append("engaged" if session["engaged"] else "not engaged")
    return ", ".join(words)
