"""The comparison of profiles as a screen: figures side by side, then why they differ, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream.commands.figures import NONE, duration
from stream.core.kpi import Mean, Rate
from stream.core.profiles import LATIDO, PLAUSIBLE
from stream.core.profiles_compare import Comparison, Difference, Disagreement
from stream.pipeline.partition_state import Accounting
from stream.replay import Compared

_CUT_NAMES: Final = {
    "silence": "  by silence",
    "midnight": "  at midnight",
    "campaign": "  by a new campaign",
    "length": "  at the maximum length",
}
_GAP: Final = LATIDO.gap_ms
_WHOLE_MINUTES: Final = "silence between 30 and 31 minutes does not cut: whole minutes are compared"
_MORE: Final = {
    "boundary": "silence of exactly 30 minutes cuts",
    "midnight": "midnight cuts",
    "campaign": "a new campaign cuts",
    "length": "24 hours are the maximum",
    "pings": "page pings do not keep a session open, or open none",
}
_FEWER: Final = {
    "boundary": "a silence that cuts in latido does not",
    "pings": "page pings open no session",
}
_BOUNCE: Final = {
    "latido": "exactly one page view, no click, no form",
    "ga4": "not engaged",
    "matomo": "at most one page view, click or form in all",
    "posthog": "one page view, no click, no form, less than 10 s; without a page view not counted",
    "snowplow": "not engaged (our reading: the package publishes none)",
    "plausible": "at most one page view, no click, no form",
}
_ENGAGED: Final = {
    "latido": "two page views, 10 s, or a goal",
    "ga4": "two page views, more than 10 s, or a goal",
    "snowplow": "two page views, 20 s of page pings, or a goal",
}
_DURATION: Final = {
    "matomo": "last event minus first, and one second if there is more than one",
    "plausible": "last event minus first, page pings apart",
}


def view(compared: Compared, zone: str, *, has_goals: bool) -> RenderableType:
    """All of it. `zone` names whose midnight was meant."""
    profiles = compared.profiles
    parts: list[RenderableType] = [
        _read(compared.accounting, profiles[0], zone),
        Text(),
        _table(profiles),
        Text(),
        Text("Why they differ", style="bold"),
        _reasons(profiles, compared.gap_ms),
        Text(),
        Text("Rules", style="bold"),
        _rules(),
    ]
    if not has_goals:
        parts += [Text(), Text("No goals are set (--goals FILE): none makes a session engaged.", style="dim")]
    return Group(*parts)


def _read(accounting: Accounting, latido: Comparison, zone: str) -> Text:
    """What there was to count, and what was left out."""
    left_out = {
        "duplicate": accounting.duplicates,
        "conflicting": accounting.conflicts,
        "late": accounting.late,
        "refused": accounting.refused,
        "without consent": accounting.no_consent,
        "other": accounting.read - accounting.counted - accounting.duplicates - accounting.conflicts
        - accounting.late - accounting.refused - accounting.no_consent,
    }  # fmt: skip
    words = [f"{n:,} {name}" for name, n in left_out.items() if n]
    text = f"{accounting.counted:,} of {accounting.read:,} records counted"
    text += f" ({', '.join(words)})" if words else ""
    return Text(
        f"{text}; {latido.page_views:,} page views of {latido.visitors:,} visitors; midnight of {zone}."
    )


def _table(profiles: list[Comparison]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for one in profiles:
        table.add_column(one.profile, justify="right")
    rows: list[tuple[str, Callable[[Comparison], str]]] = [
        ("Sessions", lambda one: f"{one.sessions:,}"),
        ("Pages per session", lambda one: _number(one.figures.pages_per_session)),
        ("Mean duration", lambda one: _time(one.figures.session_duration_ms)),
        ("Bounce rate", lambda one: _percent(one.figures.bounce_rate)),
        ("Engaged sessions", lambda one: _percent(one.figures.engaged_rate)),
    ]
    for name, value in rows:
        table.add_row(name, *(_against(value(one), value(profiles[0])) for one in profiles))
    table.add_section()
    table.add_row(
        "Visitors' first sessions", *(f"{one.sessions - sum(one.cuts.values()):,}" for one in profiles)
    )
    table.add_row("Sessions cut off", *("" for _ in profiles))
    for cut, name in _CUT_NAMES.items():
        table.add_row(name, *(_count(one.cuts[cut]) for one in profiles))
    return table


def _against(value: str, latido: str) -> Text:
    """What differs from latido stands out."""
    return Text(value, style="bold" if value != latido and value != NONE else "")


def _number(one: Mean) -> str:
    return NONE if one.value is None else f"{one.value:,.2f}"


def _time(one: Mean) -> str:
    return NONE if one.value is None else duration(one.value)


def _percent(one: Rate | None) -> str:
    return NONE if one is None or one.value is None else f"{one.value * 100:.1f} %"


def _count(n: int) -> str:
    return f"{n:,}" if n else NONE


def _reasons(profiles: list[Comparison], gap_ms: int) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for one in profiles[1:]:
        name = one.profile
        for count, words in _reasons_of(one, gap_ms):
            table.add_row(name, count, words)
            name = ""
    return table


def _reasons_of(one: Comparison, gap_ms: int) -> Iterable[tuple[str, str]]:
    difference, more, fewer = one.against_latido, _MORE, _FEWER
    if gap_ms != _GAP:
        words = f"30 minutes of silence cut here, {duration(gap_ms)} in latido"
        more, fewer = {**more, "boundary": words}, {**fewer, "boundary": words}
    elif one.profile == PLAUSIBLE.name:
        fewer = {**fewer, "boundary": _WHOLE_MINUTES}
    found = [
        *((f"+{n:,}", f"sessions: {more[why]}") for why, n in difference.more.items() if n),
        *((f"-{n:,}", f"sessions: {fewer[why]}") for why, n in difference.fewer.items() if n),
        *_rule_reasons("bounces", difference.bounce, difference),
        *(_rule_reasons("engaged sessions", difference.engaged, difference) if difference.engaged else ()),
    ]
    if one.pings_outside:
        found.append((f"{one.pings_outside:,}", "page pings belong to no session"))
    uncounted = one.sessions - one.figures.bounce_rate.denominator
    if uncounted:
        found.append((f"{uncounted:,}", "sessions without a page view are left out of the bounce rate"))
    return found or [("", "the same sessions, bounces and engagement")]


def _rule_reasons(what: str, rule: Disagreement, of: Difference) -> Iterable[tuple[str, str]]:
    alike = f"among the {of.cut_alike:,} sessions that both cut alike"
    if rule.only_here:
        yield f"+{rule.only_here:,}", f"{what} by its rule {alike}"
    if rule.only_latido:
        yield f"-{rule.only_latido:,}", f"{what} by its rule {alike}"


def _rules() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, words in _BOUNCE.items():
        table.add_row(name, "bounce", words)
        if name in _ENGAGED:
            table.add_row("", "engaged", _ENGAGED[name])
        if name in _DURATION:
            table.add_row("", "duration", _DURATION[name])
    return table
