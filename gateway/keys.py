"""Client keys: who may call, and as whom."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from gateway import config
from gateway.envelope import bearer

REMEMBERED = 4096
"""Values whose verdict is kept, so that a header sent with every request is hashed once."""


class Grant:
    """What a key allows. ``models`` are globs; ``None`` allows every model and every route."""

    __slots__ = ("_verdicts", "models", "name", "team", "user")

    def __init__(self, name: str, team: str, user: str, models: tuple[str, ...] | None) -> None:
        self.name = name
        self.team = team
        self.user = user
        self.models = models
        self._verdicts: dict[str, bool] = {}

    @property
    def limited(self) -> bool:
        """Whether the key is for some models only."""
        return self.models is not None and "*" not in self.models

    def allows(self, model: str) -> bool:
        """Whether the key may ask for a model; a limited key never for an unnamed one."""
        if not self.limited:
            return True
        verdict = self._verdicts.get(model)
        if verdict is None:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            globs = self.models or ()
            verdict = self._verdicts[model] = bool(model) and any(fnmatchcase(model, glob) for glob in globs)
        return verdict


OPEN = Grant("", "", "", None)
"""The grant of an installation without keys."""
INTERNAL = Grant("", "", "", None)
"""The grant of the installation's own judge."""


class Keys:
    """The configured keys, looked up by SHA-256, so that how long a look-up takes tells nothing about a key."""

    def __init__(self, keys: Iterable[config.Key]) -> None:
        self._grants = {key.digest: Grant(key.name, key.team, key.user or "", key.models) for key in keys}
        self._foreign: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self._grants)

    def find(self, tokens: Iterable[bytes]) -> Grant | None:
        """The grant of the first token that is a key."""
        for token in tokens:
            grant = self._grants.get(hashlib.sha256(token).digest())
            if grant is not None:
                return grant
        return None

    def ours(self, value: bytes) -> bool:
        """Whether a header's value is, or carries after a scheme word, one of the keys."""
        if value in self._foreign:
            return False
        if self.find(_words(value)) is not None:
            return True
        if len(self._foreign) >= REMEMBERED:
            self._foreign.clear()
        self._foreign.add(value)
        return False


def _words(value: bytes) -> set[bytes]:
    """The whole value, what follows its scheme, and the values of its cookie pairs."""
    words = {value, bearer(value), value.partition(b" ")[2].strip()}
    for pair in value.split(b";"):
        words.add(pair.strip())
        words.add(pair.partition(b"=")[2].strip())
    return words
