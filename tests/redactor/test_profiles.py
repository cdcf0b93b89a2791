"""Which profile a call gets."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config import Config

KEYS = [{"name": "app", "key": "sk-a"}, {"name": "bulk", "key": "sk-b"}]
REDACT = {
    "profile": "standard",
    "keys": {"bulk": "fast"},
    "routes": {"/v1/embeddings": "fast", "/v1/responses*": "strict"},
}
UPSTREAMS = [{"name": "u", "base_url": "http://127.0.0.1:1/v1"}]


@pytest.mark.parametrize(
    ("key", "route", "expected"),
    [
        ("app", "/v1/chat/completions", "standard"),
        ("app", "/v1/embeddings", "fast"),
        ("app", "/v1/responses/{id}", "strict"),
        ("bulk", "/v1/responses", "fast"),
        ("", "/v1/embeddings", "fast"),
    ],
)
def test_the_keys_word_goes_before_the_routes(key: str, route: str, expected: str) -> None:
    """And that before the general one."""
    redact = Config.model_validate({"upstreams": UPSTREAMS, "keys": KEYS, "redact": REDACT}).redact
    assert redact.profile_of(key, route) == expected
    assert redact.profiles == {"fast", "standard", "strict"}


def test_a_key_that_is_not_there_is_a_mistake() -> None:
    """Else its calls would be redacted less than was meant."""
    with pytest.raises(ValidationError, match=r"redact\.keys: no key is named 'bulk'"):
        Config.model_validate({"upstreams": UPSTREAMS, "keys": KEYS[:1], "redact": REDACT})
