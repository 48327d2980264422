"""Channel, campaign and device of a visit, the plain way: the same table of rules, read from scratch.

It knows the default settings only (all three tags, no hosts of one's own), and the demo's browsers.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from schemas.events import Event, PageView
from stream.demo.agents import BROWSERS

TABLE: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "core" / "channels.json").read_text(encoding="utf-8")
)


def campaign_of(event: Event) -> str | None:
    """What the event says, else `utm_campaign`, cut to what a dimension holds."""
    if event.campaign is not None:
        return event.campaign
    return tag(query_of(event), "utm_campaign")[:64] or None


def channel_of(event: Event) -> str | None:
    """What the event says, else the first rule that fits; None when nothing says where it came from."""
    if event.channel is not None:
        return event.channel
    query = query_of(event)
    source, medium = tag(query, "utm_source").lower(), tag(query, "utm_medium").lower()
    campaign = tag(query, "utm_campaign")[:64].lower()
    if source or medium:
        return by_rules(source or "(not set)", medium or "(not set)", campaign)
    for name, said in TABLE["click_ids"].items():
        if name in query:
            return by_rules(said["source"], said["medium"], campaign)
    if not isinstance(event, PageView) or event.referrer is None:
        return by_rules("(not set)", "(not set)", campaign) if campaign else None
    host, page = host_of(event.referrer), host_of(event.url)
    if host is None or (page is not None and bare(host) == bare(page)):
        return by_rules("(direct)", "(none)", campaign)
    return by_rules(host, "organic" if is_of("search", host) else "referral", campaign)


def device_of(event: Event) -> str | None:
    """What the event says, else what its browser runs on."""
    return event.device if event.device is not None else BROWSERS.get(event.user_agent or "")


def by_rules(source: str, medium: str, campaign: str) -> str:
    for rule in TABLE["rules"]:
        for condition in rule["any"]:
            if all(holds(name, wanted, source, medium, campaign) for name, wanted in condition.items()):
                return str(rule["channel"])
    return str(TABLE["otherwise"])


def holds(name: str, wanted: Any, source: str, medium: str, campaign: str) -> bool:
    """Whether one part of a condition holds. Raises ValueError for a part it does not know."""
    if name == "source":
        return source in wanted
    if name == "medium":
        return medium in wanted
    if name == "category":
        return is_of(wanted, source)
    if name in ("medium_matches", "campaign_matches"):
        value = medium if name == "medium_matches" else campaign or "(not set)"
        return bool(re.fullmatch(wanted, value, re.DOTALL))
    raise ValueError(f"{name} is no condition")


def is_of(category: str, source: str) -> bool:
    """Whether a name or a host is that of a site of this kind."""
    sites = TABLE["categories"][category]
    if any(under(source, host) for other in TABLE["categories"].values() for host in other.get("except", ())):
        return source in sites["names"]
    if source in sites["names"]:
        return True
    named = any(source in other["names"] for other in TABLE["categories"].values())
    return not named and category == most_exact(source)


def most_exact(host: str) -> str | None:
    """The kind of the longest listed host that is this one or above it: shopping.google.com before google."""
    found = [
        (len(listed.split(".")) if not listed.endswith(".*") else len(ending(host, listed)), kind)
        for kind, sites in TABLE["categories"].items()
        for listed in sites["hosts"]
        if under(host, listed)
    ]
    return max(found)[1] if found else None


def under(host: str, listed: str) -> bool:
    if listed.endswith(".*"):
        return bool(ending(host, listed))
    return host == listed or host.endswith("." + listed)


def ending(host: str, listed: str) -> list[str]:
    """The labels of `google.co.uk` in www.google.co.uk by `google.*`; none when it does not fit."""
    found = re.search(rf"(?:^|\.)({re.escape(listed[:-2])}(?:\.(?:co|com|ne|or))?\.[^.]*)$", host)
    return found[1].split(".") if found else []


def query_of(event: Event) -> dict[str, list[str]]:
    with contextlib.suppress(ValueError):
        return parse_qs(urlsplit(getattr(event, "url", None) or "").query)
    return {}


def tag(query: dict[str, list[str]], name: str) -> str:
    return query.get(name, [""])[0].strip()


def host_of(address: str | None) -> str | None:
    with contextlib.suppress(ValueError):
        return urlsplit(address or "").hostname
    return None


def bare(host: str) -> str:
    return host.removeprefix("www.")
