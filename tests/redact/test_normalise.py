"""Normalisation and the way back."""

from __future__ import annotations

import base64
import itertools
import quopri
import random
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity import Pseudonyms
from gateway.redact import Redactor
from gateway.redact.confusables import LETTERS
from gateway.redact.fragments import decoded
from gateway.redact.normalise import normalise, printable
from gateway.redact.numbers import luhn

any_text = st.text(st.characters(), max_size=40)
odd_text = st.text(st.sampled_from("%&\\=#;x0u{}4a0@\n\u0430\u0301\u200b１é") | st.characters(), max_size=40)


@pytest.mark.parametrize(
    ("given_", "seen"),
    [
        ("০১৭১২৩৪৫৬৭৮", "01712345678"),
        ("４１１１ ①❷", "4111 12"),
        ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
        ("555\u2011867\u20135309", "555-867-5309"),
        ("555\u058a867\u2e3a5309", "555-867-5309"),
        ("jane\uff20x\u3002org jane\ufe6bx\uff61org jane@x\u2024org", "jane@x.org jane@x.org jane@x.org"),
        ("https\u2236\u2215\u2044x.org", "https://x.org"),
        ("4111\u00a01111\u20071111\u202f1111\u3000x", "4111 1111 1111 1111 x"),
        ("o\u2019brien", "o'brien"),
        ("🅙🅐🅝🅔", "JANE"),
        ("100% of &c; 5 \\d 50%de &copy=2", "100% of &c; 5 \\d 50%de &copy=2"),
    ],
)
def test_look_alikes_become_ascii(given_: str, seen: str) -> None:
    """Digits of every script, blanks, dots, dashes and slashes become what they stand for; what means nothing stays."""
    assert normalise(given_).text == seen


@pytest.mark.parametrize(
    "hidden",
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u180f\u200b\u200d\u200e\u202e\u2060\u2064\u2066\u3164"
    "\ufe00\ufe0f\ufeff\uffa0\ufff0\U000e0001\U000e0041\U000e0100\U0001d173",
)
def test_invisible_characters_are_gone(hidden: str) -> None:
    """Default-ignorable characters, overrides of direction among them, part no word and no number."""
    assert normalise(f"{hidden}ja{hidden}ne 41{hidden}11").text == "jane 4111"


@pytest.mark.parametrize(
    ("given_", "seen"),
    [
        ("Jose\u0301 e\u0302\u0301 \u00e9", "José ế é"),
        ("4\u03361\u20dd1\u0489", "411"),
        ("j\u0301\u0316a\u0334n\u064be\u0301\u0334", "jané"),
        ("1️⃣2️⃣", "12"),
        ("и\u0306 α\u0301", "й ά"),
        ("ক\u09cdষ\u09bf क\u094dष\u093f مُحَمَّد", "ক\u09cdষ\u09bf क\u094dष\u093f مُحَمَّد"),
    ],
)
def test_marks_stay_where_they_make_a_letter(given_: str, seen: str) -> None:
    """Accents are composed, marks piled on Latin letters and digits dropped, those of other scripts kept."""
    assert normalise(given_).text == seen


@pytest.mark.parametrize(
    ("given_", "seen"),
    [
        ("jane\\u0040x.org jane\\x40x.org jane\\u{40}x.org", "jane@x.org jane@x.org jane@x.org"),
        ("jane\\N{COMMERCIAL AT}x.org \\N{NO SUCH}", "jane@x.org \\N{NO SUCH}"),
        ("jane\\100x.org jane\\U00000040x.org C:\\100", "jane@x.org jane@x.org C:\\100"),
        ("\\\\u09e7\\\\u09e8", "12"),
        ("\\ud835\\udfcf", "1"),
        ("a\\n4111 jane\\_doe\\@x\\.org", "a\n4111 jane_doe@x.org"),
        ("jane%40x.org jane%2540x.org jane%252540x.org %u0040", "jane@x.org jane@x.org jane@x.org @"),
        ("%E0%A7%A7%e0%a7%a8 a+b %FF%41", "12 a+b %FFA"),
        ("jane％４０x.org", "jane@x.org"),
        ("jane&#64;x.org &commat; &#x40; &#x0040; &#0000064;", "jane@x.org @ @ @ @"),
        ("jane&commat;x&period;org&NewLine;y", "jane@x.org\ny"),
        ("jane&#64x.org &amp;#64; &amp;amp;#64; 01712&shy345678", "jane@x.org @ @ 01712345678"),
        ("jane=40x.org card=4111 1111 a=40", "jane@x.org card=4111 1111 a=40"),
        ("A=3D jane=40x=\n.org =E0=A7=A7", "A= jane@x.org 1"),
        ("A=3D &commat;x=\ny", "A= @xy"),
        ("A=3D b=c =41", "A=3D b=c =41"),
        ("encoded quoted-printable: jane=2Edoe=40x=\n.org", "encoded quoted-printable: jane.doe@x.org"),
        (f"{'so ' * 20}jane=2E=\ndoe", f"{'so ' * 20}jane.doe"),
        (f"{'YWJj' * 15}YQ=\nb=40", f"{'YWJj' * 15}YQ=\nb=40"),
    ],
)
def test_escapes_are_undone(given_: str, seen: str) -> None:
    """JSON, ES6, Python, Markdown, percent, HTML and quoted-printable, also one over another."""
    assert normalise(given_).text == seen


@pytest.mark.parametrize(
    ("given_", "seen"),
    [
        ("jаnе@exаmple.org", "jane@example.org"),
        ("Pеtrоv Ρaul AKІA", "Petrov Paul AKIA"),
        ("АВ123456", "AB123456"),
        ("сосо@соре.com", "coco@cope.com"),
        ("соре.com", "cope.com"),
        ("ᏢᎪuꓡ պaul", "PAuL պaul"),
        ("Анна сор IT-отдел иван@почта.рф 10см", "Анна сор IT-отдел иван@почта.рф 10см"),
        ("Yıldız Łódź Søren μm", "Yıldız Łódź Søren μm"),
    ],
)
def test_letters_are_folded_in_latin_words_only(given_: str, seen: str) -> None:
    """A look-alike is Latin beside Latin letters, digits and in an address; other words stay as they are."""
    assert normalise(given_).text == seen


def test_every_look_alike_is_stable_and_foreign() -> None:
    """The table has no letter that NFKC would change first, and none that folds to anything but one ASCII letter."""
    assert all(unicodedata.normalize("NFKC", chr(odd)) == chr(odd) and odd > 127 for odd in LETTERS)
    assert all(len(plain) == 1 and plain.isascii() and plain.isalpha() for plain in LETTERS.values())


@pytest.mark.parametrize(
    "prose",
    [
        "Zoë and François met José in Łódź – naïve, wasn’t it?",
        "Меня зовут Анна, я живу в Санкт-Петербурге с 1999 года.",
        "Με λένε Ελένη και μένω στην Αθήνα.",
        "আমার নাম রহিম, ঢাকায় থাকি।",
        "اسمي محمد وأعيش في القاهرة.",
        "我叫王小明，住在北京。",
        "मेरा नाम राहुल है और मैं दिल्ली में रहता हूँ।",
    ],
)
def test_prose_keeps_its_letters(prose: str) -> None:
    """Letters and their marks are the same before and after, but for the order NFKC gives them."""

    def letters(text: str) -> str:
        return "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char)[0] in "LM")

    assert letters(normalise(prose).text) == letters(prose)


@given(
    before=any_text,
    value=st.sampled_from(["４１１１ ১১", "a\u200bb", "x%2540y", "\\u09e7", "ﬁ", "😀1", "&amp;#64;", "1\u0336", "xа"]),
    after=any_text,
)
@settings(max_examples=100, deadline=None)
def test_a_found_range_maps_to_the_whole_of_its_source(before: str, value: str, after: str) -> None:
    """Cutting the source range of the value's normal form leaves what stood around it, and no piece of the value."""
    text = f"{before} {value} {after}"
    form = normalise(text)
    start = len(normalise(f"{before} ").text)
    end = start + len(normalise(value).text)
    low, high = form.source(start, end)
    assert text[:low] == f"{before} "
    assert text[high:] == f" {after}"


@given(odd_text)
@settings(max_examples=100, deadline=None)
def test_source_ranges_are_in_order_and_cover_visible_text(text: str) -> None:
    """Every character of the result comes from somewhere, never from before its neighbour."""
    form = normalise(text)
    ranges = [form.source(at, at + 1) for at in range(len(form.text))]
    assert all(0 <= low < high <= len(text) for low, high in ranges)
    assert all(left[0] <= right[0] and left[1] <= right[1] for left, right in itertools.pairwise(ranges))


@given(st.text(st.characters(exclude_characters="\\%&="), max_size=60))
@settings(max_examples=100, deadline=None)
def test_a_normal_form_is_its_own(text: str) -> None:
    """Without escapes nothing is left to do a second time."""
    once = normalise(text).text
    if not set("\\%&=") & set(once):
        assert normalise(once).text == once


def each(made: Callable[[str], str], some: str = "") -> Callable[[str], str]:
    """A disguise of every character, or of some."""
    return lambda value: "".join(made(char) if not some or char in some else char for char in value)


ODD_LETTERS = {plain: chr(odd) for odd, plain in LETTERS.items()}
DISGUISES: dict[str, Callable[[str], str]] = {
    "full width": each(lambda char: chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char),
    "bold": each(lambda char: chr(0x1D400 + ord(char) - 97 + 26) if "a" <= char <= "z" else char),
    "Bangla digits": each(lambda char: chr(0x9E6 + int(char)), "0123456789"),
    "look-alikes": each(lambda char: ODD_LETTERS.get(char, char), "aeo"),
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "strike": each(lambda char: char + "\u0336"),
    "override": lambda value: f"\u202d{value}\u202c",
    "odd marks": lambda value: value.translate({64: "﹫", 46: "。", 45: "\u2011", 32: "\u00a0"}),
    "percent": each(lambda char: "".join(f"%{byte:02X}" for byte in char.encode())),
    "percent twice": each(lambda char: "".join(f"%25{byte:02x}" for byte in char.encode())),
    "decimal": each(lambda char: f"&#{ord(char)};"),
    "hexadecimal": each(lambda char: f"&amp;#x{ord(char):04X};"),
    "named": lambda value: value.replace("&", "&amp;").replace("@", "&commat;").replace(".", "&period;"),
    "JSON": each(lambda char: "".join(f"\\u{unit:04x}" for unit in units(char))),
    "ES6": each(lambda char: f"\\u{{{ord(char):x}}}"),
    "base64": lambda value: b64(value),
    "base64url": lambda value: b64(value).translate({43: "-", 47: "_"}).rstrip("="),
    "hex digits": lambda value: value.encode().hex(),
}
# A look-alike within an escape's own spelling undoes it for every reader, so that pair hides nothing.
ESCAPES = {"percent", "percent twice", "decimal", "hexadecimal", "named", "JSON", "ES6"}
PAIRS = [
    (first, second)
    for first, second in itertools.product(sorted(DISGUISES), repeat=2)
    if not (first in ESCAPES and second == "look-alikes")
] + [(name,) for name in sorted(DISGUISES)]
VALUES = ["jane.doe@example.org", "4111 1111 1111 1111", "+8801712345678"]
REDACTOR = Redactor("fast", Pseudonyms(b"k" * 32))


def units(char: str) -> list[int]:
    """UTF-16 code units."""
    data = char.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def found(text: str, depth: int = 2) -> list[tuple[int, int]]:
    """What would be cut out of a text, fragments whose text holds something included."""
    form = normalise(text)
    ranges = [(span.start, span.end) for span in REDACTOR.spans(text)]
    fragments = decoded(form.text) if depth else ()
    ranges += [form.source(piece.start, piece.end) for piece in fragments if found(piece.text, depth - 1)]
    return sorted(ranges)


def without(text: str) -> str:
    """The text with all that is found cut out."""
    kept, at = [], 0
    for start, end in found(text):
        kept.append(text[at : max(at, start)])
        at = max(at, end)
    return "".join([*kept, text[at:]])


def holds_nothing_more(before: str, value: str, names: tuple[str, ...]) -> bool:
    """Whether of a disguised value nothing is left but what is invisible."""
    for name in names:
        value = DISGUISES[name](value)
    return normalise(without(f"{before}see {value} there")).text.split() == normalise(f"{before}see there").text.split()


def test_no_two_disguises_keep_a_value() -> None:
    """Any disguise, and any over any other, is seen through, and nothing of the value is left in the source."""
    kept = [names for names in PAIRS for value in VALUES if not holds_nothing_more("я ", value, names)]
    assert kept == []


emails = st.from_regex(r"[a-z]{3,9}[._][a-z]{3,9}@[a-z]{4,12}\.(org|com|net)", fullmatch=True)
phones = st.from_regex(r"\+8801[3-9][0-9]{8}", fullmatch=True)
cards = st.from_regex(r"4[0-9]{14}", fullmatch=True).map(
    lambda body: next(f"{body}{last}" for last in range(10) if luhn(f"{body}{last}"))
)


@given(st.sampled_from(["", "é%& ", "b=c \\d "]), emails | phones | cards, st.sampled_from(PAIRS))
@settings(max_examples=100, deadline=None)
def test_no_disguise_keeps_any_value(before: str, value: str, names: tuple[str, ...]) -> None:
    """So it is for random addresses, phones and cards, whatever stands before them."""
    assert holds_nothing_more(before, value, names)


def test_quoted_printable_mail_is_read() -> None:
    """A body as a mail program encodes it, its long lines broken within the value."""
    body = "Dear Zoë, the price is a=b as I said, and now you can write to jane.doe@example.org or call. " * 3
    quoted = quopri.encodestring(body.encode()).decode().replace("@", "=40")
    assert normalise(quoted).text == body


def test_long_runs_take_linear_work() -> None:
    """Runs that begin like an escape and never end are gone through once: this ends."""
    noise = random.Random(3)
    for part in ("\\", "&", "%", "=4", "\\u004", "&#6", "а1", "a\u0301", "\\ud835\\", "&aaaaaaaa"):
        text = part * ((2_000_000 if part == "\\" else 500_000) // len(part)) + noise.choice("xyz")
        form = normalise(text)
        assert form.source(0, len(form.text))[1] == len(text)


def test_lone_surrogates_become_printable() -> None:
    """What no encoding can carry is replaced, the rest stays."""
    assert printable("a\ud800b😀") == "a\ufffdb😀"
