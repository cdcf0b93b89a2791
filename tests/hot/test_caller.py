"""Who a request comes from: proxies are believed when they are trusted, and only as far as they can know."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway.caller import Caller, Proxies
from tests.hot.gateway import request, running, send
from tests.hot.test_ingress import work

TRUSTED = Proxies([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
CLIENT = "192.0.2.7"
PROXY = "10.0.0.1"
OUTER = "10.0.0.2"


def caller(peer: str | None, forwarded: str | None = None, proto: str | None = None, scheme: str = "http") -> Caller:
    given = ((b"x-forwarded-for", forwarded), (b"x-forwarded-proto", proto))
    return TRUSTED.caller(peer, scheme, [(name, value.encode()) for name, value in given if value is not None])


def test_a_trusted_proxy_is_believed() -> None:
    """Its client's address, and how that one came."""
    assert caller(PROXY, CLIENT, "https") == Caller(CLIENT, "https")
    assert caller(PROXY, CLIENT, "http", scheme="https") == Caller(CLIENT, "http")
    assert caller(PROXY, CLIENT) == Caller(CLIENT, "http")
    assert caller(PROXY) == Caller(PROXY, "http")


@pytest.mark.parametrize("peer", ["203.0.113.5", "11.0.0.1", "2001:db9::1", "::1", None])
def test_anyone_else_is_not(peer: str | None) -> None:
    """The connection's own address and scheme stand."""
    assert caller(peer, CLIENT, "https") == Caller(peer or "local", "http")
    assert caller(peer, CLIENT, "http", scheme="https") == Caller(peer or "local", "https")


def test_nobody_is_trusted_unless_said() -> None:
    """Not even this machine."""
    forged = [(b"x-forwarded-for", CLIENT.encode()), (b"x-forwarded-proto", b"https")]
    assert Proxies().caller("127.0.0.1", "http", forged) == Caller("127.0.0.1", "http")


def test_what_a_client_claims_of_itself_counts_for_nothing() -> None:
    """A proxy appends to what it was sent; the last word that is no proxy's is the client."""
    assert caller(PROXY, f"198.51.100.1, {PROXY}, {CLIENT}", "https, http") == Caller(CLIENT, "http")


def test_a_chain_of_two_proxies_is_followed() -> None:
    """To the client of the outermost, in one header line or in two, with schemes appended or passed on."""
    assert caller(PROXY, f"198.51.100.1, {CLIENT}, {OUTER}", "https") == Caller(CLIENT, "https")
    assert caller(PROXY, f"{CLIENT},{OUTER}", "https, http") == Caller(CLIENT, "https")
    assert caller(PROXY, f"{CLIENT},{OUTER}", "https, http, http") == Caller(CLIENT, "http")
    lines = [(b"x-forwarded-for", CLIENT.encode()), (b"x-forwarded-for", OUTER.encode())]
    assert TRUSTED.caller(PROXY, "http", lines).address == CLIENT


def test_a_request_of_a_proxy_itself_is_that_proxys() -> None:
    """All addresses are trusted: the first."""
    assert caller(PROXY, OUTER).address == OUTER


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("192.0.2.7:5123", CLIENT),
        ("[2001:db9::7]:5123", "2001:db9::7"),
        ("[2001:db9::7]", "2001:db9::7"),
        ("2001:DB9:0::7", "2001:db9::7"),
        ("::ffff:192.0.2.7", CLIENT),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", PROXY),
        ("", PROXY),
        (f"{CLIENT}, unknown", PROXY),
        (f"{CLIENT}, unknown, {OUTER}", OUTER),
        ("10.0.0.9, " * 5000 + PROXY, "10.0.0.9"),
    ],
)
def test_addresses_are_read_as_proxies_write_them(told: str, address: str) -> None:
    """With a port or brackets; behind what is no address nothing is known."""
    assert caller(PROXY, told).address == address


def test_a_proxy_over_ipv6_sockets_is_known_by_its_ipv4_address() -> None:
    """Listening on ``::`` wraps IPv4 addresses."""
    assert caller("::ffff:10.0.0.1", CLIENT) == Caller(CLIENT, "http")
    assert caller("::ffff:192.0.2.1", CLIENT).address == "192.0.2.1"


VALUES = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([CLIENT, PROXY, OUTER, "[::1", "]", "::", "%", "https", "a:b:c", " ", "1.2.3.4:x"])).map(
        lambda parts: ",".join(parts).encode()
    ),
)
HEADERS = st.lists(st.tuples(st.sampled_from([b"x-forwarded-for", b"x-forwarded-proto", b"host"]), VALUES), max_size=5)


@given(HEADERS, st.sampled_from([PROXY, "2001:db8::1", CLIENT, "nonsense", "", None]))
def test_whatever_stands_in_the_headers_an_answer_comes(headers: list[tuple[bytes, bytes]], peer: str | None) -> None:
    """Never an exception, always an address and one of two schemes; for untrusted peers their own."""
    found = TRUSTED.caller(peer, "http", headers)
    assert found.scheme in {"http", "https"}
    if peer in {PROXY, "2001:db8::1"}:
        assert str(ip_address(found.address)) == found.address
    else:
        assert found == Caller(peer or "local", "http")


@pytest.mark.anyio
async def test_work_is_told_what_a_trusted_proxy_says(tmp_path: Path) -> None:
    """One address and one scheme, whatever the headers held."""
    async with running(tmp_path, server={"trusted_proxies": ["127.0.0.1"]}) as gateway:
        seen: list[web.BaseRequest] = []
        async with work(gateway.layout, seen):
            told = {"x_forwarded_for": f"198.51.100.1, {CLIENT}", "x_forwarded_proto": "https"}
            await send(gateway, request("/dashboards/", method="GET", **told))
        assert seen[0].headers.getall("x-forwarded-for") == [CLIENT]
        assert seen[0].headers.getall("x-forwarded-proto") == ["https"]
