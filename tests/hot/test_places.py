"""What a path asks for, and where it lies at an upstream, as pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config
from gateway.places import Reading, find, given_ids, has_dots
from gateway.upstreams import Routes, address

BASES = {
    "openai": ("https://api.openai.com/v1", None),
    "root": ("http://127.0.0.1:8000", None),
    "groq": ("https://api.groq.com/openai/v1", None),
    "azure": ("https://x.openai.azure.com", None),
    "azure-v1": ("https://x.openai.azure.com/openai/v1", None),
    "azure-one": ("https://x.openai.azure.com/openai/deployments/d", None),
    "anthropic": ("https://api.anthropic.com", None),
    "gemini": ("https://generativelanguage.googleapis.com", None),
    "gemini-openai": ("https://generativelanguage.googleapis.com/v1beta/openai", None),
    "gemini-behind": ("http://127.0.0.1:9000/google", "gemini"),
}
CONFIG = Config.model_validate(
    {
        "upstreams": [
            {"name": name, "base_url": base, "api_key": "k", "dialect": dialect}
            for name, (base, dialect) in BASES.items()
        ]
    }
)
ROUTES = Routes(CONFIG)


@pytest.mark.parametrize(
    ("path", "upstream", "expected"),
    [
        ("/v1/chat/completions", "groq", "/openai/v1/chat/completions"),
        ("/openai/v1/chat/completions", "groq", "/openai/v1/chat/completions"),
        ("/openai/v1/chat/completions", "openai", "/v1/chat/completions"),
        ("/chat/completions", "openai", "/v1/chat/completions"),
        ("/models", "root", "/v1/models"),
        ("/openai/deployments/d%20x/chat/completions", "azure", "/openai/deployments/d%20x/chat/completions"),
        ("/openai/deployments/d/chat/completions", "openai", "/v1/chat/completions"),
        ("/openai/deployments/d/chat/completions", "azure-one", "/openai/deployments/d/chat/completions"),
        ("/openai/files/f", "azure", "/openai/files/f"),
        ("/openai/files/f", "openai", "/v1/files/f"),
        ("/v1/chat/completions", "azure", "/openai/v1/chat/completions"),
        ("/v1/chat/completions", "azure-v1", "/openai/v1/chat/completions"),
        ("/v1/chat/completions", "azure-one", "/openai/deployments/d/chat/completions"),
        ("/v1/messages/count_tokens", "anthropic", "/v1/messages/count_tokens"),
        ("/messages", "anthropic", "/v1/messages"),
        ("/v1beta/models/m:generateContent", "gemini", "/v1beta/models/m:generateContent"),
        ("/v1/models/m:generateContent", "gemini", "/v1/models/m:generateContent"),
        ("/v1alpha/models/m:countTokens", "gemini", "/v1alpha/models/m:countTokens"),
        ("/v1beta/models/m:generateContent", "gemini-openai", "/v1beta/models/m:generateContent"),
        ("/v1beta/files/f", "gemini-behind", "/google/files/f"),
        ("/v1/chat/completions", "gemini", "/v1beta/openai/chat/completions"),
        ("/v1/chat/completions", "gemini-openai", "/v1beta/openai/chat/completions"),
        ("/v1beta/openai/chat/completions", "gemini", "/v1beta/openai/chat/completions"),
        ("/v1beta/openai/chat/completions", "openai", "/v1/chat/completions"),
        ("/v1beta/models/m:generateContent", "root", "/v1beta/models/m:generateContent"),
        ("/v1/not/there/yet", "openai", "/v1/not/there/yet"),
    ],
)
def test_a_path_finds_its_place_at_an_upstream(path: str, upstream: str, expected: str) -> None:
    """Versions are never doubled, and what follows stays byte for byte."""
    place = find(path.encode())
    choice = ROUTES.choose("", upstream)
    assert place is not None
    assert choice is not None
    assert address(choice.target, place) == expected.encode()


@pytest.mark.parametrize(
    ("path", "route", "dialect", "reading", "model"),
    [
        ("/v1/chat/completions", "/v1/chat/completions", "openai", Reading.KEPT, ""),
        ("/responses", "/v1/responses", "openai", Reading.KEPT, ""),
        ("/v1/moderations", "/v1/moderations", "openai", Reading.KEPT, ""),
        ("/v1/audio/speech", "/v1/audio/speech", "openai", Reading.ROUTED, ""),
        ("/v1/%63hat/completions", "/v1/chat/completions", "openai", Reading.KEPT, ""),
        ("/v1/models/org/m", "/v1/models/{id}/{id}", "openai", Reading.PASSED, "org/m"),
        ("/openai/deployments/d/chat/completions", "/v1/chat/completions", "openai", Reading.KEPT, "d"),
        ("/v1/messages", "/v1/messages", "anthropic", Reading.KEPT, ""),
        ("/v1/messages/batches/b/results", "/v1/messages/batches/{id}/results", "anthropic", Reading.PASSED, ""),
        ("/v1/threads/t/messages", "/v1/threads/{id}/messages", "openai", Reading.PASSED, ""),
        ("/v1beta/models/m:generateContent", "/v1beta/models/{model}:generateContent", "gemini", Reading.KEPT, "m"),
        ("/v1beta/models/m:countTokens", "/v1beta/models/{model}:countTokens", "gemini", Reading.PASSED, "m"),
        ("/v1beta/tunedModels/m:embedContent", "/v1beta/tunedModels/{model}:embedContent", "gemini", Reading.KEPT, "m"),
        ("/v1beta/models/m", "/v1beta/models/{id}", "gemini", Reading.PASSED, "m"),
    ],
)
def test_what_a_path_tells(path: str, route: str, dialect: str, reading: Reading, model: str) -> None:
    """Route, dialect, whether its bodies are read, and the model that it names."""
    place = find(path.encode())
    assert place is not None
    assert (place.route, place.dialect, place.reading, place.model) == (route, dialect, reading, model)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1", "/v2/chat/completions", "/api/calls", "/dashboards/", "/healthz", "/metrics", "/login", "/docs"),
        *("/static/v/app.css", "/internal/resolve", "/openapi.json", "/chatter", "/openai", "/v1betamax/models"),
    ],
)
def test_what_is_not_proxied(path: str) -> None:
    """The gateway's own paths, and those of nobody."""
    assert find(path.encode()) is None


@pytest.mark.parametrize(
    ("path", "upstream", "expected"),
    [
        ("/v1beta/models/m:generateContent", "gemini", "/v1beta/models/new:generateContent"),
        ("/v1beta/models/models:generateContent", "gemini", "/v1beta/models/new:generateContent"),
        ("/openai/deployments/d/chat/completions", "azure", "/openai/deployments/new/chat/completions"),
        ("/v1/chat/completions", "openai", "/v1/chat/completions"),
    ],
)
def test_a_model_in_the_path_is_renamed_there(path: str, upstream: str, expected: str) -> None:
    """Where a rule says so."""
    place = find(path.encode())
    choice = ROUTES.choose("", upstream)
    assert place is not None
    assert choice is not None
    assert address(choice.target, place, "new") == expected.encode()


def test_without_a_model_the_dialect_chooses() -> None:
    """The first upstream that speaks it; the default where none does."""
    chosen = {name: ROUTES.choose("", "", name) for name in ("openai", "anthropic", "gemini")}
    assert {name: choice.target.name for name, choice in chosen.items() if choice} == {
        "openai": "openai",
        "anthropic": "anthropic",
        "gemini": "gemini",
    }
    alone = Routes(Config.model_validate({"upstreams": [{"name": "only", "base_url": "https://a.example/v1"}]}))
    choice = alone.choose("", "", "anthropic")
    assert choice is not None
    assert choice.target.name == "only"


def test_ids_of_a_path() -> None:
    """Whatever is no noun."""
    place = find(b"/v1/vector_stores/vs_1/file_batches/vsfb_2/files")
    assert place is not None
    assert given_ids(place) == [b"vs_1", b"vsfb_2"]


SEGMENTS = st.sampled_from(
    ["v1", "v1beta", "openai", "deployments", "models", "m:generateContent", "chat", "completions", "%2e%2e", "..", ""]
) | st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#"), max_size=8)


@given(st.lists(SEGMENTS, max_size=7).map(lambda parts: "/" + "/".join(parts)))
def test_any_path_keeps_what_follows_its_version(path: str) -> None:
    """No path raises, none climbs unseen, and no upstream is asked for anything but a tail of what came."""
    place = find(path.encode())
    if place is None:
        return
    for target in ROUTES.targets:
        asked = address(target, place)
        assert asked.endswith(place.below)
        assert path.encode().endswith(place.below)
        if not has_dots(path.encode()):
            assert not has_dots(asked)
