"""The receivers of alerts that the settings name. Needs nothing that only delivery does."""

from __future__ import annotations

import difflib

from stream.alerts.news import Receiver
from stream.commands.failures import DONE, WrongUse
from stream.commands.watching import opened_board
from stream.settings import Settings


def receivers_of(settings: Settings) -> list[Receiver]:
    """As delivery knows them."""
    return [
        Receiver(
            name=one.name,
            kind=one.kind,
            url=one.url.get_secret_value(),
            secret=None if one.secret is None else one.secret.get_secret_value(),
            allow_private=one.allow_private,
            rules=one.rules,
            least_severity=one.least_severity,
            churn=one.churn,
        )
        for one in settings.alerts.receivers
    ]


async def enable_receiver(settings: Settings, name: str) -> int:
    """Raises WrongUse when the settings have no such receiver."""
    receiver = find_receiver(settings, name)
    async with opened_board(settings) as board:
        was_off = receiver.fingerprint in await board.read_receivers_off()
        await board.write_receiver_off(receiver.fingerprint, None)
    print(f"{name} is told again" if was_off else f"{name} was not switched off")
    return DONE


def find_receiver(settings: Settings, name: str) -> Receiver:
    """Raises WrongUse."""
    known = {receiver.name: receiver for receiver in receivers_of(settings)}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known) or 'none'}"
        raise WrongUse(f"the settings have no receiver {name!r}; {hint}")
    return known[name]
