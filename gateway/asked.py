"""The few fields of a JSON request that the gateway reads: model, stream, and who asks. PURE."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.envelope import MAX_TAGS, scalar


class Asked(msgspec.Struct):
    """Fields of a request body, as far as they have the types the API documents."""

    model: str = ""
    stream: bool | None = None
    user: Any = None
    metadata: Any = None
    safety_identifier: Any = None
    session_id: Any = None
    prompt: msgspec.Raw = msgspec.Raw()
    previous_response_id: Any = None
    conversation: Any = None
    input_file_id: Any = None
    file_id: Any = None
    file_ids: Any = None
    training_file: Any = None


class _Model(msgspec.Struct):
    model: str = ""


class Identity(msgspec.Struct, frozen=True):
    """Who asks, as the body tells it; empty where it does not."""

    user: str = ""
    session: str = ""
    trace: str = ""
    prompt: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)


MAX_REFERENCES = 16
NOBODY = Identity()
UNREAD = Asked()
_asked = msgspec.json.Decoder(Asked)
_model = msgspec.json.Decoder(_Model)
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_USER = ("user_id", "user", "_user", "end_user_id", "trace_user_id")
_SESSION = ("session_id", "session")
_TRACE = ("trace_id", "trace")
_PROMPT = ("prompt_id", "prompt", "_prompt", "prompt_name")


def read(body: bytes) -> Asked:
    """Read a body. One that is malformed or odd gives ``UNREAD``: it goes to the upstream, which knows best."""
    try:
        return _asked.decode(body)
    except _BROKEN:
        pass
    try:
        return Asked(model=_model.decode(body).model)
    except _BROKEN:
        return UNREAD


def identity(asked: Asked) -> Identity:
    """Who asks. ``metadata`` is read by the names that other gateways' users already send; the rest of it are tags."""
    given = asked.metadata
    prompt = _prompt_id(asked.prompt)
    if not isinstance(given, dict):
        if asked.user is None and asked.safety_identifier is None and asked.session_id is None and not prompt:
            return NOBODY
        given = {}
    return Identity(
        user=scalar(asked.user) or _first(given, _USER) or scalar(asked.safety_identifier),
        session=_first(given, _SESSION) or scalar(asked.session_id),
        trace=_first(given, _TRACE),
        prompt=_first(given, _PROMPT) or prompt,
        tags=_tags(given),
    )


def references(asked: Asked) -> list[bytes]:
    """The ids of things made before that a body names: such a request is for whoever made them."""
    talk = asked.conversation.get("id") if isinstance(asked.conversation, dict) else asked.conversation
    files = asked.file_ids if isinstance(asked.file_ids, list) else []
    named = (asked.previous_response_id, talk, asked.input_file_id, asked.training_file, asked.file_id, *files)
    return [each.encode() for each in named[:MAX_REFERENCES] if isinstance(each, str)]


def _first(given: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        if found := scalar(given.get(name)):
            return found
    return ""


def _tags(given: dict[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = {}
    named = given.get("tags")
    if isinstance(named, dict):
        tags.update((str(key), scalar(value)) for key, value in named.items())
    elif isinstance(named, list):
        for item in named:
            key, equals, value = scalar(item).partition("=")
            tags[key] = value if equals else "true"
    for key, value in given.items():
        if key not in _NAMED:
            tags.setdefault(key, scalar(value))
    kept = [(key, value) for key, value in tags.items() if key and value]
    return dict(kept[:MAX_TAGS])


_NAMED = frozenset((*_USER, *_SESSION, *_TRACE, *_PROMPT, "tags"))


def _prompt_id(raw: msgspec.Raw) -> str:
    """The Responses API names a stored prompt as an object; elsewhere ``prompt`` is text and none of our business."""
    view = memoryview(raw)
    if view.nbytes == 0 or view[0] != 0x7B:
        return ""
    try:
        found = msgspec.json.decode(view)
    except _BROKEN:
        return ""
    return scalar(found.get("id")) if isinstance(found, dict) else ""
