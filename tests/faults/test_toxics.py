"""The short form of what breaks between client, gateway and upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation
from tests.fakes.semantic import semantic
from tests.fakes.toxics import Toxics, toxic_proxy
from tests.faults import toxics


@pytest.fixture(scope="module")
def broken() -> Iterator[tuple[Installation, Toxics, str]]:
    """An installation whose upstream is behind a fault proxy."""
    with semantic() as upstream, toxic_proxy(upstream) as proxy, toxics.installed(fake=proxy.base_url) as site:
        yield site, proxy, upstream


@pytest.mark.parametrize("kind", ["timeout", "reset_peer", "limit_data", "down", "slicer"])
def test_a_client_gets_what_was_sent_then_an_end(broken: tuple[Installation, Toxics, str], kind: str) -> None:
    """And the record says which."""
    site, proxy, upstream = broken
    row = asyncio.run(toxics.broken(site, proxy, upstream, kind, kind != "down", 4))
    assert row.met, row.wrong


def test_no_connection_is_left(broken: tuple[Installation, Toxics, str]) -> None:
    """After whatever happened before."""
    site, proxy, _ = broken
    row = toxics.idle_again(site, proxy)
    assert row.met, row.wrong


def test_clients_that_leave_leave_nothing_behind() -> None:
    """At whatever moment."""
    with semantic() as upstream, toxics.stuck() as never, toxics.installed(fake=upstream, never=never) as site:
        row = asyncio.run(toxics.left(site, upstream, 40))
    assert [what for what in row.wrong if "within a second" not in what] == []
