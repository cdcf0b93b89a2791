"""Which calls cost nothing, by their providers' public word: an exact zero, unlike a price that is not known. PURE."""

from __future__ import annotations

from fnmatch import fnmatchcase

from gateway.raw import Exchange

_ASKING = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods that make no model work: they read what was paid for, or do away with it."""
_COUNTING = ("/messages/count_tokens", "/responses/input_tokens", ":countTokens")
_MODERATING = ("omni-moderation-*", "text-moderation-*")
"""OpenAI's own; other providers charge for theirs. https://platform.openai.com/docs/guides/moderation"""


def is_free(exchange: Exchange) -> bool:
    """Whether a call was free of charge, whatever it used. A realtime session, asked for by GET, is not."""
    call = exchange.call
    if call.method.upper() in _ASKING:
        return not call.route.startswith("/v1/realtime")
    if call.route.endswith(_COUNTING):
        return True
    if not call.route.endswith("/moderations"):
        return False
    model = exchange.response_model or exchange.model
    return any(fnmatchcase(model, pattern) for pattern in _MODERATING)
