"""What is counted of a request and an answer: here a letter is a token."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.meter.texts import input_tokens, kind_of, output_tokens
from gateway.wire import parse
from tests.wire.wholes import whole


def read(ask: dict[str, Any], route: str = "/v1/chat/completions") -> int | None:
    """Letters of a request."""
    return input_tokens(parse(whole({}, ask, route=route)), len)


def wrote(answer: dict[str, Any], route: str = "/v1/chat/completions") -> int | None:
    """Letters of an answer."""
    return output_tokens(parse(whole(answer, route=route)), len)


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({"role": "user", "content": "abc"}, 7),
        ({"role": "user", "content": "abc", "name": "bob"}, 11),
        ({"role": "user", "content": [{"type": "text", "text": "ab"}, {"type": "text", "text": "c"}]}, 7),
        ({"role": "tool", "tool_call_id": "call_1", "content": "abc"}, 7),
        (
            {
                "role": "user",
                "content": None,
                "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": "{}"}}],
            },
            7,
        ),
        ({"role": "user", "tool_calls": [{"id": "x", "custom": {"name": "f", "input": "{}"}}]}, 7),
        ({"role": "user", "content": [{"type": "tool_use", "id": "x", "name": "f", "input": {"a": 1}}]}, 13),
    ],
)
def test_a_message(message: dict[str, Any], tokens: int) -> None:
    """Three a message, its role, its texts, and one more with a name; three open the answer."""
    assert read({"messages": [message]}) == 3 + 3 + tokens


def test_tools_and_schemas_are_counted_as_json() -> None:
    """Without spaces."""
    assert read({"messages": [], "tools": [{"a": 1}], "response_format": {"b": 2}}) == 3 + len('[{"a":1}]{"b":2}')


@pytest.mark.parametrize(
    "ask",
    [
        {},
        {"messages": "x"},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
    ],
)
def test_what_is_not_text_is_not_counted(ask: dict[str, Any]) -> None:
    """Half a count would be a wrong one."""
    assert read(ask) is None


@pytest.mark.parametrize("key", ["previous_response_id", "conversation", "prompt"])
def test_what_the_provider_remembers_is_not_counted(key: str) -> None:
    """The text is not in the request."""
    assert read({"input": "abc"}, "/v1/responses") == 3 + 3 + 4 + 3
    assert read({"input": "abc", key: "x"}, "/v1/responses") is None


def test_inputs_of_the_other_routes() -> None:
    """Instructions, items, token ids, lists, Anthropic's system."""
    items = {"instructions": "ab", "input": [{"role": "user", "content": "abc"}]}
    assert read(items, "/v1/responses") == 3 + (3 + len("system") + 2) + (3 + 4 + 3)
    assert read({"prompt": ["ab", [1, 2, 3]]}, "/v1/completions") == 5
    assert read({"input": [1, 2]}, "/v1/embeddings") == 2
    assert read({"messages": [], "system": [{"type": "text", "text": "ab"}]}, "/v1/messages") == 3 + 3 + 2
    assert read({"input": "abc"}, "/v1/moderations") is None


def test_outputs() -> None:
    """Every choice, item or block; encrypted and echoed things are not text."""
    assert wrote({"choices": [{"message": {"content": "ab"}}, {"message": {"refusal": "c"}}]}) == 3
    assert wrote({"choices": [{"text": "ab"}]}, "/v1/completions") == 2
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "ab"}], "encrypted_content": "xxxx"}
    assert wrote({"output": [item], "instructions": "xxxx"}, "/v1/responses") == 2
    assert wrote({"content": [{"type": "thinking", "thinking": "ab", "signature": "xxxx"}]}, "/v1/messages") == 2
    assert wrote({}, "/v1/embeddings") == 0


def test_kinds_of_routes() -> None:
    """By their ending, so that other prefixes count too."""
    assert kind_of("/openai/v1/chat/completions") == "chat"
    assert kind_of("/v1/completions") == "completions"
    assert kind_of("/v1/responses/{id}") == ""
    assert kind_of("/v1/messages/count_tokens") == ""
