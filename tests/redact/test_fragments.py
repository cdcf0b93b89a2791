"""Base64 and hexadecimal digits, read."""

from __future__ import annotations

import base64
import random
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Usage
from gateway.redact import Redactor
from gateway.redact.fragments import decoded
from gateway.redact.normalise import normalise
from tests.redact.conftest import chat

SECRET = "write to jane@example.org"
LONG = " ".join([SECRET, "or call 01712345678"] * 5)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "fragment",
    [
        b64(SECRET),
        b64(SECRET).rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
    ],
)
def test_what_is_hidden_is_read(fragment: str) -> None:
    """Base64 in both alphabets, padded or not, and hexadecimal digits give their text, the range the whole of them."""
    text = f"see {fragment}, thanks"
    [found] = decoded(text)
    assert found.text == SECRET
    assert text[found.start : found.end] == fragment


@pytest.mark.parametrize(
    "name", ["jane@example.org", "01712345678", "123-45-6789", "রহিম উদ্দিন", "José Núñez", "STREET_ADDRESS"]
)
def test_short_values_and_other_scripts_are_read(name: str) -> None:
    """An address or a number on its own is long enough, and text need not be ASCII."""
    assert [piece.text for piece in decoded(f"x {b64(name)} y")] == [name]


@pytest.mark.parametrize("width", [58, 64, 76, 90])
@pytest.mark.parametrize("end", ["", "\nThanks", "\n", " and so on"])
def test_lines_of_one_width_are_one_fragment(width: int, end: str) -> None:
    """PEM and MIME break base64: what stands across a break is read, a word after it is none of it."""
    broken = "\n".join(textwrap.wrap(b64(LONG), width))
    text = f"body:\n{broken}{end}"
    [found] = decoded(text)
    assert found.text == LONG
    assert text[found.start : found.end] == broken


@pytest.mark.parametrize("length", [96, 144, 100 // 3 * 3])
@pytest.mark.parametrize("next_line", ["Thanks", "YWJj, he said"])
def test_a_line_ends_where_the_next_says_nothing(length: int, next_line: str) -> None:
    """Without padding, what follows a full line is told by what it decodes to, and a short line is the last."""
    hidden = LONG[:length]
    broken = "\n".join(textwrap.wrap(b64(hidden), 64))
    [found] = decoded(f"{broken}\n{next_line}")
    assert found.text == (f"{hidden}abc" if length % 48 == 0 and "YWJj" in next_line else hidden)


@pytest.mark.parametrize("more", ["A", "AA", "AAA"])
def test_characters_too_many_do_not_hide_a_text(more: str) -> None:
    """A run whose length no base64 has is read as far as it goes."""
    [found] = decoded(b64(SECRET[:24]) + more)
    assert found.text.startswith(SECRET[:24])


def test_lists_of_short_tokens_are_not_joined() -> None:
    """Equally long tokens one below another are each a text of its own."""
    names = ["jane@example.org", "karl@example.org"]
    assert [piece.text for piece in decoded("\n".join(b64(name).rstrip("=") for name in names))] == names


def test_a_fragment_behind_a_path_is_read() -> None:
    """What stands before a slash or a hyphen does not shift the reading of what stands behind."""
    text = f"/Reset/Token-{b64(SECRET)}"
    [found] = decoded(text)
    assert (found.text, text[found.start :]) == (SECRET, b64(SECRET))


def test_text_before_binary_is_read() -> None:
    """Bytes that are no text end a fragment's text, not the range that is to go."""
    run = base64.b64encode(SECRET.encode() + bytes(range(128, 256))).decode()
    [found] = decoded(run)
    assert (found.text, found.end) == (SECRET, len(run))


def test_words_and_noise_say_nothing() -> None:
    """Identifiers, paths, hashes and random bytes are no text."""
    noise = random.Random(5)
    words = ["RuleRecogniserFactoryBean", "/usr/local/lib/python3.11/site-packages", "MAX_FINDINGS_PER_CALL", "9" * 40]
    words += [noise.randbytes(48).hex(), base64.b64encode(noise.randbytes(90)).decode(), "internationalisation-of-it"]
    words += ["VerifyPassword= 1", "Some-VerifyPassword()"]  # as long as the shortest base64, padded badly
    assert list(decoded(" ".join(words))) == []


pieces = st.sampled_from(
    [*"aZ9+/_-= \n\té", "YWJj", "Zz09", "6a61", "QUJDREVGR0hJSktM", "YWJjZGVmZ2hpamts", "\n" + "YWJj" * 13]
)


@given(st.lists(pieces, max_size=60).map("".join))
@settings(max_examples=100, deadline=None)
def test_fragments_are_disjoint_and_no_longer_than_their_place(text: str) -> None:
    """Whatever the text: in order, within it, and the work they make is bounded by its length."""
    at = 0
    for found in decoded(text):
        assert at <= found.start < found.end <= len(text)
        assert 0 < len(found.text) <= found.end - found.start
        at = found.end


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=12, max_size=80), st.booleans())
@settings(max_examples=100, deadline=None)
def test_every_text_comes_back(hidden: str, padded: bool) -> None:
    """Any printable text of twelve characters, encoded, is read as it was."""
    run = b64(hidden) if padded else b64(hidden).rstrip("=")
    assert hidden in [found.text for found in decoded(normalise(f"a {run} b").text)]


def test_a_value_in_base64_is_removed_with_its_wrapping(fast: Redactor) -> None:
    """What stands in a fragment, in one in another too, takes the whole fragment with it; the rest stays."""
    once = base64.b64encode(b"write to jane.doe@example.org, please").decode()
    twice = base64.b64encode(once.encode()).decode()
    innocent = base64.b64encode(b"the weather was fine and we went home").decode()
    record = fast.record(chat(f"see {once} and {twice} but {innocent} stays"), Usage(), content=True)
    assert once not in record.request
    assert twice not in record.request
    assert innocent in record.request
    assert "EMAIL_ADDRESS" in record.request
