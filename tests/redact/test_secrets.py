"""Every credential of a known form is found whole wherever it stands; what only looks like one stays."""

from __future__ import annotations

import base64
import random
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.redact import Redactor, Span
from gateway.redact.normalise import normalise
from gateway.redact.secret_formats import FORMATS
from gateway.redact.secret_value import is_random, is_secret
from gateway.redact.secrets import secret_recognisers
from tests.redact import secret_cases as cases

RECOGNISERS = secret_recognisers()
SECRET_ENTITIES = {
    *("API_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "JWT", "PRIVATE_KEY", "BEARER_TOKEN", "PASSWORD"),
    "URL_CREDENTIALS",
}
TEXTS = (
    "{}",
    "{} is what it says.",
    "I keep getting a 401 with this, can you help? {}",
    "Use {}, then try again.\nThanks!",
    "line one\n{}\nline three",
    'client = Client("{}")  # works on my machine',
    '{{"model": "gpt-4o", "note": "{}", "n": 1}}',
    "(`{}`)",
    "export VALUE={}\n",
)
BLOCKS = ("{}", "Here it is:\n{}\n", "{}\nThat is all of it.")
"""What has lines of its own stands in lines of its own."""
TEMPLATES = [(name, template) for name, templates in cases.FORMATS.items() for template in templates]
PLACED = [(name, template) for name, templates in cases.PLACES.items() for template in templates]
SOURCE_BYTES = 2_000_000
PROSE_BYTES = 1_000_000
MOST_IN_10_000_WORDS = 0.5


def found(text: str) -> list[Span]:
    """What the recognisers of secrets alone find."""
    return [span for recogniser in RECOGNISERS for span in recogniser.find(text)]


def uncovered(text: str, secrets: Iterable[tuple[int, int]], spans: Iterable[Span]) -> list[int]:
    """The places of the secrets' characters that no span covers, blanks aside."""
    covered = {at for span in spans for at in range(span.start, span.end)}
    return [at for start, end in secrets for at in range(start, end) if at not in covered and not text[at].isspace()]


def placed(template: str, text: str, seed: object) -> tuple[str, list[tuple[int, int]]]:
    """A credential within a text, and where its secret parts are."""
    filled, spans = cases.made(template, random.Random(f"{template} {seed}"))
    before = text.split("{}")[0].replace("{{", "{")
    return text.format(filled), [(start + len(before), end + len(before)) for start, end in spans]


def test_many_formats() -> None:
    """There are far more than sixty, each of a name of its own."""
    assert len({each.name for each in FORMATS}) == len(FORMATS) >= 160


def test_each_format_has_cases() -> None:
    """No format goes untested, and no case names one that is gone."""
    assert {each.name for each in FORMATS} == cases.FORMATS.keys()


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_each_format_alone_finds_its_cases(each: object) -> None:
    """Each rule does its own work: none lives off another that happens to match."""
    assert isinstance(each, tuple)
    name, pattern, _, group, check = each
    for template in cases.FORMATS[name]:
        for seed in range(10):
            text, secrets = cases.made(template, random.Random(f"{template} {seed}"))
            spans = [match.span(group) for match in re.finditer(pattern, text) if check(match[group])]
            assert uncovered(text, secrets, [Span(*span, "X", 1.0, name) for span in spans]) == [], seed


@pytest.mark.parametrize(("name", "template"), TEMPLATES)
def test_a_credential_of_known_make_is_found_whole(name: str, template: str) -> None:
    """Wherever it stands: alone, in prose, in code, in JSON, at either end."""
    for seed in range(10):
        for around in BLOCKS if "\n" in template else TEXTS:
            text, secrets = placed(template, around, seed)
            assert uncovered(text, secrets, found(text)) == [], (around, seed)


@pytest.mark.parametrize(("name", "template"), PLACED)
def test_a_secret_is_found_by_its_place(name: str, template: str) -> None:
    """Assignments, headers, addresses, commands, files."""
    for seed in range(20):
        for around in BLOCKS:
            text, secrets = placed(template, around, seed)
            assert uncovered(text, secrets, found(text)) == [], (around, seed)


@pytest.mark.parametrize(("name", "template"), [*TEMPLATES, *PLACED])
def test_the_redactor_cuts_it_out(name: str, template: str, fast: Redactor) -> None:
    """End to end: nothing of it is left in the text as it was sent."""
    for seed in range(3):
        text, secrets = placed(template, BLOCKS[1], seed)
        assert uncovered(text, secrets, fast.spans(text)) == [], seed


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(TEMPLATES), st.integers(0, 10**9), st.sampled_from(TEXTS))
def test_any_key_of_a_known_format_is_found(case: tuple[str, str], seed: int, around: str) -> None:
    """Not those alone that were tried when the formats were written."""
    text, secrets = placed(case[1], "{}\n" if "\n" in case[1] else around, seed)
    assert uncovered(text, secrets, found(text)) == []


@pytest.mark.parametrize("text", cases.LEFT)
def test_what_only_looks_like_one_stays(text: str) -> None:
    """Placeholders, references to the environment, variables, types."""
    assert [text[span.start : span.end] for span in found(text)] == []


@pytest.mark.parametrize("template", cases.RANDOM_LEFT)
def test_hashes_and_stumps_stay(template: str) -> None:
    """Checksums, identifiers, and prefixes of keys with too little after them."""
    for seed in range(20):
        text, _ = cases.made(template, random.Random(f"{template} {seed}"))
        assert [text[span.start : span.end] for span in found(text)] == [], seed


def test_an_embedded_style_sheet_stays() -> None:
    """Base64 that is no key."""
    sheet = base64.b64encode(b".a { color: red; margin: 0 auto } " * 8).decode()
    assert found(f'<link href="data:text/css;base64,{sheet}" integrity="sha384-{sheet[:64]}">') == []


def test_a_docker_config_is_told_by_what_it_holds() -> None:
    """The base64 of a user and a password is one, any other base64 under the same name is not."""
    text = '{{"auth": "{}"}}'
    assert found(text.format(base64.b64encode(b"bob:hunter22").decode()))
    assert not found(text.format(base64.b64encode(b"basic-scheme").decode()))


def test_two_keys_without_an_end_are_both_found() -> None:
    """What was cut does not hide what follows it."""
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEabcd1234efgh" * 4 + "\n"
    spans = [span for span in found(key + key) if span.name == "key-file"]
    assert uncovered(key + key, [(0, len(key + key))], spans) == []


@pytest.mark.parametrize(
    "begin",
    [
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\\n",
        '"-----BEGIN PRIVATE KEY-----\\n"\n    "',
        "> -----BEGIN PRIVATE KEY-----\n> ",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AABB\n\n",
        "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: x\nPublic-Lines: 6\n",
    ],
)
def test_a_key_that_was_cut_is_found(begin: str) -> None:
    """As it stands in a file, in code, in a quotation, with headers."""
    body, _ = cases.made("{b:64}\n{b:30}", random.Random(begin))
    text = begin + body
    assert uncovered(text, [(len(begin), len(text))], found(text)) == []


def test_a_key_after_a_mention_of_one_is_found_by_itself() -> None:
    """What stands between the two stays."""
    mention = 'if text.startswith("-----BEGIN PRIVATE KEY-----"): load_the_configuration(text)\n'
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEabcd1234efgh" * 4 + "\n-----END PRIVATE KEY-----"
    spans = [span for span in found(mention * 5 + key) if span.name == "key-file"]
    assert min(span.start for span in spans) == len(mention) * 5


def test_a_manifest_keeps_what_is_no_secret() -> None:
    """Other documents of the file, and what comes after the data."""
    secret = "kind: Secret\ndata:\n  word: c3Vuc2hpbmU=\ntype: Opaque\nmetadata:\n  name: readable\n"
    other = "---\nkind: ConfigMap\ndata:\n  colour: turquoise\n"
    text = secret + other
    assert {text[span.start : span.end] for span in found(text)} == {"c3Vuc2hpbmU="}


def test_a_mention_of_a_key_does_not_take_the_text_after_it() -> None:
    """A program that looks for private keys is not one."""
    code = 'if text.startswith("-----BEGIN PRIVATE KEY-----"):\n    load(text)\n' * 2
    assert found(code) == []


@pytest.mark.parametrize("template", ["{h:32}", "{h:64}", "{w:40}", "{b:40}", "{s:43}", "{w:24}-{w:24}"])
def test_chance_is_told(template: str) -> None:
    """Hexadecimal, base64 and the like, of the lengths that keys have."""
    for seed in range(50):
        value, _ = cases.made(template, random.Random(f"{template} {seed}"))
        assert is_random(value), seed


@pytest.mark.parametrize(
    "value",
    [
        "get_default_parameter_value_name_v2",
        "application/vnd.example.report",
        "some-header-name-of-version-12",
        "12345678901234567890123",
        "00000000000000000000000a",
        "a1a1a1a1a1a1a1a1a1a1a1a1",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "config.settings.signing_key_2024",
    ],
)
def test_words_are_told_from_chance(value: str) -> None:
    """Names put together, numbers, fillings."""
    assert not is_random(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("correct horse battery staple", True),
        ("hunter2", True),
        ("p(ass)w{0}rd", True),
        ("your password here", False),
        ("Optional", False),
        ("%(password)s", False),
        ("{self.token}", False),
        ("abc", False),
    ],
)
def test_quoted_values(value: str, expected: bool) -> None:
    """A passphrase is a secret, the words of an example and what a program fills in are none."""
    assert is_secret(value) is expected


def _installed(folder: str, patterns: tuple[str, ...], most: int) -> Iterator[str]:
    """Texts that are installed, in an order drawn once, up to a number of characters."""
    root = Path(sysconfig.get_paths()[folder])
    found_there = (file for pattern in patterns for file in root.rglob(pattern))
    files = sorted(file for file in found_there if folder == "purelib" or "site-packages" not in file.parts)
    random.Random(0).shuffle(files)
    for file in files:
        if most <= 0:
            return
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        most -= len(text)
        yield text


@pytest.mark.parametrize(
    ("folder", "patterns", "most"),
    [
        ("stdlib", ("*.py",), SOURCE_BYTES),
        ("purelib", ("*.py",), SOURCE_BYTES),
        ("purelib", ("METADATA", "*.md", "*.rst"), PROSE_BYTES),
    ],
)
def test_few_false_finds_in_code_and_prose(folder: str, patterns: tuple[str, ...], most: int) -> None:
    """What is installed holds no credentials, examples aside: one find in 20,000 words is allowed."""
    words = finds = size = 0
    for text in _installed(folder, patterns, most):
        size += len(text)
        words += len(text.split())
        finds += sum(span.entity in SECRET_ENTITIES for span in found(normalise(text).text))
    assert size > most * 0.9, "too little to tell"
    assert finds * 10_000 <= words * MOST_IN_10_000_WORDS, f"{finds} finds in {words} words"
