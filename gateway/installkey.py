"""The install key: one secret per installation, kept apart from the data, from which every other key is derived.

It comes from the configuration (``journal_key``), else from a file under the state directory, made at the first start.
A copy of ``data_dir`` alone therefore opens nothing that is sealed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.config import Secret
from gateway.errors import ConfigError

KEY_BYTES = 32
MIN_PASSPHRASE = 16
_SALT = b"llm-gateway install key"


class InstallKey:
    """32 secret bytes and their public name, ``id`` (16 hex digits)."""

    __slots__ = ("_key", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"an install key has {KEY_BYTES} bytes")
        self._key = key
        self.id = self.derive("id")[:8].hex()

    @classmethod
    def load(cls, configured: Secret | None, state_dir: Path, data_dir: Path) -> InstallKey:
        """The configured key, else the one on file, else a new one, put on file. Raises ``ConfigError``."""
        if configured is not None:
            return cls(_from_text(configured.get_secret_value()))
        text = _read_or_create(key_file(state_dir, place_of(data_dir)), secrets.token_hex(KEY_BYTES))
        return cls(_from_text(text))

    @classmethod
    def of(cls, text: str) -> InstallKey:
        """The key that a text is, as ``journal_key`` or the file on disk holds it. Raises ``ConfigError``."""
        return cls(_from_text(text.strip()))

    def derive(self, label: str) -> bytes:
        """A key of 32 bytes for one purpose (HKDF-SHA256)."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"llm-gateway " + label.encode()).derive(self._key)


def admin_token(configured: Secret | None, state_dir: Path, data_dir: Path) -> str:
    """The token that opens API and pages: the configured one, else the one on file, made at the first start."""
    if configured is not None:
        return configured.get_secret_value()
    return _read_or_create(state_dir / place_of(data_dir) / "admin.token", secrets.token_urlsafe(24))


def place_of(data_dir: Path) -> str:
    """The folder below the state directory that is a data directory's own, so that installations share no keys."""
    return hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]


def key_file(state_dir: Path, place: str) -> Path:
    """Where an installation's key is, if it is on file."""
    return state_dir / place / "install.key"


def _read_or_create(path: Path, fresh: str) -> str:
    """The file's text; when there is none, ``fresh`` becomes it. Of several processes starting at once, one wins."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A name of its own: a draft that a kill left must not stand in the way of the next start.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.") as draft:
            draft.write(fresh.encode() + b"\n")
            draft.flush()
            os.fsync(draft.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    text = path.read_text("ascii").strip()
    if not text:
        raise ConfigError(f"{path}: is empty; restore it, or delete it to start with a new key")
    return text


def _from_text(text: str) -> bytes:
    """A key of 32 bytes as hex or base64, else a passphrase stretched by scrypt."""
    for decode in (bytes.fromhex, _from_base64):
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    if len(text) < MIN_PASSPHRASE:
        raise ConfigError(f"journal_key: expected 32 bytes as hex or base64, or {MIN_PASSPHRASE} characters or more")
    return Scrypt(salt=_SALT, length=KEY_BYTES, n=2**14, r=8, p=1).derive(text.encode())


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
