"""The events of the input topics as the worker holds them: msgspec structs, named as on the wire.

schemas/events.py is the contract and says what each field means; tests/schemas holds both equal.
A struct alone does not check the rules that concern several fields or the range of times:
`keeps_rules` and `is_usable_time` do. Lengths are in characters.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, Struct

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_TIME: Final = datetime(1, 1, 2, tzinfo=UTC)
LAST_TIME: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Range of event times: inside it no zone's midnight and no printed time leaves the calendar."""

NPS_MAX: Final = 10

EventId = Annotated[str, Meta(min_length=1, max_length=64)]
SiteId = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Dimension = Annotated[str, Meta(max_length=64)]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
UserAgent = Annotated[str, Meta(max_length=512)]
Text = Annotated[str, Meta(max_length=2048)]
Moment = Annotated[datetime, Meta(tz=True)]
Position = Annotated[int, Meta(ge=0, le=2**31 - 1)]
ScalePoint = Annotated[int, Meta(ge=-1000, le=1000)]
Surface = Literal["page", "mail", "ad", "push"]

DEFAULT_SITE: Final = "default"


# gc=False: an event holds strings, numbers and one list of strings, never a cycle, and a million of them
# must not cost the garbage collector anything.
# omit_defaults: what an event says is written without what it leaves out, so that a new optional field does
# not make a retry look like other content.
class _Common(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type"):
    event_id: EventId
    site_id: SiteId = DEFAULT_SITE
    visitor_id: Name
    customer_id: Name | None = None
    occurred_at: Moment
    received_at: Moment | None = None
    channel: Dimension | None = None
    campaign: Dimension | None = None
    device: Dimension | None = None
    country: Dimension | None = None
    plan: Dimension | None = None
    user_agent: UserAgent | None = None
    consent: Literal["granted", "denied"] | None = None


class PageView(_Common, frozen=True, kw_only=True, tag="page_view"):
    """A page was opened."""

    type: ClassVar[str] = "page_view"
    url: Url
    title: Text | None = None
    referrer: Text | None = None


class Impression(_Common, frozen=True, kw_only=True, tag="impression"):
    """Something that can be clicked was shown. `url` is there when surface is page."""

    type: ClassVar[str] = "impression"
    element_id: Name
    surface: Surface = "page"
    url: Url | None = None
    position: Position | None = None
    variant: Dimension | None = None
    opened: bool | None = None


class PagePing(_Common, frozen=True, kw_only=True, tag="page_ping"):
    """A heartbeat while the page is in front."""

    type: ClassVar[str] = "page_ping"
    url: Url
    engaged_ms: Annotated[int, Meta(ge=0, le=86_400_000)]


class Click(_Common, frozen=True, kw_only=True, tag="click"):
    """An element was clicked."""

    type: ClassVar[str] = "click"
    element_id: Name
    surface: Surface = "page"
    url: Url | None = None
    target_url: Text | None = None
    position: Position | None = None
    variant: Dimension | None = None


class FormSubmission(_Common, frozen=True, kw_only=True, tag="form_submission"):
    """A form was sent; `fields` are names only."""

    type: ClassVar[str] = "form_submission"
    form_id: Name
    url: Url
    fields: Annotated[list[Name], Meta(max_length=100)] | None = None


class SurveyAnswer(_Common, frozen=True, kw_only=True, tag="survey_answer"):
    """One survey was answered; `score` is None iff it was skipped."""

    type: ClassVar[str] = "survey_answer"
    survey_id: Name
    survey_kind: Literal["nps", "csat"]
    score: ScalePoint | None = None
    scale_min: ScalePoint = 1
    scale_max: ScalePoint = 5
    respondent_id: Annotated[str, Meta(max_length=128)] | None = None
    skipped: bool = False
    comment: Annotated[str, Meta(max_length=4096)] | None = None


Event = PageView | Impression | PagePing | Click | FormSubmission | SurveyAnswer


def event_time_ms(event: Event) -> int:
    """Return when the event happened, in ms since the epoch, rounded down (also before 1970)."""
    # A timedelta's seconds and microseconds are never negative, so this rounds down; integers throughout.
    # Measured: 20 % faster than `// timedelta(milliseconds=1)`, 40 % than `.timestamp()`, which is a float.
    since = event.occurred_at - EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def is_usable_time(moment: datetime) -> bool:
    """Tell whether a time lies between FIRST_TIME and LAST_TIME."""
    # The year as written is off by a day at most: only the two outermost years need a closer look.
    return 1 < moment.year < 9999 or FIRST_TIME <= moment <= LAST_TIME


def keeps_rules(event: Event) -> bool:
    """Tell whether an event whose fields are valid keeps the rules that concern several fields."""
    if isinstance(event, Impression):
        return event.surface != "page" or event.url is not None
    if isinstance(event, SurveyAnswer):
        return _is_on_its_scale(event)
    return True


def _is_on_its_scale(answer: SurveyAnswer) -> bool:
    nps = answer.survey_kind == "nps"
    low, high = (0, NPS_MAX) if nps else (answer.scale_min, answer.scale_max)
    if answer.skipped or answer.score is None:
        return low < high and answer.skipped and answer.score is None
    return low < high and low <= answer.score <= high


def sites_in_order(sites: Iterable[str]) -> list[str]:
    """Each site once, that of events which name none first: what is shown where no site was asked for.

    By name alone, an event of anybody for a site `!` would put that site on every screen.
    """
    return sorted(set(sites), key=lambda site: (site != DEFAULT_SITE, site))
