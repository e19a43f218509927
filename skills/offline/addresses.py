"""Which addresses a host has, and whether they may be asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address


async def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """However the host is written: as a name or as any kind of number. Raises OSError when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host} is no name of a host") from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def never_asked(addresses: Sequence[str]) -> str:
    """Why a host with these addresses is not asked. At link-local ones clouds give their credentials away; multicast
    and unspecified ones are no single host's."""
    for each in addresses:
        address = _plain(each)
        if address.is_link_local:
            return "a link-local address: these are not asked"
        if address.is_multicast or address.is_unspecified:
            return f"{each}, no address of one host: these are not asked"
    return ""


def _plain(text: str) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as one of IPv6 is one of IPv4."""
    address = ip_address(text)
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
