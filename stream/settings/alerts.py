"""The table [alerts]: rules over published figures, silences, and who is told."""

from __future__ import annotations

import difflib
import re
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    SecretStr,
    model_validator,
)

from schemas.times import to_ms
from stream.core.alerts import Rule, Silence
from stream.core.kpi import PAIR, WHOLE, Count
from stream.core.policy import DAY_MS
from stream.core.registry import KPIS
from stream.core.windows import ROLLING
from stream.pipeline.alert_baselines import WINDOW as BASELINE_WINDOW
from stream.pipeline.alerts import AlertRules
from stream.settings.text import parse_duration

LONGEST_FOR_MS: Final = 30 * DAY_MS
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$"
SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/]{32,88}={0,2}")
"""24 to 64 bytes in base64, as the specification of Standard Webhooks wants it."""
DEFAULT_LEAST_N: Final = 30
WINDOWS: Final = tuple(window.name for window in ROLLING)

Duration = Annotated[int, BeforeValidator(parse_duration), Field(ge=0, le=LONGEST_FOR_MS)]
Name = Annotated[str, Field(pattern=NAME)]
Pattern = Annotated[str, Field(min_length=1, max_length=256)]
Severity = Literal["info", "warning", "critical"]
ChurnState = Literal["healthy", "watch", "at_risk", "lost"]


def _check_address(url: str) -> str:
    """The address itself. Raises ValueError."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the parser, which quotes what may be secret
        fits = False
    if not fits:
        raise ValueError("is no address; write https://host/path")
    return url


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RuleSettings(_Table):
    """Table [[alerts.rules]]."""

    name: Name
    """Part of the alert's key: with another name it is another alert."""
    kpi: str
    window: str = "1h"
    site: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Every site by default."""
    segment: Annotated[str, Field(min_length=1, max_length=600)] = WHOLE
    """all, such as channel=Email, or channel=* for each channel on its own."""
    below: FiniteFloat | None = None
    above: FiniteFloat | None = None
    """The limit, in the unit of the KPI: rates from 0 to 1, times in milliseconds."""
    clear: FiniteFloat | None = None
    """Where it is resolved, on the good side of the limit; the limit itself by default."""
    compare: Literal["interval", "value"] | None = None
    """interval: all of it must be beyond the limit. By default wherever the KPI has one."""
    against: Literal["limit", "earlier_weeks"] = "limit"
    """earlier_weeks: limits are robust standard deviations from the same hour of four weeks, such as -3."""
    least_spread: Annotated[FiniteFloat, Field(ge=0, le=10)] = 0.05
    """Of earlier_weeks: share of their median that is never taken for more than one deviation."""
    least_n: Annotated[int, Field(ge=0)] | None = None
    """On fewer the figure is not judged; 30 by default, of counts nothing."""
    for_: Duration = Field(default=0, alias="for")
    """How long it must last."""
    cooldown: Duration = 0
    """How long after it was resolved it cannot fire again."""
    most: Annotated[int, Field(ge=1, le=10_000)] = 50
    """So many of its series fire at a time; others wait until one is resolved."""
    severity: Severity = "warning"

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        definition = KPIS.get(self.kpi)
        if definition is None:
            near = difflib.get_close_matches(self.kpi[:100], KPIS, 1)
            raise ValueError(
                f"kpi: there is no such KPI; {f'did you mean {near[0]}?' if near else 'see latido kpis'}"
            )
        dimension = self.dimension
        if self.segment != WHOLE and "=" not in self.segment:
            raise ValueError(
                "segment: write all, or a dimension and a value such as channel=Email or channel=*"
            )
        if (PAIR if "+" in dimension else dimension) not in definition.dimensions:
            known = ", ".join(sorted(definition.dimensions))
            raise ValueError(f"segment: {self.kpi} is not published by {dimension!r}; there is {known}")
        windows = [name for name in WINDOWS if name in definition.windows]
        if self.window not in windows:
            raise ValueError(f"window: {self.kpi} has none of that name; there is {', '.join(windows)}")
        return self

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if (self.below is None) is (self.above is None):
            raise ValueError("give one limit: below or above")
        if self.below is not None and self.clear is not None and self.clear < self.below:
            raise ValueError("clear: must not be under below, it would be resolved and fire at once")
        if self.above is not None and self.clear is not None and self.clear > self.above:
            raise ValueError("clear: must not be over above, it would be resolved and fire at once")
        if self.is_count and self.compare == "interval":
            raise ValueError(f"compare: {self.kpi} is a count and has no interval")
        if self.is_count and self.least_n:
            raise ValueError(f"least_n: {self.kpi} is a count and stands on nothing")
        if self.against == "earlier_weeks" and self.window != BASELINE_WINDOW:
            raise ValueError(f"against: hours are compared with hours; write window = {BASELINE_WINDOW!r}")
        return self

    @property
    def dimension(self) -> str:
        return self.segment.partition("=")[0]

    @property
    def is_count(self) -> bool:
        return isinstance(KPIS[self.kpi].compute({}, {}), Count)

    def rule(self) -> Rule:
        """As the core judges by it."""
        below = self.below is not None
        limit = self.below if self.below is not None else self.above
        assert limit is not None
        value = self.segment.partition("=")[2]
        by_interval = not self.is_count if self.compare is None else self.compare == "interval"
        least_n = self.least_n
        if least_n is None:
            least_n = 0 if self.is_count else DEFAULT_LEAST_N
        return Rule(
            name=self.name,
            kpi=self.kpi,
            window=self.window,
            direction="below" if below else "above",
            limit=limit,
            clear=limit if self.clear is None else self.clear,
            measure=("high" if below else "low") if by_interval else "value",
            site=self.site,
            dimension=self.dimension,
            value=None if self.segment == WHOLE or value == "*" else value,
            least_n=least_n,
            for_ms=self.for_,
            cooldown_ms=self.cooldown,
            severity=self.severity,
            most=self.most,
            deviations=self.against == "earlier_weeks",
            least_spread=self.least_spread,
        )


class SilenceSettings(_Table):
    """Table [[alerts.silences]]: what matches does not fire; if it still must, it does at the end."""

    rule: Pattern = "*"
    site: Pattern = "*"
    segment: Pattern = "*"
    """Patterns as in a shell: ctr-*, channel=*."""
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    """Times with an offset; without them since ever, for good."""
    comment: str = ""

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("end must be after start")
        return self

    def silence(self) -> Silence:
        return Silence(
            rule=self.rule, site=self.site, segment=self.segment,
            start_ms=_ms(self.start), end_ms=_ms(self.end),
        )  # fmt: skip


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


class ReceiverSettings(_Table):
    """Table [[alerts.receivers]]: who is told by `latido alerts`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    kind: Literal["webhook", "alertmanager", "apprise"] = "webhook"
    url: SecretStr
    """Hidden like a password, which it often is."""
    secret: SecretStr | None = None
    """Of a webhook: signs what is sent, whsec_ and base64; make one: echo whsec_$(openssl rand -base64 32)"""
    allow_private: bool = False
    """Whether the address may be of this machine or a private network."""
    rules: Annotated[tuple[Pattern, ...], Field(min_length=1)] = ("*",)
    """Patterns of the rules it hears of."""
    least_severity: Severity = "info"
    churn: tuple[ChurnState, ...] = ()
    """States whose churn signals it hears of; none by default."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.kind != "apprise":
            _check_address(self.url.get_secret_value())
        if self.kind == "webhook" and self.secret is None:
            raise ValueError("secret: a webhook is signed; make one: echo whsec_$(openssl rand -base64 32)")
        if self.secret is not None and not SECRET.fullmatch(self.secret.get_secret_value()):
            raise ValueError("secret: must be whsec_ and the base64 of 24 to 64 bytes")
        if self.kind == "alertmanager" and self.churn:
            raise ValueError("churn: Alertmanager keeps alerts that end; send churn signals to a webhook")
        return self


class AlertSettings(_Table):
    """Rules, silences and receivers. Table `[alerts]`."""

    monitor: Annotated[str, AfterValidator(_check_address)] | None = None
    """Address of the live page, for links in alerts."""
    give_up: Annotated[Duration, Field(ge=1000)] = DAY_MS
    """News that could not be delivered for so long is no news."""
    rules: tuple[RuleSettings, ...] = ()
    silences: tuple[SilenceSettings, ...] = ()
    receivers: tuple[ReceiverSettings, ...] = ()

    @model_validator(mode="after")
    def _names_are_different(self) -> Self:
        for what, named in (("rules", self.rules), ("receivers", self.receivers)):
            names = [one.name for one in named]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"two {what} are named {name!r}; give each a name of its own")
        return self

    @model_validator(mode="after")
    def _patterns_match_something(self) -> Self:
        """Else somebody would wait in vain; who only delivers may leave the rules out."""
        names = [one.name for one in self.rules]
        patterns = [pattern for one in self.receivers for pattern in one.rules]
        for pattern in [*patterns, *(one.rule for one in self.silences)] if names else []:
            if not any(fnmatchcase(name, pattern) for name in names) and pattern != "*":
                near = difflib.get_close_matches(pattern, names, 1)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(names)}"
                raise ValueError(f"no rule is named {pattern!r}; {hint}")
        return self


def alert_rules(settings: AlertSettings) -> AlertRules:
    """What the worker judges by."""
    return AlertRules(
        rules=tuple(one.rule() for one in settings.rules),
        silences=tuple(one.silence() for one in settings.silences),
        monitor=settings.monitor,
    )
