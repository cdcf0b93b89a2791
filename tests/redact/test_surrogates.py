"""Invented values instead of placeholders."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import Pseudonyms
from gateway.model import Usage
from gateway.redact import Redactor
from gateway.redact.placeholder import LARGEST, Placeholders
from tests.redact.conftest import exchange

TEXT = "My name is Jane Miller. Jane Miller writes from jane@corp.example.org, card 4111 1111 1111 1111."


def said(redactor: Redactor, text: str, session: str = "") -> str:
    """What is kept of a message."""
    asked = {"messages": [{"role": "user", "content": text}]}
    record = redactor.record(exchange(asked, call={"session": session}), Usage(), content=True)
    content = json.loads(record.request)["messages"][0]["content"]
    assert isinstance(content, str)
    return content


def test_a_conversation_reads_as_it_did(pseudonyms: Pseudonyms) -> None:
    """A name is a name wherever it stands; what has no harmless form keeps its kind."""
    made = said(Redactor("fast", pseudonyms, realistic=True), TEXT)
    name = made.removeprefix("My name is ").partition(".")[0]
    assert len(name.split()) == 2
    assert made.count(name) == 2
    assert "Jane" not in made
    assert "corp" not in made
    assert "@example.com" in made
    assert "<CREDIT_CARD_1>" in made


def test_within_a_session_a_value_keeps_its_name(pseudonyms: Pseudonyms) -> None:
    """In every process, and another session has other ones."""
    first = said(Redactor("fast", pseudonyms, realistic=True), TEXT, "chat-1")
    assert said(Redactor("fast", pseudonyms, realistic=True), TEXT, "chat-1") == first
    assert said(Redactor("fast", pseudonyms, realistic=True), TEXT, "chat-2") != first


@given(st.lists(st.integers(1, LARGEST), min_size=2, max_size=40))
def test_two_values_never_share_one(numbers: list[int]) -> None:
    """Even when their numbers fall together, and though there are fewer names than numbers."""
    given_ = iter(numbers)
    placeholders = Placeholders(lambda _: next(given_), realistic=True)
    made = [placeholders.of("PERSON", f"value {at}") for at in range(len(numbers))]
    assert len(set(made)) == len(made)
