"""The frozen rules of one run: every duration and limit the core decides by, in one value."""

from __future__ import annotations

import fnmatch
import re
from functools import cached_property, lru_cache
from typing import Literal
from urllib.parse import urlsplit

import msgspec

SECOND_MS = 1000
DEFAULT_PUBLISHED_VALUES = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
# What a mail shown is clicked for, and what an answer says, may come this late, and be a correction.
RESULTS_KEPT_MS = 30 * DAY_MS


def page_path(url: str) -> str:
    """The path of `url` without query and fragment: what page names, goals and entry pages use."""
    if url.startswith("/"):  # the common case needs no parser
        return url if "?" not in url and "#" not in url else url.split("?", 1)[0].split("#", 1)[0]
    return _absolute_path(url)


# A site has few pages and many views of each; parsing an address takes longer than all else of a view.
@lru_cache(maxsize=16_384)
def _absolute_path(url: str) -> str:
    try:
        return urlsplit(url).path or "/"
    except ValueError:  # "http://[": whatever it is, it names no page of ours
        return url.split("?", 1)[0].split("#", 1)[0]


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something visitors are hoped to do. Exactly one of `page`, `element_id`, `form_id` is given.

    `page` is a shell pattern over the path (`/thanks*`). Raises ValueError on construction otherwise.
    """

    name: str
    page: str | None = None
    element_id: str | None = None
    form_id: str | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.page, self.element_id, self.form_id) if x is not None]
        if len(given) != 1:
            raise ValueError(f"goal {self.name!r} needs exactly one of page, element_id, form_id")
        if not 1 <= len(self.name) <= 64:
            raise ValueError("a goal's name has 1 to 64 characters")


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step of a funnel: a page (a pattern over the path), an element that is clicked or a form."""

    page: str | None = None
    element_id: str | None = None
    form_id: str | None = None

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.page, self.element_id, self.form_id)) != 1:
            raise ValueError("a step needs exactly one of page, element_id, form_id")


class Funnel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps that visitors are hoped to take one after the other. Raises ValueError on construction."""

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= 60:
            raise ValueError("a funnel's name has 1 to 60 characters")
        if not 2 <= len(self.steps) <= 20:
            raise ValueError(f"funnel {self.name!r} needs 2 to 20 steps")


def step_name(funnel: str, number: int) -> str:
    """`checkout#2`: the second step of the funnel `checkout`."""
    return f"{funnel}#{number}"


def _steps_of(funnels: tuple[Funnel, ...]) -> tuple[Goal, ...]:
    """Every step as a goal of its own: what fits it."""
    return tuple(
        Goal(step_name(funnel.name, number), step.page, step.element_id, step.form_id)
        for funnel in funnels
        for number, step in enumerate(funnel.steps, 1)
    )


class Goals:
    """The goals of a run, indexed by what reaches them."""

    def __init__(self, goals: tuple[Goal, ...] = ()) -> None:
        self.all = goals
        self._pages = [(g.name, re.compile(fnmatch.translate(g.page))) for g in goals if g.page is not None]
        self._elements = [(g.name, g.element_id) for g in goals if g.element_id is not None]
        self._forms = [(g.name, g.form_id) for g in goals if g.form_id is not None]

    def by_page(self, url: str) -> list[str]:
        """Names of the goals that a view of `url` reaches."""
        if not self._pages:
            return []
        path = page_path(url)
        return [name for name, pattern in self._pages if pattern.match(path)]

    def by_element(self, element_id: str) -> list[str]:
        return [name for name, wanted in self._elements if wanted == element_id]

    def by_form(self, form_id: str) -> list[str]:
        return [name for name, wanted in self._forms if wanted == form_id]


class Policy(msgspec.Struct, frozen=True, dict=True):
    """Rules that decide what is accepted and what is shown. All times in milliseconds."""

    gap_ms: int = 30 * MINUTE_MS
    grace_ms: int = 5 * MINUTE_MS
    # An event further ahead of its arrival than this is refused: one wrong clock must not push time.
    future_ms: int = 5 * MINUTE_MS
    # Answers arrive late by nature. None: never late.
    survey_tolerance_ms: int | None = 30 * DAY_MS
    # Which answers of a respondent count: the latest to each survey, or every one.
    answers: Literal["latest", "every"] = "latest"
    # A topic without a fetch reply for this long is unknown again and holds progress.
    unknown_after_ms: int = 10 * SECOND_MS
    # Shown time moves in steps of this, so that all partitions look at the same instant.
    grid_ms: int = SECOND_MS
    # Clicks on mail, ads and pushes count for an impression this long before (or after) them.
    attribution_ms: int = 7 * DAY_MS
    # Who stays away for longer is forgotten, and new when they come back.
    visitor_memory_ms: int = 400 * DAY_MS
    # Beyond these a session is `overlong`: it stores no further detail, its counts go on.
    overlong_events: int = 10_000
    overlong_ms: int = DAY_MS
    # Values of one dimension admitted per partition and site; later ones are counted as `(other)`.
    dimension_values: int = 10_000
    # Of these the largest are published, in each window; the others together as `(other)`.
    published_values: int = DEFAULT_PUBLISHED_VALUES
    goals: tuple[Goal, ...] = ()
    funnels: tuple[Funnel, ...] = ()
    # Tags of a page's address that may be read, for channel and campaign; no other parameter ever is.
    query_parameters: tuple[str, ...] = ("utm_source", "utm_medium", "utm_campaign")
    # A referrer on one of these hosts, or below, is the site itself: lower case, without port.
    own_hosts: tuple[str, ...] = ()
    # Pairs of what sessions are counted by that are counted together: `channel+device`.
    dimension_pairs: tuple[str, ...] = ()
    # Events whose user agent is a bot's are counted as such, and nowhere else.
    exclude_bots: bool = True
    # Whose hours and days are settled: IANA names, and (site, name) where a site differs.
    zone: str = "UTC"
    zones: tuple[tuple[str, str], ...] = ()
    # Whether hours and days are counted at all; a replay that does not print them need not.
    settles: bool = True

    def zone_of(self, site_id: str) -> str:
        """The zone of a site's hours and days."""
        return dict(self.zones).get(site_id, self.zone)

    @cached_property
    def results_kept_ms(self) -> int | None:
        """How long after its end a settled window can still be corrected. None: for ever."""
        return None if self.survey_tolerance_ms is None else max(self.survey_tolerance_ms, RESULTS_KEPT_MS)

    @cached_property
    def goal_index(self) -> Goals:
        return Goals(self.goals)

    @cached_property
    def step_index(self) -> Goals:
        """The steps of all funnels, by what fits them."""
        return Goals(_steps_of(self.funnels))

    @cached_property
    def lateness_ms(self) -> int:
        """How far behind progress an event still counts."""
        return self.gap_ms + self.grace_ms

    @cached_property
    def finality_ms(self) -> int:
        """Silence (against progress) after which no accepted event can reach a session any more.

        One gap more than lateness: an event at the edge of lateness may bridge to the session.
        """
        return 2 * self.gap_ms + self.grace_ms
