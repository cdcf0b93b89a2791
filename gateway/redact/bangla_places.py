"""Addresses and places of Bangladesh, in Bangla and in Latin script. PURE.

A town that is only spoken of stays: it is taken where somebody lives or comes from there, and in an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gateway.redact.bangla_towns import DISTRICTS, PLACES
from gateway.redact.bangla_words import plain
from gateway.redact.prefilter import Finder, Prefilter, encoded
from gateway.redact.recogniser import Span

_BN = r"[\u0980-\u09ff]"
_LETTER = plain(r"(?:[A-Z]|[\u0985-\u09b9]|এ|বি|সি|ডি|ই|এফ|জি|এইচ|আই|জে|কে|এল|এম|এন)(?![A-Za-z\u0980-\u09ff])")
_NUMBER = rf"(?:\d{{1,4}}(?:[/-]?(?:{_LETTER}|\d{{1,3}}))?(?:/\d{{1,3}})?(?!\w)|(?<=[ :#-]){_LETTER}(?:-?\d{{1,3}})?)"
_NO = plain(r"(?: ?(?:নং|নম্বর|নাম্বার|নঃ|no\.?|No\.?|NO\.?|number|#))?\s?[:#ঃ-]?\s?#?")
_HOUSE = plain(
    r"(?:বাসা|বাড়ি|বাড়ী|হাউজ|হাউস|হোল্ডিং|ফ্ল্যাট|ফ্লাট|অ্যাপার্টমেন্ট|এপার্টমেন্ট"
    r"|House|HOUSE|house|Flat|FLAT|flat|Holding|holding|Apartment|Basa|basa|Bari)"
)
_STREET_BN = plain(r"(?:রোড|সড়ক|লেন|গলি|ব্লক|সেক্টর|প্লট|ওয়ার্ড|এভিনিউ|লেভেল)")
_STREET = (
    r"(?:Road|ROAD|road|Rd\.?|Lane|lane|Block|BLOCK|block|Sector|SECTOR|sector|Plot|plot|Ward|ward|Avenue|Section)"
)
_COUNTED = plain(r"\d{1,3}(?:/[\u0985-\u09b9A-Z\d]{1,3})? ?(?:নং|নম্বর) ?(?:বাসা|বাড়ি|রোড|সড়ক|গলি|লেন|সেক্টর|ওয়ার্ড|ফ্ল্যাট|ব্লক)")
_PIECE = re.compile(
    rf"(?<![\w\u0980-\u09ff])(?:(?P<house>{_HOUSE}){_NO}{_NUMBER}"
    rf"|(?:(?P<street>{_STREET_BN})|{_STREET}){_NO}{_NUMBER}|(?P<counted>{_COUNTED}))"
)
_PART = rf"(?:{_BN}|[A-Z])(?:{_BN}|[A-Za-z'-]){{1,24}}"
_FIELD = re.compile(
    r"(?<![\w\u0980-\u09ff])(?:"
    + plain(
        r"(?P<sure>গ্রাম|ডাকঘর|পোস্ট|পোঃ?|ডাকঃ?|থানা|উপজেলা|জেলা|পোস্ট অফিস|মহল্লা|ইউনিয়ন|Upazila|Upazilla|Thana|Zila)"
        r"|Vill(?:age)?|Post Office|Dist(?:rict)?|Mahalla|Union|Para|P\. ?[OS]\.?|PO|PS)"
    )
    + rf" ?(?:ঃ|\.?[:=-]) ?(?P<value>{_PART}(?: {_PART}){{0,2}}(?:-\d{{1,4}})?)"
)
_ADDRESS = re.compile(
    plain(
        r"(?:ঠিকানা|(?i:(?<!\w)(?:present |permanent |delivery |shipping |bortoman |sthayi )?(?:address|thikana)))"
        r"\s?(?:[:=ঃ-]|হলো|হচ্ছে|holo|is)\s{0,3}"
    )
)
_POST_CODE = re.compile(r"(?:(?<=[\u0980-\u09ff])|(?<=[A-Za-z])) ?-? ?(?P<value>[1-9]\d{3})(?!\w)")
_CODE_CUE = re.compile(plain(r"(?:পোস্ট|পোস্টাল|ডাক|জিপ) ?কোড(?: নম্বর| নং)?\s?[:=ঃ-]?\s?(?P<value>[1-9]\d{3})(?!\d)"))
_WORD = re.compile(r"[\u0980-\u09ff]+|[A-Za-z]+")
_WORD_OF_A_PLACE = re.compile(r"[\u0980-\u09ff]{2,}|(?<![A-Za-z])[A-Z][A-Za-z]{3,15}(?![A-Za-z])")
_ENDINGS = tuple(plain("তেই এর তে ের েই য়ে য় র ে").split())
_LIVES = plain(
    r"(?:থাকি|থাকে|থাকেন|থাকতাম|থাকছি|থাকব|বসবাস|বাস কর|ভাড়া|থেকে বলছি|থেকে এসে|থেকে লিখছি|জন্ম|বড় হয়েছি|এলাকায় থাক"
    r"|thaki|thake|thaken|theke bolchi|theke bolsi|basha|bashay)"
)
_LIVING = re.compile(rf"[ ,-]{{0,2}}(?:(?:{_BN}{{1,8}}|e|te|a|er) ){{0,2}}{_LIVES}")
_HOME = re.compile(
    plain(
        r"(?:বাড়ি|বাড়ী|বাসা|জন্মস্থান|জন্ম|ঠিকানা|এলাকা|বলছি|লিখছি|এসেছি"
        r"|(?i:basa|bari|basha|(?:live|lives|living|stay|staying|born) (?:in|at)|i am from|i'm from))"
        r"(?: (?:হলো|হচ্ছে|holo|hocche))?[ :-]{1,2}$"
    )
)
_SEGMENT = re.compile(r"[^,।;|\n()<>\"?!]{2,40}")
_GAP = re.compile(r"[ ]?[,;|-]?[ \n]{0,3}")
_DIGITS = re.compile(r"(?<!\w)\d")
_COMMA = re.compile(r", ?| ?- ?")
_YEARS = range(1960, 2050)


_TAIL = re.compile(
    plain(r"(?: ?- ?| )\d{1,4}(?!\w)|,? (?:R/A|C/A|DOHS|Model Town|Cantonment|আ/এ|আবাসিক(?: এলাকা)?|মডেল টাউন)")
)
_REACHED = r"(?:ফোন|মোবাইল|ইমেইল|(?i:phone|mobile|e-?mail|tel|cell)(?![A-Za-z]))"
_REST = re.compile(plain(rf"(?:(?!,? ?{_REACHED})[^।;|\n<>\"?!]){{3,120}}"))
_PATTERNS = (_PIECE, _FIELD, _ADDRESS, _CODE_CUE)


def place(word: str) -> int:
    """Characters of a word that are a place, its case ending left off; 0 when it is none."""
    if word.isascii():
        return len(word) if word.lower() in PLACES else 0
    if word in PLACES:
        return len(word)
    return next((len(word) - len(end) for end in _ENDINGS if word.endswith(end) and word[: -len(end)] in PLACES), 0)


_Piece = tuple[int, int, bool | None]
"""Start, end, and whether it is an address alone: ``None`` when another piece makes it one, ``False`` if a place."""


DOUBTS = 2
"""Parts of an address in a row that may be unknown."""


class BanglaPlaces:
    """Addresses from their pieces, and towns where somebody lives."""

    def __init__(self) -> None:
        self._prefilter = Prefilter(_PATTERNS)
        self._finders = [Finder(pattern) for pattern in _PATTERNS]

    @property
    def name(self) -> str:
        """``bangla places``."""
        return "bangla places"

    def find(self, text: str) -> Iterator[Span]:
        """Addresses, then places that stand alone."""
        data, end = encoded(text), 0
        found = {number: [*self._finders[number].matches(text, data)] for number in self._prefilter.may(data)}
        pieces = [_piece(match) for match in found.get(0, ())] + [_field(match) for match in found.get(1, ())]
        for start, stop, sure in sorted([*pieces, *_announced(text, found.get(2, ()))], key=lambda each: each[0]):
            if start < end:
                continue
            last, enough = _extended(text, stop)
            if sure is True or enough or (sure is None and last > stop):
                yield Span(start, last, "STREET_ADDRESS", 0.82, self.name)
                end = last
        for match in found.get(3, ()):
            yield Span(*match.span("value"), "STREET_ADDRESS", 0.8, self.name)
        yield from self._places(text)

    def _places(self, text: str) -> Iterator[Span]:
        for word in _WORD_OF_A_PLACE.finditer(text):
            if not (length := place(word.group())):
                continue
            start, end = word.start(), word.start() + length
            behind = _POST_CODE.match(text, end)
            if behind and (int(behind["value"]) not in _YEARS) and word.group()[:length].lower() in PLACES:
                yield Span(start, behind.end(), "STREET_ADDRESS", 0.8, self.name)
            elif _LIVING.match(text, word.end(), word.end() + 48) or _HOME.search(text, max(0, start - 24), start):
                yield Span(start, end, "LOCATION", 0.75, self.name)
            elif word.group().lower() not in DISTRICTS and (last := _district(text, word.end())):
                yield Span(start, last, "LOCATION", 0.75, self.name)


def _piece(match: re.Match[str]) -> _Piece:
    """The number of a house, a street, a block."""
    sure = True if match["house"] or match["counted"] else None if match["street"] else False
    return match.start(), match.end(), sure


def _field(match: re.Match[str]) -> _Piece:
    """``গ্রাম: রসুলপুর``."""
    return match.start("value"), match.end("value"), match["sure"] is not None


def _announced(text: str, cues: Iterable[re.Match[str]]) -> Iterator[_Piece]:
    """What follows ``ঠিকানা:`` up to the line's end, when a place or a number is in it."""
    for match in cues:
        rest = _REST.match(text, match.end())
        if rest and _is_place(rest.group()):
            yield rest.start(), rest.start() + len(rest.group().rstrip(" .,")), True


def _extended(text: str, end: int) -> tuple[int, bool]:
    """Where an address ends that has come so far, and whether a house or a known place was met on the way.

    It goes on as long as its pieces do; up to ``DOUBTS`` unknown parts may stand between two that are not.
    """
    firm, at, doubts = False, end, 0
    while gap := _GAP.match(text, at):
        piece = _PIECE.match(text, gap.end()) or _FIELD.match(text, gap.end())
        segment = None if piece else _SEGMENT.match(text, gap.end())
        if piece:
            at = end = piece.end()
            firm |= piece.re is _FIELD or piece["house"] is not None
        elif segment and (known := _known_part(segment.group())):
            at = end = segment.start() + known
            firm = True
        elif segment and doubts < DOUBTS and "," in gap.group() and len(segment.group().split()) <= 3:
            at, doubts = segment.start() + len(segment.group().rstrip()), doubts + 1
            continue
        else:
            break
        doubts = 0
    return end, firm


def _known_part(segment: str) -> int:
    """Characters of a segment up to and with the known place among its first words; 0 when there is none."""
    for number, word in enumerate(_WORD.finditer(segment)):
        if number > 2:
            break
        if length := place(word.group()):
            end = word.start() + length
            while tail := _TAIL.match(segment, end):
                end = tail.end()
            return end
    return 0


def _is_place(segment: str) -> bool:
    """Whether a known place, the number of a house or, in Bangla, any number is in it."""
    if any(place(word.group()) for word in _WORD.finditer(segment)) or _PIECE.search(segment):
        return True
    return not segment.isascii() and _DIGITS.search(segment) is not None


def _district(text: str, at: int) -> int:
    """The end of the district that follows a quarter's name, or 0."""
    gap = _COMMA.match(text, at)
    word = _WORD.match(text, gap.end()) if gap else None
    length = place(word.group()) if word else 0
    if not word or not length or word.group()[:length].lower() not in DISTRICTS:
        return 0
    return word.start() + length
