"""Credentials: keys of known make, tokens, passwords. PURE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.redact.recogniser import Rule, RuleRecogniser, Span
from gateway.redact.vocabulary import words

_EDGE = r"(?<![A-Za-z0-9])"


def _key(pattern: str, *needs: str) -> Rule:
    return Rule("API_KEY", 1.0, re.compile(_EDGE + pattern), needs)


_KEYS = (
    # OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse and whoever else writes sk-
    _key(r"[sp]k-[A-Za-z0-9_-]{16,}+", "k-"),
    _key(r"AIza[0-9A-Za-z_-]{30,}+", "aiza"),
    _key(r"ya29\.[0-9A-Za-z_-]{20,}+", "ya29."),
    _key(r"GOCSPX-[0-9A-Za-z_-]{20,}+", "gocspx-"),
    Rule(
        "AWS_ACCESS_KEY",
        1.0,
        re.compile(_EDGE + r"(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA|AGPA|ANPA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        ("akia", "asia", "aroa", "aida", "abia", "acca", "agpa", "anpa"),
    ),
    Rule(
        "AWS_SECRET_KEY",
        0.98,
        re.compile(r"(?i:aws|secret)[^\n]{0,40}?(?<![A-Za-z0-9/+])([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"),
        ("aws", "secret"),
        group=1,
        check=lambda value: bool(re.search(r"[A-Z]", value) and re.search(r"[a-z]", value) and re.search(r"\d", value)),
    ),
    _key(r"gh[pousr]_[A-Za-z0-9]{20,}+", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _key(r"github_pat_[A-Za-z0-9_]{20,}+", "github_pat_"),
    _key(r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent|oas|ffct)-[A-Za-z0-9_.-]{16,}+", "gl"),
    _key(r"xox[abcdeoprs]-[A-Za-z0-9-]{8,}+", "xox"),
    _key(r"xapp-[A-Za-z0-9-]{8,}+", "xapp-"),
    Rule(
        "API_KEY",
        1.0,
        re.compile(r"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]{10,}+)"),
        ("hooks.slack",),
        group=1,
    ),
    _key(r"[spr]k_(?:live|test)_[A-Za-z0-9]{10,}+", "k_live_", "k_test_"),
    _key(r"whsec_[A-Za-z0-9+/=]{16,}+", "whsec_"),
    _key(r"(?:hf|gsk|npm|sbp|ntn|r8)_[A-Za-z0-9]{20,}+", "hf_", "gsk_", "npm_", "sbp_", "ntn_", "r8_"),
    _key(r"(?:xai|pplx|fw|csk|nvapi|tvly|voy|jina|lin_api|key)[-_][A-Za-z0-9_-]{24,}+", "-", "_"),
    _key(r"pypi-[A-Za-z0-9_-]{50,}+", "pypi-"),
    _key(r"SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+", "sg."),
    Rule("API_KEY", 1.0, re.compile(r"(?:AC|SK)[0-9a-f]{32}(?![0-9a-z])"), digits=True),
    _key(r"do[opr]_v1_[a-f0-9]{40,}+", "_v1_"),
    _key(r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{24,}+", "shp"),
    _key(r"\d{8,10}:AA[A-Za-z0-9_-]{30,}+", ":aa"),
    _key(r"dapi[0-9a-f]{32}", "dapi"),
    _key(r"hv[sbr]\.[A-Za-z0-9_-]{20,}+", "hvs.", "hvb.", "hvr."),
    _key(r"gls?a_[A-Za-z0-9_]{20,}+", "gla_", "glsa_"),
    _key(r"AGE-SECRET-KEY-1[A-Z0-9]{20,}+", "age-secret"),
)

_PLAIN_WORDS = words(
    "none null true false str string bool int text any undefined required optional secret password token key"
    " value field incorrect invalid wrong correct valid missing empty expired weak strong reset protected unknown"
    " hidden redacted changed changing not too the a an is are was being for and or with your my his her it this"
    " that in on at to of auto default bearer basic process self type number object array input output usage count"
    " counts limit limits authentication authorization management manager policy protection security storage"
    " rotation generation"
)
_REFERENCE = re.compile(
    r"(?i)(?:\$\{?[a-z_]|<[a-z_ -]+>|\{\{|%\(|os\.|process\.|env[.(\[]|self\.|config[.\[]|settings\.|getenv|\*{3,}"
    r"|x{4,}|\.{3}|\[|\(|\{|[a-z_.]+\()"
)


def _a_secret(value: str) -> bool:
    """Whether what is assigned looks like a secret rather than a type, a variable or a word of the sentence."""
    bare = value.strip("\"'`.,;:!?)")
    return len(bare) >= 4 and bare.lower() not in _PLAIN_WORDS and _REFERENCE.match(bare) is None


def _odd(value: str) -> bool:
    """Whether a word is not plain language: it has a digit, a symbol or capitals inside."""
    return bool(re.search(r"[\d_+/=@#$%^&*!~]|[a-z][A-Z]", value)) and _a_secret(value)


_NAME = (
    r"(?i:pass(?:word|wd|phrase|code)?|passwd|pwd|secret|api[_ -]?key|access[_ -]?key|secret[_ -]?key|account[_-]?key"
    r"|(?:auth|access|refresh|session|bearer|api|id|bot)[_ -]?token|client[_ -]?secret|private[_ -]?key|token"
    r"|credentials?|connection[_ -]?string|পাসওয়ার্ড|পাসওয়ার্ড)"
)
_NAMED = ("pass", "pwd", "secret", "key", "token", "credential", "connection", "পাস")
_ASSIGNED = (
    # key = value, "key": "value", key: value; a quoted value may hold blanks
    Rule(
        "PASSWORD",
        0.9,
        re.compile(_NAME + r"s?[\"'`]{0,2}\s{0,4}(?::=|=>|==|=|:)\s{0,4}([\"'`])(?P<value>[^\"'`\n]{4,256})\1"),
        _NAMED,
        group="value",
        check=_a_secret,
    ),
    Rule(
        "PASSWORD",
        0.85,
        re.compile(_NAME + r"s?[\"'`]{0,2}[ \t]{0,4}(?::=|=>|==|=|:)[ \t]{0,4}[\"'`]?(?P<value>[^\s\"'`,;<>]{4,256})"),
        _NAMED,
        group="value",
        check=_a_secret,
    ),
    Rule(
        "PASSWORD",
        0.8,
        re.compile(
            r"(?i:\bmy\s{1,3}(?:\w{1,20}\s{1,3}){0,2}(?:password|passcode|passphrase|pin(?: code)?)\s{1,3}(?:is"
            r"|was)\s{1,3})"
            r"[\"'`]?(?P<value>[^\s\"'`,;]{4,128})"
        ),
        ("pass", "pin"),
        group="value",
        check=_a_secret,
    ),
    Rule(
        "PASSWORD",
        0.8,
        re.compile(
            r"(?i:\b(?:password|passcode|passphrase|pin|secret|api key|token)\s{1,3}(?:is|was|to|as)\s{1,3})"
            r"[\"'`]?(?P<value>[^\s\"'`,;]{4,256})"
        ),
        ("pass", "pin", "secret", "key", "token"),
        group="value",
        check=_odd,
    ),
    # command lines: mysql -pSecret is missed; --password Secret is not
    Rule(
        "PASSWORD",
        0.85,
        re.compile(r"--(?i:password|passwd|pass|token|secret|api-key)[ =]([^\s\"'`]{4,256})"),
        ("--",),
        group=1,
        check=_a_secret,
    ),
)

_HEADERS = (
    Rule(
        "BEARER_TOKEN",
        0.95,
        re.compile(r"(?i:\b(?:bearer|basic|digest|apikey))[ \t]{1,4}([A-Za-z0-9._~+/-]{12,}+=*+)"),
        ("bearer", "basic", "digest", "apikey"),
        group=1,
        check=_odd,
    ),
    Rule(
        "BEARER_TOKEN",
        0.95,
        re.compile(
            r"(?i:\b(?:proxy-)?authorization|x-api-key|x-auth-token"
            r"|api-key)[\"']?\s{0,3}[:=]\s{0,3}[\"']?([^\"'\n]{8,512})"
        ),
        ("authorization", "api-key", "x-auth"),
        group=1,
        check=_odd,
    ),
    Rule(
        "BEARER_TOKEN",
        0.95,
        re.compile(r"(?i:\b(?:set-)?cookie)[\"']?\s{0,3}:\s{0,3}[\"']?([^\"'\n]{8,2048})"),
        ("cookie",),
        group=1,
        check=lambda value: "=" in value,
    ),
    Rule(
        "JWT",
        1.0,
        re.compile(_EDGE + r"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){1,4}"),
        ("eyj",),
    ),
)

_URLS = (
    Rule(
        "URL_CREDENTIALS",
        1.0,
        re.compile(r"://([^\s:@/\"'<>]{0,128}:[^\s\"'<>]{1,256}@[\w.-]{0,128})"),
        ("://",),
        group=1,
    ),
    Rule(
        "URL_CREDENTIALS",
        0.97,
        re.compile(
            r"(?i)[?&;#](?:[a-z_-]{0,20}(?:token|secret|password|signature|api_?key|access_?key)|key|sig|auth|pwd|code)"
            r"=([^\s&\"'#<>]{4,2048})"
        ),
        ("?", "&", ";", "#"),
        group=1,
        check=_a_secret,
    ),
    Rule(
        "URL_CREDENTIALS",
        0.97,
        re.compile(r"(?i)\b(?:accountkey|sharedaccesskey)=([^;\s\"']{4,512})"),
        ("accountkey", "sharedaccess"),
        group=1,
        check=_a_secret,
    ),
)


class PemRecogniser:
    """Private keys in PEM, by hand: a lazy pattern would look for each missing end through all the text."""

    _BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
    _END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")

    @property
    def name(self) -> str:
        """``pem``."""
        return "pem"

    def find(self, text: str) -> Iterator[Span]:
        """Whole blocks; one without an end reaches to the end of the text, for it was cut."""
        at = 0
        while "-----BEGIN" in text and (begin := self._BEGIN.search(text, at)):
            end = self._END.search(text, begin.end())
            at = end.end() if end else len(text)
            yield Span(begin.start(), at, "PRIVATE_KEY", 1.0, self.name)


def secret_recognisers() -> tuple[RuleRecogniser | PemRecogniser, ...]:
    """Every recogniser of this module."""
    return RuleRecogniser("secrets", (*_KEYS, *_HEADERS, *_URLS, *_ASSIGNED)), PemRecogniser()
