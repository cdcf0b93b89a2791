"""Places by what stands around them: the rest of an address, words of moving and living, and countries by name. PURE.

The model knows big cities in good prose. Addresses are mostly no prose, and most towns are not big.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.redact.recogniser import Recogniser, Rule, RuleRecogniser, Span
from gateway.redact.vocabulary import NOT_NAMES, words

_BIG = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĢĪĮİĶŁĻŃŅŇŌŐŒŘŚŞŠŢŤŪŮŰŲŹŻŽȘȚА-ЯΑ-ΩΆΈΉΊΌΎΏ"
_WORD = rf"[{_BIG}][\w'’-]{{1,30}}"
_NAME = rf"{_WORD}(?:[ -](?:(?:de|del|della|di|da|do|dos|la|le|el|of|upon|am|an|der|den|sur|sous|nad) )?{_WORD}){{0,3}}"

# fmt: off
COUNTRIES = (
    "Afghanistan", "Albania", "Algeria", "Andorra", "Angola", "Argentina", "Armenia", "Australia", "Austria",
    "Azerbaijan", "Bahamas", "Bahrain", "Bangladesh", "Barbados", "Belarus", "Belgium", "Belize", "Benin", "Bhutan",
    "Bolivia", "Bosnia and Herzegovina", "Botswana", "Brazil", "Brunei", "Bulgaria", "Burkina Faso", "Burundi",
    "Cambodia", "Cameroon", "Canada", "Cape Verde", "Chile", "China", "Colombia", "Comoros", "Congo", "Costa Rica",
    "Croatia", "Cuba", "Cyprus", "Czech Republic", "Czechia", "Denmark", "Djibouti", "Dominican Republic", "Ecuador",
    "Egypt", "El Salvador", "England", "Eritrea", "Estonia", "Eswatini", "Ethiopia", "Fiji", "Finland", "France",
    "Gabon", "Gambia", "Germany", "Ghana", "Greece", "Greenland", "Guatemala", "Guinea", "Guyana", "Haiti", "Honduras",
    "Hong Kong", "Hungary", "Iceland", "India", "Indonesia", "Iran", "Iraq", "Ireland", "Israel", "Italy",
    "Ivory Coast", "Jamaica", "Japan", "Kazakhstan", "Kenya", "Kosovo", "Kuwait", "Kyrgyzstan", "Laos", "Latvia",
    "Lebanon", "Lesotho", "Liberia", "Libya", "Liechtenstein", "Lithuania", "Luxembourg", "Macau", "Madagascar",
    "Malawi", "Malaysia", "Maldives", "Malta", "Mauritania", "Mauritius", "Mexico", "Moldova", "Monaco", "Mongolia",
    "Montenegro", "Morocco", "Mozambique", "Myanmar", "Namibia", "Nepal", "Netherlands", "New Zealand", "Nicaragua",
    "Nigeria", "North Korea", "North Macedonia", "Northern Ireland", "Norway", "Oman", "Pakistan", "Palestine",
    "Panama", "Papua New Guinea", "Paraguay", "Peru", "Philippines", "Poland", "Portugal", "Puerto Rico", "Qatar",
    "Romania", "Russia", "Rwanda", "Saudi Arabia", "Scotland", "Senegal", "Serbia", "Seychelles", "Sierra Leone",
    "Singapore", "Slovakia", "Slovenia", "Somalia", "South Africa", "South Korea", "South Sudan", "Spain", "Sri Lanka",
    "Sudan", "Suriname", "Sweden", "Switzerland", "Syria", "Taiwan", "Tajikistan", "Tanzania", "Thailand", "Togo",
    "Tunisia", "Turkmenistan", "Uganda", "Ukraine", "United Arab Emirates", "United Kingdom", "United States",
    "Uruguay", "Uzbekistan", "Vatican City", "Venezuela", "Vietnam", "Wales", "Yemen", "Zambia", "Zimbabwe",
)
# fmt: on
"""Short English names, without those that are first a word or a first name: Chad, Georgia, Jordan, Turkey, Mali."""


def _a_place(value: str) -> bool:
    first = re.split(r"[ -]", value, maxsplit=1)[0]
    return first.lower() not in NOT_NAMES and len(value) > 2


def _after(cue: str) -> Rule:
    """A place that follows a cue."""
    pattern = re.compile(rf"(?<!\w)(?i:{cue})[ \t]{{1,3}}(?P<value>{_NAME})")
    return Rule("LOCATION", 0.65, pattern, group="value", check=_a_place)


_CUES = (
    _after(
        r"(?:mov(?:e|ed|ing)|relocat(?:e|ed|ing)|return(?:ed|ing)?|travel(?:l?ed|l?ing)?|fl(?:y|ew|ying)|driv(?:e|ing)"
        r"|went|trip|flights?|tickets?|train|bus|emigrat(?:e|ed)|immigrat(?:e|ed))(?: back| here| there| home)?"
        r" (?:to|from|into|via)",
    ),
    _after(
        r"(?:arriv(?:e|ed|es|ing) (?:at|in)|(?:liv(?:e|es|ed|ing)|resid(?:e|es|ed|ing)|stay(?:s|ed|ing)?"
        r"|located|based|headquartered|born(?: and raised)?|raised|grew up|settled|stationed|stranded|holidays?"
        r"|vacation|home|house|flat|apartment|office|branch|store|warehouse|business trip|i am|i'm) in)",
    ),
    _after(
        r"(?:(?:home ?town|home city|(?:the )?(?:city|town|village|municipality|province|district|state|capital)) of"
        r"|home city|visit(?:ed|ing)?|where:|venue:|location:|city:|country:|destination:|hometown:|birthplace:)",
    ),
)
_COUNTRIES = Rule("LOCATION", 0.6, re.compile(rf"(?<![\w.@-])(?:{'|'.join(map(re.escape, COUNTRIES))})(?![\w@])"))

_UNIT = (
    r"(?:[Aa]pt|[Aa]partment|[Ss]uite|[Uu]nit|[Ff]lat|APT|SUITE|UNIT)\.?(?: [Nn]o\.?)?,? ?#?\d{1,5}[A-Za-z]?"
    r"|(?i:P\.? ?O\.? ?Box|Postbox|Box) \d{1,6}"
)
_CODE = r"(?:[A-Z]{1,3}[ -]?)?\d[\dA-Z]{1,5}(?:[ -]\d[\dA-Z]{1,4})?"
_BREAK = r"[ \t]*(?:,[ \t]*|\r?\n[ \t>?*|.-]{0,10})"


class AddressRecogniser:
    """What stands around a flat's or a box's number: the street before it, town, country and code after it."""

    _ANCHOR = re.compile(rf"(?<!\w)(?:{_UNIT})(?!\w)")
    _BEFORE = re.compile(rf"[^\n,;:!?()\"]{{0,60}}\d[^\n;:!?()\"]{{0,30}}?{_BREAK}?[ \t]*$")
    _CUE = re.compile(r"(?i:(?<!\w)(?:to|at|in|on|is|with|address|by|of|near|and|from)\s)")
    _PART = re.compile(
        rf"(?:{_BREAK}){{1,3}}(?P<name>[^\W\d_][^\n,;:!?\"<>{{}}\[\]=]{{0,38}}?)?"
        rf"(?:[ \t]*(?P<code>{_CODE}))?(?=[ \t]*(?:,|\r?\n|[.;?!]?(?:\s|$)))"
    )
    _PARTS = 4
    _WORDS = 5

    @property
    def name(self) -> str:
        """``address``."""
        return "address"

    def find(self, text: str) -> Iterator[Span]:
        """The parts of each address."""
        for anchor in self._ANCHOR.finditer(text):
            yield Span(*anchor.span(), "STREET_ADDRESS", 0.75, self.name)
            yield from self._street(text, anchor.start())
            yield from self._rest(text, anchor.end())

    def _street(self, text: str, end: int) -> Iterator[Span]:
        """The line before, from the last word that announces it; it has a house number or a code."""
        begin = max(0, end - 100)
        found = self._BEFORE.search(text, begin, end)
        if found is None:
            return
        start = found.start()
        for cue in self._CUE.finditer(text, start, end):
            if any(char.isdigit() for char in text[cue.end() : end]):
                start = cue.end()
        if any(char.isdigit() for char in text[start:end]):
            yield Span(start, end, "STREET_ADDRESS", 0.7, self.name)

    def _rest(self, text: str, at: int) -> Iterator[Span]:
        for _ in range(self._PARTS):
            part = self._PART.match(text, at)
            if part is None or part.end() == at:
                return
            name, code = part["name"], part["code"]
            if name is None and code is None:
                return
            if name is not None:
                if not self._is_name(name, code is not None or "\n" in text[at : part.start("name")]):
                    return
                yield Span(*part.span("name"), "LOCATION", 0.65, self.name)
            if code is not None:
                yield Span(*part.span("code"), "STREET_ADDRESS", 0.7, self.name)
                if len(code) > 3:
                    return
            at = part.end()

    def _is_name(self, name: str, sure: bool) -> bool:
        """Whether a part is a town, a region or a country: few words, and capitals unless the layout says so."""
        listed = name.split()
        if not 0 < len(listed) <= self._WORDS or any(word.lower() in NOT_NAMES for word in listed[:1]):
            return False
        return sure or listed[0][0].isupper()


_STREETS = (
    Rule(
        "STREET_ADDRESS",
        0.7,
        # the bus drops you off at 10963 Rua Vinte e Cinco de Setembro 1257; lives on Via dei Fiorentini 17
        re.compile(
            r"(?i:(?<!\w)(?:liv(?:e|es|ed|ing)|locat(?:ed|ion)|address|offices?|branch|shop|restaurant|send|ship(?:ped)?"
            r"|deliver(?:ed)?|return|taxi|drops? you off|enter|mov(?:e|ed|ing)|resid(?:e|es|ing)|corner|meet|parked?)"
            r"\b[^\n.!?;]{0,40}?(?<!\w)(?:at|on|to|in|is|of|with|same|following)[?: ]{1,3})"
            r"(?P<value>(?:\d{1,5}[A-Za-z]? )?(?:[^\W\d_][\w'’.-]{0,30} ){1,5}\d{1,5}[A-Za-z]?\b\.?"
            r"(?:,? [A-Z]\w+ [A-Z]\w+)?)"
        ),
        group="value",
        check=lambda value: _looks_like_a_street(value),
    ),
    Rule(
        "STREET_ADDRESS",
        0.75,
        # as a line of its own, with the code before it: 20789 Allika 46
        re.compile(r"(?m)^[>?* \t]{0,5}(?P<value>\d{3,5} (?:[^\W\d_][\w'’.-]{1,30} ){1,4}\d{1,4}\.?)[ \t]*$"),
        group="value",
    ),
)
_COUNTED = words(
    "chapter section version page figure table step day week year month article level phase grade class part volume"
    " number order invoice ticket question item line game round season episode room gate flight windows python python3"
    " about around least most over under than up after before between exactly approximately only nearly just"
    " january february march april may june july august september october november december port index"
)


def _looks_like_a_street(value: str) -> bool:
    named = re.findall(r"[^\W\d_][\w'’.-]*", value)
    return any(word[0].isupper() for word in named) and not any(word.lower().strip(".") in _COUNTED for word in named)


def place_recognisers() -> tuple[Recogniser, ...]:
    """Places and addresses beside what the model and the patterns find."""
    return AddressRecogniser(), RuleRecogniser("places", (*_CUES, _COUNTRIES, *_STREETS))
