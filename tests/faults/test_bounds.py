"""The short form of what is large, many, slow or folded small."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation
from tests.fakes.semantic import semantic
from tests.faults import bounds


@pytest.fixture(scope="module")
def site() -> Iterator[Installation]:
    """An installation without short time-outs."""
    with semantic() as upstream, bounds.installed({}, fake=upstream) as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
def test_many_large_answers_come_whole(site: Installation, stream: bool) -> None:
    """All under way together, and held by their readers: what they take is not the sum of them."""
    row = asyncio.run(bounds.answers(site, 10, 32 * bounds.MIB, stream=stream, most_mib=120))
    assert row.met, row.wrong


def test_many_uploads_pass_whole(site: Installation) -> None:
    """The upstream has the same bytes; what they take is not the sum of them."""
    row = asyncio.run(bounds.uploads(site, 10, 32 * bounds.MIB, most_mib=120))
    assert row.met, row.wrong


def test_an_answer_that_unfolds_is_decoded_no_further_than_is_kept(site: Installation) -> None:
    """The client gets it as it is."""
    row = bounds.bombs(site, 256 * bounds.MIB, most_mib=64)
    assert row.met, row.wrong


def test_dripping_sockets_stop_nobody(site: Installation) -> None:
    """Honest calls pass beside them, and nothing of them is left."""
    row = asyncio.run(bounds.drips(site, 200))
    assert row.met, row.wrong
