"""What a request's headers say to the gateway, and which of them go on to an upstream. PURE.

One pass over the headers, whose names are lower case already. Headers of ours and of other gateways are read and
stripped; hop-by-hop headers, too; credentials are set apart. See ``docs/wire.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

STRIPPED = (
    b"x-gateway-",
    b"helicone-",
    b"x-portkey-",
    b"x-litellm-",
    b"x-bf-",
    b"cf-aig-",
    b"x-bt-",
    b"x-ai-eg-",
    b"tensorzero-",
    b"agent-session-id",
)
"""Prefixes of headers meant for a gateway, ours or another: never for an upstream."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key", b"cookie", b"x-goog-api-key"})
MAX_TAGS = 16
_FALSE = frozenset({b"false", b"0", b"no", b"off"})
_ORDINARY = frozenset({b"", b",keep-alive", b",close"})
_KEY_HEADERS = frozenset(
    {
        b"x-gateway-key",
        b"helicone-auth",
        b"x-portkey-api-key",
        b"x-litellm-api-key",
        b"x-bf-vk",
        b"cf-aig-authorization",
    }
)

PROTOCOLS = b"sec-websocket-protocol"
KEY_PROTOCOL = b"openai-insecure-api-key."
_KEY_PARAMETERS = frozenset({b"key", b"api-key"})

_DROPPED, _CREDENTIAL, _CONNECTION, _NOTED, _KEPT = range(5)
_KINDS: dict[bytes, int] = {
    **dict.fromkeys(HOP_BY_HOP, _DROPPED),
    **dict.fromkeys(CREDENTIALS, _CREDENTIAL),
    b"connection": _CONNECTION,
    # Noted: the gateway acts on it, and says its own to the upstream. Kept: noted, and goes on as well.
    **dict.fromkeys((b"host", b"expect", b"content-length", b"transfer-encoding", b"upgrade"), _NOTED),
    b"accept-encoding": _NOTED,
    **dict.fromkeys((b"content-type", b"content-encoding", b"traceparent", b"origin"), _KEPT),
}


class Envelope:
    """A request's headers, read. ``onward`` are the (name, value) pairs any upstream may see.

    ``query`` is what any upstream may see of the query, ``keyed_query`` the same with the client's own credential.
    """

    __slots__ = (
        "accept_encoding",
        "chunked",
        "content_encoding",
        "content_length",
        "content_type",
        "credentials",
        "internal",
        "keyed_query",
        "no_content",
        "onward",
        "origin",
        "prompt",
        "query",
        "session",
        "tags",
        "tokens",
        "trace",
        "upgrade",
        "upstream",
        "user",
    )

    def __init__(self) -> None:
        self.onward: list[tuple[bytes, bytes]] = []
        self.credentials: list[tuple[bytes, bytes]] = []
        self.tokens: list[bytes] = []
        self.tags: dict[str, str] = {}
        self.user = self.session = self.trace = self.prompt = self.upstream = ""
        self.content_type = self.content_encoding = b""
        self.accept_encoding: bytes | None = None
        self.content_length: int | None = None
        self.origin = self.upgrade = self.internal = b""
        self.query = self.keyed_query = b""
        self.no_content = self.chunked = False


def read(headers: Iterable[tuple[bytes, bytes]], ours: Callable[[bytes], bool] | None = None) -> Envelope:
    """Read the headers. ``ours`` tells whether a value is a configured key: such a header goes nowhere."""
    envelope = Envelope()
    onward = envelope.onward
    strangers: list[tuple[bytes, bytes]] = []
    noted: dict[bytes, bytes] = {}
    nominated = b""
    for pair in headers:
        name, value = pair
        kind = _KINDS.get(name)
        if kind is None:
            if name.startswith(STRIPPED):
                strangers.append(pair)
            elif ours is None or not ours(value):
                onward.append(pair)
        elif kind == _KEPT:
            noted[name] = value
            onward.append(pair)
        elif kind == _NOTED:
            noted[name] = value
        elif kind == _CREDENTIAL:
            envelope.credentials.append(pair)
        elif kind == _CONNECTION:
            nominated += b"," + value.lower()
    _note(envelope, noted)
    for name, value in strangers:
        _READERS.get(name, _read_prefixed)(envelope, name, value)
    if envelope.credentials:
        _sort_credentials(envelope, ours)
    envelope.trace = envelope.trace or _trace_id(noted.get(b"traceparent", b""))
    _drop(envelope, nominated)
    return envelope


def _note(envelope: Envelope, noted: dict[bytes, bytes]) -> None:
    take = noted.get
    envelope.content_type = take(b"content-type", b"")
    envelope.content_encoding = take(b"content-encoding", b"")
    envelope.accept_encoding = take(b"accept-encoding")
    envelope.origin = take(b"origin", b"")
    envelope.upgrade = take(b"upgrade", b"").lower()
    envelope.chunked = b"transfer-encoding" in noted
    length = take(b"content-length")
    envelope.content_length = int(length) if length is not None else None


def _sort_credentials(envelope: Envelope, ours: Callable[[bytes], bool] | None) -> None:
    envelope.tokens += [bearer(value) for name, value in envelope.credentials if name != b"cookie"]
    if ours is not None:
        envelope.credentials = [pair for pair in envelope.credentials if not ours(pair[1])]


def read_query(
    envelope: Envelope, query: bytes, ours: Callable[[bytes], bool] | None = None, *, keyed: bool = False
) -> None:
    """Read a query. ``keyed``: ``key`` (Gemini) or ``api-key`` (Azure) may stand there in the place of a header."""
    envelope.query = envelope.keyed_query = query
    if b"key=" not in query:
        return
    anyone: list[bytes] = []
    own: list[bytes] = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        token = _unquoted(value)
        credential = keyed and name in _KEY_PARAMETERS
        if credential:
            envelope.tokens.append(token)
        if ours is None or not ours(token):
            own.append(part)
            if not credential:
                anyone.append(part)
    envelope.query, envelope.keyed_query = b"&".join(anyone), b"&".join(own)


def parameter(query: bytes, *names: bytes) -> str:
    """The first of some parameters that a query has."""
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if _unquoted(name) in names:
            return text(_unquoted(value))
    return ""


def _unquoted(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))


def read_protocols(envelope: Envelope, ours: Callable[[bytes], bool] | None = None) -> None:
    """Read a WebSocket's subprotocols: among them a browser, which cannot set headers, sends its key."""
    offered = (value for name, value in envelope.onward if name == PROTOCOLS)
    envelope.tokens += [item[len(KEY_PROTOCOL) :] for value in offered for item in _items(value) if _is_key(item)]
    if ours is not None:
        envelope.onward = without_keys(envelope.onward, ours)


def without_keys(headers: list[tuple[bytes, bytes]], drop: Callable[[bytes], bool]) -> list[tuple[bytes, bytes]]:
    """The headers without the subprotocols whose key shall go no further."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name == PROTOCOLS and KEY_PROTOCOL in value:
            items = [item for item in _items(value) if not (_is_key(item) and drop(item[len(KEY_PROTOCOL) :]))]
            value = b", ".join(items)
        if value or name != PROTOCOLS:
            kept.append((name, value))
    return kept


def _items(value: bytes) -> list[bytes]:
    return [item.strip() for item in value.split(b",")]


def _is_key(item: bytes) -> bool:
    return item.startswith(KEY_PROTOCOL)


def _trace_id(traceparent: bytes) -> str:
    """The trace id of W3C's ``version-traceid-parent-flags``; empty when it is no such thing."""
    parts = traceparent.split(b"-")
    return parts[1].decode("latin-1") if len(parts) >= 4 and len(parts[1]) == 32 else ""


def _drop(envelope: Envelope, nominated: bytes) -> None:
    """Remove the headers that the client's ``Connection`` nominated as meant for the next hop only."""
    if nominated in _ORDINARY:
        return
    names = {name.strip() for name in nominated.split(b",")}
    envelope.onward = [pair for pair in envelope.onward if pair[0] not in names]
    envelope.credentials = [pair for pair in envelope.credentials if pair[0] not in names]
    if b"accept-encoding" in names:
        envelope.accept_encoding = None


def bearer(value: bytes) -> bytes:
    """The token of ``Bearer <token>``; any other value is the token itself."""
    return value[7:].strip() if value[:7].lower() == b"bearer " else value


def text(value: bytes) -> str:
    """A header's value as text: UTF-8 as clients mostly send it, else whatever can be read of it."""
    return value.decode("utf-8", "replace")


def parse_tags(value: str) -> dict[str, str]:
    """``k=v,…``; a bare word is a tag that is true. At most 16."""
    tags: dict[str, str] = {}
    for item in value.split(","):
        key, equals, word = item.partition("=")
        if key.strip() and len(tags) < MAX_TAGS:
            tags[key.strip()] = word.strip() if equals else "true"
    return tags


def _put(field: str) -> Callable[[Envelope, bytes, bytes], None]:
    def read_field(envelope: Envelope, name: bytes, value: bytes) -> None:
        # A header of our own name stands before the same thing said in another gateway's words.
        if name.startswith(b"x-gateway-") or not getattr(envelope, field):
            setattr(envelope, field, text(value))

    return read_field


def _read_key(envelope: Envelope, name: bytes, value: bytes) -> None:
    token = bearer(value)
    envelope.tokens.insert(0, token) if name == b"x-gateway-key" else envelope.tokens.append(token)


def _read_internal(envelope: Envelope, _name: bytes, value: bytes) -> None:
    envelope.internal = value


def _read_tags(envelope: Envelope, _name: bytes, value: bytes) -> None:
    _add_tags(envelope, parse_tags(text(value)))


def _read_no_content(envelope: Envelope, _name: bytes, value: bytes) -> None:
    """Whoever sends such a header cares: anything but a plain no means yes."""
    envelope.no_content = envelope.no_content or value.strip().lower() not in _FALSE


def _read_content(envelope: Envelope, _name: bytes, value: bytes) -> None:
    """Headers that ask for logging: ``false`` means no content."""
    envelope.no_content = envelope.no_content or value.strip().lower() in _FALSE


def _read_metadata(envelope: Envelope, _name: bytes, value: bytes) -> None:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(found, dict):
        envelope.user = envelope.user or scalar(found.pop("_user", None))
        envelope.prompt = envelope.prompt or scalar(found.pop("_prompt", None))
        _add_tags(envelope, {key: scalar(item) for key, item in found.items()})


def _read_prefixed(envelope: Envelope, name: bytes, value: bytes) -> None:
    for prefix in (b"helicone-property-", b"x-bf-dim-"):
        if name.startswith(prefix):
            _add_tags(envelope, {text(name[len(prefix) :]): text(value)})
    if name in _KEY_HEADERS:
        _read_key(envelope, name, value)


def _add_tags(envelope: Envelope, tags: dict[str, str]) -> None:
    for key, value in tags.items():
        if value and len(envelope.tags) < MAX_TAGS:
            envelope.tags.setdefault(key, value)


def scalar(value: Any) -> str:
    """A JSON scalar as text; anything else as nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


_READERS: dict[bytes, Callable[[Envelope, bytes, bytes], None]] = {
    b"x-gateway-key": _read_key,
    b"x-gateway-internal": _read_internal,
    b"x-gateway-upstream": _put("upstream"),
    b"x-gateway-user": _put("user"),
    b"x-gateway-session": _put("session"),
    b"x-gateway-trace": _put("trace"),
    b"x-gateway-prompt": _put("prompt"),
    b"x-gateway-tags": _read_tags,
    b"x-gateway-no-content": _read_no_content,
    b"helicone-user-id": _put("user"),
    b"helicone-session-id": _put("session"),
    b"helicone-prompt-id": _put("prompt"),
    b"helicone-omit-request": _read_no_content,
    b"helicone-omit-response": _read_no_content,
    b"x-portkey-trace-id": _put("trace"),
    b"x-portkey-metadata": _read_metadata,
    b"x-portkey-debug": _read_content,
    b"x-litellm-trace-id": _put("trace"),
    b"x-litellm-session-id": _put("session"),
    b"x-litellm-end-user-id": _put("user"),
    b"x-litellm-customer-id": _put("user"),
    b"x-litellm-tags": _read_tags,
    b"x-litellm-enable-message-redaction": _read_no_content,
    b"x-bf-session-id": _put("session"),
    b"x-bf-customer-id": _put("user"),
    b"cf-aig-metadata": _read_metadata,
    b"cf-aig-collect-log": _read_content,
    b"cf-aig-collect-log-payload": _read_content,
    b"agent-session-id": _put("session"),
}
