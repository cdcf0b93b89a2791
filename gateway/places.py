"""What a client's path asks for: which paths are proxied, whose dialect they speak, what they tell by themselves. PURE.

A path is looked at by its bytes, as it came. What is not found here is the gateway's own, or nobody's.
"""

from __future__ import annotations

import enum
from typing import NamedTuple
from urllib.parse import unquote


class Reading(enum.Enum):
    """What is done with the bodies of a POST."""

    PASSED = enum.auto()
    """They stream through."""
    ROUTED = enum.auto()
    """The request is JSON and read for its model; nothing is kept."""
    KEPT = enum.auto()
    """The request is read for model, identity and usage; it and its answer are kept for redaction."""


class Place(NamedTuple):
    """Where a path leads.

    ``below`` is what follows the version, byte for byte, and ``version`` the part before it. ``route`` is a template,
    safe to keep and to label with; OpenAI's routes are told as under ``/v1`` wherever they were asked for. ``model`` is
    the one that the path names, and ``named`` its bytes there.
    """

    below: bytes
    route: str
    version: bytes = b"/v1"
    dialect: str = "openai"
    reading: Reading = Reading.PASSED
    model: str = ""
    named: bytes = b""
    stream: bool = False
    asks_usage: bool = False


OPENAI = b"/v1"
DEPLOYMENTS = b"/openai"
"""The version of Azure's older addresses: ``/openai/deployments/{name}/…``, ``/openai/files`` and the like."""
_GEMINI_VERSIONS = (b"/v1beta", b"/v1alpha")
_AZURE_V1 = b"/openai/v1"

# fmt: off
BARE = frozenset((
    b"assistants", b"audio", b"batches", b"chat", b"completions", b"containers", b"conversations", b"embeddings",
    b"evals", b"files", b"fine_tuning", b"images", b"messages", b"models", b"moderations", b"realtime", b"rerank",
    b"responses", b"threads", b"uploads", b"vector_stores", b"videos",
))
"""What a path without a version may begin with, for clients whose base URL has none."""
NOUNS = frozenset((
    "assistants", "audio", "batches", "cachedContents", "cancel", "chat", "checkpoints", "client_secrets", "compact",
    "complete", "completions", "containers", "content", "conversations", "corpora", "costs", "count_tokens", "edits",
    "embeddings", "engines", "evals", "events", "feedback", "file_batches", "files", "fileSearchStores", "fine_tuning",
    "generations", "images", "input_items", "input_tokens", "items", "jobs", "messages", "models", "moderations",
    "operations", "organization", "parts", "pause", "permissions", "realtime", "remix", "rerank", "responses",
    "results", "resume", "runs", "search", "sessions", "speech", "steps", "submit_tool_outputs", "threads", "tokenize",
    "tool_outputs", "transcription_sessions", "transcriptions", "translations", "tunedModels", "uploads", "usage",
    "v1", "v1alpha", "v1beta", "variations", "vector_stores", "videos", "voices",
))
# fmt: on
"""Path parts that name things, not ids."""
MAX_SEGMENTS = 8

_KEPT = ("/chat/completions", "/completions", "/embeddings", "/responses", "/messages", "/moderations", "/rerank")
_KEPT_TOO = ("/images/generations", "/responses/compact")
_ROUTED = ("/audio/speech", "/messages/count_tokens", "/responses/input_tokens")
_READINGS = dict.fromkeys((*_KEPT, *_KEPT_TOO), Reading.KEPT) | dict.fromkeys(_ROUTED, Reading.ROUTED)
_ASKS_USAGE = frozenset({"/chat/completions", "/completions"})
"""Whose streams tell usage only when asked."""
_VERBS = {
    "generateContent": Reading.KEPT,
    "streamGenerateContent": Reading.KEPT,
    "embedContent": Reading.KEPT,
    "batchEmbedContents": Reading.KEPT,
    "batchGenerateContent": Reading.PASSED,
    "countTokens": Reading.PASSED,
    "predict": Reading.PASSED,
    "predictLongRunning": Reading.PASSED,
}
"""What Gemini does with a model: ``models/{model}:verb``."""


def find(path: bytes) -> Place | None:
    """The place of a path as it came, percent-encoded; ``None`` when it is not proxied."""
    known = _KNOWN.get(path)
    if known is not None:
        return known
    if path.startswith(b"/v1/"):
        return _place(path[3:])
    for version in _GEMINI_VERSIONS:
        if path.startswith(version + b"/"):
            below = path[len(version) :]
            return _place(below[7:]) if below.startswith(b"/openai/") else _place(below, version)
    if path.startswith(_AZURE_V1 + b"/"):
        return _place(path[len(_AZURE_V1) :])
    if path.startswith(DEPLOYMENTS + b"/"):
        return _azure(path[len(DEPLOYMENTS) :])
    return _place(path) if path[1:].partition(b"/")[0] in BARE else None


def _azure(below: bytes) -> Place:
    """Azure's older addresses name a deployment, which is the model as far as anyone here is concerned."""
    name, slash, rest = below[13:].partition(b"/") if below.startswith(b"/deployments/") else (b"", b"", b"")
    if not slash:
        return _place(below)._replace(version=DEPLOYMENTS)
    return _place(b"/" + rest)._replace(version=DEPLOYMENTS, model=_plain(name), named=name)


def _place(below: bytes, version: bytes = OPENAI) -> Place:
    path = _plain(below)
    last = path.rpartition("/")[2]
    name, colon, verb = last.rpartition(":")
    if colon and verb in _VERBS and name:
        return _gemini(below, path, version, name, verb)
    route = template(version.decode() + path)
    if version is not OPENAI:
        return Place(below, route, version, "gemini", model=_model(path))
    dialect = "anthropic" if path == "/complete" or f"{path}/".startswith("/messages/") else "openai"
    return Place(
        below,
        route,
        dialect=dialect,
        reading=_READINGS.get(path, Reading.PASSED),
        model=_model(path),
        asks_usage=path in _ASKS_USAGE,
    )


def _gemini(below: bytes, path: str, version: bytes, name: str, verb: str) -> Place:
    raw = below.rpartition(b"/")[2]
    named, colon, _ = raw.rpartition(b":")
    return Place(
        below,
        f"{template(version.decode() + path[: -len(name) - len(verb) - 2])}/{{model}}:{verb}",
        version,
        "gemini",
        reading=_VERBS[verb],
        model=name,
        # A colon that came encoded is left alone: then the name cannot be told from the verb for sure.
        named=named if colon else b"",
        stream=verb.startswith("stream"),
    )


def _model(path: str) -> str:
    """The model that is asked about; its name may have slashes."""
    return path[8:] if path.startswith("/models/") else ""


def _plain(path: bytes) -> str:
    text = path.decode("latin-1")
    return unquote(text) if "%" in text else text


def template(path: str) -> str:
    """The path with everything that is no known noun as ``{id}``; of bounded length, so fit for a label."""
    parts = path.strip("/").split("/")
    shown = [part if part in NOUNS else "{id}" for part in parts[:MAX_SEGMENTS]]
    return "/" + "/".join(shown) + ("/…" if len(parts) > MAX_SEGMENTS else "")


def given_ids(place: Place) -> list[bytes]:
    """What in a path may be an id that a provider gave: every part that is no noun."""
    return [part.encode() for part in _plain(place.below).split("/") if part and part not in NOUNS]


def keyed(place: Place) -> bool:
    """Whether a client may send its key in the query."""
    return place.dialect == "gemini" or place.version is DEPLOYMENTS


def has_dots(path: bytes) -> bool:
    """Whether a path climbs: its ``..`` would leave the upstream's prefix."""
    if b"/." not in path and b"%2" not in path:
        return False
    plain = path.lower().replace(b"%2e", b".").replace(b"%2f", b"/").replace(b"\\", b"/")
    return any(part in (b".", b"..") for part in plain.split(b"/"))


_KNOWN: dict[bytes, Place] = {
    version + path.encode(): _place(path.encode())
    for path in (*_READINGS, "/models")
    for version in (OPENAI, _AZURE_V1, b"")
}
