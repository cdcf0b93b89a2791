"""Gemini's dialect: streams assembled into a plain answer, and the facts read off a body.

Shape: https://ai.google.dev/api/generate-content. A stream is a row of answers, as events or as the items of one JSON
list; each continues its candidates' parts, and the last word on usage and on the reason to finish counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.raw import Json

_MARKS = ("candidates", "usageMetadata", "promptFeedback")
_ALONE = frozenset({"text", "thought", "thoughtSignature"})
"""Keys of a part that is nothing but a piece of text."""
_MAX_INDEX = 4096
_TRAFFIC = {
    "TRAFFIC_TYPE_UNSPECIFIED": "",
    "ON_DEMAND": "on_demand",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
}
"""https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#TrafficType"""


def is_event(event: dict[str, Any]) -> bool:
    """Whether an event belongs to this dialect."""
    return any(mark in event for mark in _MARKS)


def assemble(events: Iterable[dict[str, Any]]) -> Json:
    """The plain twin of a stream's JSON events."""
    whole: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for event in events:
        for key, value in event.items():
            if key == "candidates":
                _add_candidates(candidates, value)
            elif value is not None:
                whole[key] = value
    if candidates:
        whole["candidates"] = [_settled(candidates[index]) for index in sorted(candidates)]
    return whole or None


def _add_candidates(candidates: dict[int, dict[str, Any]], pieces: Json) -> None:
    for piece in pieces if isinstance(pieces, list) else ():
        if not isinstance(piece, dict):
            continue
        index = piece.get("index", 0)
        if type(index) is not int or not 0 <= index <= _MAX_INDEX:
            continue
        held = candidates.setdefault(index, {})
        for key, value in piece.items():
            if key == "content" and isinstance(value, dict):
                _add_content(held.setdefault("content", {}), value)
            elif value is not None:
                held[key] = value


def _add_content(held: dict[str, Any], content: dict[str, Any]) -> None:
    """Texts are collected as lists of pieces: adding string to string would cost their square."""
    parts = held.setdefault("parts", [])
    for part in given if isinstance(given := content.get("parts"), list) else ():
        last = parts[-1] if parts else None
        if not (_is_text(part) and isinstance(last, _Text) and last.continues(part)):
            parts.append(_Text(part) if _is_text(part) else part)
        else:
            last.add(part)
    held.update({key: value for key, value in content.items() if key != "parts"})


def _is_text(part: Json) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str) and part.keys() <= _ALONE


class _Text:
    """A part of text that grows."""

    def __init__(self, part: dict[str, Any]) -> None:
        self._part = dict(part)
        self._pieces = [part["text"]]

    def continues(self, part: dict[str, Any]) -> bool:
        """Whether a part is the same voice going on: a thought, or the answer."""
        return bool(self._part.get("thought")) == bool(part.get("thought"))

    def add(self, part: dict[str, Any]) -> None:
        """Go on with a part."""
        self._part.update(part)
        self._pieces.append(part["text"])

    def whole(self) -> dict[str, Any]:
        """The part."""
        return {**self._part, "text": "".join(self._pieces)}


def _settled(candidate: dict[str, Any]) -> dict[str, Any]:
    content = candidate.get("content")
    if isinstance(content, dict) and isinstance(parts := content.get("parts"), list):
        content["parts"] = [part.whole() if isinstance(part, _Text) else part for part in parts]
    return candidate


def service_tier(body: dict[str, Any]) -> str:
    """The tier that served a call, in OpenAI's words, or empty. On Vertex it is told as a kind of traffic."""
    usage = body.get("usageMetadata")
    if not isinstance(usage, dict):
        return ""
    if isinstance(tier := usage.get("serviceTier"), str):
        return tier.lower().removeprefix("service_tier_")
    traffic = usage.get("trafficType")
    return _TRAFFIC.get(traffic, "provisioned") if isinstance(traffic, str) else ""


def is_finished(body: dict[str, Any]) -> bool:
    """Whether an answer came to its own end: a reason to finish, or to refuse the prompt."""
    feedback = body.get("promptFeedback")
    return bool(finish_reasons(body)) or (isinstance(feedback, dict) and isinstance(feedback.get("blockReason"), str))


def finish_reasons(body: dict[str, Any]) -> tuple[str, ...]:
    """Each candidate's, as far as told."""
    candidates = body.get("candidates")
    listed = candidates if isinstance(candidates, list) else ()
    reasons = (candidate.get("finishReason") for candidate in listed if isinstance(candidate, dict))
    return tuple(reason for reason in reasons if isinstance(reason, str))
