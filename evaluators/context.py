"""The case a stored call makes: its question, its answer, and the context the answer had to go by. PURE.

Context is, in this order: results of tools since the last turn of the user; text inside ``<context>``, ``<documents>``
or ``<document>``; parts that match the operator's patterns. Read are the request and response shapes of OpenAI's chat
completions, completions and responses. Whatever has another shape gives no text, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from evaluators.verdict import Case

Json = Any
OPENING = re.compile(r"<(context|documents|document)\b[^<>]{0,200}>", re.IGNORECASE)
PROMPTING = frozenset({"user", "system", "developer"})
TOOL_ROLES = frozenset({"tool", "function"})
TOOL_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output", "mcp_call", "tool_result"})
TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
MAX_DEPTH = 8


class Turn(msgspec.Struct, frozen=True):
    """A message's role and its text; ``tool`` for what a tool gave back."""

    role: str
    text: str


def case(request: Json, response: Json, patterns: Sequence[re.Pattern[str]] = ()) -> Case | None:
    """The case of a call; ``None`` when it holds no answer in words, such as an embedding or a mere tool call."""
    answer = "\n".join(_answers(response)).strip()
    if not answer:
        return None
    turns = list(_turns(request))
    last = max((index for index, turn in enumerate(turns) if turn.role == "user"), default=-1)
    asked = turns[last].text if last >= 0 else ""
    return Case(_without_blocks(asked), answer, tuple(_context(turns, last, patterns)))


def _context(turns: Sequence[Turn], last: int, patterns: Sequence[re.Pattern[str]]) -> list[str]:
    prompts = [turn.text for turn in turns if turn.role in PROMPTING]
    found = [turn.text for turn in turns[last + 1 :] if turn.role == "tool"]
    found += [text[start:end] for text in prompts for _, start, end, _ in _blocks(text)]
    found += [part for pattern in patterns for text in prompts for part in _matches(pattern, text)]
    return list(dict.fromkeys(text.strip() for text in found if text.strip()))


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """What a pattern's groups caught; the whole match of a pattern without groups."""
    for match in pattern.finditer(text):
        groups = match.groups()
        yield from (group for group in groups if group) if groups else (match.group(),)


def _blocks(text: str) -> Iterator[tuple[int, int, int, int]]:
    """The outermost marked blocks: where each begins, its inside begins and ends, and it ends. Linear in the text."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow when lowered, and positions would shift
        lowered = text
    unclosed: set[str] = set()
    position = 0
    while match := OPENING.search(text, position):
        name = match[1].lower()
        end = -1 if name in unclosed else lowered.find(f"</{name}>", match.end())
        if end < 0:
            unclosed.add(name)
            position = match.end()
            continue
        position = end + len(name) + 3
        yield match.start(), match.end(), end, position


def _without_blocks(text: str) -> str:
    """A question without the documents that came in the same message; the whole where nothing else is left."""
    kept, position = [], 0
    for begin, _, _, end in _blocks(text):
        kept.append(text[position:begin])
        position = end
    return " ".join((*kept, text[position:])).strip() or text.strip()


def _turns(request: Json) -> Iterator[Turn]:
    if not isinstance(request, dict):
        return
    if isinstance(request.get("instructions"), str):
        yield Turn("system", request["instructions"])
    for name in ("messages", "input"):
        value = request.get(name)
        if isinstance(value, str):
            yield Turn("user", value)
        elif isinstance(value, list):
            yield from (turn for item in value if (turn := _turn(item)) is not None)
    if "prompt" in request:
        yield Turn("user", _text(request["prompt"]))


def _turn(item: Json) -> Turn | None:
    if isinstance(item, str):
        return Turn("user", item)
    if not isinstance(item, dict):
        return None
    kind, role = item.get("type"), item.get("role")
    if kind in TOOL_OUTPUTS or role in TOOL_ROLES:
        return Turn("tool", _text(item.get("output", item.get("content"))))
    return Turn(role, _text(item.get("content"))) if isinstance(role, str) else None


def _answers(response: Json) -> Iterator[str]:
    """What the first choice says, or the messages among a response's output."""
    if not isinstance(response, dict):
        return
    choices, output = response.get("choices"), response.get("output")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message")
        yield _text(message.get("content") if isinstance(message, dict) else choices[0].get("text"))
    elif isinstance(output, list):
        for item in output:
            if isinstance(item, dict) and item.get("type") == "message":
                yield _text(item.get("content"))


def _text(content: Json, depth: int = 0) -> str:
    """The words of a message's content: a string, a part, or a list of them."""
    if isinstance(content, str):
        return content
    if depth >= MAX_DEPTH:
        return ""
    if isinstance(content, list):
        return _joined(_text(part, depth + 1) for part in content)
    if isinstance(content, dict) and content.get("type", "text") in TEXT_PARTS:
        return _text(content.get("text"), depth + 1)
    return ""


def _joined(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part)
