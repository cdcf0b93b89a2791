"""Kept requests and answers as turns."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashboards.conversation import MAX_TEXT, clip, parameters, pretty, request_turns, response_turns
from tests.fakes.reads import REQUEST, RESPONSE

KEYS = ["messages", "input", "prompt", "instructions", "role", "content", "type", "text", "tool_calls", "function",
        "name", "arguments", "choices", "message", "output", "error", "tools", "refusal", "function_call",
        "summary"]  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["function_call", "reasoning"])
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)


@given(anything)
def test_no_value_breaks_it(value: Any) -> None:
    """Upstreams and clients send what they like."""
    for turn in [*request_turns(value), *response_turns(value)]:
        assert isinstance(turn.role, str)
        assert not turn.empty
    parameters(value)
    pretty(value)


def test_a_chat_reads_as_it_was_held() -> None:
    """System, user, the tool's call, the tool's result."""
    turns = request_turns(REQUEST)
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "tool"]
    assert turns[2].calls[0].name == "find_order"
    assert '"customer": "<PERSON_1>"' in turns[2].calls[0].arguments
    assert turns[3].label == "call_1"
    assert response_turns(RESPONSE)[0].texts[0].startswith("Hello <PERSON_1>")
    assert dict(parameters(REQUEST)) == {"model": "gpt-4o", "temperature": "0.2"}


def test_parts_are_texts_and_media() -> None:
    """What is no text is named by type and size."""
    content = [{"type": "text", "text": "See:"}, {"type": "image_url", "image_url": {"media": "image/png", "bytes": 9}}]
    (turn,) = request_turns({"messages": [{"role": "user", "content": content}]})
    assert turn.texts == ("See:",)
    assert "image/png" in turn.media[0]


def test_responses_read_alike() -> None:
    """Instructions, items, calls and their outputs."""
    turns = request_turns(
        {
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "function_call", "name": "look", "arguments": "{}", "call_id": "c"},
                {"type": "function_call_output", "call_id": "c", "output": "found"},
            ],
            "tools": [{"type": "function", "name": "look"}],
        }
    )
    assert [(turn.role, turn.texts) for turn in turns] == [
        ("system", ("Be brief.",)), ("user", ("Hi",)), ("assistant", ()), ("tool", ("found",)),
    ]  # fmt: skip
    answer = {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ho"}]}]}
    assert response_turns(answer)[0].texts == ("Ho",)


def test_completions_errors_and_plain_text_show() -> None:
    """Everything that has words."""
    assert request_turns({"prompt": ["one", "two"]})[1].texts == ("two",)
    assert response_turns({"choices": [{"text": "three"}]})[0].texts == ("three",)
    assert response_turns({"error": {"message": "no such model"}})[0] == response_turns({"error": "no such model"})[0]
    assert request_turns("not { json")[0].texts == ("not { json",)
    assert response_turns({"data": [{"embedding": 1536}]}) == []


def test_long_texts_are_cut_and_say_so() -> None:
    """A page stays a page."""
    assert clip("x" * (MAX_TEXT + 5)).endswith("[5 more characters]")
