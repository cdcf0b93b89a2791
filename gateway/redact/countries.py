"""Identity numbers of many countries, by form and check digits, as a table by ISO 3166 code. PURE.

A form that other things have as well counts only after a word that announces it. Each check is the one that the issuer
describes for the number, in the terms of ``checksums``; where none is published, or not for all that are issued, form
and cue decide.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from gateway.redact.checksums import (
    Check,
    all_of,
    baltic,
    belgian,
    born,
    chilean,
    codes,
    curp,
    czech,
    down,
    german_pension,
    german_tax,
    hong_kong,
    inland_revenue,
    irish,
    italian,
    luhn,
    mod_11_2,
    mod_11_10,
    mod_36,
    mod_97,
    not_all_equal,
    one_of,
    part,
    rfc,
    singaporean,
    snils,
    spanish,
    sri_lankan,
    taiwanese,
    total,
    turkish,
    two,
    up,
    verhoeff,
)
from gateway.redact.recogniser import Recogniser, Rule, RuleRecogniser

ALONE = 0.78
"""Above any number that is not told by whose it is, below a card and a Bangladeshi mobile."""
CUED = 0.95
TOLD = 0.86
"""After its cue, without a checksum."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """One kind of number. In ``shape`` a ``~`` stands for an optional separator; ``check`` takes the bare form."""

    name: str
    shape: str
    check: Check | None = None
    cue: str = ""
    score: float = ALONE


def _alone(name: str, shape: str, check: Check | None = None, score: float = ALONE) -> tuple[Identifier, ...]:
    """A form that nothing else has, or a check that little else passes."""
    return (Identifier(name, shape, check, score=score),)


def _cued(cue: str, name: str, shape: str, check: Check | None = None) -> tuple[Identifier, ...]:
    """A form that other things have too, after a word for it."""
    return (Identifier(name, shape, check, cue, CUED if check else TOLD),)


def _both(cue: str, name: str, shape: str, check: Check | None = None) -> tuple[Identifier, ...]:
    """Found alone, and surer after its cue."""
    return *_alone(name, shape, check), *_cued(cue, name, shape, check)


_DATE = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_D9, _D10, _D11, _D13 = r"\d{3}~\d{3}~\d{3}", r"\d{10}", r"\d{11}", r"\d{13}"
_BALTIC = all_of(baltic, born(start=1))
_CZECH = all_of(czech, born(months=(0, 20, 50, 70)))
_CZECH_CUE = r"rodn[ée] [čc][íi]slo|\bR[ČC]\b"
_JMBG = all_of(down(11, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)), born("dm"))
_NORWEGIAN = all_of(
    two((3, 7, 6, 1, 8, 9, 4, 5, 2), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), "0123456789"), born("dmy", days=(0, 40))
)
_SWEDISH = r"(?:18|19|20)?\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01]|[6-8]\d|9[01])"
_ABN = total(89, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19), 10)

_EUROPE: dict[str, tuple[Identifier, ...]] = {
    "GB": (
        *_alone("NINO", r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]~\d{2}~\d{2}~\d{2}~[A-D]"),
        *_cued(r"nhs", "NHS", r"\d{3}~\d{3}~\d{4}", down(11, range(10, 1, -1))),
        *_cued(r"utr|unique taxpayer reference", "UTR", r"\d{5}~\d{5}"),
        *_cued(r"(?:uk|british|hmpo) passport", "PASSPORT", r"\d{9}"),
        *_alone("DRIVING_LICENCE", r"[A-Z9]{5}\d[0156]\d(?:0[1-9]|[12]\d|3[01])\d[A-Z9]{2}[A-Z\d][A-Z]{2}"),
    ),
    "IE": _alone("PPSN", r"\d{7}[A-W][A-IW]?", irish),
    "DE": (
        *_both(r"steuer-?\s?(?:id|identifikationsnummer|idnr)\w{0,6}|idnr|tax id\w{0,6}", "TAX_ID",
               r"[1-9]\d~\d{3}~\d{3}~\d{3}", german_tax),
        *_cued(r"personalausweis\w{0,8}|ausweis-?(?:nummer|nr)|german id", "ID_CARD", r"[CFGHJKLMNPRTVWXYZ\d]{9}\d",
               up(10, (7, 3, 1, 7, 3, 1, 7, 3, 1))),
        *_alone("PENSION", r"\d{2}~(?:0[1-9]|[1-9]\d)(?:[05][1-9]|1[0-2])\d{2}~[A-Z]~\d{3}", german_pension),
    ),
    "AT": _cued(r"svnr|sv-?nummer|sozialversicherungs\w{2,8}", "SVNR", r"[1-9]\d{3}~\d{6}",
                all_of(total(11, (3, 7, 9, -1, 5, 8, 4, 2, 1, 6)), part(4, None, born("dm")))),
    "CH": _alone("AHV", r"756~\d{4}~\d{4}~\d{2}", total(10, (1, 3) * 6 + (1,))),
    "FR": (
        *_alone("NIR", r"[12378]~\d{2}~(?:0[1-9]|1[0-2]|[2-9]\d)~(?:\d{2}|2[AB])~\d{3}~\d{3}~\d{2}", mod_97),
        *_cued(r"num[ée]ro fiscal\w{0,2}|spi\b|r[ée]f[ée]rence fiscale", "TAX_ID", r"[0-3]\d~\d{2}~\d{3}~\d{3}~\d{3}",
               lambda value: int(value[:10]) % 511 == int(value[10:])),
    ),
    "BE": _both(r"rijksregister\w{0,8}|registre national|national register|insz|niss", "NATIONAL_NUMBER",
                r"\d{2}~\d{2}~\d{2}~\d{3}~\d{2}", all_of(belgian, born(months=(0, 20, 40)))),
    "NL": _cued(r"bsn|burgerservicenummer|sofi-?nummer", "BSN", r"\d{4}~\d{2}~\d{3}|\d{3}~\d{2}~\d{4}|" + _D9,
                all_of(total(11, (9, 8, 7, 6, 5, 4, 3, 2, -1)), not_all_equal)),
    "ES": _alone("DNI", r"(?:\d{8}|\d{2}\.\d{3}\.\d{3}|[XYZ]~\d{7})-?[A-HJ-NP-TV-Z]", spanish),
    "PT": _cued(r"nif|contribuinte|n[úu]mero fiscal", "NIF", _D9, down(11, range(9, 1, -1), "01234567890")),
    "IT": (
        *_alone("CODICE_FISCALE", r"[A-Z]{6}[\dLMNP-V]{2}[ABCDEHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]", italian),
        *_cued(r"partita iva|p\.? ?iva", "VAT_ID", _D11, luhn),
    ),
    "PL": (
        *_both(r"pesel\w{0,2}", "PESEL", _D11,
               all_of(down(10, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)), born(months=(0, 20)))),
        *_cued(r"nip", "NIP", r"\d{3}~\d{3}~\d{2}~\d{2}|\d{3}~\d{2}~\d{2}~\d{3}", up(11, (6, 5, 7, 2, 3, 4, 5, 6, 7))),
        *_cued(r"dow[óo]d\w{0,3}", "ID_CARD", r"[A-Z]{3}~\d{6}", total(10, (7, 3, 1, -1, 7, 3, 1, 7, 3))),
    ),
    "SE": (
        *_alone("PERSONNUMMER", _SWEDISH + r"[-+]\d{4}",
                lambda value: luhn(value[-10:])),
        *_both(r"person(?:nummer|nr)|samordningsnummer", "PERSONNUMMER", r"(?:19|20)\d{10}",
               all_of(part(-10, None, luhn), born("Ymd", days=(0, 60)))),
        *_cued(r"person(?:nummer|nr)|samordningsnummer", "PERSONNUMMER", _D10, all_of(luhn, born(days=(0, 60)))),
    ),
    "NO": _both(r"f[øo]dselsnummer|personnummer|d-nummer|fnr", "FODSELSNUMMER", r"\d{6}~\d{5}", _NORWEGIAN),
    "DK": _cued(r"cpr\w{0,8}|personnummer", "CPR", r"\d{6}~\d{4}", born("dmy")),
    "FI": _alone("HETU", r"\d{6}[-+A-FU-Y]\d{3}[\dA-FHJ-NPR-Y]", all_of(
        lambda value: "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(value[:6] + value[-4:-1]) % 31] == value[-1], born("dmy"))),
    "IS": _alone("KENNITALA", r"\d{6}-\d{3}[09]",
                 all_of(down(11, (3, 2, 7, 6, 5, 4, 3, 2), of=slice(0, 9)), born("dmy"))),
    "EE": _cued(r"isikukood|estonian (?:id|personal)\w{0,8}", "ISIKUKOOD", r"[1-8]\d{10}", _BALTIC),
    "LT": _cued(r"asmens kodas|lithuanian (?:id|personal)\w{0,8}", "ASMENS_KODAS", r"[3-6]\d{10}", _BALTIC),
    "CZ": (*_alone("BIRTH_NUMBER", r"\d{6}/\d{4}", _CZECH), *_cued(_CZECH_CUE, "BIRTH_NUMBER", r"\d{6}~\d{4}", _CZECH)),
    "SK": (*_alone("BIRTH_NUMBER", r"\d{6}/\d{4}", _CZECH, ALONE - 0.01),
           *_cued(r"slovak birth number|rodn[ée] [čc][íi]slo \(?sk\)?", "BIRTH_NUMBER", r"\d{6}~\d{4}", _CZECH)),
    "HU": (
        *_cued(r"taj(?:[- ]?sz[áa]m)?", "TAJ", _D9, up(10, (3, 7) * 4)),
        *_cued(r"ad[óo]azonos[íi]t[óo](?: jel)?", "TAX_ID", r"8\d{9}", up(11, range(1, 10))),
    ),
    "RO": _both(r"cnp|cod numeric personal", "CNP", r"[1-8]\d{12}",
                all_of(up(11, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9), "01234567891"), born(start=1))),
    "BG": _cued(r"егн|egn", "EGN", _D10,
                all_of(up(11, (2, 4, 8, 5, 10, 9, 7, 3, 6), "01234567890"), born(months=(0, 20, 40)))),
    "HR": _cued(r"oib", "OIB", _D11, mod_11_10),
    "RS": _both(r"jmbg|јмбг", "JMBG", _D13, _JMBG),
    "GR": (
        *_cued(r"αφμ|afm", "AFM", r"\d{9}", up(11, [1 << power for power in range(8, 0, -1)], "01234567890")),
        *_both(r"αμκα|amka", "AMKA", _D11, all_of(luhn, born("dmy"))),
    ),
    "UA": _cued(r"рнокпп|іпн|rnokpp", "RNOKPP", _D10, up(11, (-1, 5, 7, 9, 4, 6, 10, 5, 7), "01234567890")),
    "RU": (
        *_alone("SNILS", r"\d{3}-\d{3}-\d{3}[ -]\d{2}", snils),
        *_cued(r"снилс|snils", "SNILS", r"\d{3}~\d{3}~\d{3}~\d{2}", snils),
        *_cued(r"инн|inn", "INN", r"\d{12}",
               all_of(up(11, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8), "01234567890", slice(0, 11)),
                      up(11, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8), "01234567890"))),
        *_cued(r"паспорт\w{0,2}|серия", "PASSPORT", r"\d{2}~\d{2}~\d{6}"),
    ),
    "TR": _both(r"t\.?c\.?(?: kimlik)?|kimlik", "TC_KIMLIK", r"[1-9]\d{10}", turkish),
}  # fmt: skip

_AMERICAS: dict[str, tuple[Identifier, ...]] = {
    "US": (
        *_alone("ITIN", r"9\d{2}[ -](?:5\d|6[0-5]|7\d|8[0-8]|9[0-2]|9[4-9])[ -]\d{4}", score=0.94),
        *_cued(r"itin", "ITIN", r"9\d{2}~(?:5\d|6[0-5]|7\d|8[0-8]|9[0-2]|9[4-9])~\d{4}"),
        *_cued(r"(?-i:EIN)|employer id\w{0,10}(?: number| no)?|fein", "EIN", r"\d{2}-?\d{7}"),
        *_cued(r"(?:us|u\.s\.|american|usa) passport", "PASSPORT", r"[A-Z]\d{8}|\d{9}"),
        *_cued(r"routing|aba|rtn", "ABA_ROUTING", r"(?:0\d|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)\d{7}",
               total(10, (3, 7, 1) * 3)),
        *_cued(r"npi|national provider identifier", "NPI", r"[12]\d{9}", lambda value: luhn("80840" + value)),
        *_alone("MBI", r"[1-9][AC-HJKMNP-RT-Y][\dAC-HJKMNP-RT-Y]\d-[AC-HJKMNP-RT-Y][\dAC-HJKMNP-RT-Y]\d"
                       r"-[AC-HJKMNP-RT-Y]{2}\d{2}"),
    ),
    "CA": _cued(r"(?-i:SIN)|social insurance|(?-i:NAS)", "SIN", _D9, luhn),
    "MX": (
        *_alone("CURP", r"[A-Z][AEIOUX][A-Z]{2}" + _DATE + r"[HMX][A-Z]{2}[B-DF-HJ-NP-TV-ZÑ]{3}[A-Z\d]\d", curp),
        *_alone("RFC", r"[A-ZÑ&][AEIOUX][A-ZÑ&]{2}" + _DATE + r"[A-Z\d]{2}[\dA]", rfc),
    ),
    "BR": (
        *_both(r"cpf", "CPF", r"\d{3}~\d{3}~\d{3}~\d{2}",
               all_of(two(range(10, 1, -1), range(11, 1, -1)), not_all_equal)),
        *_both(r"cnpj", "CNPJ", r"\d{2}~\d{3}~\d{3}[/ ]?\d{4}~\d{2}", all_of(
            two((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)), not_all_equal)),
    ),
    "AR": (
        *_alone("CUIT", r"(?:2[03-7]|3[034])-\d{8}-\d", down(11, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))),
        *_cued(r"cui[tl]", "CUIT", r"(?:2[03-7]|3[034])~\d{8}~\d", down(11, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))),
        *_cued(r"dni|documento nacional", "DNI", r"\d{1,2}\.\d{3}\.\d{3}"),
    ),
    "CL": (
        *_alone("RUT", r"\d{1,2}\.\d{3}\.\d{3}-[\dK]", chilean),
        *_cued(r"rut|(?-i:RUN)|c[ée]dula", "RUT", r"\d{1,2}~\d{3}~\d{3}~[\dK]", chilean),
    ),
    "CO": (
        *_cued(r"nit", "NIT", r"\d{3}~\d{3}~\d{3}~\d",
               down(11, (41, 37, 29, 23, 19, 17, 13, 7, 3), "01234567891")),
        *_cued(r"c[ée]dula(?: de ciudadan[íi]a)?|c\.c\.", "CEDULA", r"\d{1,2}~\d{3}~\d{3}|1~\d{3}~\d{3}~\d{3}"),
    ),
    "PE": (
        *_cued(r"dni|documento nacional", "DNI", r"\d{8}"),
        *_cued(r"ruc", "RUC", r"(?:10|15|16|17|20)\d{9}", down(11, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), "11234567890")),
    ),
    "EC": _cued(r"c[ée]dula", "CEDULA", _D10, all_of(luhn, one_of(0, 2, codes("01-24 30")))),
    "UY": (
        *_alone("CI", r"\d\.\d{3}\.\d{3}-\d", down(10, (2, 9, 8, 7, 6, 3, 4))),
        *_cued(r"c[ée]dula|c\.i\.", "CI", r"\d~\d{3}~\d{3}~\d", down(10, (2, 9, 8, 7, 6, 3, 4))),
    ),
}  # fmt: skip

_ASIA: dict[str, tuple[Identifier, ...]] = {
    "IN": (
        *_alone("AADHAAR", r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}", verhoeff),
        *_cued(r"aadha?ar|uidai|आधार", "AADHAAR", r"[2-9]\d{3}~\d{4}~\d{4}", verhoeff),
        *_both(r"pan", "PAN", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]"),
        *_alone("GSTIN", r"\d{2}[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[\dA-Z]", mod_36),
        *_cued(r"voter(?: id)?|epic|election", "VOTER_ID", r"[A-Z]{3}\d{7}"),
        *_cued(r"indian passport", "PASSPORT", r"[A-PR-WY][1-9]\d~\d{5}"),
    ),
    "PK": (
        *_alone("CNIC", r"[1-7]\d{4}-\d{7}-\d"),
        *_cued(r"cnic|nicop|شناختی کارڈ", "CNIC", r"[1-7]\d{4}~\d{7}~\d"),
    ),
    "LK": (
        *_alone("NIC", r"\d{9}[VvXx]", sri_lankan),
        *_cued(r"nic", "NIC", r"(?:19|20)\d{10}", sri_lankan),
    ),
    "NP": (
        *_cued(r"citizenship|नागरिकता", "CITIZENSHIP", r"\d{2}[-/]\d{2}[-/]\d{2}[-/]\d{4,6}"),
        *_cued(r"nepal(?:i|ese)? pan|स्थायी लेखा", "PAN", r"\d{9}"),
    ),
    "MM": _alone("NRC", r"(?:1[0-4]|[1-9])/[A-Za-z]{6,12}\((?:N|E|P|T|NAING)\)\d{6}"),
    "AE": _alone("EMIRATES_ID", r"784~(?:19|20)\d{2}~\d{7}~\d"),
    "SA": _cued(r"iqama|saudi id|هوية|إقامة", "NATIONAL_ID", r"[12]\d{9}", luhn),
    "KW": _cued(r"civil id|الرقم المدني", "CIVIL_ID", r"[1-3]\d{11}",
                all_of(down(11, (2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)), born(start=1))),
    "IR": _cued(r"کد ملی|code melli|melli", "MELLI", _D10, all_of(down(11, range(10, 1, -1), "01234567891"),
                                                                 not_all_equal)),
    "IL": _cued(r"teudat zehut|israeli id|תעודת זהות|ת\.?ז\.?", "TEUDAT_ZEHUT", r"\d{8}~\d", luhn),
    "SG": _alone("NRIC", r"[STFGM]\d{7}[A-Z]", singaporean),
    "MY": (
        *_alone("MYKAD", _DATE + r"-(?:0[1-9]|1[0-6]|[2-5]\d|82)-\d{4}", born()),
        *_cued(r"mykad|nric|ic(?: no| number)?|kad pengenalan", "MYKAD", _DATE + r"~(?:0[1-9]|1[0-6]|[2-5]\d|82)~\d{4}",
               born()),
    ),
    "ID": _cued(r"nik|ktp", "NIK", r"(?:1[1-9]|2[1]|3[1-6]|5[1-3]|6[1-5]|7[1-6]|8[12]|9[1-7])\d{2}~\d{2}~\d{6}~\d{4}",
                born("dmy", 6, days=(0, 40))),
    "TH": (
        *_alone("NATIONAL_ID", r"[1-8][ -]\d{4}[ -]\d{5}[ -]\d{2}[ -]\d", down(11, range(13, 1, -1), "11234567890")),
        *_cued(r"thai id|บัตรประชาชน|เลขประจำตัวประชาชน", "NATIONAL_ID", r"[1-8]~\d{4}~\d{5}~\d{2}~\d",
               down(11, range(13, 1, -1), "11234567890")),
    ),
    "PH": (
        *_cued(r"philsys|phil ?id|pcn|psn", "PHILSYS", r"\d{4}~\d{4}~\d{4}~\d{4}|\d{4}~\d{7}~\d"),
        *_cued(r"sss", "SSS", r"\d{2}~\d{7}~\d"),
        *_cued(r"umid|crn", "UMID", r"\d{4}~\d{7}~\d"),
    ),
    "VN": _cued(r"cccd|căn cước|can cuoc|cmnd", "CCCD", r"0[0-9]{2}[0-3]\d{8}", one_of(1, 3, codes("01-96"))),
    "CN": _alone("RESIDENT_ID", r"[1-8]\d{5}(?:19|20)" + _DATE + r"\d{3}[\dXx]",
                 all_of(mod_11_2, born("Ymd", 6))),
    "HK": (
        *_alone("HKID", r"[A-Z]{1,2}\d{6}\([\dA]\)", hong_kong),
        *_cued(r"hkid|hong kong id\w{0,8}|身[份分][證证]", "HKID", r"[A-Z]{1,2}\d{6}[\dA]", hong_kong),
    ),
    "TW": _alone("NATIONAL_ID", r"[A-Z][1289]\d{8}", taiwanese),
    "KR": (
        *_alone("RRN", _DATE + r"-[1-8]\d{6}", down(11, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), "11234567890")),
        # from October 2020 on without a check digit
        *_cued(r"주민등록번호|주민번호|외국인등록번호|rrn|resident registration", "RRN", _DATE + r"~[1-8]\d{6}"),
    ),
    "JP": _cued(r"my number|マイナンバー|個人番号", "MY_NUMBER", r"\d{4}~\d{4}~\d{4}",
                down(11, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), "01234567890")),
}  # fmt: skip

_ELSEWHERE: dict[str, tuple[Identifier, ...]] = {
    "AU": (
        *_cued(r"tfn|tax file", "TFN", _D9, total(11, (1, 4, 3, 7, 5, 8, 6, 9, 10))),
        *_cued(r"medicare", "MEDICARE", r"[2-6]\d{3}~\d{5}~\d(?:~[1-9])?",
               up(10, (1, 3, 7, 9, 1, 3, 7, 9), of=slice(0, 9))),
        *_alone("ABN", r"\d{2} \d{3} \d{3} \d{3}", _ABN),
        *_cued(r"abn|business number", "ABN", r"\d{2}~\d{3}~\d{3}~\d{3}", _ABN),
        *_cued(r"acn|company number", "ACN", _D9, down(10, range(8, 0, -1))),
    ),
    "NZ": (
        *_cued(r"ird|inland revenue", "IRD", r"\d{2,3}~\d{3}~\d{3}", inland_revenue),
        *_cued(r"nhi|national health index", "NHI", r"[A-HJ-NP-Z]{3}\d{4}|[A-HJ-NP-Z]{3}\d{2}[A-HJ-NP-Z]{2}"),
    ),
    "ZA": _both(r"(?:south african|sa|rsa) id", "ID", _DATE + r"~\d{4}~[01]\d~\d", all_of(luhn, born())),
    "NG": (
        *_cued(r"(?-i:NIN)|nimc|nigerian id", "NIN", _D11),
        *_cued(r"bvn|bank verification", "BVN", r"22\d{9}"),
    ),
    "KE": _alone("KRA_PIN", r"[AP]0\d{8}[A-Z]"),
    "GH": _alone("GHANA_CARD", r"GHA-\d{9}-\d"),
    "EG": _cued(r"الرقم القومي|egyptian(?: national)? id", "NATIONAL_ID",
                r"[23]" + _DATE + r"(?:0[1-4]|1[1-9]|2[1-9]|3[1-5]|88)\d{5}", born(start=1)),
}  # fmt: skip

_TABLE = _EUROPE | _AMERICAS | _ASIA | _ELSEWHERE
COUNTRIES: frozenset[str] = frozenset(_TABLE)
"""The ISO 3166 codes of the countries whose numbers are known."""

_SEPARATORS = str.maketrans("", "", " .-+/()")
_BEFORE, _AFTER = r"(?<![A-Za-z0-9_])(?<!\d[.,/-])", r"(?![A-Za-z0-9_])(?![.,/-]\d)"
_NO_GROUP_BEFORE, _NO_GROUP_AFTER = r"(?<!\d )", r"(?! \d)"
"""Around what is found alone: groups of digits must not be a piece of a longer row, such as a card's number."""
_LETTER = "A-Za-zÀ-ɏ"


def country_recognisers(codes: Collection[str]) -> tuple[Recogniser, ...]:
    """A recogniser for the numbers of the given countries; none for none. Raises ``KeyError`` for an unknown code."""
    rules = [_rule(code, identifier) for code in sorted(codes) for identifier in _TABLE[code]]
    return (RuleRecogniser("countries", rules),) if rules else ()


def _rule(code: str, identifier: Identifier) -> Rule:
    value = f"{_BEFORE}(?P<value>{identifier.shape.replace('~', '[ .-]?')}){_AFTER}"
    if not identifier.cue:
        value = f"{_NO_GROUP_BEFORE}{value}{_NO_GROUP_AFTER}"
    else:
        value = rf"(?i)(?<![{_LETTER}])(?:{identifier.cue})(?![{_LETTER}])[^\d\n]{{0,24}}?{value}"
    check = identifier.check and _bare(identifier.check)
    return Rule(f"{code}_{identifier.name}", identifier.score, re.compile(value), group="value", check=check)


def _bare(check: Check) -> Check:
    return lambda value: check(value.translate(_SEPARATORS).upper())
