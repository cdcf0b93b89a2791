"""Routing, paths and header policy, as pure functions."""

from __future__ import annotations

import pytest

from gateway import envelope
from gateway.config import Config
from gateway.places import find, has_dots, template
from gateway.upstreams import Routes, address, answer_headers

CONFIG = Config.model_validate(
    {
        "upstreams": [
            {"name": "a", "base_url": "https://a.example/v1", "api_key": "k"},
            {"name": "b", "base_url": "http://b.example:8000/openai/deploy/v1/", "default": True},
            {"name": "c", "base_url": "http://c.example"},
        ],
        "models": [
            {"match": "gpt-*", "upstream": "a"},
            {"match": "old", "upstream": "a", "rename": "new"},
            {"match": "*", "upstream": "c"},
        ],
    }
)


@pytest.mark.parametrize(
    ("upstream", "path", "expected"),
    [
        ("a", b"/v1/chat/completions", b"/v1/chat/completions"),
        ("b", b"/v1/files/a%2Fb", b"/openai/deploy/v1/files/a%2Fb"),
        ("c", b"/v1/models", b"/v1/models"),
    ],
)
def test_the_api_prefix_is_never_doubled(upstream: str, path: bytes, expected: bytes) -> None:
    """The base URL's path stands for the client's ``/v1``; without a path it is a server's root."""
    choice = Routes(CONFIG).choose("", upstream)
    assert choice is not None
    place = find(path)
    assert place is not None
    assert address(choice.target, place) == expected


@pytest.mark.parametrize(
    ("model", "upstream", "expected"),
    [
        ("gpt-4o", "", ("a", "gpt-*", None)),
        ("old", "", ("a", "old", "new")),
        ("any", "", ("c", "*", None)),
        ("", "", ("b", "*", None)),
        ("gpt-4o", "b", ("b", "*", None)),
        ("old", "a", ("a", "old", "new")),
    ],
)
def test_the_first_matching_pattern_chooses(model: str, upstream: str, expected: tuple[str, str, str | None]) -> None:
    """A named upstream stands before the patterns."""
    choice = Routes(CONFIG).choose(model, upstream)
    assert choice is not None
    assert (choice.target.name, choice.pattern, choice.rename) == expected


def test_an_unknown_upstream_is_none() -> None:
    """Nothing is guessed."""
    assert Routes(CONFIG).choose("", "zz") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/files/file-123/content", "/v1/files/{id}/content"),
        ("/v1/threads/t/runs/r/steps/s", "/v1/threads/{id}/runs/{id}/steps/{id}"),
        ("/v1/a/b/c/d/e/f/g/h/i", "/v1/{id}/{id}/{id}/{id}/{id}/{id}/{id}/…"),
    ],
)
def test_routes_are_templates(path: str, expected: str) -> None:
    """Ids never stand in a route."""
    assert template(path) == expected


@pytest.mark.parametrize(("path", "climbs"), [(b"/v1/a..b", False), (b"/v1/..", True), (b"/v1/%2E./x", True)])
def test_dot_segments_are_seen(path: bytes, climbs: bool) -> None:
    """In the clear or encoded."""
    assert has_dots(path) is climbs


def test_hop_by_hop_headers_of_answers_stay_behind() -> None:
    """Also those that the upstream's Connection names."""
    headers = [(b"Connection", b"close, X-Hop"), (b"X-Hop", b"1"), (b"Keep-Alive", b"5"), (b"Content-Type", b"a")]
    assert answer_headers(headers) == [(b"content-type", b"a")]


def test_other_gateways_headers_are_understood() -> None:
    """A team moves here by changing its base URL."""
    read = envelope.read(
        [
            (b"helicone-user-id", b"u"),
            (b"helicone-session-id", b"s"),
            (b"helicone-property-App", b"shop"),
            (b"x-portkey-trace-id", b"t"),
            (b"x-portkey-metadata", b'{"_prompt": "p", "env": "prod", "n": 1}'),
            (b"x-litellm-tags", b"alpha,beta=2"),
            (b"x-litellm-end-user-id", b"other"),
            (b"helicone-omit-request", b"true"),
            (b"x-bf-vk", b"key"),
        ]
    )
    assert (read.user, read.session, read.trace, read.prompt) == ("u", "s", "t", "p")
    assert read.tags == {"App": "shop", "env": "prod", "n": "1", "alpha": "true", "beta": "2"}
    assert read.no_content
    assert read.tokens == [b"key"]
    assert read.onward == []


def test_our_own_header_stands_before_another_gateways() -> None:
    """Whichever comes first."""
    ours, theirs = (b"x-gateway-user", b"ours"), (b"helicone-user-id", b"theirs")
    assert envelope.read([ours, theirs]).user == envelope.read([theirs, ours]).user == "ours"


def test_traceparent_is_a_trace() -> None:
    """Its trace id, unless a trace is given outright."""
    parent = (b"traceparent", b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01")
    assert envelope.read([parent]).trace == "ab" * 16
    assert envelope.read([parent, (b"x-gateway-trace", b"mine")]).trace == "mine"
    assert envelope.read([(b"traceparent", b"junk")]).trace == ""
