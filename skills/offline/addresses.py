"""Which addresses a host has, and whether they may be asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_METADATA: Final = frozenset(
    ip_address(each)
    for each in (
        "fd00:ec2::254",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
    )
)
"""Of AWS, Google and Oracle by IPv6, Alibaba, Oracle's first ones, and Azure: none of them link-local, as the others
are. From the manuals of these: "instance metadata", and "What is IP address 168.63.129.16?"."""

_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})
_WITH_IPV4: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""The last four bytes are an address of IPv4: RFC 6052 (NAT64), RFC 4291, section 2.5.5.1."""


async def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """However the host is written: as a name or as any kind of number. Raises OSError when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host} is no name of a host") from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def never_asked(addresses: Sequence[str]) -> str:
    """Why a host with these addresses is not asked. At link-local ones, and some others, clouds give their credentials
    away; multicast and unspecified ones are no single host's."""
    for each in addresses:
        address = _plain(each)
        if address.is_link_local:
            return "a link-local address: these are not asked"
        if address in _METADATA:
            return f"{each}, an address at which a cloud gives credentials away: these are not asked"
        if address.is_multicast or address.is_unspecified:
            return f"{each}, no address of one host: these are not asked"
    return ""


def is_metadata_service(host: str) -> bool:
    """By its name, whatever addresses that has here."""
    return host.lower().rstrip(".") in _METADATA_NAMES


def _plain(text: str) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as one of IPv6 is one of IPv4, however it is translated on its way."""
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address
    if int(address) > 1 and any(address in network for network in _WITH_IPV4):  # not :: and ::1, which are IPv6's own
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
