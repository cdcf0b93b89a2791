"""Numbers that stand for someone: cards, accounts, phones, identity numbers. PURE.

One pass finds runs of digits with what may separate them; plain code then says what a run is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from gateway.redact.recogniser import Span

LONG_RUN = 9
"""Digits in a row that are taken for somebody's number even when nothing tells whose."""
NID_LENGTHS = frozenset({10, 13, 17})
"""Digits of a Bangladeshi national identity number: smart card, old, and old with the year of birth before it."""

# Source: ISO 13616 registry, length by country
_IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FO", "FI", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI", "FK"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN"), 20),
    **dict.fromkeys(("HR", "LV", "LI", "CH"), 21),
    **dict.fromkeys(("BH", "BG", "CR", "GE", "DE", "IE", "ME", "RS", "GB", "VA"), 22),
    **dict.fromkeys(("GI", "IQ", "IL", "TL", "AE", "OM", "SO"), 23),
    **dict.fromkeys(("AD", "CZ", "MD", "PK", "RO", "SA", "SK", "ES", "SE", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "SM", "MR", "BI", "DJ"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "SV", "SS"), 28),
    **dict.fromkeys(("BR", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    "LC": 32,
    "RU": 33,
}
_IBAN_HEAD = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})[ -]?\d{2}(?=[ -]?[A-Za-z0-9])")
_IBAN_CUE = re.compile(r"(?i)iban\W{0,4}(?:(?:is|number|no)\W{1,3})?$")


def luhn(digits: str) -> bool:
    """Luhn's checksum, ISO/IEC 7812-1 annex B."""
    total = sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0


def mod97(iban: str) -> bool:
    """The check digits of an IBAN without blanks, ISO 7064 MOD 97-10."""
    moved = iban[4:] + iban[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


class IbanRecogniser:
    """IBANs in one piece or in groups, whatever the case."""

    @property
    def name(self) -> str:
        """``iban``."""
        return "iban"

    def find(self, text: str) -> Iterator[Span]:
        """IBANs whose check digits are right, and those named so whose length is right."""
        for head in _IBAN_HEAD.finditer(text):
            length = _IBAN_LENGTHS.get(head.group(1).upper())
            end = _taken(text, head.start(), length) if length else None
            if end is None:
                continue
            value = re.sub(r"[ -]", "", text[head.start() : end])
            if mod97(value):
                yield Span(head.start(), end, "IBAN_CODE", 1.0, self.name)
            elif _IBAN_CUE.search(text[max(0, head.start() - 24) : head.start()]):
                yield Span(head.start(), end, "IBAN_CODE", 0.8, self.name)


def _taken(text: str, start: int, length: int) -> int | None:
    """Where ``length`` letters and digits from ``start`` end, single blanks or hyphens between them not counted."""
    count, at = 0, start
    while at < len(text) and count < length:
        char = text[at]
        if char.isascii() and char.isalnum():
            count += 1
        elif char not in " -" or text[at - 1] in " -":
            return None
        at += 1
    whole = count == length and (at == len(text) or not (text[at].isascii() and text[at].isalnum()))
    return at if whole else None


_RUN = re.compile(r"(?:\+ ?\(?|\()?\d(?:(?:\) ?-?|[.\-/]| -? ?\(?|\()?\d)*+")
_EXTENSION = re.compile(r"\s?(?:x|ext\.?|extension|#)\s?\d{1,6}(?!\w)")
_GROUPS = re.compile(r"\d+")
_YEAR = r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"\(?(?:{_YEAR}[-/. ]\d{{1,2}}[-/. ]\d{{1,2}}|\d{{1,2}}[-/. ]\d{{1,2}}[-/. ](?:{_YEAR}|\d\d)(?![-./]?\d)"
    rf"|{_YEAR}(?:\s?[-/.]\s?|[ /.-]){_YEAR}|{_YEAR}[-/]\d\d)\)?(?:[ T.,-]+\d{{1,2}}|[ .]+)?"
)
_PHONE_CUE = re.compile(
    r"(?i)(?:phone|tel|telephone|mobile|cell|call|fax|whatsapp|viber|bkash|nagad|sms|text|dial|reach|contact|ring|number"
    r"|ফোন|মোবাইল|নম্বর|নাম্বার|যোগাযোগ|বিকাশ)\W{0,4}(?:(?:me|us|him|her|them|number|no|is|at|on|to|my|us at)\W{1,3}){0,3}$"
)
_NID_CUE = re.compile(r"(?i)(?:\bnid|national id(?:entity)?|voter id|এনআইডি|পরিচয়পত্র|পরিচয়পত্র|জাতীয়|জাতীয়)\D{0,30}$")
_SSN_CUE = re.compile(r"(?i)(?:\bssn|social security|\bsin)\D{0,20}$")
_MONEY = re.compile(r"[$€£¥₹৳]\s?$|(?i:\b(?:usd|eur|gbp|bdt|tk|rs)\.?\s?)$")
_BD_MOBILE = re.compile(r"(?:(?:00)?880?|0)1[3-9]\d{8}")


class DigitRecogniser:
    """Cards, phones, identity numbers and long numbers."""

    @property
    def name(self) -> str:
        """``numbers``."""
        return "numbers"

    def find(self, text: str) -> Iterator[Span]:
        """What every run of five digits and more is, if it is anything."""
        for run in _RUN.finditer(text):
            start, end = run.span()
            if end - start < 5:
                continue
            yield from self._classify(text, start, end)

    def _classify(self, text: str, start: int, end: int) -> Iterator[Span]:
        date = _DATE.match(text, start, end)
        if date and date.end() < end and not text[date.end() : date.end() + 1].isdigit():
            start = date.end()
        groups = [match.span() for match in _GROUPS.finditer(text, start, end)]
        digits = "".join(text[low:high] for low, high in groups)
        if len(digits) < 5:
            return
        cards = list(_cards(text, groups)) if len(digits) >= 12 else []
        for low, high in cards:
            yield Span(low, high, "CREDIT_CARD", 1.0, self.name)
        for low, high in groups:
            yield from self._lone(text, low, high, len(groups) == 1)
        if not cards and (found := self._grouped(text, start, end, groups, digits)):
            yield found

    def _lone(self, text: str, low: int, high: int, alone: bool) -> Iterator[Span]:
        """An unbroken run of digits."""
        length = high - low
        if length < LONG_RUN or _inside_a_token(text, low, high):
            return
        if _BD_MOBILE.fullmatch(text, low, high):
            yield Span(low, high, "PHONE_NUMBER", 0.9, self.name)
        elif length in NID_LENGTHS:
            yield Span(low, high, "BD_NID", 0.6, self.name)
        elif length == 9 and alone and _SSN_CUE.search(text[max(0, low - 40) : low]):
            yield Span(low, high, "US_SSN", 0.85, self.name)
        else:
            yield Span(low, high, "NUMBER", 0.5, self.name)

    def _grouped(self, text: str, start: int, end: int, groups: list[tuple[int, int]], digits: str) -> Span | None:
        """A number in groups, or a short one that the words before it explain."""
        before = text[max(0, start - 48) : start]
        shape = [high - low for low, high in groups]
        if shape == [3, 2, 4] and _one_separator(text, groups, " -") and not _hyphenated(text, start, end):
            return Span(groups[0][0], end, "US_SSN", 0.92, self.name)
        if len(digits) in NID_LENGTHS and _NID_CUE.search(before):
            return Span(start, end, "BD_NID", 0.85, self.name)
        if _inside_a_token(text, start, end) or _MONEY.search(before[-8:]):
            return None
        if _is_phone(text[start:end], shape, digits, cued=_PHONE_CUE.search(before) is not None):
            extension = _EXTENSION.match(text, end)
            return Span(start, extension.end() if extension else end, "PHONE_NUMBER", 0.7, self.name)
        return None


def _cards(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Runs of whole groups with 12 to 19 digits that pass Luhn's check and begin as an issuer's number does."""
    first = 0
    while first < len(groups):
        digits, found = "", None
        for last in range(first, len(groups)):
            digits += text[groups[last][0] : groups[last][1]]
            if len(digits) > 19:
                break
            if len(digits) >= 12 and digits[0] in "123456" and luhn(digits) and set(digits) != {"0"}:
                found = last
        if found is not None:
            yield groups[first][0], groups[found][1]
        first = first + 1 if found is None else found + 1


def _one_separator(text: str, groups: list[tuple[int, int]], allowed: str) -> bool:
    gaps = {text[left[1] : right[0]] for left, right in pairwise(groups)}
    return len(gaps) == 1 and next(iter(gaps)) in tuple(allowed)


def _hyphenated(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start] in ("-", "_", ".") or text[end : end + 2].strip("-_") != text[end : end + 2]


def _inside_a_token(text: str, start: int, end: int) -> bool:
    """Whether the digits are part of a word, an identifier, a decimal or an amount such as ``1,234``."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    if before == "_" or (before.isascii() and before.isalpha()):
        return True
    if after == "_" or (after.isascii() and after.isalpha() and after != "x"):
        return True
    if before in (".", ",") and start > 1 and text[start - 2].isdigit():
        return True
    return before == "-" and start > 1 and text[start - 2].isalnum()


def _is_phone(value: str, shape: list[int], digits: str, *, cued: bool) -> bool:
    """Whether digits in groups are dialled: 7 to 15 of them, not a date, not a list of numbers."""
    if not 5 <= len(digits) <= 15 or _DATE.match(value):
        return False
    if value[0] == "+":
        return len(digits) >= 7
    if len(shape) == 1:
        return cued and len(digits) >= 5
    if len(digits) < 7 or max(shape) > 10:
        return False
    if (
        "." in value
        and ("." + "".join(char for char in value if not char.isdigit()).strip(".")) == "."
        and len(shape) < 3
    ):
        return cued  # 123.4567 is a decimal
    if cued or value[0] in "(0":
        return True
    return 2 <= len(shape) <= 6 and all(size >= 2 for size in shape[1:]) and not _a_list(value, shape)


def _a_list(value: str, shape: list[int]) -> bool:
    """Round numbers or years side by side rather than one number."""
    numbers = [int(group) for group in _GROUPS.findall(value)]
    return all(number % 10 == 0 for number in numbers) or (set(shape) == {4} and len(shape) != 2)
