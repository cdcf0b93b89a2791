"""Personal data that has a form of its own: addresses on the net and in the street, numbers named so. PURE."""

from __future__ import annotations

import ipaddress
import re

from gateway.redact.numbers import DigitRecogniser, IbanRecogniser
from gateway.redact.recogniser import Recogniser, Rule, RuleRecogniser

_HARMLESS_IPS = frozenset({"127.0.0.1", "0.0.0.0", "255.255.255.255", "255.255.255.0", "::1", "::"})  # noqa: S104  text


def _an_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return value not in _HARMLESS_IPS


_NET = (
    Rule(
        "EMAIL_ADDRESS",
        0.98,
        # The look-behind lets a match begin only at a word's start, so that a long word without @ is read once.
        re.compile(r"(?<![\w.%+'-])[\w.%+'-]++@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}"),
    ),
    Rule(
        "EMAIL_ADDRESS",
        0.95,
        re.compile(
            r"(?i)(?<![\w.+-])[\w.+-]{1,64}\s{0,2}[\[({]\s{0,2}at\s{0,2}[\])}]\s{0,2}[\w-]{1,63}"
            r"(?:(?:\s{0,2}[\[({]\s{0,2}dot\s{0,2}[\])}]\s{0,2}|\.)[\w-]{2,63}){1,4}"
        ),
    ),
    Rule(
        "IP_ADDRESS",
        0.95,
        re.compile(
            r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?![\w]|\.\d)"
        ),
        check=_an_ip,
    ),
    Rule(
        "IP_ADDRESS",
        0.95,
        re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])"),
        check=lambda value: len(value) > 4 and _an_ip(value),
    ),
    Rule(
        "MAC_ADDRESS",
        0.96,
        re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-])"),
    ),
)

_URL = (
    Rule(
        "URL",
        0.7,
        re.compile(r"(?i)(?<![\w@])(?:https?|ftp|wss?)://[^\s<>\"'`{}|\\^\[\]]{2,2000}[^\s<>\"'`{}|\\^\[\].,;:!?)*]"),
    ),
    Rule(
        "URL",
        0.7,
        re.compile(r"(?i)(?<![\w@./-])www\.(?:[\w-]{1,63}\.){1,6}[a-z]{2,24}(?:/[^\s<>\"'`{}|\\^\[\]]{0,2000})?"),
    ),
)

_OPAQUE = (
    # What stands inside a longer text, or in a body that was cut and did not parse. As a leaf of its own: media.py
    Rule(
        "MEDIA",
        1.0,
        re.compile(r"data:[\w.+-]{1,40}/[\w.+-]{1,60}(?:;[\w=.-]{1,60}){0,4};base64,[A-Za-z0-9+/=_-]*+"),
    ),
    Rule(
        "MEDIA",
        1.0,
        re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{512,}+={0,2}"),
        check=lambda value: len(set(value[:512])) > 8,  # no ruled line
    ),
    Rule(
        "NUMBERS",
        1.0,
        re.compile(
            r"(?<![\d.])-?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+"
            r"(?:\s{0,4}+,\s{0,10}+-?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+){31,}+"
        ),
    ),
)

_CUED = (
    Rule(
        "ID_NUMBER",
        0.75,
        re.compile(
            r"(?i:(?<!\w)(?:passport|licen[cs]e|account|acct|policy|member(?:ship)?|patient|tax|tin|vat|nhs|medicare|aadhaar"
            r"|routing|national id|identity card|customer id|driver'?s? id|ssn|social security)"
            r"(?:\s{1,2}(?:number|no\b\.?|num|card|id|code|#))?)"
            r"\s{0,2}(?:is|was|[:=#])?\s{0,2}[\"']?"
            r"(?P<value>(?=[A-Z0-9 -]{0,12}\d{3})[A-Z0-9](?:[ -]?[A-Z0-9]){3,19})(?![a-z])"
        ),
        group="value",
        check=lambda value: sum(char.isdigit() for char in value) >= 4,
    ),
    Rule(
        "DATE_OF_BIRTH",
        0.8,
        re.compile(
            r"(?i:(?<!\w)(?:d\.?o\.?b\.?|date of birth|birth ?date|birthday|born)\b"
            r"[\s:=\"'-]{0,4}(?:is|was|on|in)?\s{0,2})"
            r"(?P<value>\d{1,4}[-/. ](?:\d{1,2}|[A-Za-z]{3,9})[-/. ,]{1,2}\d{1,4}"
            r"|[A-Z][a-z]{2,8}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4})"
        ),
        group="value",
    ),
    Rule(
        "CVV",
        0.8,
        re.compile(
            r"(?i:(?<!\w)(?:cvv2?|cvc2?|security code|pin(?: code| number)?)\b)"
            r"[\s:=\"'-]{0,4}(?:is\s{1,2})?(\d{3,6})(?!\d)"
        ),
        group=1,
    ),
)

_STREET = (
    r"(?:[Ss]treet|[Ss]tr?\.|[Aa]ve(?:nue|\.)?|[Rr]oad|[Rr]d\.?|[Bb]oulevard|[Bb]lvd\.?|[Ll]ane|[Dd]rive|[Dd]r\."
    r"|[Cc]ourt"
    r"|[Cc]t\.|[Pp]lace|[Ss]quare|[Tt]errace|[Hh]ighway|[Hh]wy\.?|[Pp]arkway|[Pp]kwy\.?|[Cc]rescent|[Cc]lose|[Cc]ircle"
    r"|[Ww]ay|[Aa]lley|[Tt]rail|Sarani|Sharani|Avenue|St)"
)
_WORDS = r"(?:[A-Z0-9][\w'.-]{0,30} ){1,4}"
_ADDRESS = (
    Rule(
        "STREET_ADDRESS",
        0.8,
        re.compile(r"(?<![\w.,])\d{1,5}[A-Za-z]?(?:[-/]\d{1,4})?,? (?:[NSEW]\.? )?" + _WORDS + _STREET + r"(?!\w)"),
    ),
    Rule(
        "STREET_ADDRESS",
        0.7,
        # 30866 Ránargata 87: a house number or postal code, a name, a number; years are neither
        re.compile(
            r"(?<![\w.,])(?!(?:19|20)\d\d )\d{2,5} (?:[A-ZÀ-ÞĀ-Ž][\w'-]{2,30} ){1,3}(?!(?:19"
            r"|20)\d\d\b)\d{1,4}[a-zA-Z]?(?![\w.,:%])"
        ),
    ),
    Rule(
        "STREET_ADDRESS",
        0.7,
        re.compile(
            r"(?i:(?<!\w)(?:address(?: is|:)|(?:lives?|lived|living|located|resid(?:es|ed|ing)|staying) (?:at|on)"
            r"|(?:ship|deliver)(?:ped|ed)?"
            r" to)\s{1,4})(?P<value>\d{1,5}[A-Za-z]?,? [^\n.;!?]{4,80})"
        ),
        group="value",
    ),
    Rule(
        "STREET_ADDRESS",
        0.75,
        # Number after the street, the street's word inside its name: Pavlou 214 is missed, Friedhofstrasse 33 is not
        re.compile(
            r"(?<!\w)[A-ZÅÄÖØÆÜ][\w'-]{2,30}(?:stra(?:ss|ß)e|str\.|gasse|weg|platz|allee|straat|laan|plein|gatan?"
            r"|vägen|väg"
            r"|vej|gade|veien|vei|tie|katu|kuja|polku|utca|út|ulica) \d{1,4}[a-zA-Z]?(?!\w)"
        ),
    ),
    Rule(
        "STREET_ADDRESS",
        0.75,
        re.compile(
            r"(?<!\w)(?:Rua|Rue|Via|Viale|Corso|Calle|Avenida|Av\.|Plaza|Piazza|Avenue|Boulevard|Chemin|ul\.|Ulica|Rúa)"
            r" (?:(?:de|del|di|da|do|des|du|la|le|los|las|dos"
            r"|della) ){0,2}(?:[A-ZÀ-Ý][\w'.-]{1,30} ){1,3},? ?\d{1,5}(?!\w)"
        ),
    ),
    Rule(
        "STREET_ADDRESS",
        0.75,
        re.compile(
            r"(?<!\w)(?:(?:[Aa]pt|[Aa]partment|[Ss]uite|[Uu]nit|[Ff]lat|[Hh]ouse|[Hh]olding|[Rr]oom)\.?(?: [Nn]o\.?)?,?"
            r" ?#?\d{1,5}[A-Za-z]?|P\.? ?O\.? Box \d{1,6}|PSC \d{1,5},? Box \d{1,6}|(?:APO|FPO|DPO) A[AEP] \d{5})(?!\w)"
        ),
    ),
    Rule(
        "STREET_ADDRESS",
        0.7,
        # A state or country code, then its postal code
        re.compile(r"(?<!\w)[A-Z]{2},? (\d{5}(?:-\d{4})?|[A-Z]\d[A-Z] ?\d[A-Z]\d)(?!\w)"),
        group=1,
    ),
    Rule(
        "STREET_ADDRESS",
        0.7,
        re.compile(r"(?<!\w)(?:[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d)(?!\w)"),
    ),
    Rule(
        "STREET_ADDRESS",
        0.7,
        re.compile(
            r"(?i:(?<!\w)(?:zip|postal|post|postcode|zip ?code|pin ?code)(?: code)?)"
            r"[\s:=#-]{1,3}(?:is\s)?([A-Z0-9-]{3,8})\b"
        ),
        group=1,
        check=lambda value: any(char.isdigit() for char in value),
    ),
)


_DIGIT_HEAVY = Rule(
    "NUMBER",
    0.3,
    re.compile(r"(?<!\S)\S*\d\S*"),
    check=lambda value: sum(char.isdigit() for char in value) >= 3,
)


def digit_heavy_recognisers() -> tuple[Recogniser, ...]:
    """Every word with three digits and more: dates, amounts, versions and whatever else it may be."""
    return (RuleRecogniser("digits", (_DIGIT_HEAVY,)),)


def pattern_recognisers() -> tuple[Recogniser, ...]:
    """Every recogniser of this module."""
    return RuleRecogniser("patterns", (*_OPAQUE, *_NET, *_URL, *_CUED, *_ADDRESS)), IbanRecogniser(), DigitRecogniser()
