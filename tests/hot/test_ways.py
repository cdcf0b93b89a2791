"""The way to an upstream: through a forward proxy, and trusting the authority that is configured."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config
from tests.fakes.authority import Authority, authority
from tests.fakes.forward_proxy import forward_proxy
from tests.fakes.scripted import CUT, OK, scripted
from tests.fakes.upstream import completion
from tests.hot.gateway import Raw, chat, request, running, send

pytestmark = pytest.mark.anyio
CHAT = request("/v1/chat/completions", chat())
LOGIN = b64encode(b"ada:s3:cret")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Certificates of our own."""
    return authority(tmp_path_factory.mktemp("authority"))


def code(answer: Raw) -> Any:
    return json.loads(answer.body)["error"]["code"]


async def test_an_upstream_of_ones_own_authority_is_trusted(tmp_path: Path, trusted: Authority) -> None:
    """With ``ca_file``; without it the certificate is refused."""
    async with scripted(OK, secure=trusted.server()) as main:
        own = {"base_url": main.url, "ca_file": trusted.ca_file}
        async with running(tmp_path, upstream=own) as gateway:
            assert (await send(gateway, CHAT)).body == completion()
        async with running(tmp_path, upstream={"base_url": main.url}) as gateway:
            assert code(await send(gateway, CHAT)) == "upstream_refused"


async def test_a_request_without_tls_names_its_whole_address_to_the_proxy(tmp_path: Path) -> None:
    """With the proxy's login, which the upstream's credential has nothing to do with; streamed bodies as well."""
    async with scripted(OK) as main, forward_proxy() as proxy:
        way = {"base_url": main.url, "proxy": f"http://ada:s3%3Acret@{proxy.address}"}
        async with running(tmp_path, upstream=way) as gateway:
            assert (await send(gateway, CHAT)).body == completion()
            assert (await send(gateway, request("/v1/files", b"x" * 9))).status == 200
        first, *_ = proxy.heads
        assert first.startswith(b"POST " + main.url.encode() + b"/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:")
        assert b"\r\nproxy-authorization: Basic " + LOGIN + b"\r\n" in first
        assert b"\r\nauthorization: Bearer sk-upstream\r\n" in first
        assert [body for _, body in main.requests] == [chat(), b"x" * 9]


async def test_a_connection_through_the_proxy_serves_again(tmp_path: Path) -> None:
    """And is made anew, once, when it turned out to be closed."""
    async with scripted(OK, OK, CUT, OK) as main, forward_proxy() as proxy:
        way = {"base_url": main.url, "proxy": f"http://{proxy.address}"}
        async with running(tmp_path, upstream=way) as gateway:
            assert [(await send(gateway, CHAT)).status for _ in range(3)] == [200] * 3
        assert (len(proxy.heads), len(main.requests)) == (2, 4)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_tls_goes_through_a_tunnel(tmp_path: Path, trusted: Authority, scheme: str) -> None:
    """The proxy, itself with TLS or without, sees where to, and nothing of what."""
    secure = trusted.server() if scheme == "https" else None
    async with scripted(OK, secure=trusted.server()) as main, forward_proxy(secure) as proxy:
        way = {
            "base_url": main.url,
            "proxy": f"{scheme}://ada:s3%3Acret@{proxy.address}",
            "ca_file": trusted.ca_file,
        }
        async with running(tmp_path, upstream=way) as gateway:
            assert [(await send(gateway, CHAT)).body for _ in range(2)] == [completion()] * 2
        [head] = proxy.heads
        assert head.startswith(b"CONNECT 127.0.0.1:")
        assert b"Basic " + LOGIN in head
        assert b"sk-upstream" not in head
        assert all(b"proxy-authorization" not in seen.lower() for seen, _ in main.requests)


async def test_a_proxy_that_refuses_or_is_away_is_an_upstream_that_cannot_be_reached(
    tmp_path: Path, trusted: Authority
) -> None:
    """502, and nothing of the proxy's address or login in the answer."""
    async with scripted(OK, secure=trusted.server()) as main, forward_proxy() as proxy:
        proxy.refuse = True
        way = {"base_url": main.url, "proxy": f"http://ada:s3cret@{proxy.address}", "ca_file": trusted.ca_file}
        async with running(tmp_path, upstream=way) as gateway:
            answer = await send(gateway, CHAT)
            assert (answer.status, code(answer)) == (502, "upstream_refused")
            assert b"s3cret" not in answer.body
        assert main.requests == []


def test_a_proxys_login_is_not_printed(tmp_path: Path) -> None:
    """The configuration shows stars in its place."""
    upstream = {"name": "a", "base_url": "http://a.example", "proxy": "http://ada:s3cret@proxy.example:3128"}
    assert "s3cret" not in repr(Config.model_validate({"upstreams": [upstream]}))
