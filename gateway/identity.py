"""Pseudonyms: who called, without keeping who it was. PURE."""

from __future__ import annotations

import base64
import hashlib
import hmac

PREFIX = "u_"


class Pseudonyms:
    """Turns an identity or a foreign id into ``u_`` + 128 bits of HMAC-SHA256 under the install's identity key.

    The same value always gives the same pseudonym, so that what a person types can be found again by hashing it. With
    ``plain`` the identities stay readable (foreign ids never do).
    """

    def __init__(self, key: bytes, *, plain: bool = False) -> None:
        self._key = key
        self._plain = plain

    def identity(self, value: str) -> str:
        """The pseudonym of a user, session, trace or rater; empty stays empty, a pseudonym stays itself."""
        return value if self._plain else self.reference(value)

    def number(self, scope: str, value: str, largest: int) -> int:
        """A number from 1 to ``largest`` for a value, the same wherever it stands within a scope."""
        said = f"{len(scope)}:{scope}{value}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, b"number:" + said, hashlib.sha256)
        return int.from_bytes(digest[:8], "big") % largest + 1

    def reference(self, value: str) -> str:
        """The pseudonym of a provider's response id or another foreign id."""
        if not value or is_pseudonym(value):
            return value
        digest = hmac.digest(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return PREFIX + base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def is_pseudonym(value: str) -> bool:
    """Whether a string has the form this module gives."""
    return len(value) == 28 and value.startswith(PREFIX) and value[2:].isalnum() and value == value.lower()
