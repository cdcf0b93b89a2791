"""The prefilter never keeps a pattern from a text that it matches, and spares most of them the trouble."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.redact.names import name_recognisers
from gateway.redact.normalise import normalise
from gateway.redact.patterns import pattern_recognisers
from gateway.redact.places import place_recognisers
from gateway.redact.prefilter import Finder, Prefilter, encoded
from gateway.redact.recogniser import RuleRecogniser
from gateway.redact.secrets import secret_recognisers

RULES = [
    rule
    for recogniser in (*secret_recognisers(), *pattern_recognisers(), *name_recognisers(), *place_recognisers())
    if isinstance(recogniser, RuleRecogniser)
    for rule in recogniser.rules
]
PREFILTER = Prefilter([rule.pattern for rule in RULES])

_LETTER = st.sampled_from([*"aeikszAEIKZ09 .-@/:'\n", "é", "ı", "İ", "ſ", "ß", "я", "ক", "\ud800"])
_ATOM = st.one_of(
    st.sampled_from(["a", "I", "k", r"\d", r"\w", r"\s", r"[^\W\d_]", "[a-z]", "[^a-i]", r"\W", ".", "ß", r"\.", "@"]),
    st.sampled_from(["is", "Z9", "key", "İ", "(?i:skin)", "(?:ab|c9|)"]),
)
_REPEAT = st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{1,3}", "{3,}", "{5,9}", "++", "{4,}+", "*?", "{2,3}?"])
_EDGE = st.sampled_from(["", "", r"\b", r"(?<!\w)", r"(?=\w)", "(?!a)", "(?<=i)", "(?=k9)", "^", "$"])


@st.composite
def patterns(draw: st.DrawFn) -> re.Pattern[str]:
    """Patterns of every construct that rules are written in."""
    source = ""
    for _ in range(draw(st.integers(1, 4))):
        piece = draw(_ATOM)
        shape = draw(st.sampled_from(["{}", "(?:{}){}", "({}|{}){}", "(?>{}){}", "(?i:{}){}"]))
        if shape == "{}":
            source += draw(_EDGE) + piece
        else:
            source += draw(_EDGE) + shape.format(*[piece] * (shape.count("{}") - 1), draw(_REPEAT))
    return re.compile(source, draw(st.sampled_from([0, re.IGNORECASE, re.MULTILINE])))


@settings(max_examples=100, deadline=None)
@given(st.lists(patterns(), min_size=1, max_size=8), st.lists(st.lists(_LETTER, max_size=24).map("".join), max_size=8))
def test_what_matches_passes(made: list[re.Pattern[str]], texts: list[str]) -> None:
    """Whatever the pattern and the text."""
    prefilter = Prefilter(made)
    for text in texts:
        matching = {number for number, pattern in enumerate(made) if pattern.search(text)}
        assert matching <= set(prefilter.may(encoded(text)))


@settings(max_examples=100, deadline=None)
@given(patterns(), st.lists(_LETTER, max_size=40).map("".join))
def test_matches_are_those_of_re(pattern: re.Pattern[str], text: str) -> None:
    """Each of them, at its place, with its groups; but for empty ones."""
    expected = [(match.span(), match.groups()) for match in pattern.finditer(text) if match.group()]
    found = [(match.span(), match.groups()) for match in Finder(pattern).matches(text, encoded(text))]
    assert found == expected


@pytest.mark.parametrize("number", range(len(RULES)))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_rule_passes_where_it_matches(number: int, data: st.DataObject) -> None:
    """Texts made from the rule's own pattern, among others."""
    text = normalise("Hello, " + data.draw(st.from_regex(RULES[number].pattern)) + " and so on.").text
    if RULES[number].pattern.search(text):
        assert number in PREFILTER.may(encoded(text))


def test_plain_prose_tries_few() -> None:
    """Nearly every rule is spared in a text with nothing in it."""
    text = "The weather was fine, so we went for a walk along the river and talked about the book. " * 20
    assert len(list(PREFILTER.may(encoded(text)))) < len(RULES) / 10


def test_a_common_core_decides_nothing() -> None:
    """A pattern of plain words is always tried rather than asked for."""
    assert list(Prefilter([re.compile(r"\w+ \w+")]).may(b"")) == [0]


def test_a_core_is_what_a_match_must_hold() -> None:
    """The rare part of a pattern, without what stands around it."""
    prefilter = Prefilter([re.compile(r"[a-z ]{0,80}(?<!\w)gh[pousr]_[A-Za-z0-9]{36}")])
    assert list(prefilter.may(b"a plain word")) == []
    assert list(prefilter.may(b"ghp_" + b"a" * 36)) == [0]
