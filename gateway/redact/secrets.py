"""Credentials: keys of known make, headers, addresses with a password, what is assigned to a password. PURE."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from gateway.redact.recogniser import Recogniser, Rule, RuleRecogniser
from gateway.redact.secret_blocks import KeyFileRecogniser, ManifestRecogniser
from gateway.redact.secret_formats import FORMATS
from gateway.redact.secret_value import (
    is_odd,
    is_random,
    is_secret,
    is_token,
    is_unquoted_secret,
    is_unquoted_token,
)
from gateway.redact.vocabulary import words


def _rule(
    entity: str, score: float, pattern: str, check: Callable[[str], bool] = is_secret, group: int | str = "value"
) -> Rule:
    return Rule(entity, score, re.compile(pattern), group=group, check=check)


_KNOWN = tuple(Rule(each.entity, 1.0, re.compile(each.pattern), group=each.group, check=each.check) for each in FORMATS)

_SHORT = (
    r"(?:(?:(?<![A-Za-z])|(?i:db|user|root|admin|my|smtp|ftp|mail|sql|wifi|proxy|redis|pg|key|store))(?i:pass)"
    r"|(?<=[a-z])Pass)"
)
_WORD = (
    r"(?i:pass(?:word|wd|phrase|code)|passwd|pwd|secret|connection[_ -]?string"
    r"|পাসওয়ার্ড|পাসওয়ার্ড)"
)
_KEY_NAME = (
    r"(?i:(?:api|access|secret|account|encryption|signing|private)[_ -]?key"
    r"|(?:auth|access|refresh|session|bearer|api|id|bot)[_ -]?token|client[_ -]?secret|token|credential)"
)
_IS = r"(?i:s?)[\"'`]{0,2}\]?\s{0,4}(?::=|=>|===?|=|:)\s{0,4}[rbfu]?([\"'`])(?P<value>[^\"'`\n]{4,256})\1"
_SET = r"(?i:s?)[\"'`]{0,2}\]?[ \t]{0,4}(?::=|=>|=(?!=)|:(?![:=]))[ \t]{0,4}[\"'`]?(?P<value>[^\s\"'`,;<>]{4,256})"
_ASSIGNED = (
    # "key": "value", key = 'value'; a quoted value may hold blanks
    _rule("PASSWORD", 0.9, rf"(?:{_WORD}|{_SHORT}){_IS}"),
    _rule("PASSWORD", 0.9, _KEY_NAME + _IS, is_token),
    # PASSWORD=value, password: value
    _rule("PASSWORD", 0.85, _WORD + _SET, is_unquoted_secret),
    _rule("PASSWORD", 0.85, _SHORT + _SET, is_odd),
    _rule("PASSWORD", 0.85, _KEY_NAME + _SET, is_unquoted_token),
    # whatever ends in key, auth or credential and is given 20 characters of chance: STRIPE_KEY=…, signingKey: "…"
    _rule(
        "API_KEY",
        0.8,
        r"(?:[_-](?i:key|auth|creds?)|[a-z](?:Key|Auth|Creds?))(?:[_-]?\d{1,2})?[\"'`]{0,2}\]?\s{0,4}(?::=|=>|=|:)\s{0,4}"
        r"(?:[rbfu]?[\"'`])?(?P<value>[A-Za-z0-9+/_.~=-]{20,512})",
        is_random,
    ),
    # what ODBC puts in braces, for it may hold a semicolon
    _rule("PASSWORD", 0.9, r"(?i:pwd|password)=\{(?P<value>[^}\n]{4,128})\}", is_odd),
)

_SAID = (
    _rule(
        "PASSWORD",
        0.8,
        r"(?i:\bmy\s{1,3}(?:\w{1,20}\s{1,3}){0,2}(?:password|passcode|passphrase|pin(?: code)?)\s{1,3}(?:is|was))"
        r"\s{1,3}[\"'`]?(?P<value>[^\s\"'`,;]{4,128})",
    ),
    _rule(
        "PASSWORD",
        0.8,
        r"(?i:\b(?:password|passcode|passphrase|pin|secret|api key|token)\s{1,3}(?:is|was|to|as)\s{1,3})"
        r"[\"'`]?(?P<value>[^\s\"'`,;]{4,256})",
        is_odd,
    ),
)

_ONE = r"[\"']?(?P<value>[^\s\"'`|;&)]{3,256})"
_COMMANDS = (
    _rule(
        "PASSWORD",
        0.85,
        r"--(?=[a-z])(?:[a-z]{1,16}-){0,3}(?i:password|passwd|passphrase|pass|token|secret|api-key|access-key)"
        r"[ =][\"']?(?P<value>[^\s\"'`]{4,256})",
        is_unquoted_secret,
    ),
    _rule(
        "PASSWORD",
        0.9,
        r"\b(?:curl|wget)[ \t](?s:.{0,256}?)(?<=\s)(?:-u|-a|--user|--proxy-user|-U)[ =]?[\"']?"
        r"(?P<value>[^\s\"':$<{]{1,128}:[^\s\"'$<{][^\s\"']{2,256})",
        lambda value: _is_pair(value),
    ),
    _rule("PASSWORD", 0.9, r"\b(?:mysql|mariadb)[a-z]{0,8}\b[^\n|;]{0,200}?\s-p" + _ONE),
    _rule("PASSWORD", 0.95, r"\bsshpass[ \t]{1,4}(?:-[a-oq-z][ \t]?\w{0,16}[ \t]{1,4}){0,3}-p[ \t]{0,4}" + _ONE),
    _rule("PASSWORD", 0.9, r"\bredis-cli\b[^\n|;]{0,200}?\s(?:-a|--pass)[ \t]{1,4}" + _ONE),
    _rule(
        "PASSWORD",
        0.9,
        r"\b(?:docker|podman|helm|az|npm|oc|skopeo|crane)\b[^\n|;]{0,60}?\blogin\b[^\n|;]{0,200}?\s-p[ =]" + _ONE,
    ),
    _rule("PASSWORD", 0.9, r"\s-pass(?:in|out)?[ \t]{1,4}[\"']?pass:(?P<value>[^\s\"'`|;&)]{3,256})"),
)

_FILES = (
    # ~/.netrc
    _rule(
        "PASSWORD",
        0.95,
        r"\b(?:machine\s{1,9}\S{1,255}|default)\s{1,9}login\s{1,9}\S{1,128}\s{1,9}(?:account\s{1,9}\S{1,128}\s{1,9})?"
        r"password\s{1,9}[\"']?(?P<value>[^\s\"']{3,256})",
    ),
    # ~/.pgpass: host:port:database:user:password
    _rule(
        "PASSWORD",
        0.9,
        r"(?m:^)(?:[\w.-]{1,255}|\*):(?:\d{4,5}|\*):[A-Za-z_*][\w*$-]{0,62}:[A-Za-z_*][\w*$.@-]{0,62}:"
        r"(?P<value>[^\s:]{4,256})(?m:[ \t\r]*$)",
    ),
    # the auths of ~/.docker/config.json
    _rule(
        "PASSWORD",
        0.95,
        r"[\"']auth[\"']\s{0,4}:\s{0,4}[\"'](?P<value>[A-Za-z0-9+/]{8,1024}={0,2})",
        lambda value: _is_basic(value),
    ),
    _rule("PASSWORD", 0.95, r"identitytoken[\"']\s{0,4}:\s{0,4}[\"'](?P<value>[^\s\"']{8,4096})"),
    # kubeconfig
    _rule("PRIVATE_KEY", 0.95, r"client-key-data[\"']?\s{0,4}:\s{0,4}[\"']?(?P<value>[A-Za-z0-9+/]{40,}+={0,2})"),
)

_HEADERS = (
    _rule(
        "BEARER_TOKEN",
        0.95,
        r"(?i:\b(?:bearer|basic|digest|apikey))[ \t]{1,4}(?P<value>[A-Za-z0-9._~+/-]{12,}+=*+)",
        is_unquoted_token,
    ),
    _rule(
        "BEARER_TOKEN",
        0.95,
        r"(?i:\b(?:proxy-)?authorization|\bx-api-key|\bx-auth-token|\bx-(?:access|amz-security|gitlab|vault|csrf)-token"
        r"|\bapi-key|\bprivate-token)[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<value>[^\"'\n]{8,512})",
        lambda value: _is_authorization(value),
    ),
    _rule(
        "BEARER_TOKEN",
        0.95,
        r"(?i:\b(?:set-)?cookie)[\"']?\s{0,3}:\s{0,3}[\"']?(?P<value>[^\"'\n]{8,2048})",
        lambda value: _is_cookie(value),
    ),
    _rule(
        "BEARER_TOKEN",
        0.95,
        r"(?i:(?:\bsessionid|session_id|connect\.sid|phpsessid|jsessionid|asp\.net_sessionid|laravel_session"
        r"|_session|csrftoken|xsrf-token))=(?P<value>[^\s;,\"'&<>)]{8,512})",
        is_odd,
    ),
)

_URLS = (
    _rule(
        "URL_CREDENTIALS",
        1.0,
        r"://(?P<value>[^\s:@/\"'<>]{0,128}:(?!\d{1,5}/)[^\s\"'<>]{1,256}@[\w.-]{0,128})",
        lambda value: _is_pair(value.rpartition("@")[0]),
    ),
    _rule(
        "URL_CREDENTIALS",
        0.97,
        r"(?i)[?&;#](?:[a-z_-]{0,20}(?:token|secret|password|signature|api_?key|access_?key|credential))"
        r"=(?P<value>[^\s&\"'#<>]{4,2048})",
        is_unquoted_secret,
    ),
    _rule(
        "URL_CREDENTIALS",
        0.97,
        r"(?i)[?&;#](?:key|sig|auth|pwd|code)=(?P<value>[^\s&\"'#<>]{4,2048})",
        is_odd,
    ),
    _rule("URL_CREDENTIALS", 0.97, r"(?i)\b(?:accountkey|sharedaccess(?:key|signature))=(?P<value>[^;\s\"']{4,512})"),
)

_ATTRIBUTES = words("path domain expires max-age samesite version comment $version $path $domain")
"""Of a cookie; they say where it goes and how long it lives."""


def _is_pair(value: str) -> bool:
    """Whether the password of a user:password is no example's; a short one is one too."""
    return is_secret(value.partition(":")[2].ljust(4, "~"))


def _is_basic(value: str) -> bool:
    """Whether base64 holds user:password."""
    try:
        return b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False


def _is_cookie(value: str) -> bool:
    """Whether one of the pairs could be a session's, rather than a colour's or a path's."""
    pairs = (pair.partition("=") for pair in value.split(";"))
    return any(len(word) >= 6 and name.strip().lower() not in _ATTRIBUTES and is_odd(word) for name, _, word in pairs)


def _is_authorization(value: str) -> bool:
    """Whether a header has credentials: one of its words is odd, and not filled in by a program."""
    return any(is_odd(word) for word in value.split())


def secret_recognisers() -> tuple[Recogniser, ...]:
    """Every recogniser of credentials."""
    return (
        RuleRecogniser("secret-formats", _KNOWN),
        RuleRecogniser("secrets", (*_HEADERS, *_URLS, *_ASSIGNED, *_SAID, *_COMMANDS, *_FILES)),
        KeyFileRecogniser(),
        ManifestRecogniser(),
    )
