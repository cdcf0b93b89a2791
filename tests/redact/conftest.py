"""Makers of exchanges, and one redactor a profile for all tests: the model takes seconds to load."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.identity import Pseudonyms
from gateway.raw import Call, Capture, Ended, Exchange, Reply
from gateway.redact import Redactor, Span

CALL_ID = "0192f0c1-2a3b-7c4d-8e5f-0123456789ab"


class Planted:
    """Finds ``PLANT-n`` always."""

    name = "planted"

    def find(self, text: str) -> Iterator[Span]:
        """Every plant."""
        for match in re.finditer(r"PLANT-\d+", text):
            yield Span(match.start(), match.end(), "PLANT", 0.99, self.name)


@pytest.fixture(scope="session")
def pseudonyms() -> Pseudonyms:
    """Pseudonyms under a fixed key."""
    return Pseudonyms(b"k" * 32)


@pytest.fixture(scope="session")
def fast(pseudonyms: Pseudonyms) -> Redactor:
    """Patterns, secrets and plants."""
    return Redactor("fast", pseudonyms, [Planted()])


@pytest.fixture(scope="session")
def standard(pseudonyms: Pseudonyms) -> Redactor:
    """The same and the model."""
    pytest.importorskip("presidio_analyzer")
    return Redactor("standard", pseudonyms, [Planted()])


def exchange(
    request: Any = None, response: Any = None, *, call: dict[str, Any] | None = None, **fields: Any
) -> Exchange:
    """An exchange with given bodies; ``call`` and the rest override."""
    reply = fields.pop("reply", {})
    return Exchange(
        call=Call(
            **{
                "id": CALL_ID,
                "started_at": 1_700_000_000_123_456_789,
                "method": "POST",
                "path": "/v1/chat/completions",
                "route": "/v1/chat/completions",
                "upstream": "openai",
                **(call or {}),
            }
        ),
        reply=Reply(**{"status": 200, "ended": Ended.COMPLETE, "capture": Capture.FULL, **reply}),
        request=request,
        response=response,
        **fields,
    )


def chat(text: str, answer: str = "ok") -> Exchange:
    """A plain chat of one turn."""
    return exchange(
        {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]},
        {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}]},
        model="gpt-4o",
    )


Cleaned = Callable[..., str]
