"""Secrets that fill several lines: private keys in their files, manifests of Kubernetes. PURE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.redact.recogniser import Span
from gateway.redact.secret_value import is_secret


class KeyFileRecogniser:
    """Private keys: PEM (RFC 7468), OpenPGP, SSH2 (RFC 4716), PuTTY.

    By hand: a lazy pattern would look for each missing end through all the text.
    """

    _BEGIN = re.compile(
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|---- BEGIN SSH2 [A-Z ]{0,20}PRIVATE KEY ----"
        r"|PuTTY-User-Key-File-\d: [^\n]{0,64}"
    )
    _END = re.compile(
        r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|---- END SSH2 [A-Z ]{0,20}PRIVATE KEY ----"
        r"|Private-MAC: ?[0-9a-fA-F]{8,128}"
    )
    _BODY = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{16,}")
    _START = re.compile(
        r"(?:[\s\"'`>|#*+]|\\[nrt]?){0,32}"
        r"(?:[A-Z][\w-]{1,24}: [^\n]{0,128}[\s\\]{1,8}n?){0,8}(?P<body>[A-Za-z0-9+/]{16,})"
    )
    _CAPITAL = re.compile(r"[A-Z].*[A-Z]|[A-Za-z].*\d")

    @property
    def name(self) -> str:
        """``key-file``."""
        return "key-file"

    def find(self, text: str) -> Iterator[Span]:
        """Whole blocks; one without an end reaches to the next or the end of the text, for it was cut.

        A beginning with nothing after it that could be a key is a program's or a sentence's word.
        """
        if "-----BEGIN" not in text and "---- BEGIN" not in text and "PuTTY-User" not in text:
            return
        begins = [*self._BEGIN.finditer(text)]
        for number, begin in enumerate(begins):
            limit = begins[number + 1].start() if number + 1 < len(begins) else len(text)
            end = self._END.search(text, begin.end(), limit)
            if end and self._BODY.search(text, begin.end(), end.start()):
                yield Span(begin.start(), end.end(), "PRIVATE_KEY", 1.0, self.name)
            elif (cut := self._START.match(text, begin.end(), limit)) and self._CAPITAL.search(cut["body"]):
                yield Span(begin.start(), limit, "PRIVATE_KEY", 1.0, self.name)


class ManifestRecogniser:
    """What stands under ``data`` and ``stringData`` in a Secret of Kubernetes, in YAML and in JSON."""

    _DOCUMENT = re.compile(r"^---[ \t]*$", re.MULTILINE)
    _KIND = re.compile(r"\bkind[\"']?[ \t]*:[ \t]*[\"']?Secret\b(?!\w)")
    _DATA = re.compile(r"^(?P<indent>[ \t>]*)(?:data|stringData):[ \t]*(?:#[^\n]*)?\r?\n", re.MULTILINE)
    _LINE = re.compile(r"(?P<indent>[ \t>]*)(?:[\w.\"'-]+[ \t]*:[ \t]*(?:[|>][+-]?\d?)?)?(?P<value>[^\n]*)\n?")
    _JSON = re.compile(r"[\"'](?:data|stringData)[\"']\s{0,8}:\s{0,8}\{([^{}]*+)\}")
    _PAIR = re.compile(r":\s{0,8}\"([^\"\\]*+(?:\\.[^\"\\]*+)*+)\"")

    @property
    def name(self) -> str:
        """``manifest``."""
        return "manifest"

    def find(self, text: str) -> Iterator[Span]:
        """Each value, or each line of one that has many."""
        if "Secret" not in text:
            return
        at = 0
        for end in [*(mark.start() for mark in self._DOCUMENT.finditer(text)), len(text)]:
            if self._KIND.search(text, at, end):
                for low, high in (*self._in_yaml(text, at, end), *self._in_json(text, at, end)):
                    if is_secret(text[low:high]):
                        yield Span(low, high, "PASSWORD", 0.9, self.name)
            at = end

    def _in_yaml(self, text: str, at: int, end: int) -> Iterator[tuple[int, int]]:
        while data := self._DATA.search(text, at, end):
            at = data.end()
            while at < end and (line := self._LINE.match(text, at, end)) and line.end() > at:
                if line["value"].strip() and len(line["indent"]) <= len(data["indent"]):
                    break
                yield _unquoted(text, *line.span("value"))
                at = line.end()

    def _in_json(self, text: str, at: int, end: int) -> Iterator[tuple[int, int]]:
        for data in self._JSON.finditer(text, at, end):
            for pair in self._PAIR.finditer(text, *data.span(1)):
                yield pair.span(1)


def _unquoted(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in " \t\"'":
        start += 1
    while start < end and text[end - 1] in " \t\r\"'":
        end -= 1
    return start, end
