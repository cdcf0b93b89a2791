"""The short form of what breaks between client, gateway and upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.fakes.semantic import semantic
from tests.fakes.toxics import TYPES
from tests.faults import toxics


@pytest.fixture(scope="module")
def made() -> Iterator[toxics.Rig]:
    """An installation whose upstream is behind a fault proxy."""
    with toxics.rig(1) as rig:
        yield rig


@pytest.mark.parametrize("kind", TYPES)
def test_a_client_gets_what_was_sent_then_an_end(made: toxics.Rig, kind: str) -> None:
    """And the record says which."""
    row = asyncio.run(toxics.broken(made, kind, kind != "down", 4))
    assert row.met, row.wrong


def test_no_connection_is_left(made: toxics.Rig) -> None:
    """After whatever happened before, though the upstream keeps them."""
    row = toxics.idle_again(made)
    assert row.met, row.wrong


def test_clients_that_leave_leave_nothing_behind() -> None:
    """At whatever moment."""
    with semantic() as upstream, toxics.stuck() as never, toxics.installed(fake=upstream, never=never) as site:
        row = asyncio.run(toxics.left(site, upstream, 40))
    assert [what for what in row.wrong if "within a second" not in what] == []
