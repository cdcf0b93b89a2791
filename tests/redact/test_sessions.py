"""Placeholders over the calls of a session."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.identity import Pseudonyms
from gateway.model import Usage
from gateway.redact import Redactor
from gateway.redact.placeholder import LARGEST, Placeholders
from tests.redact.conftest import exchange

ANN, BOB = "ann@example.org", "bob@example.org"
PLACEHOLDER = re.compile(r"<EMAIL_ADDRESS_\d{1,4}>")


def said(redactor: Redactor, text: str, session: str) -> list[str]:
    """The placeholders of a call, in order."""
    asked = {"messages": [{"role": "user", "content": text}]}
    made = redactor.record(exchange(asked, call={"session": session}), Usage(), content=True)
    return PLACEHOLDER.findall(made.request)


def test_a_value_keeps_its_placeholder_within_a_session(fast: Redactor) -> None:
    """In whatever order, and however it is spelt; also for a process that knows nothing of the calls before."""
    first, second = said(fast, f"{ANN} and {BOB}", "chat-7")
    assert first != second
    assert said(fast, f"{BOB} then {ANN.upper()}", "chat-7") == [second, first]
    again = Redactor("fast", Pseudonyms(b"k" * 32))
    assert said(again, BOB, "chat-7") == [second]


def test_sessions_and_installations_are_not_linked(fast: Redactor) -> None:
    """Another session, another key, another number; without a session they are counted."""
    within = said(fast, ANN, "chat-7")
    assert said(fast, ANN, "chat-8") != within
    assert said(Redactor("fast", Pseudonyms(b"other")), ANN, "chat-7") != within
    assert said(fast, f"{ANN} {BOB}", "") == ["<EMAIL_ADDRESS_1>", "<EMAIL_ADDRESS_2>"]


@given(st.lists(st.text(min_size=1, max_size=5).map(str.strip).filter(bool), max_size=30), st.integers(1, 3))
@example(["a", "b", "c"], 1)
def test_two_values_never_share_a_placeholder(values: list[str], crowd: int) -> None:
    """Even where their numbers collide; and none is above four digits."""
    numbered = Placeholders(lambda value: LARGEST - len(value) % crowd)
    given_ = {value: numbered.of("PERSON", value) for value in values}
    alike = Placeholders()
    for value in values:
        for other in values:
            same = alike.of("PERSON", value) == alike.of("PERSON", other)
            assert (given_[value] == given_[other]) is same
    assert all(re.fullmatch(r"<PERSON_\d{1,4}>", made) for made in given_.values())
