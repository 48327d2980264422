"""The settings and their limits."""

from __future__ import annotations

import re
import ssl
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.topics import DEFAULT_PARTITIONS
from stream.core.channels import TAGS
from stream.core.churn_settings import ChurnSettings
from stream.core.dimensions import check_pair
from stream.core.loyalty import LONGEST_MEMORY_MS
from stream.core.policy import DAY_MS, Funnel, Goal, Policy
from stream.settings.alerts import AlertSettings
from stream.settings.churn import parse_churn
from stream.settings.text import SettingsProblem, parse_duration, parse_servers, parse_tolerance

PREFIX: Final = "LATIDO_"
NAMESPACE: Final = r"^[A-Za-z0-9._-]{1,64}$"
HOST: Final = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
SHORTEST_TOKEN: Final = 16
MAX_GAP_MS: Final = DAY_MS
# On a settled day, which may have 25 hours, nobody is new twice.
SHORTEST_MEMORY_MS: Final = 2 * DAY_MS
MAX_GRACE_MS: Final = 365 * DAY_MS
_RULES: Final = Policy()


def _as_goal(value: object) -> Goal:
    try:
        return value if isinstance(value, Goal) else msgspec.convert(value, Goal)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}; a goal has a name and one of page, element_id, form_id") from None


def _as_funnel(value: object) -> Funnel:
    try:
        return value if isinstance(value, Funnel) else msgspec.convert(value, Funnel)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{error}; a funnel has a name and steps, each with one of page, element_id, form_id"
        ) from None


def _long_enough(token: SecretStr | None) -> SecretStr | None:
    text = token.get_secret_value() if token else ""
    if token and (len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isprintable()):
        raise ValueError(f"needs {SHORTEST_TOKEN} or more ASCII characters; make one: openssl rand -hex 24")
    return token


Named = TypeVar("Named", Goal, Funnel)


def _check_names(what: str, named: tuple[Named, ...]) -> tuple[Named, ...]:
    """All of them. Raises ValueError when two have one name: their figures would be mixed."""
    names = [one.name for one in named]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two {what}s are named {name!r}; give each a name of its own")
    return named


def _as_list(value: object) -> object:
    """Text, from a variable, is a list by commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _lower_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(HOST, host, re.ASCII | re.IGNORECASE) for host in hosts):
        raise ValueError("holds something that is no host; write shop.example, without scheme or port")
    return tuple(host.lower() for host in hosts)


DurationMs = Annotated[int, BeforeValidator(parse_duration)]
ToleranceMs = Annotated[int | None, BeforeValidator(parse_tolerance)]
Token = Annotated[SecretStr | None, AfterValidator(_long_enough)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_as_list)]
Hosts = Annotated[Names, AfterValidator(_lower_hosts)]
Goals = Annotated[
    tuple[Annotated[Goal, PlainValidator(_as_goal)], ...], AfterValidator(partial(_check_names, "goal"))
]
Funnels = Annotated[
    tuple[Annotated[Funnel, PlainValidator(_as_funnel)], ...], AfterValidator(partial(_check_names, "funnel"))
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def check_zone(name: str) -> str:
    """The name itself. Raises ValueError when no zone has it."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, no name at all, a folder of the database
        raise ValueError(f"{name[:64]!r} is no time zone; give one such as Europe/Madrid") from None
    return name


class KafkaSettings(_Section):
    """How to get into a protected Kafka. Table `[kafka]`, variables LATIDO_KAFKA_..."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    """Certificates to trust, PEM; the system's by default."""
    ssl_certfile: Path | None = None
    """Our own certificate, PEM."""
    ssl_keyfile: Path | None = None
    """The key of ssl_certfile, if that file does not hold it."""
    ssl_key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.uses_sasl and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"{self.security_protocol} needs sasl_username and sasl_password")
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("ssl_keyfile needs ssl_certfile beside it")
        return self

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL_")

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, None without TLS. Raises SettingsProblem when a file cannot be used."""
        if not self.security_protocol.endswith("SSL"):
            return None
        key_password = self.ssl_key_password.get_secret_value() if self.ssl_key_password else ""
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile is not None:
                # A password is always given: without one, an encrypted key makes OpenSSL ask the terminal.
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, key_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = [str(f) for f in (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile) if f]
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise SettingsProblem(
                f"kafka: TLS files cannot be used ({reason}); check {', '.join(files)} and ssl_key_password"
            ) from None
        return context


class CollectorSettings(_Section):
    """The HTTP way in. Table `[collector]`, variables LATIDO_COLLECTOR_..."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    """Anything but this machine itself needs a token."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    token: Token = None
    """What callers send as `Authorization: Bearer TOKEN`."""
    cors_origins: Names = ()
    """Origins whose pages may call from a browser, such as https://shop.example; none by default."""
    in_flight: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Requests handled at a time; more are answered 429."""
    acknowledge_within: Annotated[DurationMs, Field(ge=100, le=300_000)] = 10_000
    """What the broker has not acknowledged by then is reported back, to be sent again."""

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "https") or not host or set(host) & set("/*?#@ "):
                raise ValueError(
                    "holds something that is no origin; write https://shop.example, without path or *"
                )
        return origins


class DashboardSettings(_Section):
    """The live monitor. Table `[dashboard]`, variables LATIDO_DASHBOARD_..."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    """Anything but this machine itself needs a token."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8090
    token: Token = None
    """What callers send as `Authorization: Bearer TOKEN`; a browser opens /?token=TOKEN once."""
    hosts: Hosts = ()
    """Names it is reached by, such as monitor.example behind a proxy; `host` and this machine always are."""
    viewers: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Open streams; more are answered 503."""


class Settings(BaseSettings):
    """The settings in force. Frozen; `load_settings` makes them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
        validate_default=False,  # defaults are in milliseconds, only text is parsed
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    broker: Annotated[str, BeforeValidator(parse_servers)] = "127.0.0.1:9092"
    """Kafka bootstrap servers: HOST:PORT, more by commas."""
    redis: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """redis://[user:password@]host:port/db, rediss:// for TLS, unix:///path for a socket."""
    namespace: Annotated[str, Field(pattern=NAMESPACE)] = "default"
    """Separates the tables of several installations in one Redis."""
    group: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default_factory=lambda data: f"latido-{data.get('namespace', 'default')}"
    )
    """Kafka consumer group of the workers; latido-NAMESPACE by default."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = DEFAULT_PARTITIONS
    """Partitions of each input topic when `latido topics create` makes them."""
    replicas: Annotated[int, Field(ge=0, le=10)] = 0
    """Redis replicas that must have a commit on disk before its outputs leave."""

    gap: Annotated[DurationMs, Field(ge=1, le=MAX_GAP_MS)] = _RULES.gap_ms
    """Inactivity gap: a longer silence ends a session."""
    grace: Annotated[DurationMs, Field(ge=0, le=MAX_GRACE_MS)] = _RULES.grace_ms
    """How much later than the gap an event may still arrive."""
    survey_tolerance: ToleranceMs = _RULES.survey_tolerance_ms
    """How late a survey answer may arrive, or `unlimited`."""
    answers: Literal["latest", "every"] = _RULES.answers
    """Which survey answers count: each respondent's latest to a survey, or every one."""
    visitor_memory: DurationMs = _RULES.visitor_memory_ms
    """Who stays away for longer is forgotten, and new when they come back; two days or more."""
    goals: Goals = ()
    """Tables [[goals]]: a name and one of page (a pattern over the path), element_id, form_id."""

    funnels: Funnels = ()
    """Tables [[funnels]]: a name and steps, such as [{page = "/cart*"}, {form_id = "order"}], in order."""
    dimension_pairs: Names = _RULES.dimension_pairs
    """Pairs of what sessions are counted by, to be counted together, such as channel+device."""
    timezone: Annotated[str, AfterValidator(check_zone)] = _RULES.zone
    """Whose hours and days are settled: an IANA name such as Europe/Madrid."""
    timezones: dict[str, Annotated[str, AfterValidator(check_zone)]] = {}
    """Table [timezones]: site = zone, where a site has another one."""

    published_values: Annotated[int, Field(ge=1, le=10_000)] = _RULES.published_values
    """How many values of a dimension are published in each window; the smaller ones together are (other)."""

    query_parameters: Names = _RULES.query_parameters
    """Parameters of a page's address that may be read, for channel and campaign; no other one ever is."""
    own_hosts: Hosts = _RULES.own_hosts
    """Hosts of the sites themselves, such as shop.example: a visit from there, or below, is no referral."""
    exclude_bots: bool = _RULES.exclude_bots
    """Whether events with a bot's user agent are only counted as such."""

    salt: SecretStr | None = None
    """Secret that turns client addresses of access logs into visitor ids."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"
    """auto: text in a terminal, JSON lines elsewhere."""

    kafka: KafkaSettings = KafkaSettings()
    collector: CollectorSettings = CollectorSettings()
    dashboard: DashboardSettings = DashboardSettings()
    churn: Annotated[ChurnSettings, PlainValidator(parse_churn)] = ChurnSettings()
    """Table [churn]: by which limits customers are judged (docs/churn.md)."""

    alerts: AlertSettings = AlertSettings()
    """Tables [alerts], [[alerts.rules]], [[alerts.silences]], [[alerts.receivers]] (docs/alerts.md)."""

    @field_validator("redis")
    @classmethod
    def _redis_is_a_url(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("is no Redis URL; write redis://127.0.0.1:6379/0 (rediss:// for TLS)")
        return url

    @field_validator("visitor_memory")
    @classmethod
    def _memory_is_long(cls, memory_ms: int) -> int:
        if not SHORTEST_MEMORY_MS <= memory_ms <= LONGEST_MEMORY_MS:
            raise ValueError("is too short or too long to remember visitors for; write 2d to 3650d")
        return memory_ms

    @field_validator("dimension_pairs")
    @classmethod
    def _pairs_are_pairs(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(check_pair, names)))

    @field_validator("query_parameters")
    @classmethod
    def _parameters_are_read(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in TAGS:
                raise ValueError(f"holds a name that is read for nothing; leave some of {', '.join(TAGS)}")
        return names

    @property
    def redis_url(self) -> str:
        """The URL with its password: for the client, never for a message."""
        return self.redis.get_secret_value()

    def kafka_options(self) -> dict[str, Any]:
        """Keyword arguments of every aiokafka client: servers and credentials. Raises SettingsProblem."""
        kafka = self.kafka
        options: dict[str, Any] = {
            "bootstrap_servers": self.broker,
            "security_protocol": kafka.security_protocol,
            "ssl_context": kafka.ssl_context(),
        }
        if kafka.uses_sasl and kafka.sasl_password is not None:
            options |= {
                "sasl_mechanism": kafka.sasl_mechanism,
                "sasl_plain_username": kafka.sasl_username,
                "sasl_plain_password": kafka.sasl_password.get_secret_value(),
            }
        return options


def policy(settings: Settings) -> Policy:
    """The rules the core decides by."""
    return Policy(
        gap_ms=settings.gap,
        grace_ms=settings.grace,
        survey_tolerance_ms=settings.survey_tolerance,
        visitor_memory_ms=settings.visitor_memory,
        answers=settings.answers,
        goals=settings.goals,
        funnels=settings.funnels,
        dimension_pairs=settings.dimension_pairs,
        published_values=settings.published_values,
        query_parameters=settings.query_parameters,
        own_hosts=settings.own_hosts,
        exclude_bots=settings.exclude_bots,
        zone=settings.timezone,
        zones=tuple(sorted(settings.timezones.items())),
    )
