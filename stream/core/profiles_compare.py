"""The same traffic under several profiles: the figures, and why they differ from the profile `latido`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo

import msgspec

from stream.core.kpi import Mean, Rate
from stream.core.profiles import LATIDO, PROFILES, Profile
from stream.core.profiles_fold import CUTS, Step, Visit, visits_of
from stream.core.statistics import bucket_of, mean, rate

Visitors = Mapping[tuple[str, str], Sequence[Step]]  # (site, visitor) -> accepted events, in any order

# What makes a session begin where another profile goes on.
REASONS = ("boundary", "midnight", "campaign", "length", "pings")


class Figures(msgspec.Struct):
    """The session figures of a set of visits, open ones included."""

    pages_per_session: Mean
    session_duration_ms: Mean  # by the profile's duration rule
    bounce_rate: Rate
    engaged_rate: Rate | None  # None: the tool has no such figure


class Disagreement(msgspec.Struct):
    """Sessions cut alike under both profiles on which a rule decides differently."""

    only_here: int = 0
    only_latido: int = 0


class Difference(msgspec.Struct):
    """Against `latido`: sessions = those of latido + all of `more` - all of `fewer`."""

    more: dict[str, int]  # reason -> sessions that begin where latido goes on
    fewer: dict[str, int]  # reason -> sessions of latido that begin where this profile goes on
    cut_alike: int  # sessions that begin and end at the same events
    bounce: Disagreement
    engaged: Disagreement | None


class Comparison(msgspec.Struct):
    """One profile's view of the traffic."""

    profile: str
    visitors: int
    sessions: int
    page_views: int  # inside sessions, which is all of them
    figures: Figures
    cuts: dict[str, int]  # what cut a session off from the one before
    pings_outside: int  # page pings that belong to no session here
    against_latido: Difference


def figures(visits: Sequence[Visit], profile: Profile, of: str = "sessions") -> Figures:
    """Pages, durations, bounces and engagement of `visits`; `of` names them as a population."""
    sessions = [visit.session for visit in visits]
    durations = [profile.duration.of(session) for session in sessions]
    judged = [session for session in sessions if profile.counts_for_bounces(session)]
    bounces = sum(map(profile.is_bounce, judged))
    bounce_of = f"{of} with a page view" if profile.bounce.counted_from_page_views else of
    engaged = None
    if profile.engaged is not None:
        engaged = rate(sum(map(profile.engaged.holds, sessions)), len(sessions), of=of)
    return Figures(
        pages_per_session=_mean([session.page_views for session in sessions], of),
        session_duration_ms=_mean(durations, of),
        bounce_rate=rate(bounces, len(judged), of=bounce_of),
        engaged_rate=engaged,
    )


def _mean(values: Sequence[int], of: str) -> Mean:
    histogram = Counter(map(bucket_of, values))
    return mean(sum(values), sum(value * value for value in values), len(values), histogram, of=of)


def compare(visitors: Visitors, zone: tzinfo, latido: Profile = LATIDO) -> list[Comparison]:
    """All profiles over the same events; `latido`, possibly with another gap, comes first."""
    chosen = {**PROFILES, "latido": latido}
    reference = {key: visits_of(steps, latido, zone)[0] for key, steps in visitors.items()}
    return [_compared(visitors, zone, profile, latido, reference) for profile in chosen.values()]


def _compared(
    visitors: Visitors,
    zone: tzinfo,
    profile: Profile,
    latido: Profile,
    reference: Mapping[tuple[str, str], list[Visit]],
) -> Comparison:
    visits: list[Visit] = []
    outside = 0
    seen = 0
    difference = _no_difference(profile)
    for key, steps in visitors.items():
        found, pings = (reference[key], 0) if profile is latido else visits_of(steps, profile, zone)
        _add_difference(difference, found, reference[key], profile, latido)
        visits += found
        outside += pings
        seen += bool(found)
    cuts = Counter(visit.begins for visit in visits)
    return Comparison(
        profile=profile.name,
        visitors=seen,
        sessions=len(visits),
        page_views=sum(visit.session.page_views for visit in visits),
        figures=figures(visits, profile),
        cuts={cut: cuts[cut] for cut in CUTS},
        pings_outside=outside,
        against_latido=difference,
    )


def _no_difference(profile: Profile) -> Difference:
    return Difference(
        more=dict.fromkeys(REASONS, 0),
        fewer=dict.fromkeys(REASONS, 0),
        cut_alike=0,
        bounce=Disagreement(),
        engaged=None if profile.engaged is None else Disagreement(),
    )


def _add_difference(
    total: Difference, here: Sequence[Visit], there: Sequence[Visit], profile: Profile, latido: Profile
) -> None:
    """Add what one visitor contributes."""
    theirs = {visit.start: visit for visit in there}
    ours = {visit.start for visit in here}
    for visit in here:
        if visit.start not in theirs:
            total.more[_reason(visit, latido)] += 1
    for visit in there:
        if visit.start not in ours:
            total.fewer["pings" if visit.by_ping and profile.pings != "member" else "boundary"] += 1
    ends_there = dict(_with_ends(there))
    for start, (visit, end) in _with_ends(here):
        if start in ends_there and ends_there[start][1] == end:
            total.cut_alike += 1
            _add_rules(total, visit, ends_there[start][0], profile, latido)


def _reason(visit: Visit, latido: Profile) -> str:
    """Why a session begins at an event where latido goes on."""
    if visit.begins == "silence" and latido.joins(visit.silence_ms):
        return "boundary"
    # A silence too long for latido too: there, a ping has broken it. A first session: there, a ping began it.
    return "pings" if visit.begins in ("silence", "first") else visit.begins


def _with_ends(
    visits: Sequence[Visit],
) -> Iterable[tuple[tuple[int, str, int], tuple[Visit, tuple[int, str, int] | None]]]:
    """Start -> (visit, start of the next one)."""
    starts = [visit.start for visit in visits]
    return zip(starts, zip(visits, [*starts, None][1:], strict=True), strict=True)


def _add_rules(total: Difference, here: Visit, there: Visit, profile: Profile, latido: Profile) -> None:
    bounced = profile.is_bounce(here.session)
    if bounced is not latido.is_bounce(there.session):
        _disagree(total.bounce, bounced)
    engaged = profile.is_engaged(here.session)
    if total.engaged is not None and engaged is not latido.is_engaged(there.session):
        _disagree(total.engaged, bool(engaged))


def _disagree(counts: Disagreement, here: bool) -> None:
    if here:
        counts.only_here += 1
    else:
        counts.only_latido += 1
