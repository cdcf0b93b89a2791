"""Messages, tools and the like that were read before: where to cut their JSON, without reading them again. PURE.

A chat sends all that was said with every call. Of a message that was read, its *cuts* are remembered: where in its JSON
a value stands and what it is. The next call takes the values from the message it brings itself; no text is kept. A cut
message comes out as one that is read anew would, and where that is not certain it is read anew.
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from gateway.redact.copies import Copies, Value
from gateway.redact.normalise import normalise
from gateway.redact.recogniser import Span
from gateway.redact.scan import Scanned
from gateway.redact.tree import Inner, Items, Leaf, Pairs, Part, Tree, leaves, rebuilt

_MARK = f"m{secrets.token_hex(8)}m"
_NUMBER = f"n{secrets.token_hex(8)}n"
"""They stand for a value in a text, and for a number, while the places of values are looked for."""
_WORD = re.compile(r"\w+")
_ESCAPED_WORD = re.compile(r"(\\?)(\w+)")
_MARKS = re.compile(rb'\\*"%b\\*"|%b' % (_NUMBER.encode(), _MARK.encode()))


class Cut(NamedTuple):
    """A value in a part's JSON: its bytes, end exclusive, and what it is.

    ``quoted``: how many times it stands within a string, JSON in strings included. ``copy``: it was found elsewhere.
    ``number``: it is one, so that what stands for it has to be quoted.
    """

    start: int
    end: int
    entity: str
    score: float
    name: str
    path: str
    quoted: int
    copy: bool
    number: bool

    def said(self, placeholder: str) -> bytes:
        """What stands in the value's place."""
        quote = _quoted('"', self.quoted - 1) if self.number else b""
        return quote + placeholder.encode() + quote

    @property
    def span(self) -> Span:
        """What it is; where does not count."""
        return Span(0, 0, self.entity, self.score, self.name)


class _Found(NamedTuple):
    """A value in a leaf."""

    leaf: Leaf
    source: str
    value: str
    span: Span
    copy: bool


def cuts(part: Part, others: Mapping[str, Span]) -> tuple[Cut, ...] | None:
    """Where to cut a part whose leaves were scanned; none if it has to be read anew each time.

    ``others``: values found elsewhere in the call that may stand in it too.
    """
    assert part.tree is not None
    texts = list(leaves(part.tree))
    if not _verbatim(part, texts):
        return None
    copies = Copies()
    for value, span in others.items():
        copies.learn_value(value, span)  # first: of a value that is known twice, the call's word counts
    for leaf in texts:
        if leaf.scanned is not None:
            copies.learn(leaf.scanned)
    found: list[_Found] = []
    made = rebuilt(part.tree, lambda leaf: _marked(leaf, copies, found))
    try:
        pieces = _MARKS.split(msgspec.json.encode(made))
    except (TypeError, ValueError):
        return None
    if len(pieces) != len(found) + 1 or any(normalise(each.source).text != each.value for each in found):
        return None
    return _placed(part, pieces, found)


def _verbatim(part: Part, texts: list[Leaf]) -> bool:
    """Whether each word, as it is read, stands in the JSON as often: then a copy of a value can be looked for there.

    A letter spelt by an escape or an entity is found only by reading.
    """
    forms = [leaf.scanned.form for leaf in texts if leaf.scanned]
    if all(form.starts is None for form in forms) and b"\\u" not in part.encoded:
        return True
    try:
        stand = Counter(_words(part.encoded.decode()))
    except UnicodeDecodeError:
        return False
    return Counter(word for form in forms for word in _WORD.findall(form.text)) <= stand


def _words(data: str) -> Iterator[str]:
    """The words in JSON; after a backslash also without their first letter, which may be the escape's."""
    for backslash, word in _ESCAPED_WORD.findall(data):
        yield word
        if backslash:
            yield word[1:]


def _marked(leaf: Leaf, copies: Copies, found: list[_Found]) -> object:
    """The leaf with a mark for each value."""
    assert leaf.scanned is not None
    marked = copies.mark(leaf.scanned) if copies else leaf.scanned
    if not marked.spans:
        return leaf.kept
    if not isinstance(leaf.kept, str):
        span = marked.spans[0]
        source = leaf.text if (span.start, span.end) == (0, len(leaf.text)) else ""  # only a whole one is cut
        found.append(_Found(leaf, source, source, span, not _own(span, leaf.scanned)))
        return _NUMBER
    pieces, at = [], 0
    for span, value in marked.values():
        start, end = marked.form.source(span.start, span.end)
        pieces += [leaf.text[at:start], _MARK]
        at = end
        found.append(_Found(leaf, leaf.text[start:end], value, span, not _own(span, leaf.scanned)))
    return "".join([*pieces, leaf.text[at:]])


def _own(span: Span, scanned: Scanned) -> bool:
    return span in scanned.spans


def _placed(part: Part, pieces: list[bytes], found: list[_Found]) -> tuple[Cut, ...] | None:
    """The values' places, if the pieces and the values make up the part's JSON to the byte."""
    assert part.tree is not None
    depths = {id(leaf): depth for leaf, depth in _depths(part.tree, 1)}
    placed: list[Cut] = []
    at = 0
    for piece, each in zip(pieces, found, strict=False):
        start = at + len(piece)
        depth = depths[id(each.leaf)]
        end = start + len(value := _quoted(each.source, depth))
        if part.encoded[at:end] != piece + value or start == end:
            return None
        span = each.span
        number = not isinstance(each.leaf.kept, str)
        placed.append(Cut(start, end, span.entity, span.score, span.name, each.leaf.path, depth, each.copy, number))
        at = end
    return tuple(placed) if part.encoded[at:] == pieces[-1] else None


def _depths(tree: Tree, depth: int) -> Iterator[tuple[Leaf, int]]:
    match tree:
        case Leaf():
            yield tree, depth
        case Inner(inner, _):
            yield from _depths(inner, depth + 1)
        case Items(items):
            for item in items:
                yield from _depths(item, depth)
        case Pairs(pairs):
            for key, item in pairs:
                yield from _depths(key, depth)
                yield from _depths(item, depth)
        case _:
            return


def _quoted(text: str, times: int) -> bytes:
    data = text
    for _ in range(times):
        data = msgspec.json.encode(data)[1:-1].decode()
    return data.encode()


def values(part: Part) -> list[str]:
    """The normalised value of each cut, from the part's own JSON."""
    made = []
    for cut in part.cuts or ():
        data = part.encoded[cut.start : cut.end]
        for _ in range(cut.quoted if b"\\" in data else 0):
            data = msgspec.json.decode(b'"' + data + b'"', type=str).encode()
        made.append(normalise(data.decode()).text)
    return made


def uncovered(known: Sequence[Part], copies: Copies) -> list[dict[str, Span]]:
    """Of parts seen before: which of the call's values may stand in each beside its cuts."""
    beside: list[dict[str, Span]] = [{} for _ in known]
    rest = [_rest(part) for part in known]
    ends = list(accumulate(len(each) for each in rest))
    for start, value in copies.hits(b"".join(rest)):
        number = bisect_right(ends, start)
        if value.near(known[number].encoded):
            beside[number].setdefault(value.text, value.span)
    reaching: dict[tuple[str, str, float, bool], list[Value]] = {}
    for part, others in zip(known, beside, strict=True):
        for cut, text in zip(part.cuts or (), part.values, strict=True):
            told = (text, cut.entity, cut.score, cut.copy)
            if told not in reaching:
                reaching[told] = [value for value in copies.beyond(text) if _reaches(value, cut, text)]
            for value in reaching[told]:
                if value.near(part.encoded):
                    others.setdefault(value.text, value.span)
    return beside


def _reaches(value: Value, cut: Cut, text: str) -> bool:
    """Whether a value may reach beyond a cut's, or be told better."""
    told, score = value.span.entity, value.span.score / 2
    if cut.copy and value.text == text and (score, told, value.span.name) != (cut.score, cut.entity, cut.name):
        return True
    return value.text not in text or score > cut.score or (score == cut.score and told != cut.entity)


def _rest(part: Part) -> bytes:
    """A part's JSON without its values, which the zero byte, never in JSON, stands for."""
    if not part.cuts:
        return part.encoded + b"\0"
    made, at = [], 0
    for cut in part.cuts:
        made.append(part.encoded[at : cut.start])
        at = cut.end
    return b"\0".join([*made, part.encoded[at:], b""])
