"""Personal data of Bangladesh, in Bangla, in English and in Bangla typed in Latin letters. PURE.

Names and places have modules of their own; here are the numbers: mobile money, papers, accounts, plates.
"""

from __future__ import annotations

import re

from gateway.redact.bangla_names import BanglaNames
from gateway.redact.bangla_places import BanglaPlaces
from gateway.redact.bangla_towns import DISTRICTS
from gateway.redact.bangla_words import plain
from gateway.redact.banglish import banglish_names
from gateway.redact.recogniser import Recogniser, Rule, RuleRecogniser

_MOBILE = r"(?<![\w.])(?:(?:\+|00)?88[ -]?)?01[3-9](?:[ .-]?\d){8}(?!\d)(?![.-]\d)"
# Rocket's accounts have a check digit after the telephone number
_ACCOUNT = r"(?<![\w.])(?:(?:\+|00)?88[ -]?)?01[3-9](?:[ .-]?\d){8}(?:-?\d)?(?!\d)(?![.-]\d)"
_WALLET = (
    r"(?:(?i:(?<![A-Za-z])(?:bkash|bikash|nagad|nogod|rocket|upay|cellfin|surecash|m-?cash|tap)(?![a-z]))"
    r"|বিকাশ|নগদ|রকেট|উপায়|সেলফিন|শিওরক্যাশ)"
)
_BY = r"(?:এ |তে |নম্বরে |নাম্বারে |এই নম্বরে |e |te |number e )?"
_IS = r"\s?(?:হলো|হল|হচ্ছে|is|holo)?\s?[:=ঃ#-]?\s{0,2}"
_NO = r"(?: ?(?:নং|নম্বর|নাম্বার|নঃ|(?i:no\b\.?|number|num)|#))?"
_TO = _NO + _IS
_DEAL = (
    r"(?:(?i:(?<![A-Za-z])(?:trx ?-?id|txn ?-?id|transaction id|trans id|trxn? no))|টিআরএক্স ?আইডি"
    r"|(?:ট্রানজেকশন|ট্রান্সজেকশন|ট্রানজ্যাকশন|ট্রান্স্যাকশন|ট্রাঞ্জেকশন|লেনদেন) ?(?:আইডি|নম্বর|নং))"
)
_NID = (
    r"(?:(?i:(?<![A-Za-z])(?:nid|national id|smart ?card|voter id))(?: card)?|এনআইডি|এন আই ডি|জাতীয় পরিচয় ?পত্র(?:ের)?"
    r"|ভোটার আইডি|স্মার্ট ?কার্ড|পরিচয় ?পত্র)(?: কার্ড)?"
)
_BIRTH = r"(?:জন্ম ?নিবন্ধন|জন্ম ?সনদ|(?i:(?<![A-Za-z])(?:birth (?:registration|certificate|reg\.?)|brn)))"
_BANK = (
    rf"(?:(?:ব্যাংক )?(?:হিসাব|একাউন্ট|অ্যাকাউন্ট|এ/সি){_NO}"
    r"|(?i:(?<![A-Za-z])(?:a/c|acc(?:oun)?t\.?|ac)(?: ?(?:no|number|num)\b\.?| ?#)?))"
)
_OFFICE = f"(?:{'|'.join(sorted(each for each in DISTRICTS if not each.isascii()))}|চট্ট|ঢাকা জেলা)"
# Source: Bangladesh Road Transport Authority: place, class of vehicle as a letter, two and four digits
_SERIES = r"(?:অ|ই|উ|এ|ক|খ|গ|ঘ|চ|ছ|জ|ঝ|ট|ঠ|ড|ঢ|ত|থ|দ|ন|প|ফ|ব|ভ|ম|য|র|ল|শ|স|হ|য়)"
_LATIN_SERIES = r"(?:Chha|Cha|Kha|Gha|Jha|Tha|Dha|Pha|Bha|Sha|Ka|Ga|Ja|Ta|Da|Na|Pa|Ba|Ma|Ya|Ra|La|Sa|Ha|Aa|A|E|U)"
_PLATE = r"[ -]{1,3}\d{2}[ -]{1,3}\d{4}"


def _rule(entity: str, score: float, pattern: str) -> Rule:
    return Rule(entity, score, re.compile(plain(pattern)), group="value")


def _digits(*lengths: int) -> str:
    """A number of one of the lengths, also in groups."""
    told = "|".join(rf"\d(?:[ -]?\d){{{length - 1}}}" for length in lengths)
    return rf"(?<!\d)(?P<value>{told})(?![ -]?\d)"


_NUMBERS = (
    _rule("MOBILE_MONEY", 0.93, rf"{_WALLET}[^\d\n+]{{0,40}}?(?P<value>{_ACCOUNT})"),
    _rule("MOBILE_MONEY", 0.93, rf"(?P<value>{_ACCOUNT})[ -]{{0,3}}{_BY}[(]?{_WALLET}"),
    _rule("MOBILE_MONEY", 0.85, rf"{_DEAL}{_TO}(?P<value>(?=[A-Za-z]{{0,11}}\d)[A-Za-z0-9]{{8,12}})(?![A-Za-z0-9])"),
    _rule("PHONE_NUMBER", 0.9, rf"(?P<value>{_MOBILE})"),
    _rule("BD_NID", 0.92, rf"{_NID}[^\d\n]{{0,16}}?{_digits(17, 13, 10)}"),
    _rule("ID_NUMBER", 0.93, rf"{_BIRTH}[^\d\n]{{0,16}}?{_digits(17)}"),
    _rule(
        "ID_NUMBER",
        0.87,
        r"(?:পাসপোর্ট|(?i:(?<![A-Za-z])passport))[^\d\n]{0,16}?(?<![A-Za-z])"
        r"(?P<value>(?i:[A-Z]{2}) ?\d{7}|(?i:[A-Z]) ?\d{8})(?!\w)",
    ),
    _rule(
        "ID_NUMBER",
        0.9,
        r"(?:টিআইএন|(?<![\u0980-\u09ff])টিন|করদাতা|(?i:(?<![A-Za-z])(?:e-?)?tin))(?: সনদ)?[^\d\n]{0,12}?" + _digits(12),
    ),
    _rule("ID_NUMBER", 0.86, rf"{_BANK}{_IS}(?P<value>\d(?:[ .-]?\d){{8,18}})(?!\w)"),
    _rule("ID_NUMBER", 0.86, rf"(?:ড্রাইভিং )?লাইসেন্স{_TO}(?P<value>[A-Z]{{1,3}}[ -]?\d{{5,8}}[A-Z0-9-]{{0,9}})(?!\w)"),
    _rule(
        "LICENSE_PLATE",
        0.9,
        rf"(?<![\u0980-\u09ff])(?P<value>{_OFFICE}(?:[ -]{{1,2}}মেট্রো)?[ -]{{1,3}}{_SERIES}{_PLATE})(?!\d)",
    ),
    _rule(
        "LICENSE_PLATE",
        0.9,
        rf"(?<![A-Za-z])(?P<value>(?i:[A-Z]{{4,15}}[ -]{{1,2}}metro[ -]{{1,3}}{_LATIN_SERIES}){_PLATE})(?!\d)",
    ),
)


def bangla_recognisers() -> tuple[Recogniser, ...]:
    """Names, places and numbers of Bangladesh."""
    return RuleRecogniser("bangla numbers", _NUMBERS), BanglaNames(), banglish_names(), BanglaPlaces()
