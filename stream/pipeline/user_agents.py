"""What a user agent says: is it a bot, and on what kind of device.

Two lists that others keep are asked: crawler-user-agents for bots, ua-parser for systems and devices. They
are asked here, not in core, which knows no library; not while decoding, because an event stays what was
sent: with a newer list a retry must not become a conflict; and not behind a port, because there is no I/O
and nothing to choose: two workers with other answers would contradict each other.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

DESKTOP: Final = "desktop"
MOBILE: Final = "mobile"
TABLET: Final = "tablet"
TV: Final = "tv"
CONSOLE: Final = "console"

_DESKTOP_SYSTEMS: Final = frozenset(
    {"Windows", "Mac OS X", "Mac OS", "Chrome OS", "Linux", "Ubuntu", "Kubuntu", "Debian", "Fedora"}
    | {"Red Hat", "CentOS", "SUSE", "Gentoo", "Arch Linux", "Mint", "Mageia", "Solaris"}
    | {"FreeBSD", "OpenBSD", "NetBSD"}
)
_MOBILE_SYSTEMS: Final = frozenset(
    {"iOS", "Windows Phone", "Windows Mobile", "Symbian OS", "BlackBerry OS", "KaiOS"}
)
# What says itself what it is, in lower case: a television runs Android, Linux or Tizen, a console Windows.
_TV_WORDS: Final = (
    *("smart-tv", "smarttv", "googletv", "appletv", "apple tv", "hbbtv", "android tv", "web0s", "bravia"),
    *("crkey", "roku", "; aft"),  # Chromecast, Roku, the Fire TV sticks
)
_CONSOLE_WORDS: Final = ("playstation", "xbox", "nintendo")
_TABLET_WORDS: Final = ("ipad", "tablet", "kindle", "playbook")
# What the list does not know says it itself: by a word, or by its maker's address (a browser has none).
# Cubot is a maker of telephones.
_SAYS_BOT: Final = re.compile(r"(?<!cu)bot\b|spider|crawler|slurp|https?://|\w@\w", re.IGNORECASE)
_MOBILE_WORDS: Final = ("mobi", "iphone", "ipod", "midp")


class Agent(NamedTuple):
    """`device` is None when it cannot be told, and for bots."""

    is_bot: bool
    device: str | None


# A page's visitors have some thousand browsers; asking the lists takes about a millisecond.
@lru_cache(maxsize=16_384)
def agent_of(user_agent: str) -> Agent:
    """Read a user agent. Never raises; an empty one is somebody unknown, not a bot."""
    if not user_agent.strip():
        return Agent(False, None)
    if _SAYS_BOT.search(user_agent) or _crawlers()(user_agent):
        return Agent(True, None)
    return Agent(False, _device(user_agent))


def _device(user_agent: str) -> str | None:
    """By the words in it where they say it, else by the system."""
    text = user_agent.lower()
    if any(word in text for word in _CONSOLE_WORDS):
        return CONSOLE
    if any(word in text for word in _TV_WORDS):
        return TV
    if any(word in text for word in _TABLET_WORDS):
        return TABLET
    system = _systems()(user_agent)
    if any(word in text for word in _MOBILE_WORDS) or system in _MOBILE_SYSTEMS:
        return MOBILE
    if system == "Android":  # by Google's rule a telephone says Mobile, so this is none
        return TABLET
    return DESKTOP if system in _DESKTOP_SYSTEMS else None


# Loaded with the first user agent: a third of a second that nobody pays who sends none.
@cache
def _crawlers() -> Callable[[str], bool]:
    from crawleruseragents import is_crawler

    def asked(user_agent: str) -> bool:
        return bool(is_crawler(user_agent))

    return asked


@cache
def _systems() -> Callable[[str], str | None]:
    """The name of the operating system in a user agent."""
    from ua_parser import parse_os

    def asked(user_agent: str) -> str | None:
        found = parse_os(user_agent)
        return None if found is None else found.family

    return asked
