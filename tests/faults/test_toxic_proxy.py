"""The fault proxy does to connections what its toxics say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.semantic import Plan, semantic
from tests.fakes.toxics import Toxic, Toxics, toxic_process, toxic_proxy

PLAN = Plan(text="one two three four five six", pieces=6, filler=200_000)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """What stands behind the proxy."""
    with semantic() as url:
        yield url


@pytest.fixture(params=[toxic_proxy, toxic_process])
def proxy(request: pytest.FixtureRequest, upstream: str) -> Iterator[Toxics]:
    """In a thread, and as a process."""
    with request.param(upstream) as made:
        yield made


def ask(base: str, *, stream: bool, timeout: float = 30) -> bytes:
    """What came, on a connection of its own."""
    body = PLAN.request(stream=stream)
    answer = httpx.post(f"{base}/chat/completions", json=body, timeout=timeout, trust_env=False)
    return answer.raise_for_status().content


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "toxic",
    [
        Toxic("latency", latency=20, jitter=10),
        Toxic("latency", "upstream", latency=20),
        Toxic("bandwidth", rate=5_000),
        Toxic("slow_close", delay=20),
        Toxic("slicer", average_size=5_000, size_variation=4_000, delay=10),
        Toxic("slicer", "upstream", average_size=20, size_variation=10),
    ],
)
def test_what_is_slow_comes_whole(proxy: Toxics, upstream: str, toxic: Toxic, stream: bool) -> None:
    """The same bytes."""
    proxy.set(toxic)
    assert ask(proxy.base_url, stream=stream) == ask(upstream, stream=stream)


@pytest.mark.parametrize(
    ("toxic", "error"),
    [
        (Toxic("timeout", timeout=20), httpx.RemoteProtocolError),
        (Toxic("timeout"), httpx.ReadTimeout),
        (Toxic("timeout", "upstream"), httpx.ReadTimeout),
        (Toxic("reset_peer", timeout=20), httpx.ReadError),
        (Toxic("reset_peer", "upstream", timeout=20), httpx.ReadError),
        (Toxic("limit_data", bytes=1_000), httpx.RemoteProtocolError),
        (Toxic("limit_data", "upstream", bytes=10), httpx.RemoteProtocolError),
        (Toxic("down"), httpx.ConnectError),
    ],
)
def test_what_breaks_breaks_and_is_whole_again_afterwards(
    proxy: Toxics, upstream: str, toxic: Toxic, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    """By the error that such a fault is; without the toxic all is as before."""
    proxy.set(toxic)
    with pytest.raises(error):
        ask(proxy.base_url, stream=True, timeout=1)
    proxy.set()
    assert ask(proxy.base_url, stream=True) == ask(upstream, stream=True)


@pytest.mark.parametrize("toxic", [Toxic("reset_peer"), Toxic("limit_data", bytes=300), Toxic("latency", latency=5)])
def test_calls_that_a_toxic_struck_are_counted_once(proxy: Toxics, toxic: Toxic) -> None:
    """However many of its pieces were struck, and however many calls one connection carries."""
    with httpx.Client(base_url=proxy.base_url, timeout=30, trust_env=False) as client:
        before = proxy.counts().struck
        for each in (toxic, None, toxic):
            proxy.set(*([each] if each else []))
            with contextlib.suppress(httpx.TransportError):
                client.post("/chat/completions", json=Plan(pieces=2).request(stream=True))
        assert proxy.counts().struck - before == 2
        assert proxy.counts().open <= 1
