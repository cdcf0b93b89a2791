"""Counting offline, and reading what upstreams report."""

from __future__ import annotations

import gzip
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tiktoken.load
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.meter.reports import reported
from gateway.meter.tokens import Counts, Encodings, vocabulary


@pytest.fixture(scope="module")
def encodings() -> Encodings:
    """Both vocabularies."""
    return Encodings()


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Encodings:
    """Made by a process that has neither a network nor a disk from then on, and a tiktoken that has read nothing."""
    found = Encodings()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network or a disk was tried")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("io.open", refuse)
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    return found


def test_vocabularies_need_neither_network_nor_disk(cut_off: Encodings) -> None:
    """They come from the wheel, once; tiktoken is left as it was."""
    before = tiktoken.load.read_file_cached
    assert [cut_off.count("hello world", model) for model in ("gpt-4o", "gpt-4")] == [2, 2]
    assert tiktoken.load.read_file_cached is before


def test_a_damaged_vocabulary_is_refused(cut_off: Encodings, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the network is not asked for another."""
    whole = gzip.decompress

    def damaged(packed: bytes) -> bytes:
        return whole(packed)[:-9]

    monkeypatch.setattr("gateway.meter.tokens.gzip.decompress", damaged)
    with pytest.raises(ValueError, match="o200k_base is damaged"):
        cut_off.count("hello world", "gpt-4o")


def test_threads_load_a_vocabulary_at_once(cut_off: Encodings) -> None:
    """Whoever comes second does not meet a tiktoken that is half told where to read."""
    with ThreadPoolExecutor(4) as threads:
        counted = list(threads.map(lambda model: cut_off.count("hello world", model), ("gpt-4o", "gpt-4") * 4))
    assert counted == [2] * 8


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("openai/gpt-4", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("davinci", "o200k_base"),
        ("smollm2", "o200k_base"),
        ("", "o200k_base"),
    ],
)
def test_vocabulary_of_a_model(model: str, name: str) -> None:
    """The newest one for models nobody knows and for those whose vocabulary is not in the wheel."""
    assert vocabulary(model) == name


def test_special_tokens_and_lone_surrogates_are_text(encodings: Encodings) -> None:
    """Neither raises, and a marker in a prompt is not one token."""
    assert encodings.count("<|endoftext|>", "gpt-4o") == 7
    assert encodings.count("\ud800", "gpt-4o") > 0


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["gpt-4o", "gpt-4"]))
def test_counts_are_tiktokens(encodings: Encodings, text: str, model: str) -> None:
    """The same as asking tiktoken."""
    assert encodings.count(text, model) == len(tiktoken.encoding_for_model(model).encode_ordinary(text))


def test_a_long_run_without_breaks_is_counted_in_pieces(encodings: Encodings) -> None:
    """The cuts cost at most a token each."""
    assert encodings.count("a" * 200_000, "gpt-4o") == pytest.approx(25_000, abs=4)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({}, Counts()),
        ({"prompt_tokens": 5, "total_tokens": 5}, Counts(input=5, output=0)),
        ({"completion_tokens": 2, "total_tokens": 5}, Counts(input=3, output=2)),
        ({"prompt_tokens": 9, "total_tokens": 5}, Counts(input=9, output=0)),
        ({"prompt_tokens": 5.0, "completion_tokens": 2.5}, Counts(input=5)),
        ({"prompt_tokens": -1, "completion_tokens": True}, Counts()),
        ({"prompt_tokens": 1 << 41, "completion_tokens": "3"}, Counts()),
        ({"input_tokens": 5, "output_tokens": 2}, Counts(input=5, output=2)),
        (
            {"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 3, "cache_read_input_tokens": None},
            Counts(input=8, output=2, cache_write=3),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "cache_read_input_tokens": 3},
            Counts(input=5, output=2),
        ),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 4, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0},
                "cached_tokens": 3,
            },
            Counts(input=5, output=2, cached=0, cache_write=4, audio_input=1, reasoning=1, audio_output=0),
        ),
        ({"prompt_tokens": 5, "prompt_tokens_details": [], "completion_tokens": 2}, Counts(input=5, output=2)),
    ],
)
def test_reported_usage(usage: dict[str, Any], counts: Counts) -> None:
    """Numbers that cannot be are not told."""
    assert reported(usage) == counts
