"""What a redactor remembers changes nothing of what it says: a history sent again comes out as if read anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity import Pseudonyms
from gateway.model import Record, Usage
from gateway.raw import Json
from gateway.redact import Redactor
from tests.redact.conftest import exchange

VALUES = st.sampled_from(
    [
        *("Jane Doe", "Doe", "Omar Doe", "Jane O’Neil", "জনাব রহিম", "Ann", "Annabel Lee"),
        *("jane.doe@example.org", "ｊane@example.org", "ja\u200bne@example.org", "10.20.30.4", "4111 1111 1111 1111"),
        *("4111111111111111", "+49 30 1234567", "01712-345678", "০১৭১২৩৪৫৬৭৮", "hunter2!x", "3", "1111"),
    ]
)
FORMS = st.sampled_from(
    [
        "My name is {}, thanks.",
        "Dear {},\nplease call \\n{} now",
        'password = "{}"',
        "{} and {} were there; {}",
        "nothing at all",
        "see <PERSON_1> or \\u004aane and %4aane {}",
        "She said “{}” — that’s it.",
        "a\tb \\\\ \"{}\" 'c' {}",
        "{}",
    ]
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Sentences, most with a value or two."""
    form = draw(FORMS)
    return form.format(*[draw(VALUES) for _ in range(form.count("{}"))])


@st.composite
def arguments(draw: st.DrawFn) -> str:
    """JSON for inside a string, as clients write it."""
    value: dict[str, Json] = {
        draw(st.sampled_from(["city", "email", "note", "Jane Doe", "id"])): draw(
            st.one_of(texts(), st.integers(0, 10**17), st.booleans(), st.floats(allow_nan=False, width=32))
        ),
        "rows": draw(st.lists(texts(), max_size=2)),
    }
    separators, escaped = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", ":")])), draw(st.booleans())
    return json.dumps(value, separators=separators, ensure_ascii=escaped)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """What a chat is made of."""
    kind = draw(st.sampled_from(["text", "text", "parts", "call", "result"]))
    if kind == "parts":
        return {"role": "user", "content": [{"type": "text", "text": draw(texts())} for _ in range(2)]}
    if kind == "call":
        function = {"name": "look_up", "arguments": draw(arguments())}
        return {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    return {"role": "tool" if kind == "result" else "user", "content": draw(st.one_of(texts(), arguments()))}


@pytest.fixture(scope="module")
def forgetful() -> Redactor:
    """One that reads everything anew."""
    return Redactor("fast", Pseudonyms(b"again".ljust(32, b".")), memory=0)


def said(redactor: Redactor, history: list[dict[str, Any]], session: str) -> Record:
    """What is kept of a call."""
    asked: Json = {"model": "gpt-4o", "messages": history, "metadata": {"note": "Jane Doe"}}
    answered: Json = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes, Mr. Doe."}}]}
    return redactor.record(exchange(asked, answered, call={"session": session}), Usage(), content=True)


@settings(max_examples=100, deadline=None)
@given(
    history=st.lists(messages(), min_size=1, max_size=7), session=st.sampled_from(["", "chat-1"]), changed=st.booleans()
)
def test_a_history_sent_again_comes_out_as_if_read_anew(
    forgetful: Redactor, history: list[dict[str, Any]], session: str, changed: bool
) -> None:
    """Turn by turn, and with what was said at the beginning changed."""
    remembering = Redactor("fast", Pseudonyms(b"again".ljust(32, b".")))
    calls = [history[: turn + 1] for turn in range(len(history))]
    for call in [*calls, history, *([history[1:]] if changed else []), history, history]:
        mine, anew = said(remembering, call, session), said(forgetful, call, session)
        assert (mine.request, mine.response, mine.capture) == (anew.request, anew.response, anew.capture)
        assert set(mine.findings) == set(anew.findings)


def test_a_name_spelt_by_escapes_is_found_beside_one_that_is_not(forgetful: Redactor) -> None:
    """Of the same word, one stands in the JSON as it is read and one does not."""
    remembering = Redactor("fast", Pseudonyms(b"again".ljust(32, b".")))
    arguments = r"""{"rows":["see \\u004aane 3","password = \"Jane Doe\""]}"""
    function = {"name": "look_up", "arguments": arguments}
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "My name is Jane Doe, thanks."},
        {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]},
    ]
    for _ in range(3):
        assert said(remembering, history, "").request == said(forgetful, history, "").request


@pytest.mark.parametrize(
    ("before", "later"),
    [
        ("take 12345678901 22 first", 'password = "12345678901 22"'),  # reaches beyond what was cut before
        ("abc&nbsp;xyz9 here", 'password = "abc xyz9"'),  # spelt longer
        ("Miller wrote: my name is Ann Miller. Miller!", "So Miller and Ann went."),  # a copy before what it is one of
        ("call 5550142", "my pin is 5550142"),  # told better later
    ],
)
def test_what_is_found_later_is_removed_from_what_was_read_before(forgetful: Redactor, before: str, later: str) -> None:
    """As if both were read at once."""
    remembering = Redactor("fast", Pseudonyms(b"again".ljust(32, b".")))
    history = [{"role": "user", "content": before}, {"role": "user", "content": later}]
    for _ in range(3):
        said(remembering, history[:1], "")
        said(remembering, history[1:], "")
    for _ in range(3):
        mine, anew = said(remembering, history, ""), said(forgetful, history, "")
        assert mine.request == anew.request
        assert set(mine.findings) == set(anew.findings)
