"""Which addresses may be connected to, decided where the connection is made.

A name may lead elsewhere at the second look (DNS rebinding), so nothing is decided by names: whoever connects
asks here for the socket, with the very address it is going to connect to.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Any, Final

_NAT64: Final = IPv6Network("64:ff9b::/96")
_UNICAST: Final = IPv6Network("2000::/3")
"""All there is of public IPv6; versions of Python differ in what else they call global."""
_IETF: Final = IPv4Network("192.0.0.0/24")


class AddressRefused(OSError):
    """The address is of this machine, a private network, or otherwise not of the public internet."""


def is_public(text: str) -> bool:
    """Whether an address is of the public internet; one that carries another only if that one is too."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    if address in _NAT64:
        return _is_public_v4(IPv4Address(address.packed[-4:]))
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    carried = address.sixtofour or (address.teredo[1] if address.teredo else None)
    return address in _UNICAST and address.is_global and (carried is None or _is_public_v4(carried))


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved and address not in _IETF


def public_socket(info: Any) -> socket.socket:
    """A socket for an address as `getaddrinfo` names it. Raises AddressRefused."""
    family, kind, protocol, _, place = info
    if not is_public(str(place[0])):
        raise AddressRefused(
            f"{place[0]} is of this machine or a private network; allow_private = true permits it"
        )
    return socket.socket(family, kind, protocol)
