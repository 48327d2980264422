"""Where a visit came from: what its earliest event says, and what follows from it where it says nothing.

channel and campaign follow from referrer and page address (core/channels.py), the device from the user
agent (user_agents.py). What an event says itself always wins. Of a referrer only the host is kept.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from stream.core import channels
from stream.core.channels import Channels, ChannelTable
from stream.core.events import Event, PageView
from stream.core.policy import Policy
from stream.core.sessions import Origin
from stream.pipeline.user_agents import agent_of

TABLE_FILE: Final = Path(channels.__file__).with_name("channels.json")
_REMEMBERED: Final = 16_384


@cache
def default_table() -> ChannelTable:
    """The rules that come with the program: a part of it, like its code."""
    return channels.read_table(TABLE_FILE.read_bytes())


class Origins:
    """Origins under one policy. A worker pays once per distinct answer, not once per visit."""

    def __init__(self, parameters: tuple[str, ...], own_hosts: tuple[str, ...]) -> None:
        self._channels = Channels(default_table(), parameters, own_hosts)
        self._landing = lru_cache(_REMEMBERED)(self._channels.landing)
        self._channel = lru_cache(_REMEMBERED)(self._derive)
        self._origin = lru_cache(_REMEMBERED)(self._make)
        # Most visits come from few places: one object for each of these, not one for each visit.
        self._shared = lru_cache(_REMEMBERED)(Origin)

    def of(self, event: Event) -> Origin:
        """The origin of a visit that begins with `event`."""
        url: str | None = getattr(event, "url", None)
        # The common case, a path, needs no parser: it names no host and carries no tag.
        landing = "" if url is None or ("?" not in url and "//" not in url) else self._landing(url)
        return self._origin(
            event.referrer if isinstance(event, PageView) else None, landing,
            event.channel, event.campaign, event.device, event.country, event.plan, event.user_agent,
        )  # fmt: skip

    def _make(
        self, referrer: str | None, landing: str,
        channel: str | None, campaign: str | None, device: str | None, country: str | None, plan: str | None,
        user_agent: str | None,
    ) -> Origin:  # fmt: skip
        if channel is None or campaign is None:
            derived = self._channel(referrer, landing)
            channel = derived[0] if channel is None else channel
            campaign = derived[1] if campaign is None else campaign
        if device is None and user_agent is not None:
            device = agent_of(user_agent).device
        return self._shared(channels.host_of(referrer), channel, campaign, device, country, plan)

    def _derive(self, referrer: str | None, landing: str) -> tuple[str | None, str | None]:
        """(channel, campaign) by the rules."""
        touch = self._channels.touch(referrer, landing)
        return (None, None) if touch is None else (self._channels.channel(touch), touch.campaign)


def origins_of(policy: Policy) -> Origins:
    """The origins of a policy; the partitions of a process share one."""
    return _origins(policy.query_parameters, policy.own_hosts)


@cache
def _origins(parameters: tuple[str, ...], own_hosts: tuple[str, ...]) -> Origins:
    return Origins(parameters, own_hosts)
