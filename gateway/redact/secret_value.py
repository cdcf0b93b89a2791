"""Whether a value that stands where a secret would is one, or a word, a placeholder, a variable. PURE."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

from gateway.redact.vocabulary import words

RANDOM_LENGTH = 20
"""Characters from which chance can be told from language."""
RANDOM_BITS = 2.8
"""Shannon entropy of a character: 20 random hexadecimal digits have 3.2 or so."""

_PLAIN = words(
    "none null true false str string bool int bytes text any undefined required optional secret secrets password"
    " passwords passwd passphrase passcode pwd pass token tokens key keys value values field incorrect invalid wrong"
    " correct valid missing empty expired weak strong reset protected unknown hidden redacted changed changing not too"
    " the a an is are was being for and or with your my his her it this that in on at to of by as if no auto default"
    " bearer basic digest process self type number object array input output usage count counts limit limits"
    " authentication authorization management manager policy protection security storage rotation generation"
    # what stands in examples
    " api access auth bot client private public user username name example sample test mock fake dummy placeholder"
    " here enter insert replace add put set provide paste needed use used goes"
    # keywords and constants of languages
    " await async return import from function class const let var new lambda else float list dict tuple union callable"
    " interface attribute property method parameter argument pending void nil nullable literal final struct enum"
    " unset credential credentials hash id url uri"
)
_REFERENCE = re.compile(
    r"(?i)\$\{|\$\(|\$[a-z_]+$|\{\{|\{[\w.()\[\]]*\}|<[a-z_ -]+>|%[(%]|%[sdr](?:\W|$)|%[a-z_]+%$"
    r"|os\.environ|process\.env|env[.(\[]|getenv|arn:|vault:|secretref:|\*{3}|x{4,}$|\.{3}|…"
)
_CODE = re.compile(r"[\[({]|(?i:[a-z_][\w.]*[(\[]|(?:self|this|config|settings)\.)")
_FILLER = re.compile(r"(?i)x{6}|\*{3}|\.{3}|…|(?:^|[^a-z])(?:your|insert|replace|placeholder|redacted)(?:[^a-z]|$)")
_ODD = re.compile(r"[\d+/=@#$%^&*!~]|[a-z][A-Z]")
_SPLIT = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_VARIABLE = re.compile(
    r"(?:[A-Za-z_]\w*(?:(?:\.|->|::|\?\.)[A-Za-z_]\w*)+|[A-Z]+(?:_[A-Z]+)+|[a-z]*(?:_[a-z]+)+|[a-z]+(?:[A-Z][a-z]+)+):?"
)
_NAME = re.compile(
    r"(?:[A-Za-z]+[_-]+)+(?i:token|key|secret|password|passwd|pass|credential|auth)s?"
    r"|(?:[A-Z]+[a-z0-9]*){1,6}(?:Token|Key|Secret|Password|Credential|Auth)s?|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:TOKEN|KEY|SECRET|PASSWORD|PASS|PWD)S?"
)
_LOWER = re.compile(r"[a-z]+(?:[-_][a-z]+){0,3}")
_NUMBER = re.compile(r"[\d._,+-]+(?:[)\]}]|$)")
_CLASSES = (str.isdigit, str.islower, str.isupper)
_WORDS = re.compile(r"[A-Z]{2,24}|[A-Z]?[a-z]{2,24}|v?\d{1,4}")
_NUMBERED = re.compile(r"[A-Z]{2,24}\d{0,4}|[A-Z]?[a-z]{1,24}\d{0,4}|v?\d{1,4}")


def is_real(value: str) -> bool:
    """Whether a key of known make is not an example's, all x or "your key here"."""
    return _FILLER.search(value) is None


def is_mixed(value: str) -> bool:
    """Whether a real key has a digit or capitals within, which words of a name have not."""
    return is_real(value) and re.search(r"\d|[a-z][A-Z].*[a-z][A-Z]", value) is not None


def is_secret(value: str) -> bool:
    """Whether what is quoted looks like a secret rather than a type, a variable or the words of an example."""
    bare = value.strip("\"'`.,;:!?)")
    if len(bare) < 4 or _REFERENCE.match(bare) is not None or _NAME.fullmatch(bare) is not None or not is_real(value):
        return False
    return any(word.lower() not in _PLAIN for word in _SPLIT.split(bare) if word)


def is_token(value: str) -> bool:
    """The same of what is called a token or a key: no word or words in small letters."""
    return is_secret(value) and _LOWER.fullmatch(value) is None


def is_unquoted_secret(value: str) -> bool:
    """The same of what has no quotes, as in a file of settings; in code that is a variable."""
    bare = value.strip("\"'`.,;:!?)}]")
    return is_secret(value) and _CODE.match(bare) is None and _VARIABLE.fullmatch(bare) is None


def is_odd(value: str) -> bool:
    """Whether a word is a secret and not plain language: it has a digit, a symbol or capitals inside."""
    return is_unquoted_secret(value) and _ODD.search(value) is not None


def is_unquoted_token(value: str) -> bool:
    """Whether what is called a token or a key is one: an odd word, but no number, of which tokens are counted."""
    return is_odd(value) and _NUMBER.match(value) is None and not _of_words(value.strip("\"'`.,;:!?)]}"))


def is_random(value: str) -> bool:
    """Whether a value is long and of chance: digits among letters, of high entropy, and no words put together."""
    bare = value.strip("\"'`.,;:!?")
    if len(bare) < RANDOM_LENGTH or not is_unquoted_token(bare) or entropy(bare) < RANDOM_BITS:
        return False
    kinds = [next((kind for kind, test in enumerate(_CLASSES) if test(char)), len(_CLASSES)) for char in bare]
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes >= len(bare) * (0.25 if any(char.isdigit() for char in bare) else 0.4)


def _of_words(value: str) -> bool:
    """Whether it is a name of several words, with a version or number maybe."""
    parts = [word for word in _SPLIT.split(value) if word]
    return all((_NUMBERED if len(parts) > 1 else _WORDS).fullmatch(word) for word in parts)


def is_aws_secret(value: str) -> bool:
    """Whether forty characters of base64 are a secret key and neither a hash nor a path."""
    return (
        is_real(value)
        and re.search(r"[A-Z]", value) is not None
        and re.search(r"[a-z]", value) is not None
        and re.search(r"[\d+/]", value) is not None
    )


def entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
