"""Kafka keys of the output topics: readable parts joined by `|`, the same key for the same thing, always."""

import re
import string
from typing import Final
from urllib.parse import quote, unquote

SEPARATOR: Final = "|"
ALL: Final = "all"

# quote() always encodes controls and everything beyond ASCII. Besides these only the separator and the
# escape sign must be encoded for a key to be unambiguous; the rest stays readable.
# quote() takes ten times as long to find out that there is nothing to do, as there mostly is not.
_is_plain: Final = re.compile("[ -$&-{}~]*").fullmatch
_PLAIN: Final = "".join(sorted({" ", *string.punctuation} - {"%", SEPARATOR}))


def join_key(*parts: str) -> str:
    """Return the parts percent-encoded and joined; ASCII, and different for different parts."""
    if _is_plain("".join(parts)):
        return SEPARATOR.join(parts)
    return SEPARATOR.join([quote(part, safe=_PLAIN) for part in parts])


def split_key(key: str) -> tuple[str, ...]:
    """Return the parts that `join_key` got."""
    return tuple(unquote(part, errors="strict") for part in key.split(SEPARATOR))


def session_key(site: str, visitor: str, session_id: str) -> str:
    """Return the key of a session's records, such as `shop-es|v-7f3a|s-9c2e41`."""
    return join_key(site, visitor, session_id)


def snapshot_key(site: str, window: str, segment: str) -> str:
    """Return the key of a KPI snapshot, such as `shop-es|5m|all`; `segment` as `segment_name` returns it."""
    return join_key(site, window, segment)


def result_key(site: str, start: str, kind: str, segment: str) -> str:
    """Return the key of a settled result, such as `shop-es|2026-11-22T10:00:00.000Z|hour|all`."""
    return join_key(site, start, kind, segment)


def churn_key(site: str, customer: str) -> str:
    """Return the key of a customer's churn signals, such as `shop-es|c-1001`."""
    return join_key(site, customer)


def alert_key(site: str, rule: str, segment: str) -> str:
    """Return the key of an alert, such as `shop-es|ctr-low|channel=Email`."""
    return join_key(site, rule, segment)


def segment_name(dimension: str, value: str | None) -> str:
    """Return `all` for dimension `all`, else `channel=email`. A dimension's name holds no `=`."""
    return ALL if dimension == ALL else f"{dimension}={value or ''}"
