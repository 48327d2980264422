"""The channel and the campaign of a visit that names none: from referrer and page address, by rules as data.

The rules are those of Google Analytics 4 (default channel group), in channels.json beside this module;
docs/channels.md shows them. Nothing here reads that file: `ChannelTable` is given.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

SOURCE_TAG: Final = "utm_source"
MEDIUM_TAG: Final = "utm_medium"
CAMPAIGN_TAG: Final = "utm_campaign"
TAGS: Final = (SOURCE_TAG, MEDIUM_TAG, CAMPAIGN_TAG)
"""The query parameters whose values mean something here."""

DIRECT: Final = "(direct)"
NONE: Final = "(none)"
NOT_SET: Final = "(not set)"
LONGEST_CAMPAIGN: Final = 64
"""Characters of a dimension, by the contract of the events."""

# `google.*` is google.es and google.co.uk, but not google.somebody.com.
_SECOND_LEVEL: Final = frozenset({"co", "com", "ne", "or"})


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sites of one kind. `hosts` include their subdomains; `name.*` stands for any country's ending."""

    names: tuple[str, ...] = ()  # as they stand in utm_source
    hosts: tuple[str, ...] = ()
    excluded: tuple[str, ...] = msgspec.field(default=(), name="except")  # hosts below them that are not


class Paid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a click id says when no tag does."""

    source: str
    medium: str


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is given must hold. Lists hold lower case; patterns must match the whole value."""

    source: tuple[str, ...] | None = None
    category: str | None = None
    medium: tuple[str, ...] | None = None
    medium_matches: str | None = None
    campaign_matches: str | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A visit belongs to `channel` when one of the conditions holds."""

    channel: str
    conditions: tuple[Condition, ...] = msgspec.field(name="any")


class ChannelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """channels.json. Rules are tried in order; `otherwise` is the channel of what none fits."""

    about: tuple[str, ...]
    categories: dict[str, Category]
    click_ids: dict[str, Paid]
    rules: tuple[Rule, ...]
    otherwise: str


def read_table(data: bytes) -> ChannelTable:
    """The table in a JSON text. Raises msgspec.ValidationError, re.error and ValueError when it is none."""
    table = msgspec.json.decode(data, type=ChannelTable)
    for condition in (one for rule in table.rules for one in rule.conditions):
        if condition.category is not None and condition.category not in table.categories:
            raise ValueError(f"there is no category {condition.category!r}")
        for pattern in (condition.medium_matches, condition.campaign_matches):
            re.compile(pattern or "")
    return table


class Touch(NamedTuple):
    """What brought the visitor. Source and medium in lower case, in Google's words where nothing is said."""

    source: str
    medium: str
    campaign: str | None


class Channels:
    """The rules, ready to be asked. Pure: equal arguments, equal answers."""

    def __init__(
        self, table: ChannelTable, parameters: Collection[str] = TAGS, own_hosts: Iterable[str] = ()
    ) -> None:
        """parameters: the tags that may be read at all. own_hosts: a referrer there, or below, is none."""
        self._table = table
        self._tags = [name for name in TAGS if name in parameters]
        self._kept = frozenset(self._tags) | table.click_ids.keys()
        self._own = frozenset(own_hosts)
        self._names = {name: kind for kind, c in table.categories.items() for name in c.names}
        self._hosts = {host: kind for kind, c in table.categories.items() for host in c.hosts}
        self._excluded = frozenset(host for c in table.categories.values() for host in c.excluded)

    def landing(self, url: str) -> str:
        """What of a page's address matters, itself an address: the host, the tags, which click ids.

        Few are different, so it is what answers are remembered by. '' when nothing matters.
        """
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return ""
        found: dict[str, str] = {}
        for name, value in parse_qsl(parts.query):
            if name in self._kept:
                found.setdefault(name, value if name in self._tags else "1")
        if not host and not found:
            return ""
        return f"//{host}/?{urlencode(found)}" if found else f"//{host}/"

    def touch(self, referrer: str | None, landing: str) -> Touch | None:
        """What brought the visitor to `landing`; None when nothing says it.

        referrer: '' where the page had none, which is a direct visit; None where nobody looked.
        """
        tags = dict(parse_qsl(landing.partition("?")[2]))
        campaign = tags.get(CAMPAIGN_TAG, "").strip()[:LONGEST_CAMPAIGN] or None
        source, medium = (tags.get(name, "").strip().lower() for name in (SOURCE_TAG, MEDIUM_TAG))
        if source or medium:
            return Touch(source or NOT_SET, medium or NOT_SET, campaign)
        for name, paid in self._table.click_ids.items():
            if name in tags:
                return Touch(paid.source, paid.medium, campaign)
        if referrer is None:
            return None if campaign is None else Touch(NOT_SET, NOT_SET, campaign)
        host = host_of(referrer)
        if host is None or self._is_own(host, host_of(landing)):
            return Touch(DIRECT, NONE, campaign)
        return Touch(host, "organic" if self.category(host) == "search" else "referral", campaign)

    def channel(self, touch: Touch) -> str:
        """The channel of the first rule that fits."""
        for rule in self._table.rules:
            if any(self._holds(condition, touch) for condition in rule.conditions):
                return rule.channel
        return self._table.otherwise

    def category(self, source: str) -> str | None:
        """What kind of site a source is: a name, or a host of a known site."""
        if (kind := self._names.get(source)) is not None:
            return kind
        labels = source.removeprefix("www.").split(".")
        above = [".".join(labels[start:]) for start in range(len(labels))]
        for start, host in enumerate(above):
            if host in self._excluded:
                return None
            if (kind := self._hosts.get(host) or self._of_any_country(labels[start:])) is not None:
                return kind
        return None

    def _of_any_country(self, labels: list[str]) -> str | None:
        """`google.es` and `google.co.uk` by `google.*`."""
        if len(labels) == 2 or (len(labels) == 3 and labels[1] in _SECOND_LEVEL):
            return self._hosts.get(f"{labels[0]}.*")
        return None

    def _is_own(self, host: str, page_host: str | None) -> bool:
        """The page's own host, or one that was named as ours."""
        if page_host is not None and host.removeprefix("www.") == page_host.removeprefix("www."):
            return True
        return bool(self._own) and any(host == own or host.endswith(f".{own}") for own in self._own)

    def _holds(self, condition: Condition, touch: Touch) -> bool:
        campaign = (touch.campaign or NOT_SET).lower()
        return (
            (condition.source is None or touch.source in condition.source)
            and (condition.medium is None or touch.medium in condition.medium)
            and (condition.category is None or self.category(touch.source) == condition.category)
            and _fits(condition.medium_matches, touch.medium)
            and _fits(condition.campaign_matches, campaign)
        )


def _fits(pattern: str | None, value: str) -> bool:
    return pattern is None or re.fullmatch(pattern, value, re.DOTALL) is not None


def host_of(address: str | None) -> str | None:
    """The host in an address, lower case: nothing of user, path or query, which may hold personal data."""
    if not address:
        return None
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
