"""Characters that look like others: symbols to ASCII everywhere, letters to Latin in words that play Latin. PURE.

A Cyrillic ``а`` in ``jаne@example.org`` is a disguise, in ``Анна`` it is a letter. So letters are folded only in a word
that mixes them with Latin ones or with digits, or that is part of an address, and only when every foreign letter of
the word has a Latin look-alike. One character becomes one character: positions stay as they are.

Source: the look of the code charts of the Unicode Standard; the term and the idea are Unicode Technical Standard 39's.
"""

from __future__ import annotations

import re

_SYMBOLS = {
    "-": "\u02d7\u058a\u05be\u1400\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2796\u2e3a\u2e3b\ufe58",
    "'": "\u00b4\u02b9\u02bb\u02bc\u02bd\u02c8\u2018\u2019\u201b\u2032\u2035\ua78c",
    '"': "\u02ba\u201c\u201d\u201e\u201f\u3003",
    "\n": "\u0085\u2028\u2029",
    " ": "\u2800",
    ".": "\u06d4\u0701\u0702\u2024\u2e33\u3002\ua4f8",
    "/": "\u2044\u2215\u2571\u29f8",
    "\\": "\u2216\u29f5\u29f9",
    ":": "\u02d0\u05c3\u2236\ua789",
    "+": "\u2795",
    "%": "\u066a",
    ",": "\u201a\ua4f9",
    "e": "\u212e",
}
SYMBOLS = {ord(odd): plain for plain, odds in _SYMBOLS.items() for odd in odds}
"""For ``str.translate``: what is read as an ASCII character, by its code point. NFKC knows the rest, such as ``＠``."""

# Each Latin letter with what is read as it: Cyrillic, Greek, Armenian, Cherokee, Lisu, Coptic, letters of phonetics.
# None of them is a letter of a language that is written in Latin: ı, ł and ø stay.
_LETTERS = {
    "A": "АΑᎪꓮⲀᴀ",
    "B": "ВΒᏴꓐⲂʙ",
    "C": "СᏟꓚⲤᴄ",
    "D": "ᎠꓓᴅԀ",
    "E": "ЕΕᎬꓰᴇ",
    "F": "ꓝϜꜰ",
    "G": "ԌᏀꓖɢ",
    "H": "НΗᎻꓧⲎʜ",
    "I": "ІΙꓲӀⲒɪ",
    "J": "ЈᎫꓙᴊ",
    "K": "КΚᏦꓗⲔᴋ",
    "L": "ᏞꓡԼʟ",
    "M": "МΜᎷꓟⲘᴍ",
    "N": "ΝꓠⲚɴ",
    "O": "ОΟꓳՕⲞᴏ",
    "P": "РΡᏢꓑⲢᴘ",
    "Q": "Ԛ",
    "R": "ᎡᏒꓣʀ",
    "S": "ЅՏᏕᏚꓢꜱ",
    "T": "ТΤᎢꓔⲦᴛ",
    "U": "ՍꓴԱᴜ",
    "V": "ᏙꓦѴᴠ",
    "W": "ᎳᏔꓪԜᴡ",
    "X": "ХΧꓫⲬ",
    "Y": "УΥҮᎽꓬⲨʏ",
    "Z": "ΖᏃꓜᴢ",
    "a": "аαɑ",
    "b": "ЬᏏ",
    "c": "сςⲥ",
    "d": "ԁᏧ",
    "e": "еεҽ",
    "g": "ɡց",
    "h": "һհᏂ",
    "i": "іιᎥɩ",
    "j": "јϳյ",
    "k": "кκ",
    "l": "ӏ",
    "n": "ոη",
    "o": "оοօσⲟ",
    "p": "рρⲣ",
    "q": "ԛզ",
    "s": "ѕ",
    "t": "τ",
    "u": "սυʋ",
    "v": "νѵ",
    "w": "ԝωա",
    "x": "хχ",
    "y": "уүγᎩ",
}
LETTERS = {ord(odd): plain for plain, odds in _LETTERS.items() for odd in odds}
"""For ``str.translate``: the Latin letter a letter of another script looks like, by its code point."""

_ODD = re.compile(f"[{''.join(map(chr, LETTERS))}]")
# Where a letter that is not ASCII touches what makes a word Latin, a number or an address
_SEAM = re.compile(r"[A-Za-z0-9@](?:(?=[^\x00-\x7f])|(?<=[^\x00-\x7f].))", re.DOTALL)
# A word, or an address with its dots and at-sign, in which something is not ASCII
_NEAR = re.compile(r"(?<![@.\w+'-])[@.A-Za-z0-9_+'-]*+(?=[^\x00-\x7f])[@.\w+'-]*+")
_WORD = re.compile(r"[^\W_]++")
_ADDRESS = re.compile(r"@|\.[A-Za-z]{2}")
_LATIN = re.compile(r"[A-Za-z0-9]")


def latin(text: str) -> str:
    """The text, equally long, with the letters that disguise Latin words as what they look like.

    ``text`` is to be in NFKC.
    """
    if text.isascii() or _ODD.search(text) is None or not (_SEAM.search(text) or _ADDRESS.search(text)):
        return text
    return _NEAR.sub(lambda match: _addressed(match.group()), text)


def _addressed(token: str) -> str:
    if token.isascii() or _ODD.search(token) is None:
        return token
    address = _ADDRESS.search(token) is not None
    return _WORD.sub(lambda match: _folded(match.group(), address), token)


def _folded(word: str, address: bool) -> str:
    if word.isascii() or not (address or _LATIN.search(word)):
        return word
    plain = word.translate(LETTERS)
    return plain if all(char < "\u0250" for char in plain) else word
