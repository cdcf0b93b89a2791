"""Who a request comes from: the peer that is connected, or what a trusted proxy in front tells of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

Header = tuple[bytes, bytes]


FORWARDED_FOR = b"x-forwarded-for"
FORWARDED_PROTO = b"x-forwarded-proto"
LOCAL = "local"
"""The address of a peer without one."""

MAX_HOPS = 16
"""Proxies in a row that are looked through."""


class Caller(NamedTuple):
    """A client's address, and ``http`` or ``https``: how it came."""

    address: str
    scheme: str


class Proxies:
    """The proxies whose word is taken for where a request comes from."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self._networks = tuple(networks)

    def caller(self, peer: str | None, scheme: str, headers: Iterable[Header]) -> Caller:
        """The client behind a connection. ``scheme`` is the connection's own; header names are in lower case."""
        address = _address(peer or "")
        if address is None:
            return Caller(peer or LOCAL, scheme)
        if not self._trusts(address):
            return Caller(str(address), scheme)
        headers = list(headers)
        hops = 0
        # Each proxy appends whom it was called by, so a word counts as long as all to its right came from trusted ones.
        for entry in reversed(_entries(headers, FORWARDED_FOR)):
            named = _address(entry)
            if named is None:
                break
            address = named
            hops += 1
            if not self._trusts(address):
                break
        return Caller(str(address), _told_scheme(_entries(headers, FORWARDED_PROTO), hops) or scheme)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def _told_scheme(told: list[str], hops: int) -> str | None:
    """How the client reached the outermost of so many trusted proxies.

    A list has one word a proxy, the nearest's last; what is left of the outermost's word is the client's own. Proxies
    that set the header instead of appending leave a single word.
    """
    if not told:
        return None
    word = told[max(len(told) - max(hops, 1), 0)].lower()
    return word if word in {"http", "https"} else None


def _entries(headers: Iterable[Header], name: bytes) -> list[str]:
    """The last words of a list header, in order, over all its lines."""
    joined = b",".join(value for known, value in headers if known == name)
    return [entry.strip() for entry in joined.decode("latin-1").split(",")][-MAX_HOPS:] if joined else []


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address without the port or zone that may stand with it; an IPv4 one as such, even where IPv6 wraps it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
