"""The judge's line to its model: the official client, through our own ``/v1``, marked as ours and counted."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway import mark
from gateway.errors import MissingExtra
from gateway.paths import Layout

if TYPE_CHECKING:
    from openai import AsyncOpenAI

REASONING = re.compile(r"(^|/)(o\d|gpt-[5-9]|gpt-1\d)([-._]|$)")
UPSTREAM_HEADER = "x-gateway-upstream"


def open_line(
    base_url: str,
    layout: Layout,
    upstream: str,
    *,
    timeout: float,
    on_call: Callable[[], None] = lambda: None,
    verify: ssl.SSLContext | bool = True,
) -> AsyncOpenAI:
    """A client for the gateway at ``base_url`` (without ``/v1``) whose calls go to the named upstream.

    ``on_call`` is told of every request that leaves; ``timeout`` is seconds a call; ``verify`` is how the
    gateway's certificate is. Raises ``MissingExtra``.
    """
    try:
        import openai
    except ImportError:
        raise MissingExtra("judge", "judge.sample above 0") from None

    async def sign(request: Any) -> None:
        # Read each time: the mark changes when serve is started anew, and a stale one would make this a client's call.
        request.headers[mark.HEADER] = mark.read(layout)
        on_call()

    return openai.AsyncOpenAI(
        base_url=f"{base_url}/v1",
        api_key="internal",
        default_headers={UPSTREAM_HEADER: upstream},
        max_retries=0,
        timeout=timeout,
        # Straight to this host, whatever proxy the environment names.
        http_client=openai.DefaultAsyncHttpxClient(
            event_hooks={"request": [sign]}, trust_env=False, timeout=timeout, verify=verify
        ),
    )


def reasons(model: str) -> bool:
    """Whether a model is of OpenAI's reasoning kind, which knows neither ``temperature`` nor ``max_tokens``."""
    return REASONING.search(model.lower()) is not None
