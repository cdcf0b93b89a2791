"""Names of people in Bangla script, and in Latin as Bangla is typed. PURE.

Bangla has no capital letters: a name is told by its parts, by a title or a kinship word before it, by what people are
called behind it, or by the field it stands in. How far it reaches is told by the words it is made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.redact.bangla_words import (
    CALLED,
    DOTTED,
    FIRM,
    INCLUDED,
    KIN,
    MAYBE,
    NAMES,
    NEARER,
    NOT_BANGLA_NAMES,
    STRONG_TITLES,
    SURNAMES,
    WHOSE,
    plain,
)
from gateway.redact.recogniser import Span

LONGEST = 5
"""Words of a name."""

_WORD = re.compile(r"[\u0980-\u09ff]+")
# Case endings, longest first. Taken off what then is a known part; কে also off what is not known
_ENDINGS = tuple(
    plain("য়েরা য়েদের য়ের য়েকে দেরকে দেরও েরও েরই েরা দের কেও কেই রাও টির ের কে রা রে য়ে তে র য় ে ই ও").split()
)
_VERB = re.compile(plain("(?:ছি|ছে|ছেন|ছো|ছিল|ছিলেন|ছিলাম|লাম|লেন|বেন|বো|তাম|তেন|চ্ছি|ইয়া|ানো|ুন|তে|লে|বে|নি)$"))
# Of a word that ends in a vowel: ঢাকায়. After a consonant it is a name: অক্ষয়
_LOCATIVE = re.compile(plain(r"(?:[\u09be-\u09cc]য়|তে|ে|েই|েও)$"))
_VOICE = re.compile(plain(r"[ ,]{0,2}(?:বলছি|বলছিলাম|বলতেছি|লিখছি|লিখছিলাম|বলসি)"))
_FIELD = re.compile(
    plain(
        r"(?:নাম|পিতা|মাতা|স্বামী|স্ত্রী|প্রেরক|প্রাপক|গ্রহীতা|রোগী|অভিভাবক|আবেদনকারী|গ্রাহক|মালিক|হিসাবধারী|যোগাযোগ|নমিনি)(?:র নাম)?"
        r"(?: \([^()\n]{1,20}\))?\s?(?:[:=ঃ]|-(?=\s))\s{0,3}[\"']?"
    )
)
_MY_NAME = re.compile(
    plain(
        r"(?:আমার|তার|তাঁর|ওর|ওনার|উনার|আমাদের|মায়ের|বাবার|ভাইয়ের|বোনের|বন্ধুর|ছেলের|মেয়ের|স্বামীর|স্ত্রীর|পিতার|মাতার|রোগীর|গ্রাহকের"
        r"|শিক্ষকের|ডাক্তারের)(?: (?:পুরো|ভালো|ডাক|আসল))? ?নাম(?!\u09cd),?(?: (?:হলো|হল|হচ্ছে|ছিল|হয়|রেখেছি))? ?[:-]? ?[\"']?"
    )
)
_SIGNED = re.compile(
    plain(
        r"(?:ধন্যবাদান্তে|শুভেচ্ছান্তে|শ্রদ্ধান্তে|বিনীত নিবেদক|বিনীত|নিবেদক|ইতি)(?:[,:]|\s{0,2}\n)\s{0,4}"
        r"(?:(?:আপনার|তোমার)[^\n,]{0,20}[,\n]\s{0,3})?"
    )
)
_CALLED_SO = re.compile(plain(r" নামে(?:র)? (?:একজন|এক |একটি ছেলে|একটি মেয়ে|কেউ|কাউকে|ব্যক্তি|লোক|ছাত্র|ছাত্রী|রোগী)"))


class Word(NamedTuple):
    """A word of Bangla and where it stands."""

    start: int
    end: int
    text: str


class BanglaNames:
    """Names in Bangla script."""

    @property
    def name(self) -> str:
        """``bangla names``."""
        return "bangla names"

    def find(self, text: str) -> Iterator[Span]:
        """Names by their parts, then those by cues, surer."""
        if text.isascii():
            return
        found = [Word(match.start(), match.end(), match.group()) for match in _WORD.finditer(text)]
        if not found:
            return
        page = _Page(text, found)
        for at in range(len(found)):
            yield from page.by_parts(at)
            yield from page.by_cue(at)
        for cue, score in ((_FIELD, 0.85), (_MY_NAME, 0.9), (_SIGNED, 0.85)):
            for match in cue.finditer(text):
                yield from page.filled(match.end(), score)


class _Page:
    """A text and its words of Bangla."""

    def __init__(self, text: str, words: Sequence[Word]) -> None:
        self.text = text
        self.words = words
        self.known = [_stem(word.text, NAMES) for word in words]
        self._starts = {word.start: at for at, word in enumerate(words)}

    def by_parts(self, at: int) -> Iterator[Span]:
        """A part that is hardly anything else, with what belongs to it on both sides."""
        if not self.known[at] or (at and self.known[at - 1] and self._joined(at - 1)):
            return
        first = at
        while first and self._joined(first - 1) and self.words[first - 1].text in MAYBE:
            first -= 1
        if first == at and at and self._joined(at - 1) and self._surname(at) and self._unknown(at - 1):
            first -= 1
        yield self._span(first, self._last(at), 0.75)

    def by_cue(self, at: int) -> Iterator[Span]:
        """What a word says of its neighbours."""
        word = self.words[at]
        if word.text in STRONG_TITLES and self._titles(at):
            yield from self._from(at + 1, 0.9, sure=True)
        elif word.text in INCLUDED and self._joined(at):
            for span in self._from(at + 1, 0.85, sure=True):
                yield span._replace(start=word.start)
        elif word.text in WHOSE and self._joined(at):
            kin = at + 1 + (self.words[at + 1].text in NEARER)
            if kin < len(self.words) and self.words[kin].text in KIN:
                yield from self._from(kin + 1, 0.85, sure=False)
        elif word.text in _GREETINGS and self._opens(at):
            yield from self._from(at + 1, 0.85, sure=self._closes(at + 1))
        elif word.text == _AMI:
            yield from self._speaking(at + 1)
        if at and _stem(word.text, CALLED) and self._joined(at - 1):
            yield from self._before(at)
        if _CALLED_SO.match(self.text, word.end, word.end + 30) and not self._stopped(at):
            yield self._span(at, at, 0.8)

    def filled(self, start: int, score: float) -> Iterator[Span]:
        """The name that a field holds, up to a mark or the line's end."""
        at = self._starts.get(start)
        if at is None:
            return
        while at < len(self.words) and (self.words[at].text in STRONG_TITLES or self.words[at].text in _LATE):
            at += 1
        yield from self._from(at, score, sure=True)

    def _from(self, at: int, score: float, *, sure: bool) -> Iterator[Span]:
        """A name that begins here. ``sure``: nothing else can; else only if it is known or an object in its case."""
        if at >= len(self.words) or (at and not self._joined(at - 1, ".:\"'ঃ-,\n")) or not self._begins(at, sure=sure):
            return
        word = self.words[at].text
        if sure:
            if not _VERB.search(word) or self.known[at] or word in MAYBE:
                yield self._span(at, self._last(at, sure=True), score)
        elif self.known[at] or _stem(word, MAYBE) or (word.endswith(_KE) and len(word) > 3):
            yield self._span(at, self._last(at), score)

    def _begins(self, at: int, *, sure: bool) -> bool:
        """Whether a name may begin here: with an everyday word only where a name is due and its next part follows."""
        if not self._stopped(at):
            return True
        named = sure and len(self.words[at].text) > 2 and self._joined(at) and self._part(at + 1)
        return named and self.words[at].text not in STRONG_TITLES and self.words[at].text not in WHOSE

    def _part(self, at: int) -> bool:
        return self.known[at] > 0 or self.words[at].text in MAYBE

    def _speaking(self, first: int) -> Iterator[Span]:
        """``আমি … বলছি``: whatever stands between, up to three words."""
        for last in range(first, min(first + 3, len(self.words))):
            stopped = self._stopped(last) and not (last > first and self._part(last))
            if not self._joined(last - 1) or stopped or _LOCATIVE.search(self.words[last].text):
                return
            if _VOICE.match(self.text, self.words[last].end, self.words[last].end + 16):
                if self.words[first].text in STRONG_TITLES and first < last:
                    first += 1
                yield self._span(first, last, 0.85)

    def _before(self, at: int) -> Iterator[Span]:
        """``রাসেল ভাই``: the words before, if they can be a name."""
        word = self.words[at - 1].text
        known = self.known[at - 1] == len(word) or word in MAYBE
        firm = self.words[at].text in FIRM or _stem(self.words[at].text, FIRM) > 0
        case = self.words[at].text not in CALLED
        open_ = at == 1 or not self._joined(at - 2) or self.words[at - 2].text in _BEFORE_NAMES
        if known or (self._unknown(at - 1) and (firm or (open_ and (case or self._more(at))))):
            first = at - 1
            while first and self._joined(first - 1) and (self.known[first - 1] or self.words[first - 1].text in MAYBE):
                first -= 1
            yield self._span(first, at - 1, 0.8)

    def _last(self, at: int, *, sure: bool = False) -> int:
        """The last word of a name that begins with a word."""
        last = at
        while last + 1 < len(self.words) and last + 1 - at < LONGEST and self._joined(last) and not self._cased(last):
            word = self.words[last + 1].text
            if not self.known[last + 1] and not _stem(word, MAYBE):
                ends = last + 2 >= len(self.words) or not self._joined(last + 1)
                called = not ends and _stem(self.words[last + 2].text, CALLED) > 0
                if not (sure and (ends or called) and self._unknown(last + 1)):
                    break
            elif word in _WORDS_ALONE and not sure and not self._part(last):
                break
            last += 1
        return last

    def _span(self, first: int, last: int, score: float) -> Span:
        word = self.words[last]
        return Span(self.words[first].start, word.start + self._stemmed(last), "PERSON", score, "bangla names")

    def _stemmed(self, at: int) -> int:
        """Characters of a word without its case ending; all of them when that is not sure."""
        word = self.words[at].text
        kept = self.known[at] or _stem(word, MAYBE)
        return kept or (len(word) - len(_KE) if word.endswith(_KE) and len(word) > 4 else len(word))

    def _cased(self, at: int) -> bool:
        """Whether an ending closes the name here."""
        return self._stemmed(at) < len(self.words[at].text)

    def _joined(self, at: int, marks: str = ".-") -> bool:
        """Whether nothing but a blank and a mark stands between a word and the next."""
        if at < 0 or at + 1 >= len(self.words):
            return False
        gap = self.text[self.words[at].end : self.words[at + 1].start]
        return len(gap) <= 4 and not gap.strip(" " + marks)

    def _titles(self, at: int) -> bool:
        behind = self.text[self.words[at].end : self.words[at].end + 1]
        return self.words[at].text not in DOTTED or behind in (".", ":", "-")

    def _stopped(self, at: int) -> bool:
        word = self.words[at].text
        return len(word) < 2 or word in STRONG_TITLES or word in WHOSE or _stem(word, NOT_BANGLA_NAMES) > 0

    def _unknown(self, at: int) -> bool:
        """A word that is no stop word, no verb and stands in no case: perhaps a name."""
        word = self.words[at].text
        return not self._stopped(at) and not _VERB.search(word) and not _LOCATIVE.search(word)

    def _surname(self, at: int) -> bool:
        return _stem(self.words[at].text, SURNAMES) > 0

    def _opens(self, at: int) -> bool:
        return at == 0 or not self._joined(at - 1)

    def _closes(self, at: int) -> bool:
        """Whether a word ends an address such as ``প্রিয় তূর্য,``."""
        return at < len(self.words) and self.text[self.words[at].end : self.words[at].end + 1] in (",", "!", "\n")

    def _more(self, at: int) -> bool:
        """Whether something is said to whom is spoken to."""
        return bool(self.text[self.words[at].end :][:40].strip(" ,.!?।\n"))


def _stem(word: str, known: frozenset[str]) -> int:
    """Characters of a word that are a known one, its case ending left off; 0 when it is none."""
    if word in known:
        return len(word)
    for ending in _ENDINGS:
        if word.endswith(ending) and word[: -len(ending)] in known:
            return len(word) - len(ending)
    return 0


_KE, _AMI = plain("কে"), plain("আমি")
_GREETINGS = frozenset(plain("প্রিয় হ্যালো হাই ওহে স্নেহের শ্রদ্ধেয় সম্মানিত").split())
_BEFORE_NAMES = frozenset(plain("প্রিয় ও আর এবং").split())
_LATE = frozenset(plain("মৃত মরহুম মরহুমা স্বর্গীয় প্রয়াত").split())
_WORDS_ALONE = frozenset(plain(word) for word in ("দে", "পাল", "খান", "হক", "ইতি"))
