"""Check digits of identity numbers. PURE.

Each function takes a number in its bare form, capital letters and digits without separators, of the length that its
pattern lets through, and answers whether its check digits and any date inside it are right.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from datetime import date

from gateway.redact.numbers import luhn as luhn  # one home for it: cards have it too

Check = Callable[[str], bool]

_ALNUM = string.digits + string.ascii_uppercase

# Source: J. Verhoeff, "Error Detecting Decimal Codes", 1969: the dihedral group D5 and the permutation's powers
_D5 = [[(i + j) % 5 if j < 5 else 5 + (i + j) % 5 for j in range(10)] for i in range(5)] + [
    [5 + (i - j) % 5 if j < 5 else (i - j) % 5 for j in range(10)] for i in range(5)
]
_PERMUTED = [list(range(10))]
for _ in range(7):
    _PERMUTED.append([(1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit] for digit in _PERMUTED[-1]])


def digits(value: str) -> list[int]:
    """Each character's value: 0 to 9, then A is 10 and Z is 35."""
    return [_ALNUM.index(char) for char in value]


def dot(value: str, weights: Sequence[int]) -> int:
    """The weighted sum of the first characters, as many as there are weights."""
    return sum(digit * weight for digit, weight in zip(digits(value), weights, strict=False))


def all_of(*checks: Check) -> Check:
    """All of the checks."""
    return lambda value: all(check(value) for check in checks)


def part(start: int | None, end: int | None, check: Check) -> Check:
    """A check of a slice."""
    return lambda value: check(value[start:end])


def verhoeff(value: str) -> bool:
    """Verhoeff's checksum."""
    state = 0
    for place, digit in enumerate(reversed(digits(value))):
        state = _D5[state][_PERMUTED[place % 8][digit]]
    return state == 0


def mod_11_10(value: str) -> bool:
    """ISO 7064 MOD 11,10."""
    state = 10
    for digit in digits(value[:-1]):
        state = ((state + digit) % 10 or 10) * 2 % 11
    return (state + int(value[-1])) % 10 == 1


def mod_11_2(value: str) -> bool:
    """ISO 7064 MOD 11-2, whose check character may be ``X``."""
    state = 0
    for digit in digits(value[:-1]):
        state = (state + digit) * 2 % 11
    return (state + (10 if value[-1] == "X" else int(value[-1]))) % 11 == 1


def total(modulus: int, weights: Sequence[int], rest: int = 0) -> Check:
    """A weighted sum over all characters that leaves ``rest``."""
    return lambda value: dot(value, weights) % modulus == rest


def down(modulus: int, weights: Sequence[int], odd: str = "0123456789", of: slice = slice(0, None)) -> Check:
    """The last character of ``of`` is ``odd[-sum % modulus]``: ``0123456789K`` reads a ten as a ``K``; beyond: wrong.

    ``odd`` may be shorter than the modulus: those numbers are never issued.
    """

    def check(value: str) -> bool:
        piece = value[of]
        rest = -dot(piece[:-1], weights) % modulus
        return rest < len(odd) and piece[-1] == odd[rest]

    return check


def up(modulus: int, weights: Sequence[int], odd: str = "0123456789", of: slice = slice(0, None)) -> Check:
    """The last character of ``of`` is ``odd[sum % modulus]``; beyond: wrong."""
    return down(modulus, [-weight for weight in weights], odd, of)


def letter(modulus: int, alphabet: str) -> Check:
    """The last character is the rest of the number before it, read in ``alphabet``."""
    return lambda value: value[-1] == alphabet[int(value[:-1]) % modulus]


def born(order: str = "ymd", start: int = 0, *, months: Sequence[int] = (0,), days: Sequence[int] = (0,)) -> Check:
    """Two digits each of a date from ``start``, in ``order``; ``Y`` is a year of four.

    ``months`` and ``days``: what an issuer may add to them, for a century or a sex.
    """

    def check(value: str) -> bool:
        found, at = {"y": 0, "m": 0, "d": 0}, start
        for field in order:
            width = 4 if field == "Y" else 2
            found[field.lower()], at = int(value[at : at + width]), at + width
        if "Y" in order and not 1850 <= found["y"] <= 2050:
            return False
        # 2000 and its like are leap years: of two digits no more can be told
        year = found["y"] if "Y" in order else 2000 + found["y"]
        return any(_date(year, found["m"] - month, found["d"] - day) for month in months for day in days)

    return check


def _date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def one_of(start: int, end: int, codes: frozenset[str]) -> Check:
    """A slice is a known code."""
    return lambda value: value[start:end] in codes


def codes(text: str) -> frozenset[str]:
    """Two-digit codes out of ``01-16 21``."""
    found: set[str] = set()
    for piece in text.split():
        low, _, high = piece.partition("-")
        found |= {f"{code:0{len(low)}}" for code in range(int(low), int(high or low) + 1)}
    return frozenset(found)


def mod_97(value: str) -> bool:
    """France's NIR: 97 less the number, with Corsica's 2A and 2B as 19 and 18."""
    number = value[:-2].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(value[-2:])


def belgian(value: str) -> bool:
    """97 less the first nine digits, of those born from 2000 on with a 2 before them."""
    return int(value[9:]) in (97 - int(value[:9]) % 97, 97 - int("2" + value[:9]) % 97)


def baltic(value: str) -> bool:
    """Estonia and Lithuania: modulo 11 in two tries, then 0."""
    first, second = dot(value, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11, dot(value, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11
    return int(value[-1]) == (first if first < 10 else second % 10)


def czech(value: str) -> bool:
    """Divisible by 11; until 1985 a rest of ten was written as 0."""
    return int(value) % 11 == 0 or (int(value[:9]) % 11 == 10 and value[9] == "0")


# Source: Decreto ministeriale 23 dicembre 1976, the values of the characters in odd places
_ITALIAN_ODD = dict(zip(_ALNUM[:10], (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True)) | dict(
    zip(
        _ALNUM[10:],
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)


def italian(value: str) -> bool:
    """The codice fiscale's last letter."""
    even = sum(int(char) if char.isdigit() else ord(char) - ord("A") for char in value[1:15:2])
    return value[-1] == chr(ord("A") + (even + sum(_ITALIAN_ODD[char] for char in value[0:15:2])) % 26)


def spanish(value: str) -> bool:
    """DNI and NIE: the rest modulo 23 as a letter, X, Y and Z in front read as 0, 1 and 2."""
    number = value.translate(str.maketrans("XYZ", "012")) if value[0] in "XYZ" else value
    return number[:-1].isdigit() and value[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(number[:-1]) % 23]


def irish(value: str) -> bool:
    """PPSN: modulo 23 as a letter; a second letter behind it counts nine times, W as nothing."""
    second = "WABCDEFGHI".find(value[8]) if len(value) == 9 else 0
    return second >= 0 and value[7] == "WABCDEFGHIJKLMNOPQRSTUV"[(dot(value, range(8, 1, -1)) + 9 * second) % 23]


def german_pension(value: str) -> bool:
    """Versicherungsnummer: digit sums of weighted digits, its letter as two of them."""
    row = f"{value[:8]}{ord(value[8]) - ord('A') + 1:02}{value[9:11]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    return sum(sum(divmod(digit * weight, 10)) for digit, weight in zip(digits(row), weights, strict=True)) % 10 == int(
        value[11]
    )


def german_tax(value: str) -> bool:
    """Steuer-ID: of the first ten digits exactly one comes twice or three times; MOD 11,10 over all."""
    counts = sorted(value[:10].count(digit) for digit in set(value[:10]))
    return counts[-1] in (2, 3) and counts[-2] == 1 and mod_11_10(value)


def snils(value: str) -> bool:
    """Russia's SNILS: modulo 101, a hundred as 00."""
    return dot(value, range(9, 0, -1)) % 101 % 100 == int(value[9:])


def turkish(value: str) -> bool:
    """Two digits: of odd and even places, of the sum."""
    row = digits(value)
    return (7 * sum(row[0:9:2]) - sum(row[1:8:2])) % 10 == row[9] and sum(row[:10]) % 10 == row[10]


def two(weights: Sequence[int], more: Sequence[int], odd: str = "01234567890") -> Check:
    """Two check digits modulo 11, the second over the first as well."""
    return all_of(down(11, weights, odd, slice(0, -1)), down(11, more, odd))


def not_all_equal(value: str) -> bool:
    """More than one digit over and over."""
    return len(set(value)) > 1


def mod_36(value: str) -> bool:
    """India's GSTIN: every second character doubled, quotient and rest by 36 added up."""
    row = digits(value)
    found = sum(sum(divmod(digit * (1 + place % 2), 36)) for place, digit in enumerate(row[:-1]))
    return -found % 36 == row[-1]


def sri_lankan(value: str) -> bool:
    """A year of two or four digits, then the day in it, of women with 500 more."""
    day = int(value[4:7] if len(value) == 12 else value[2:5])
    return 1 <= day <= 366 or 501 <= day <= 866


_SINGAPOREAN = {
    "S": ("JZIHGFEDCBA", 0),
    "T": ("JZIHGFEDCBA", 4),
    "F": ("XWUTRQPNMLK", 0),
    "G": ("XWUTRQPNMLK", 4),
    "M": ("XWUTRQPNJLK", 3),
}


def singaporean(value: str) -> bool:
    """NRIC and FIN: modulo 11, an alphabet for each series."""
    series, shift = _SINGAPOREAN[value[0]]
    return value[-1] == series[(dot(value[1:], (2, 7, 6, 5, 4, 3, 2)) + shift) % 11]


def hong_kong(value: str) -> bool:
    """HKID: modulo 11 with letters from 10 on; a missing first letter counts 36."""
    row = [36, *digits(value)] if len(value) == 8 else digits(value)
    return sum(digit * weight for digit, weight in zip(row, range(9, 0, -1), strict=True)) % 11 == 0


_TAIWANESE = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
"""The letters of the counties in the order of their numbers, from 10 on."""


def taiwanese(value: str) -> bool:
    """The letter as two digits, then modulo 10."""
    row = f"{10 + _TAIWANESE.index(value[0])}{value[1:]}"
    return dot(row, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def curp(value: str) -> bool:
    """Mexico's CURP: modulo 10 over an alphabet with Ñ."""
    alphabet = string.digits + "ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    found = sum(alphabet.index(char) * weight for char, weight in zip(value, range(18, 1, -1), strict=False))
    return str(-found % 10) == value[-1]


def rfc(value: str) -> bool:
    """Mexico's RFC of a person: modulo 11 over an alphabet with & and Ñ."""
    alphabet = string.digits + "ABCDEFGHIJKLMN&OPQRSTUVWXYZ Ñ"
    found = sum(alphabet.index(char) * weight for char, weight in zip(value, range(13, 1, -1), strict=False))
    return "0123456789A"[-found % 11] == value[-1]


def chilean(value: str) -> bool:
    """RUT: modulo 11, ten as K; seven or eight digits before it."""
    return down(11, (3, 2, 7, 6, 5, 4, 3, 2), "0123456789K")(value.zfill(9))


def inland_revenue(value: str) -> bool:
    """New Zealand's IRD number: modulo 11, with other weights when that gives ten."""
    row = value.zfill(9)
    first = -dot(row, (3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(row[-1]) == (first if first < 10 else -dot(row, (7, 4, 3, 2, 5, 2, 7, 6)) % 11)
