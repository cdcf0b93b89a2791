"""Personal data of Bangladesh: what goes, what stays, and how much of a labelled set is found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity import Pseudonyms
from gateway.redact import Redactor
from gateway.redact.bangla import bangla_recognisers
from gateway.redact.bangla_words import plain
from gateway.redact.countries import COUNTRIES, country_recognisers
from gateway.redact.measure import Report, measure
from gateway.redact.patterns import pattern_recognisers
from gateway.redact.scan import Scanner
from gateway.redaction_report import rows

OWN = Scanner((*bangla_recognisers(), *country_recognisers(COUNTRIES)))
WITH_OTHERS = Scanner((*bangla_recognisers(), *country_recognisers(COUNTRIES), *pattern_recognisers()))
LABELLED = Path(__file__).with_name("bangla.jsonl")
"""Fictitious sentences in Bangla, English and Bangla in Latin letters. Patterns were tuned on them: no measure."""
FLOORS = {
    "PERSON": (0.9, 0.95),
    "PHONE_NUMBER": (0.98, 0.95),
    "STREET_ADDRESS": (0.9, 0.9),
    "LOCATION": (0.8, 0.9),
    "MOBILE_MONEY": (0.98, 0.95),
    "BD_NID": (0.98, 0.95),
    "ID_NUMBER": (0.98, 0.9),
    "LICENSE_PLATE": (0.98, 0.95),
}
"""By label: recall and precision at least."""

FOUND = [
    ("আমার নাম রহিম উদ্দিন।", "রহিম উদ্দিন", "PERSON"),
    ("আমার নাম তূর্য", "তূর্য", "PERSON"),
    ("মোঃ সাইফুল ইসলাম-এর ছুটি", "সাইফুল ইসলাম", "PERSON"),
    ("মো. তন্দ্র আহমেদ এলেন", "তন্দ্র আহমেদ", "PERSON"),
    ("ডা: মুহিত বলেছেন", "মুহিত", "PERSON"),
    ("আমি তূর্য বলছি", "তূর্য", "PERSON"),
    ("আমার ছোট ভাই সাকিব এসেছে", "সাকিব", "PERSON"),
    ("হাবিব সাহেবের সাথে", "হাবিব", "PERSON"),
    ("সাদ্দাম ভাইয়ের দোকান", "সাদ্দাম", "PERSON"),
    ("প্রিয় অর্ক, কেমন আছো", "অর্ক", "PERSON"),
    ("ধন্যবাদান্তে,\nমোস্তাফিজুর রহমান", "মোস্তাফিজুর রহমান", "PERSON"),
    ("পিতার নাম: আব্দুস সাত্তার", "আব্দুস সাত্তার", "PERSON"),
    ("প্রিতমা নামে একজন রোগী", "প্রিতমা", "PERSON"),
    ("সৈয়দ আহসান আলী বরাবর", "সৈয়দ আহসান আলী", "PERSON"),
    ("amar nam sadia afrin, age 25", "sadia afrin", "PERSON"),
    ("ami karim bolchi", "karim", "PERSON"),
    ("Md. Shariful Islam ke", "Shariful Islam", "PERSON"),
    ("rahim bhai ke bolo", "rahim", "PERSON"),
    ("Rafiq ভাই, শুনুন", "Rafiq", "PERSON"),
    ("আমার নাম Rahim Uddin", "Rahim Uddin", "PERSON"),
    ("বাসা নং ১২, ব্লক সি, মিরপুর-১০, ঢাকা-১২১৬।", "বাসা নং 12, ব্লক সি, মিরপুর-10, ঢাকা-1216", "STREET_ADDRESS"),
    ("গ্রামঃ চরপাড়া, থানাঃ নান্দাইল", "চরপাড়া, থানাঃ নান্দাইল", "STREET_ADDRESS"),
    ("Block C, Sector 7, Uttara", "Block C, Sector 7, Uttara", "STREET_ADDRESS"),
    ("পোস্ট কোড ১২০৭", "1207", "STREET_ADDRESS"),
    ("Dhaka-1207", "Dhaka-1207", "STREET_ADDRESS"),
    ("আমি সিলেটে থাকি", "সিলেট", "LOCATION"),
    ("ami Mirpur e thaki", "Mirpur", "LOCATION"),
    ("বনানী, ঢাকা", "বনানী, ঢাকা", "LOCATION"),
    ("যোগাযোগ ০১৭ ১২৩৪ ৫৬৭৮", "017 1234 5678", "PHONE_NUMBER"),
    ("+৮৮০ ১৭১৫-৪৪৩৩২২", "+880 1715-443322", "PHONE_NUMBER"),
    ("রকেট নম্বর ০১৯১১২২৩৩৪৪৫", "019112233445", "MOBILE_MONEY"),
    ("01733445566 (বিকাশ)", "01733445566", "MOBILE_MONEY"),
    ("TrxID: BGR4K81ZPT", "BGR4K81ZPT", "MOBILE_MONEY"),
    ("এনআইডি ৫৫১২ ৩৪৫ ৬৭৮", "5512 345 678", "BD_NID"),
    ("জন্ম নিবন্ধন ২০০৫১২৩৪৫৬৭৮৯০১২৩", "20051234567890123", "ID_NUMBER"),
    ("পাসপোর্ট BX0123456", "BX0123456", "ID_NUMBER"),
    ("ই-টিআইএন ১২৩৪৫৬৭৮৯০১২", "123456789012", "ID_NUMBER"),
    ("A/C No: 2051.1234.5677.9", "2051.1234.5677.9", "ID_NUMBER"),
    ("ঢাকা মেট্রো-গ ১২-৩৪৫৬", "ঢাকা মেট্রো-গ 12-3456", "LICENSE_PLATE"),
    ("Dhaka Metro-Ga 15-4321", "Dhaka Metro-Ga 15-4321", "LICENSE_PLATE"),
]  # fmt: skip

STAYS = [
    "কোন ভাষায় প্রোগ্রামিং শেখা সবচেয়ে সহজ?",
    "বাংলাদেশের রাজধানী ঢাকা এবং বন্দরনগরী চট্টগ্রাম।",
    "আজকের আবহাওয়া কেমন হবে বলতে পারেন?",
    "তোমার নাম কী?",
    "আপনার নাম কি, আর আপনি কী করেন?",
    "এই ফাংশনের নাম পরিবর্তন করতে হবে।",
    "ফাইলের নাম ভুল হলে প্রোগ্রাম চলবে না।",
    "ফলের নাম বলো যেগুলোতে ভিটামিন সি আছে।",
    "আমি সত্যি বলছি, আমি কিছু জানি না।",
    "আমি আবার বলছি, কাজটা আজই শেষ করতে হবে।",
    "আমি মঞ্চে বলছি, তোমরা শোনো।",
    "আমি ঠিক বলছি কি না দেখে দিন।",
    "আমার ভাই ঢাকায় চাকরি করে।",
    "আমার মা অসুস্থ, কী খাওয়ানো উচিত?",
    "আমার বাবা একজন শিক্ষক ছিলেন।",
    "আমার বন্ধু আমাকে একটা বই উপহার দিয়েছে।",
    "আমার ছোট বোন এবার কলেজে ভর্তি হবে।",
    "প্রিয় গ্রাহক, আপনার সেবার মেয়াদ শেষ হয়েছে।",
    "আমার প্রিয় খাবার বিরিয়ানি।",
    "ডাক্তার বললেন বেশি করে পানি খেতে।",
    "ডাক্তার সাহেব কখন বসেন?",
    "ধন্যবাদ ভাই, অনেক উপকার হলো।",
    "হ্যাঁ ভাই, বুঝতে পেরেছি।",
    "কি খবর ভাই, কেমন আছেন?",
    "স্যার আজকে ক্লাস নেবেন না।",
    "বড় ভাই বাসায় নেই।",
    "ঠিক আছে আপা, আমি দেখছি।",
    "নগদ টাকা ছাড়া কেনাকাটা করা যায় কি?",
    "বিকাশে ক্যাশ আউট চার্জ কত শতাংশ?",
    "রকেট কীভাবে মহাকাশে যায়?",
    "এই উপায়ে কাজ হবে বলে মনে হয় না।",
    "২০২৪ সালে বাংলাদেশের জিডিপি প্রবৃদ্ধি কত ছিল?",
    "১৯৭১ সালের ১৬ ডিসেম্বর বিজয় দিবস।",
    "বাসা ভাড়া ১৫০০০ টাকা, গ্যাস বিল আলাদা।",
    "রোড দুর্ঘটনা কমাতে কী করা যায়?",
    "ব্লক চেইন প্রযুক্তি কীভাবে কাজ করে?",
    "সেক্টর কমান্ডারদের ভূমিকা নিয়ে রচনা লেখো।",
    "আকাশ আজ মেঘলা, নদী শান্ত।",
    "আশা করি তুমি ভালো আছো।",
    "সাগর পাড়ে সূর্যাস্ত দেখতে সুন্দর লাগে।",
    "ইসলাম শান্তির ধর্ম।",
    "আদালত রায় ঘোষণা করেছে।",
    "সরকার নতুন বাজেট দিয়েছে।",
    "আমি ভাত খান না বললে মা রাগ করে।",
    "জেলা প্রশাসকের কার্যালয় কোথায়?",
    "প্রতিটি উপজেলায় একটি হাসপাতাল আছে।",
    "থানায় জিডি করার নিয়ম কী?",
    "পাসপোর্ট করতে কী কী কাগজ লাগে?",
    "জাতীয় পরিচয়পত্র সংশোধন করতে কত দিন লাগে?",
    "সিলেট চা বাগানের জন্য বিখ্যাত।",
    "কক্সবাজার থেকে ঢাকা কত কিলোমিটার?",
    "মিরপুর স্টেডিয়ামে আজ খেলা আছে।",
    "কবিতা লিখতে ভালো লাগে, বিশেষ করে প্রেমের কবিতা।",
    "একটি পাইথন প্রোগ্রাম লিখে দাও যা তালিকা সাজায়।",
    "আমার নাম্বার পাল্টাতে চাই, কী করতে হবে?",
    "ইতি টানার সময় এসেছে।",
    "বিনীত অনুরোধ রইল সময়মতো আসার জন্য।",
    "দেখা হলে কথা হবে, ভালো থাকবেন।",
    "ami ki bolchi tumi bujhte parcho?",
    "ami sotti bolchi, kichu jani na",
    "amar bhai dhakay thake",
    "amar ma oshustho, ki korbo?",
    "thanks bhai, onek help holo",
    "ki khobor bhai, kemon achen",
    "tomar nam ki?",
    "bKash e cash out charge koto?",
    "python e list sort kore kivabe?",
    "amar kaj ta hoy nai ekhono",
    "Block 5 of sector 7 on the disk is bad; see section 3, level 2.",
    "Rocket launch at 10:30, tap to watch.",
    "P.S.: Thanks for the fish.",
    "The island's rainfall in Dhaka 2024 was high.",
]

NAMES = ["রহিম", "সালমা", "তানভীর", "ফারহানা", "শফিকুল ইসলাম", "নাসরিন আক্তার", "রফিকুল ইসলাম", "সুব্রত সাহা"]
ENDINGS = ["", "কে", "ের", "রা", "দের", "-এর", "-কে", " এর", " কে"]
CUES = ["আমার ভাই {}", "জনাব {}", "আমার নাম {}", "গতকাল {} এসেছিল", "মোঃ {} আজ আসবেন", "{}", "প্রিয় {}, শোনো"]


@pytest.mark.parametrize(("text", "value", "entity"), FOUND)
def test_what_goes(text: str, value: str, entity: str) -> None:
    """The whole value, under its own name, beside the recognisers that every text meets."""
    scanned = WITH_OTHERS.scan(text)
    assert (entity, plain(value)) in {(span.entity, piece) for span, piece in scanned.values()}


@pytest.mark.parametrize("text", STAYS)
def test_what_stays(text: str) -> None:
    """Nothing is taken out of what names nobody and no place of theirs."""
    assert [piece for _, piece in OWN.scan(text).values()] == []


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(NAMES), ending=st.sampled_from(ENDINGS), cue=st.sampled_from(CUES))
def test_a_case_ending_leaves_nothing_of_the_name(name: str, ending: str, cue: str) -> None:
    """Whatever case the name stands in."""
    scanned = OWN.scan(cue.format(name + ending))
    text = list(scanned.form.text)
    for span in scanned.spans:
        text[span.start : span.end] = ["_"] * (span.end - span.start)
    assert not any(word in "".join(text) for word in name.split())


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_mobile_numbers_in_every_spelling(seed: int) -> None:
    """Prefix, groups, digits of either script; an account where a wallet is named, a telephone where none is."""
    chance = random.Random(seed)
    number = "01" + chance.choice("3456789") + "".join(chance.choices("0123456789", k=8))
    at = chance.choice([3, 4, 5])
    written = chance.choice(["", "+88", "88 ", "+88 "]) + number[:at] + chance.choice(["", "-", " "]) + number[at:]
    if chance.random() < 0.5:
        written = written.translate({ord("0") + digit: chr(0x09E6 + digit) for digit in range(10)})
    wallet = chance.choice(["bKash {}", "বিকাশ নম্বর {}", "নগদ: {}", "{} (বিকাশ)"])
    for text, entity in ((wallet, "MOBILE_MONEY"), ("মোবাইল {}", "PHONE_NUMBER"), ("{} নম্বরে কল দিন", "PHONE_NUMBER")):
        scanned = WITH_OTHERS.scan(text.format(written))
        assert [span.entity for span in scanned.spans] == [entity], scanned.text
        taken = "".join(value for _, value in scanned.values())
        assert sum(map(str.isdigit, taken)) == sum(map(str.isdigit, scanned.form.text)), scanned.text


@pytest.fixture(scope="module")
def report() -> Report:
    """The labelled set under patterns alone."""
    redactor = Redactor("fast", Pseudonyms(b"k" * 32), (*bangla_recognisers(), *country_recognisers(COUNTRIES)))
    return measure("fast", redactor.spans, rows(LABELLED))


@pytest.mark.parametrize("label", FLOORS)
def test_the_labelled_set_stays_above_its_floors(report: Report, label: str) -> None:
    """Recall and precision of each kind of label."""
    recall, precision = FLOORS[label]
    score = report.entities[label]
    assert report.texts >= 120
    assert (score.recall >= recall, score.precision >= precision) == (True, True), score


def test_little_else_of_the_labelled_set_is_taken(report: Report) -> None:
    """Of the characters outside every label."""
    assert report.over_redaction < 0.015
