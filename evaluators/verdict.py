"""What is judged, what comes of it, and how judging fails. PURE."""

from __future__ import annotations

import math
from typing import Protocol

import msgspec

from gateway.errors import GatewayError

GROUNDED = "grounded"
HALLUCINATED = "hallucinated"
FAILED = "failed"
MAX_WHY = 1000
"""Characters of a reason that are kept."""


class Case(msgspec.Struct, frozen=True):
    """An answer to be judged, with its question (empty when the request has none) and the texts it had to go by."""

    question: str
    answer: str
    context: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluator says. ``value`` runs from 0 (made up) to 1 (grounded); ``None`` when judging failed.

    ``why`` is free text of the judge, to be redacted like any text; for a failure it is a short code of ours.
    """

    name: str
    label: str
    value: float | None
    why: str
    version: str


class Evaluator(Protocol):
    """One way of judging. ``calls`` is how many model calls a judgement takes at most."""

    @property
    def name(self) -> str:
        """The name its scores have."""

    @property
    def version(self) -> str:
        """What its scores can be told apart by after a change."""

    @property
    def calls(self) -> int:
        """Model calls a judgement takes at most."""

    async def judge(self, case: Case) -> Verdict:
        """Judge a case. Raises ``Unjudged``, or whatever the model's client raises."""


class Unjudged(GatewayError):
    """The judge gave nothing that could be called a verdict; ``code`` says what was wrong, in a word."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Away(GatewayError):
    """The gateway's other processes cannot be reached; nothing was judged, and it is worth another try."""


def given(name: str, label: str, value: float, why: str, version: str) -> Verdict:
    """A verdict with its bounds checked. Raises ``Unjudged`` for a value that is no share of one."""
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise Unjudged("absurd")
    return Verdict(name=name, label=label, value=value, why=cut(why), version=version)


def failed(name: str, version: str, code: str) -> Verdict:
    """The verdict that there is none. Its value is ``None``: a default would pass for a judgement."""
    return Verdict(name=name, label=FAILED, value=None, why=code, version=version)


def cut(text: str, limit: int = MAX_WHY) -> str:
    """A text on one line, ended with an ellipsis where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
