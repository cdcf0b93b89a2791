"""Which upstream serves what, under which path, with which headers. PURE."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from gateway import config
from gateway.envelope import HOP_BY_HOP, Envelope
from gateway.overhead import HEADER as OVERHEAD
from gateway.places import OPENAI, Place
from gateway.plan import Leg, Plan, alone, named, plan

REMEMBERED = 4096
DEFAULT_PATTERN = "*"
_COMPATIBLE = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
"""OpenAI's routes that Anthropic offers beside its own, authenticated as OpenAI does it."""


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream, ready to be asked.

    ``prefix`` takes the place of the client's ``/v1``. ``native`` takes that of the version of Gemini's own paths, and
    of Azure's older ones; ``None`` where those stay as they came. ``credential`` is the header of the upstream's own
    dialect, ``bearer`` the same key as OpenAI's clients send it.
    """

    name: str
    origin: str
    host: bytes
    dialect: str
    prefix: bytes
    native: bytes | None
    credential: bytes
    bearer: bytes
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
    key = upstream.api_key.get_secret_value().encode() if upstream.api_key is not None else b""
    dialect = upstream.speaks
    prefix, native = _prefixes(dialect, parts.path.rstrip("/").encode())
    bearer = b"authorization: Bearer " + key + b"\r\n" if key else b""
    header = _KEY_HEADERS.get(dialect, b"")
    return Target(
        name=upstream.name,
        origin=f"{parts.scheme}://{parts.netloc}",
        host=parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii"),
        dialect=dialect,
        prefix=prefix,
        native=native,
        credential=header + b": " + key + b"\r\n" if key and header else bearer,
        bearer=bearer,
        passthrough=upstream.auth == "passthrough",
        stream_usage=upstream.stream_usage,
        timeouts=upstream.timeouts,
        proxy=upstream.proxy.get_secret_value() if upstream.proxy is not None else None,
        ca_file=upstream.ca_file,
        retries=upstream.retries,
        breaker=upstream.breaker,
    )


_BELOW = b"/openai"
_KEY_HEADERS = {"azure": b"api-key", "anthropic": b"x-api-key", "gemini": b"x-goog-api-key"}


def _prefixes(dialect: str, path: bytes) -> tuple[bytes, bytes | None]:
    """Where OpenAI's paths lie at an upstream, and where those of its own dialect do.

    Azure and Gemini offer OpenAI's paths below their own. An Azure path that goes on to a deployment is taken as it is.
    """
    if dialect == "azure":
        root = path.removesuffix(OPENAI).removesuffix(_BELOW) + _BELOW
        return (path, None) if b"/deployments/" in path else (root + OPENAI, root)
    if dialect == "gemini":
        native = path.removesuffix(_BELOW)
        return (native or b"/v1beta") + _BELOW, native or None
    return path or OPENAI, path or None


class Routes:
    """Model name → upstream, by the first configured glob that matches; else the default."""

    def __init__(self, settings: config.Config) -> None:
        self._targets = {upstream.name: target(upstream) for upstream in settings.upstreams}
        self._models = settings.models
        default = self._targets[settings.default_upstream.name]
        # Without a model, a path in another dialect is for the first upstream that speaks it.
        self._defaults = {each.dialect: each for each in reversed(self._targets.values())}
        self._defaults[default.dialect] = self._defaults["openai"] = self._default = default
        self._chosen: dict[tuple[str, str, str], Choice] = {}

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every configured upstream."""
        return tuple(self._targets.values())

    def choose(self, model: str, upstream: str = "", dialect: str = "openai") -> Choice | None:
        """The choice for a model, at a named upstream if one is given; ``None`` when no upstream has that name.

        ``dialect`` is the one that the client speaks.
        """
        key = (model, upstream, dialect)
        choice = self._chosen.get(key)
        if choice is None:
            choice = self._choose(model, upstream, dialect)
            if choice is not None:
                if len(self._chosen) >= REMEMBERED:
                    self._chosen.clear()
                self._chosen[key] = choice
        return choice

    def default(self, dialect: str) -> Target:
        """Where requests go that name no model, or one that no rule is about."""
        return self._defaults.get(dialect, self._default)

    def _choose(self, model: str, upstream: str, dialect: str) -> Choice | None:
        if upstream and upstream not in self._targets:
            return None
        for rule in self._models if model else ():
            if not fnmatchcase(model, rule.match):
                continue
            if not upstream:
                rename = rule.rename if rule.rename != model else None
                return Choice(self._targets[rule.upstream], rule.match, rename, plan(rule, model, self._targets))
            leg = named(rule, model, upstream, self._targets)
            if leg is not None:  # the client's wish: this one, and no other
                return _alone(leg.target, rule.match, leg.rename)
        return _alone(self._targets[upstream] if upstream else self.default(dialect), DEFAULT_PATTERN, None)


def _alone(target: Target, pattern: str, rename: str | None) -> Choice:
    return Choice(target, pattern, rename, alone(Leg(target, rename)))


def address(chosen: Target, place: Place, rename: str | None = None) -> bytes:
    """The upstream's path for a client's: the version is never doubled, the rest stays byte for byte.

    ``rename`` takes the place of a model that the path names.
    """
    below = place.below
    if place.version is OPENAI and place.dialect != "gemini":
        return chosen.prefix + below
    name = quote(rename, safe="").encode() if rename is not None and place.named else place.named
    if place.dialect == "gemini":
        if name != place.named:
            start, _, end = below.rpartition(place.named + b":")
            below = start + name + b":" + end
        return (place.version if chosen.native is None else chosen.native) + below
    if chosen.dialect != "azure" or chosen.native is None:
        return chosen.prefix + below
    return chosen.native + (b"/deployments/" + name if name else b"") + below


def request_head(
    chosen: Target,
    method: bytes,
    place: Place,
    envelope: Envelope,
    *,
    rename: str | None = None,
    length: int | None,
    chunked: bool = False,
    plain: bool = False,
    upgrade: bytes = b"",
) -> bytes:
    """A request's head as it goes to the upstream.

    ``length`` is the body's, in bytes, ``None`` when there is no body or it is ``chunked``. ``plain`` asks for an
    answer without content encoding, because its events are looked at as they come. ``upgrade`` names the protocol to
    switch to.
    """
    parts = [method, b" ", address(chosen, place, rename)]
    if query := envelope.keyed_query if chosen.passthrough else envelope.query:
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
        parts.append(chosen.bearer if _compatible(chosen, place) else chosen.credential)
    if upgrade:
        parts += (b"connection: Upgrade\r\nupgrade: ", upgrade, b"\r\n")
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
    elif length is not None:
        parts += (b"content-length: ", b"%d" % length, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def _compatible(chosen: Target, place: Place) -> bool:
    """Whether the upstream is asked as if it were OpenAI's."""
    if chosen.dialect == "gemini":
        return place.dialect != "gemini"
    return chosen.dialect == "anthropic" and place.route in _COMPATIBLE


_ANSWER_DROPPED = HOP_BY_HOP | {b"x-gateway-call-id", OVERHEAD}


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
