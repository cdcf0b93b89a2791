"""Invented values in the place of real ones, for conversations that shall read as they did. PURE.

Each is of a kind that belongs to nobody: numbers, hosts and addresses set aside for examples (RFC 2606, RFC 5737, the
555-01 numbers of the North American plan), and names put together from common ones.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.redact.vocabulary import words

_FIRST = sorted(
    words(
        "Ada Alan Amal Amira Anika Arif Beatriz Boris Carmen Cyrus Daria Dilip Edith Emeka Farah Felix Fiona Gita"
        " Hanna Hugo Ibrahim Ingrid Ivan Jamila Joan Kamal Keiko Laila Lars Leila Lucia Magnus Mina Nabil Nora Olga"
        " Oscar Paula Pedro Rafiq Rania Rosa Samir Selma Tariq Tessa Uma Viktor Wendy Yara Yusuf Zara"
    )
)
_LAST = sorted(
    words(
        "Abbott Aguilar Andersen Banerjee Barua Becker Bishop Calder Chowdhury Costa Dalton Das Duarte Egan Farouk"
        " Ferrari Fleming Garner Ghosh Haas Hansen Holt Iqbal Jansen Kapoor Karim Kruger Lam Lindgren Madsen Mbeki"
        " Mendes Mishra Moran Nair Novotny Okafor Olsen Paredes Petrov Quinn Rahimi Reyes Rossi Saito Salazar"
        " Schmidt Silva Talukdar Tanaka Varga Weber Yilmaz Zeller"
    )
)
_TOWNS = sorted(
    words(
        "Ashford Brookdale Clearwater Dunmore Eastbridge Fairhaven Glenwood Hartfield Ironbridge Kingsmere Lakewood"
        " Millbrook Northgate Oakhurst Pinecrest Queensbury Riverton Silverton Thornbury Upperfield Westbrook"
    )
)
_STREETS = sorted(words("Elm Maple Cedar Birch Chestnut Willow Hazel Linden Alder Poplar Rowan Juniper"))


def _name(number: int) -> str:
    return f"{_pick(_FIRST, number)} {_pick(_LAST, number // len(_FIRST) + number)}"


def _town(number: int) -> str:
    suffix = number // len(_TOWNS)
    return _pick(_TOWNS, number) + (f" {suffix}" if suffix else "")


def _pick(choices: list[str], number: int) -> str:
    return choices[number % len(choices)]


_MAKERS: dict[str, Callable[[int], str]] = {
    "PERSON": _name,
    "EMAIL_ADDRESS": lambda number: f"{_name(number).replace(' ', '.').lower()}{number}@example.com",
    "PHONE_NUMBER": lambda number: f"+1 {200 + number // 100 % 800}-555-01{number % 100:02d}",
    "LOCATION": _town,
    "STREET_ADDRESS": lambda number: f"{number} {_pick(_STREETS, number)} Street",
    "ORGANIZATION": lambda number: f"{_pick(_LAST, number)} & {_pick(_LAST, number // len(_LAST) + number + 1)} Ltd",
    "URL": lambda number: f"https://example.com/page/{number}",
    "IP_ADDRESS": lambda number: f"{('192.0.2', '198.51.100', '203.0.113')[number % 3]}.{number // 3 % 254 + 1}",
}


def surrogate(entity: str, number: int) -> str | None:
    """The invented value of a kind with a number from 1; none for what is better told by its kind: cards, keys."""
    maker = _MAKERS.get(entity)
    return maker(number) if maker else None
