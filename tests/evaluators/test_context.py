"""The case a call makes, by the request shapes of OpenAI's dialects."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import context

ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Nine."}}]}


def chat(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages)}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def tool(text: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c", "content": text}


def of(request: Any, *patterns: str) -> tuple[str, ...]:
    found = context.case(request, ANSWER, [re.compile(pattern) for pattern in patterns])
    assert found is not None
    return found.context


def test_question_and_answer_of_a_chat() -> None:
    """The last user text is asked, the assistant's text is the answer."""
    found = context.case(chat(user("first"), {"role": "assistant", "content": "x"}, user("How many?")), ANSWER)
    assert found is not None
    assert (found.question, found.answer, found.context) == ("How many?", "Nine.", ())


def test_tool_results_since_the_last_user_turn_are_context() -> None:
    """Results that answered an earlier turn are not."""
    request = chat(
        user("a"), tool("old"), user("b"), {"role": "assistant", "tool_calls": []}, tool("new"), tool("newer")
    )
    assert of(request) == ("new", "newer")


@pytest.mark.parametrize("tag", ["context", "documents", "document", "CONTEXT", 'document id="3"'])
def test_marked_text_is_context_and_no_part_of_the_question(tag: str) -> None:
    """Each of the three tags, with attributes and in any case; the question is what stands beside it."""
    name = tag.split()[0]
    found = context.case(chat(user(f"<{tag}>The sky is blue.</{name}> Which colour?")), ANSWER)
    assert found is not None
    assert found.context == ("The sky is blue.",)
    assert found.question == "Which colour?"


def test_documents_inside_documents_are_one_context() -> None:
    """The outermost block counts once."""
    inner = "<document>a</document><document>b</document>"
    assert of(chat(user(f"<documents>{inner}</documents>"))) == (inner,)


def test_the_order_is_tools_then_marked_text_then_patterns() -> None:
    """As the settings promise; the same text twice is one."""
    request = chat(
        {"role": "system", "content": "KB[from the base]"}, user("<context>marked</context>"), tool("result")
    )
    assert of(request, r"KB\[(.*?)\]", "marked") == ("result", "marked", "from the base")


def test_a_pattern_without_groups_gives_its_whole_match() -> None:
    """With groups, what they caught."""
    assert of(chat(user("see SOURCE: x;")), r"SOURCE: \w") == ("SOURCE: x",)


def test_the_assistants_own_words_are_no_evidence() -> None:
    """A tag in an earlier answer is not context."""
    assert of(chat({"role": "assistant", "content": "<context>made up</context>"}, user("q"))) == ()


def test_parts_of_text_are_read_and_pictures_are_not() -> None:
    """A message may be a list of parts."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "[image]"}}]
    found = context.case(chat(user(parts)), ANSWER)
    assert found is not None
    assert found.question == "What is this?"


def test_responses_dialect() -> None:
    """Instructions, input items, tool outputs and output messages of the responses endpoint."""
    request = {
        "instructions": "<context>house rules</context>",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "When?"}]},
            {"type": "function_call", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "at noon"},
        ],
    }
    response = {
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "content": [{"type": "output_text", "text": "At noon."}]},
        ]
    }
    found = context.case(request, response)
    assert found is not None
    assert (found.question, found.answer, found.context) == ("When?", "At noon.", ("at noon", "house rules"))


def test_completions_dialect_and_plain_input() -> None:
    """A prompt, or an input that is a text."""
    found = context.case({"prompt": "2+2="}, {"choices": [{"text": "4"}]})
    assert found is not None
    assert (found.question, found.answer) == ("2+2=", "4")
    again = context.case({"input": "hi"}, {"output": [{"type": "message", "content": "hello"}]})
    assert again is not None
    assert again.question == "hi"


@pytest.mark.parametrize(
    "response",
    [
        None,
        "text",
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": {"content": None, "tool_calls": [{}]}}]},
        {"data": [{"embedding": "[768 numbers]"}]},
        {"choices": [{"message": {"content": "   "}}]},
    ],
)
def test_without_an_answer_in_words_there_is_no_case(response: Any) -> None:
    """Tool calls, embeddings, errors and nonsense."""
    assert context.case(chat(user("q")), response) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["user", "tool", "<context>"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "type", "text", "input", "output", "prompt", "choices"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(JSON, JSON)
def test_whatever_was_stored_gives_a_case_or_none(request: Any, response: Any) -> None:
    """A stored text of any shape never raises."""
    found = context.case(request, response)
    assert found is None or found.answer


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["<context>", "</context>", "<document>", "</document>", "a", "İ", " "]), max_size=30))
def test_blocks_are_cut_where_they_are_marked(pieces: list[str]) -> None:
    """Whatever the nesting, context and question together hold nothing that was not there."""
    text = "".join(pieces)
    for block in of(chat(user(text))):
        assert block in text


def test_unclosed_tags_cost_linear_time() -> None:
    """A text of nothing but opening tags is read within a moment, not in hours."""
    started = time.process_time()
    assert of(chat(user("<context>" * 100_000))) == ()
    assert time.process_time() - started < 20
