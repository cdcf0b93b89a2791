"""The model: names in sentences, long texts, and being absent."""

from __future__ import annotations

import builtins
import itertools
import json
import socket
from typing import Any

import pytest

from gateway.errors import MissingExtra
from gateway.identity import Pseudonyms
from gateway.model import WITHHELD, Usage
from gateway.redact import Redactor, models
from gateway.redact.ner import CHUNK, OVERLAP, chunks
from tests.redact.conftest import chat, exchange

SENTENCES = [
    ("Yesterday John Smith met Angela Merkel in the office.", ("John Smith", "Angela Merkel")),
    ("Please forward the contract to Maria Garcia before noon.", ("Maria Garcia",)),
    ("The patient, Robert Johnson, was admitted in Chicago.", ("Robert Johnson", "Chicago")),
    ("They had three: Hannah, Anthony, Derek and Anna.", ("Hannah", "Anthony", "Derek", "Anna")),
]


@pytest.mark.parametrize(("sentence", "names"), SENTENCES)
def test_names_in_ordinary_sentences_are_removed(standard: Redactor, sentence: str, names: tuple[str, ...]) -> None:
    """People and places in running text become placeholders."""
    record = standard.record(chat(sentence), Usage(), content=True)
    assert not [name for name in names if name in record.request]


@pytest.mark.parametrize(
    "text",
    [
        "Write a Python function that parses JSON with Pydantic and logs to Redis.",
        "Summarise the text below in three bullet points.",
        "Error: ECONNREFUSED at TCPConnectWrap.afterConnect (net.js:1141:16)",
        "SELECT name FROM users WHERE id = 7 ORDER BY created_at DESC;",
    ],
)
def test_work_talk_stays_readable(standard: Redactor, text: str) -> None:
    """What developers ask is left as it is."""
    record = standard.record(chat(text), Usage(), content=True)
    assert json.loads(record.request)["messages"][0]["content"] == text


def test_a_name_on_the_seam_of_two_chunks_is_found(standard: Redactor) -> None:
    """A long text is read in pieces that overlap."""
    filler = "nothing to see here. " * (CHUNK // 21)
    text = filler[: CHUNK - 10] + " Then John Smith left. " + filler
    record = standard.record(chat(text), Usage(), content=True)
    assert "John Smith" not in record.request
    assert "<PERSON_1>" in record.request


@pytest.mark.parametrize("text", ["", "a", "a b " * 20_000, "a" * 70_000])
def test_chunks_cover_the_text_and_come_to_an_end(text: str) -> None:
    """Every character lies in a chunk, no chunk is too long, each begins after the last."""
    ranges = list(chunks(text, CHUNK, OVERLAP))
    assert sorted({at for low, high in ranges for at in range(low, high)}) == list(range(len(text)))
    assert all(high - low <= CHUNK for low, high in ranges)
    assert all(left[0] < right[0] for left, right in itertools.pairwise(ranges))


def test_a_text_too_long_for_its_time_is_withheld(pseudonyms: Pseudonyms) -> None:
    """The deadline is looked at between the chunks of one text; the next call is whole again."""
    pytest.importorskip("presidio_analyzer")
    redactor = Redactor("standard", pseudonyms, timeout=0.3)
    record = redactor.record(exchange("Then John Smith left the house. " * 20_000), Usage(), content=True)
    assert record.request == WITHHELD
    for _ in range(3):
        assert redactor.record(chat("Then John left."), Usage(), content=True).request != WITHHELD


def test_without_the_extra_the_command_that_installs_it_is_named(
    pseudonyms: Pseudonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard profile without its packages is a mistake in the set-up, told as one."""
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in ("spacy", "presidio_analyzer"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.setattr(models, "_load", models._load.__wrapped__)  # as in a process that has not loaded it
    with pytest.raises(MissingExtra, match=r"pip install .*presidio-analyzer=="):
        Redactor("standard", pseudonyms)


def test_nothing_is_fetched(pseudonyms: Pseudonyms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a redactor and using it opens no connection."""
    pytest.importorskip("presidio_analyzer")
    monkeypatch.setattr(models, "_load", models._load.__wrapped__)  # as in a process that has not loaded it

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    record = Redactor("standard", pseudonyms).record(chat("I am jane@example.org"), Usage(), content=True)
    assert "jane@" not in record.request
