"""Identity numbers of countries: published examples, check digits, and how seldom ordinary text is taken for one."""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import config, environment
from gateway.errors import ConfigError
from gateway.redact.countries import COUNTRIES, country_recognisers
from gateway.redact.normalise import normalise
from gateway.redact.patterns import pattern_recognisers
from gateway.redact.recogniser import Span
from gateway.redact.scan import Scanner

ALL = country_recognisers(COUNTRIES)
WITH_OTHERS = Scanner((*ALL, *pattern_recognisers()))

EXAMPLES = [
    ("NINO AB 12 34 56 C", "AB 12 34 56 C", "GB_NINO"),
    ("NHS number: 943 476 5919", "943 476 5919", "GB_NHS"),
    ("UTR 12345 67890", "12345 67890", "GB_UTR"),
    ("PPSN 1234567T", "1234567T", "IE_PPSN"),
    ("Steuer-ID 86 095 742 719", "86 095 742 719", "DE_TAX_ID"),
    ("Rentenversicherung 15 070649 C 103", "15 070649 C 103", "DE_PENSION"),
    ("SVNR 1237 010180", "1237 010180", "AT_SVNR"),
    ("AHV 756.9217.0769.85", "756.9217.0769.85", "CH_AHV"),
    ("mon NIR 2 55 08 14 168 025 38", "2 55 08 14 168 025 38", "FR_NIR"),
    ("rijksregisternummer 85.07.30-033.28", "85.07.30-033.28", "BE_NATIONAL_NUMBER"),
    ("mijn BSN is 111222333", "111222333", "NL_BSN"),
    ("DNI 12345678Z", "12345678Z", "ES_DNI"),
    ("NIE X1234567L", "X1234567L", "ES_DNI"),
    ("o meu NIF é 123456789", "123456789", "PT_NIF"),
    ("codice fiscale RSSMRA85T10A562S", "RSSMRA85T10A562S", "IT_CODICE_FISCALE"),
    ("PESEL 44051401359", "44051401359", "PL_PESEL"),
    ("NIP 123-456-32-18", "123-456-32-18", "PL_NIP"),
    ("personnummer 811218-9876", "811218-9876", "SE_PERSONNUMMER"),
    ("fødselsnummer 01010101006", "01010101006", "NO_FODSELSNUMMER"),
    ("CPR-nummer 070761-4285", "070761-4285", "DK_CPR"),
    ("henkilötunnus 131052-308T", "131052-308T", "FI_HETU"),
    ("kennitala 120174-3399", "120174-3399", "IS_KENNITALA"),
    ("isikukood 37605030299", "37605030299", "EE_ISIKUKOOD"),
    ("rodné číslo 736028/5163", "736028/5163", "CZ_BIRTH_NUMBER"),
    ("TAJ szám 123 456 788", "123 456 788", "HU_TAJ"),
    ("CNP 1800101221144", "1800101221144", "RO_CNP"),
    ("ЕГН 7523169263", "7523169263", "BG_EGN"),
    ("OIB 69435151530", "69435151530", "HR_OIB"),
    ("JMBG 0101006500006", "0101006500006", "RS_JMBG"),
    ("ΑΦΜ 094259216", "094259216", "GR_AFM"),
    ("СНИЛС 112-233-445 95", "112-233-445 95", "RU_SNILS"),
    ("ИНН 500100732259", "500100732259", "RU_INN"),
    ("TC kimlik no 10000000146", "10000000146", "TR_TC_KIMLIK"),
    ("ITIN 912-70-1234", "912-70-1234", "US_ITIN"),
    ("EIN 12-3456789", "12-3456789", "US_EIN"),
    ("routing number 021000021", "021000021", "US_ABA_ROUTING"),
    ("NPI 1234567893", "1234567893", "US_NPI"),
    ("Medicare 1EG4-TE5-MK73", "1EG4-TE5-MK73", "US_MBI"),
    ("my SIN is 046 454 286", "046 454 286", "CA_SIN"),
    ("CURP HEGG560427MVZRRL04", "HEGG560427MVZRRL04", "MX_CURP"),
    ("RFC GODE561231GR8", "GODE561231GR8", "MX_RFC"),
    ("CPF 529.982.247-25", "529.982.247-25", "BR_CPF"),
    ("CNPJ 11.222.333/0001-81", "11.222.333/0001-81", "BR_CNPJ"),
    ("CUIT 20-05536168-2", "20-05536168-2", "AR_CUIT"),
    ("RUT 12.345.678-5", "12.345.678-5", "CL_RUT"),
    ("NIT 860.034.313-7", "860.034.313-7", "CO_NIT"),
    ("RUC 20100070970", "20100070970", "PE_RUC"),
    ("cédula 1710034065", "1710034065", "EC_CEDULA"),
    ("CI 1.234.567-2", "1.234.567-2", "UY_CI"),
    ("Aadhaar 2341 2341 2346", "2341 2341 2346", "IN_AADHAAR"),
    ("PAN ABCPE1234F", "ABCPE1234F", "IN_PAN"),
    ("GSTIN 27AAPFU0939F1ZV", "27AAPFU0939F1ZV", "IN_GSTIN"),
    ("voter id ABC1234567", "ABC1234567", "IN_VOTER_ID"),
    ("CNIC 35202-1234568-1", "35202-1234568-1", "PK_CNIC"),
    ("NIC 853400937V", "853400937V", "LK_NIC"),
    ("citizenship no 27-01-70-12345", "27-01-70-12345", "NP_CITIZENSHIP"),
    ("12/KAMAYA(N)123456", "12/KAMAYA(N)123456", "MM_NRC"),
    ("Emirates ID 784-1990-1234567-1", "784-1990-1234567-1", "AE_EMIRATES_ID"),
    ("iqama 1010101010", "1010101010", "SA_NATIONAL_ID"),
    ("کد ملی 0499370899", "0499370899", "IR_MELLI"),
    ("Israeli ID 123456782", "123456782", "IL_TEUDAT_ZEHUT"),
    ("NRIC S1234567D", "S1234567D", "SG_NRIC"),
    ("MyKad 850101-14-5123", "850101-14-5123", "MY_MYKAD"),
    ("NIK 3171011505900001", "3171011505900001", "ID_NIK"),
    ("SSS 12-3456789-0", "12-3456789-0", "PH_SSS"),
    ("CCCD 001085012345", "001085012345", "VN_CCCD"),
    ("我的身份证号是11010519491231002X。", "11010519491231002X", "CN_RESIDENT_ID"),
    ("HKID A123456(3)", "A123456(3)", "HK_HKID"),
    ("身分證字號 A123456789", "A123456789", "TW_NATIONAL_ID"),
    ("주민등록번호 900101-1234568", "900101-1234568", "KR_RRN"),
    ("マイナンバー 1234 5678 9018", "1234 5678 9018", "JP_MY_NUMBER"),
    ("TFN 123 456 782", "123 456 782", "AU_TFN"),
    ("Medicare card 2123 45670 1", "2123 45670 1", "AU_MEDICARE"),
    ("ABN 51 824 753 556", "51 824 753 556", "AU_ABN"),
    ("IRD 49-091-850", "49-091-850", "NZ_IRD"),
    ("SA ID 8001015009087", "8001015009087", "ZA_ID"),
    ("BVN 22123456789", "22123456789", "NG_BVN"),
    ("A001234567Z", "A001234567Z", "KE_KRA_PIN"),
    ("GHA-123456789-1", "GHA-123456789-1", "GH_GHANA_CARD"),
    ("الرقم القومي 29001011234567", "29001011234567", "EG_NATIONAL_ID"),
]  # fmt: skip


UNCHECKED = {
    "GB_NINO", "GB_UTR", "DK_CPR", "US_ITIN", "US_EIN", "US_MBI", "IN_PAN", "IN_VOTER_ID", "PK_CNIC", "LK_NIC",
    "NP_CITIZENSHIP", "MM_NRC", "AE_EMIRATES_ID", "MY_MYKAD", "ID_NIK", "PH_SSS", "VN_CCCD", "KR_RRN", "NG_BVN",
    "KE_KRA_PIN", "GH_GHANA_CARD", "EG_NATIONAL_ID",
}  # fmt: skip
"""Numbers without a published check digit, or with none on those that are issued now."""
CHECKED_AT = {
    "MX_CURP": 17,
    "UY_CI": 10,
    "TW_NATIONAL_ID": 9,
    "EE_ISIKUKOOD": 10,
    "AU_MEDICARE": 9,
    "IS_KENNITALA": 9,
}
"""Where the check digit stands in the example of a scheme that does not tell every single wrong digit elsewhere."""


def found(text: str, codes: frozenset[str] = COUNTRIES) -> set[tuple[str, str]]:
    """Entity and value of all that the countries' recogniser tells, before one of several is chosen."""
    plain = normalise(text).text
    recognisers = ALL if codes == COUNTRIES else country_recognisers(codes)
    spans: list[Span] = [span for each in recognisers for span in each.find(plain)]
    return {(span.entity, plain[span.start : span.end]) for span in spans}


@pytest.mark.parametrize(("text", "value", "entity"), EXAMPLES, ids=[entity for _, _, entity in EXAMPLES])
def test_published_examples_keep_their_name_among_the_other_recognisers(text: str, value: str, entity: str) -> None:
    """What is cut out is the whole number, under its country's name rather than a general one."""
    scanned = WITH_OTHERS.scan(text)
    assert (entity, value) in {(span.entity, piece) for span, piece in scanned.values()}


@pytest.mark.parametrize(("text", "value", "entity"), [each for each in EXAMPLES if each[2] not in UNCHECKED])
def test_one_wrong_digit_is_told_where_a_check_digit_is_published(text: str, value: str, entity: str) -> None:
    """Every other digit at every place, of schemes that promise it; elsewhere at the check digit."""
    places = [CHECKED_AT[entity]] if entity in CHECKED_AT else range(len(value))
    for at in places:
        for digit in "0123456789":
            if value[at].isdigit() and value[at] != digit:
                wrong = text.replace(value, f"{value[:at]}{digit}{value[at + 1 :]}")
                assert entity not in {name for name, _ in found(wrong)}, wrong


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


def _luhn(body: str) -> str:
    doubled = [int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(body))]
    return body + str(-sum(each - 9 * (each > 9) for each in doubled) % 10)


def _iso_11_10(body: str) -> str:
    product = 10
    for digit in body:
        product = 2 * ((int(digit) + product) % 10 or 10) % 11
    return body + str((11 - product) % 10)


def _cpf(body: str) -> str:
    for _ in range(2):
        rest = _weighted(body, tuple(range(len(body) + 1, 1, -1))) % 11
        body += str(0 if rest < 2 else 11 - rest)
    return body


def _chinese(body: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[_weighted(body, weights) % 11]


def _turkish(body: str) -> str:
    tenth = (sum(map(int, body[::2])) * 7 - sum(map(int, body[1::2]))) % 10
    return f"{body}{tenth}{(sum(map(int, body)) + tenth) % 10}"


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "CA_SIN": lambda chance: "SIN " + _luhn(_some(chance, 8)),
    "US_NPI": lambda chance: "NPI " + _luhn("80840" + _some(chance, 9, "12"))[5:],
    "ZA_ID": lambda chance: _luhn("900214" + _some(chance, 4) + "08"),
    "HR_OIB": lambda chance: "OIB " + _iso_11_10(_some(chance, 10)),
    "BR_CPF": lambda chance: _cpf(_some(chance, 8) + "3"),
    "CN_RESIDENT_ID": lambda chance: _chinese("110105" + "19491231" + _some(chance, 3)),
    "TR_TC_KIMLIK": lambda chance: _turkish(_some(chance, 9)),
    "ES_DNI": lambda chance: (
        lambda body: body + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]
    )(_some(chance, 8)),
    "FR_NIR": lambda chance: (
        lambda body: f"{body}{97 - int(body) % 97:02}"
    )("2550814168" + _some(chance, 3)),
    "PL_PESEL": lambda chance: (
        lambda body: body + str(-_weighted(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)
    )("440514" + _some(chance, 4)),
    "US_ABA_ROUTING": lambda chance: (
        lambda body: "routing " + body + str(-_weighted(body, (3, 7, 1, 3, 7, 1, 3, 7)) % 10)
    )("02" + _some(chance, 6)),
    "CH_AHV": lambda chance: (
        lambda body: body + str(-_weighted(body, (1, 3) * 6) % 10)
    )("756" + _some(chance, 9)),
    "FI_HETU": lambda chance: (
        lambda body: f"131052-{body}" + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int("131052" + body) % 31]
    )(_some(chance, 3)),
}  # fmt: skip
"""Valid numbers by the issuers' descriptions, written anew, with the cue where one is needed."""


def _some(chance: random.Random, count: int, first: str = "123456789") -> str:
    return chance.choice(first) + "".join(chance.choices("0123456789", k=count - 1))


@pytest.mark.parametrize("entity", MAKERS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_valid_numbers_are_found_and_with_a_wrong_digit_are_not(entity: str, seed: int) -> None:
    """Made by an independent rendering of the scheme."""
    chance = random.Random(seed)
    text = MAKERS[entity](chance)
    value = text.split()[-1]
    assert (entity, value) in found(f"it is {text}, as told")
    # a CPF's rests 0 and 1 are written alike, so its body may change unseen
    places = [10] if entity == "BR_CPF" else range(len(value))
    at = chance.choice([at for at in places if value[at].isdigit()])
    digit = chance.choice([digit for digit in "0123456789" if digit != value[at]])
    wrong = f"{value[:at]}{digit}{value[at + 1 :]}"
    assert entity not in {name for name, _ in found(f"it is {text.replace(value, wrong)}, as told")}


@pytest.mark.parametrize("value", ["123456782", "1010101010", "9434765919", "2095846170", "44051401358"])
def test_a_plain_number_without_cue_is_nobodys(value: str) -> None:
    """Nine to eleven digits that some scheme would take stay a number until a word tells whose."""
    assert found(f"order {value} shipped") == set()


def test_groups_of_a_longer_row_are_no_number_of_their_own() -> None:
    """Three groups of a card's four are no Aadhaar."""
    assert ("IN_AADHAAR", "2341 2341 2346") in found("2341 2341 2346")
    assert found("2341 2341 2346 1234") == set()


def test_countries_restrict_what_is_found() -> None:
    """Those that are not asked for are not looked for; none are when the list is empty."""
    text = "CPF 529.982.247-25 and DNI 12345678Z"
    assert found(text, frozenset({"ES"})) == {("ES_DNI", "12345678Z")}
    assert country_recognisers([]) == ()
    with pytest.raises(KeyError):
        country_recognisers(["XX"])


def test_the_configuration_names_the_same_countries(tmp_path: Path) -> None:
    """Its list is written apart, so that reading it loads no recogniser; an unknown code is told by its place."""
    assert set(get_args(config.Country)) == COUNTRIES
    assert len(COUNTRIES) >= 18
    file = tmp_path / "gateway.yaml"
    file.write_text("redact: {countries: [GB, IN]}")
    environ = {"OPENAI_API_KEY": "k"}
    assert environment.load(file, environ).redact.countries == ("GB", "IN")
    file.write_text("redact: {countries: []}")
    assert environment.load(file, environ).redact.countries == ()
    assert set(environment.load(None, environ).redact.countries) == COUNTRIES
    file.write_text("redact: {countries: [GB, XX]}")
    with pytest.raises(ConfigError, match=r"redact\.countries\[1\]: Input should be 'AE'"):
        environment.load(file, environ)


def test_ordinary_text_holds_almost_none() -> None:
    """Of a megabyte of installed sources and their papers, below one find in 10,000 words."""
    folder = Path(sysconfig.get_paths()["purelib"])
    files = sorted(path for kind in ("*.py", "*.md", "*.txt", "METADATA") for path in folder.rglob(kind))
    random.Random(7).shuffle(files)
    size = words = finds = 0
    for file in files:
        text = normalise(file.read_text("utf-8", "replace")[:50_000]).text
        size, words = size + len(text), words + len(text.split())
        finds += sum(1 for each in ALL for _ in each.find(text))
        if size > 1_000_000:
            break
    assert size > 300_000
    assert finds < words / 10_000
