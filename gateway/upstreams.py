"""Which upstream serves what, under which path, with which headers. PURE."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway import config
from gateway.envelope import HOP_BY_HOP, Envelope
from gateway.plan import Leg, Plan, alone, plan

API = b"/v1"
REMEMBERED = 4096
DEFAULT_PATTERN = "*"
READ = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"})
"""Routes whose POST bodies are read for model, identity and usage."""
ASKED_FOR_USAGE = frozenset({"/v1/chat/completions", "/v1/completions"})
"""Routes whose streams tell usage only when asked."""

# fmt: off
NOUNS = frozenset((
    "assistants", "audio", "batches", "cancel", "chat", "checkpoints", "client_secrets", "compact", "complete",
    "completions", "containers", "content", "conversations", "costs", "count_tokens", "edits", "embeddings",
    "engines", "evals", "events", "feedback", "file_batches", "files", "fine_tuning", "generations", "images",
    "input_items", "input_tokens", "items", "jobs", "messages", "models", "moderations", "organization", "parts",
    "pause", "permissions", "realtime", "remix", "rerank", "responses", "resume", "runs", "search", "sessions",
    "speech", "steps", "submit_tool_outputs", "threads", "tokenize", "tool_outputs", "transcription_sessions",
    "transcriptions", "translations", "uploads", "usage", "v1", "variations", "vector_stores", "videos", "voices",
))
# fmt: on
"""Path parts that name things, not ids."""
MAX_SEGMENTS = 8


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream, ready to be asked: ``prefix`` takes the place of the client's ``/v1``."""

    name: str
    origin: str
    host: bytes
    prefix: bytes
    credential: bytes
    passthrough: bool
    stream_usage: bool
    timeouts: config.Timeouts
    retries: config.Retries
    breaker: config.Breaker
    proxy: str | None = None
    ca_file: Path | None = None


class Choice(NamedTuple):
    """Where a request goes, by which configured pattern, and the model name the upstream shall read.

    ``plan`` says what else may be tried; ``None``, the ordinary case, that there is this one attempt.
    """

    target: Target
    pattern: str
    rename: str | None
    plan: Plan | None = None


def target(upstream: config.Upstream) -> Target:
    """The target of a configured upstream. A base URL without a path is taken for a server's root."""
    parts = urlsplit(upstream.base_url)
    path = parts.path.rstrip("/").encode()
    key = upstream.api_key.get_secret_value().encode() if upstream.api_key is not None else b""
    return Target(
        name=upstream.name,
        origin=f"{parts.scheme}://{parts.netloc}",
        host=parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii"),
        prefix=path or API,
        credential=b"authorization: Bearer " + key + b"\r\n" if key else b"",
        passthrough=upstream.auth == "passthrough",
        stream_usage=upstream.stream_usage,
        timeouts=upstream.timeouts,
        proxy=upstream.proxy.get_secret_value() if upstream.proxy is not None else None,
        ca_file=upstream.ca_file,
        retries=upstream.retries,
        breaker=upstream.breaker,
    )


class Routes:
    """Model name → upstream, by the first configured glob that matches; else the default."""

    def __init__(self, settings: config.Config) -> None:
        self._targets = {upstream.name: target(upstream) for upstream in settings.upstreams}
        self._models = settings.models
        self._default = self._targets[settings.default_upstream.name]
        self._unnamed = _alone(self._default, DEFAULT_PATTERN, None)
        self._chosen: dict[tuple[str, str], Choice] = {}

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every configured upstream."""
        return tuple(self._targets.values())

    def choose(self, model: str, upstream: str = "") -> Choice | None:
        """The choice for a model, at a named upstream if one is given; ``None`` when no upstream has that name."""
        if not model and not upstream:
            return self._unnamed
        key = (model, upstream)
        choice = self._chosen.get(key)
        if choice is None:
            choice = self._choose(model, upstream)
            if choice is not None:
                if len(self._chosen) >= REMEMBERED:
                    self._chosen.clear()
                self._chosen[key] = choice
        return choice

    def _choose(self, model: str, upstream: str) -> Choice | None:
        if upstream and upstream not in self._targets:
            return None
        for rule in self._models:
            if not model or not fnmatchcase(model, rule.match):
                continue
            if upstream in ("", rule.upstream):
                rename = rule.rename if rule.rename != model else None
                target = self._targets[rule.upstream]
                if upstream:  # the client's wish: this one, and no other
                    return _alone(target, rule.match, rename)
                return Choice(target, rule.match, rename, plan(rule, model, self._targets))
        return _alone(self._targets[upstream] if upstream else self._default, DEFAULT_PATTERN, None)


def _alone(target: Target, pattern: str, rename: str | None) -> Choice:
    return Choice(target, pattern, rename, alone(Leg(target, rename)))


def join(prefix: bytes, path: bytes) -> bytes:
    """The upstream's path for a client's ``/v1/…``: ``/v1`` is never doubled, the rest stays byte for byte."""
    return prefix + path[len(API) :]


def has_dots(path: bytes) -> bool:
    """Whether a path climbs: its ``..`` would leave the upstream's prefix."""
    if b"/." not in path and b"%2" not in path:
        return False
    plain = path.lower().replace(b"%2e", b".").replace(b"%2f", b"/").replace(b"\\", b"/")
    return any(part in (b".", b"..") for part in plain.split(b"/"))


def template(path: str) -> str:
    """The path with everything that is no known noun as ``{id}``; of bounded length, so fit for a label."""
    if path in READ:
        return path
    parts = path.strip("/").split("/")
    shown = [part if part in NOUNS else "{id}" for part in parts[:MAX_SEGMENTS]]
    return "/" + "/".join(shown) + ("/…" if len(parts) > MAX_SEGMENTS else "")


def request_head(
    chosen: Target,
    method: bytes,
    path: bytes,
    query: bytes,
    envelope: Envelope,
    *,
    length: int | None,
    chunked: bool = False,
    plain: bool = False,
) -> bytes:
    """A request's head as it goes to the upstream.

    ``length`` is the body's, in bytes, ``None`` when there is no body or it is ``chunked``. ``plain`` asks for an
    answer without content encoding, because an event shall be taken out of it.
    """
    parts = [method, b" ", join(chosen.prefix, path)]
    if query:
        parts += (b"?", query)
    parts += (b" HTTP/1.1\r\nhost: ", chosen.host, b"\r\n")
    for name, value in envelope.onward:
        parts += (name, b": ", value, b"\r\n")
    if plain:
        parts.append(b"accept-encoding: identity\r\n")
    elif envelope.accept_encoding is not None:
        parts += (b"accept-encoding: ", envelope.accept_encoding, b"\r\n")
    if chosen.passthrough:
        for name, value in envelope.credentials:
            parts += (name, b": ", value, b"\r\n")
    else:
        parts.append(chosen.credential)
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
    elif length is not None:
        parts += (b"content-length: ", b"%d" % length, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


_ANSWER_DROPPED = HOP_BY_HOP | {b"x-gateway-call-id"}


def answer_headers(
    headers: Iterable[tuple[bytes, bytes]], *, without: frozenset[bytes] = frozenset()
) -> list[tuple[bytes, bytes]]:
    """An answer's headers as they go to the client: hop-by-hop ones, named or nominated, stay behind."""
    kept: list[tuple[bytes, bytes]] = []
    nominated: set[bytes] = set()
    for name, value in headers:
        lower = name.lower()
        if lower not in _ANSWER_DROPPED and lower not in without:
            kept.append((lower, value))
        elif lower == b"connection":
            nominated.update(part.strip() for part in value.lower().split(b","))
    nominated -= {b"close", b"keep-alive", b""}
    return [pair for pair in kept if pair[0] not in nominated] if nominated else kept
