"""Names of people by the words around them, where a small model overlooks them. PURE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.redact.recogniser import Recogniser, Rule, RuleRecogniser, Span
from gateway.redact.vocabulary import NOT_NAMES

_BIG = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĢĪĮİĶŁĻŃŅŇŌŐŒŘŚŞŠŢŤŪŮŰŲŹŻŽȘȚА-ЯΑ-Ω"
_WORD = rf"[{_BIG}][\w'-]{{1,30}}"
_PARTICLE = r"(?:van|von|de|der|den|del|della|di|da|dos|du|la|le|el|al|bin|binti|ibn|ter|ten|zu|af|av|y)"
_MORE = rf"[ \t](?:{_PARTICLE}[ \t]){{0,2}}(?:{_WORD}|[{_BIG}]\.?(?!\w))"
_FULL = rf"(?:{_WORD}|[{_BIG}]\.)(?:{_MORE}){{0,3}}"
_TWO = rf"{_WORD}(?:{_MORE}){{1,3}}"


def _a_name(value: str) -> bool:
    first = value.split()[0].lower().strip(".'")
    return first not in NOT_NAMES and first.split("'")[0] not in NOT_NAMES


def _no_plural(value: str) -> bool:
    """A name, and no ``Customers asked``."""
    return _a_name(value) and (" " in value or not value.endswith("s"))


def _small_name(value: str) -> bool:
    return all(word.lower() not in NOT_NAMES for word in value.split())


def _after(cue: str, name: str, score: float = 0.85) -> Rule:
    """A name that follows a cue."""
    return Rule("PERSON", score, re.compile(f"{cue}(?P<value>{name})"), group="value", check=_a_name)


_TITLES = _after(
    r"(?<!\w)(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Madam|Lady|Lord|Mme|Mlle|Herr|Frau|Señor|Señora|Md|Mst|Sheikh)"
    r"(?:\.[ \t]?|[ \t])",
    _FULL,
    score=0.9,
)
_INTRODUCTIONS = (
    _after(
        r"(?i:(?<!\w)(?:my|his|her|their|the|your|our)\s(?:\w{1,15}\s){0,2}(?:name|names)(?:'s|\sis|\sare|\swas|:)\s)",
        _FULL,
        score=0.9,
    ),
    # in small letters too, as people type to a chat
    Rule(
        "PERSON",
        0.8,
        re.compile(
            r"(?i:(?<!\w)my (?:full |first |last |sur)?name(?:'s| is) )(?P<value>[^\W\d_]{3,20}(?: [^\W\d_]{2,20})?)"
            r"(?=[\s,.!?;]|$)"
        ),
        group="value",
        check=_small_name,
    ),
    Rule(
        "PERSON",
        0.75,
        re.compile(
            r"(?i:(?<!\w)my (?:full |first |last |sur)?name(?:'s| is) )(?P<value>[^\W\d_]{3,20})(?=[\s,.!?;]|$)"
        ),
        group="value",
        check=_small_name,
    ),
    _after(r"(?i:(?<!\w)name\?\s{1,3}(?:\w{2,12}:\s{1,2})?)", rf"{_FULL}(?=\s*(?:$|\n|[.,]))"),
    _after(
        r"(?i:(?<!\w)(?:call me|named|name's|known as|a\.?k\.?a\.?|yours,?|(?:signed|written|directed|created|prepared"
        r"|approved"
        r"|submitted|reported|requested|authored|reviewed)(?: by)?[:,]?)\s{1,4})",
        _FULL,
    ),
    _after(r"(?<!\w)(?:[Ii]'m|[Ii] am|[Tt]his is|[Tt]hese are)\s", _TWO),
)
_LETTERS = (
    _after(
        r"(?i:(?<!\w)(?:dear|hi|hello|hey|greetings|thanks|thank you|welcome|goodbye|bye|cheers)),?[ \t]",
        rf"{_FULL}(?=[,!.\n:]|$)",
    ),
    _after(
        r"(?i:(?<!\w)(?:regards|sincerely|cheers|best wishes|thanks|thank you|yours truly|love"
        r"|faithfully)),?\s{0,3}\n\s{0,3}-?\s?",
        rf"{_FULL}(?=\s*(?:\n|$|,))",
    ),
)
_FIELDS = (
    _after(
        r"(?i:(?<!\w)(?:(?:full|first|last|middle|given|family|sur|maiden|customer|patient|client|employee|contact"
        r"|card ?holder"
        r"|account ?holder|passenger|guest|applicant|recipient|sender|student|tenant)[ _-]?name|surname|patient"
        r"|cardholder"
        r"|attn|attention|attendees?|assignee|beneficiary|next of kin|from|to|cc)[\"']?\s?[:=]\s?[\"']?)",
        _FULL,
    ),
    _after(r"(?:^|\n)[ \t]{0,4}(?:Name|NAME|name)[ \t]?:[ \t]{0,8}", _FULL),
    # the speakers of a dialogue
    Rule(
        "PERSON",
        0.7,
        re.compile(rf"(?m)^[ \t]{{0,4}}(?P<value>{_FULL}):[ \t]?[\"“]"),
        group="value",
        check=_a_name,
    ),
    _after(
        r"(?i:(?<!\w)(?:(?:billing|shipping|delivery|mailing|home) address:\s{0,4}|(?:ship|bill|deliver) to:?\s{1,4}))",
        _TWO,
    ),
)
_RELATIONS = (
    _after(
        r"(?i:(?<!\w)(?:my|his|her|their|our)\s(?:\w{1,12}\s)?(?:wife|husband|son|daughter|brother|sister|mother|father"
        r"|friend|boss"
        r"|colleague|partner|boyfriend|girlfriend|uncle|aunt|cousin|nephew|niece|doctor|manager|neighbou?r"
        r"|roommate|kid|child|baby|grandmother|grandfather|fianc[ée]e?|landlord|tenant|client|assistant),?\s)",
        _FULL,
    ),
    # songwriter Zoe Young; two words, since programs and firms have trades as well
    _after(
        r"(?:(?<!\w)(?:songwriter|singer|actor|actress|author|novelist|poet|artist|painter|drummer|guitarist|rapper|composer"
        r"|director|producer|president|senator|minister|mayor|judge|professor|lawyer|attorney|surgeon|nurse|detective"
        r"|officer|captain|coach|striker|goalkeeper|founder|co-founder|chairman|chairwoman|CEO|CTO|CFO|journalist"
        r"|reporter|photographer|chef|architect)\s)",
        _TWO,
        score=0.7,
    ),
    _after(
        r"(?<!\w)(?:[Ff]ollow(?:ing|ed)? up with|add|remove|register|appoint|invite|nominate|heard"
        r"|change it to|said to|novel by|verses (?:from|by)|song by|written by)\s",
        _TWO,
        score=0.7,
    ),
    Rule(
        "PERSON",
        0.7,
        # in small letters, as people type: follow up with benjamin a seiler in a couple of months
        re.compile(
            r"(?i:(?<!\w)follow up with )(?P<value>[^\W\d_]{3,20}(?: [^\W\d_]{1,20}){1,2})(?= in\b| on\b|[.,!?]|$)"
        ),
        group="value",
        check=_small_name,
    ),
    _after(
        r"(?<!\w)(?:told|asked|met|emailed|texted|phoned|married|shouted at|spoke (?:to|with)|speak (?:to|with)"
        r"|talk(?:ed)? (?:to|with)|heard from|(?:meeting|interview) with|(?:call|message|letter) from|on behalf of)\s",
        _FULL,
        score=0.7,
    ),
    Rule(
        "PERSON",
        0.75,
        re.compile(
            rf"(?<!\w)(?P<value>{_FULL})(?='s (?:wife|husband|mother|father|daughter|son|sister|brother|birthday"
            r"|e?-?mail|phone|house|salary|passport|diagnosis|prescription|girlfriend|boyfriend|parents?|children|kids"
            r"|family)| (?:lives|works (?:at|for|as)|thinks|loves|feels|weighs|is \d+ years old)\b)"
        ),
        group="value",
        check=_a_name,
    ),
    Rule(
        "PERSON",
        0.7,
        re.compile(
            rf"(?<!\w)(?P<value>{_FULL})(?=,? (?:told|asked|replied|shouted|whispered|lived|married|graduated"
            rf"|was born|phoned"
            r"|texted|emailed|smiled|laughed|cried|nodded|died|flew to)\b)"
        ),
        group="value",
        check=_no_plural,
    ),
)


class BlockRecogniser:
    """A line that is a name, with how to reach who bears it in the lines below."""

    _LINE = re.compile(rf"^[>?* \t]{{0,5}}({_TWO})[ \t]*$", re.MULTILINE)
    _CONTACT = re.compile(rf"\w@\w|\d[\d ()-]{{7,}}|(?<!\d)\d{{2,5}} [{_BIG}]")
    _REACH = 160

    @property
    def name(self) -> str:
        """``name block``."""
        return "name block"

    def find(self, text: str) -> Iterator[Span]:
        """Every such line."""
        for line in self._LINE.finditer(text):
            if _a_name(line[1]) and self._CONTACT.search(text, line.end(), line.end() + self._REACH):
                yield Span(line.start(1), line.end(1), "PERSON", 0.7, self.name)


def name_recognisers() -> tuple[Recogniser, ...]:
    """Names that a title, a greeting, a signature or an introduction gives away."""
    return BlockRecogniser(), RuleRecogniser("name cues", (_TITLES, *_INTRODUCTIONS, *_LETTERS, *_FIELDS, *_RELATIONS))
