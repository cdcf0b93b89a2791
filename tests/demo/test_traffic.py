"""Sample traffic through a small gateway look-alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.demo import traffic
from gateway.demo.scenes import CARDS, IBAN, NID, PHONES, scenes
from gateway.errors import ConfigError
from tests.fakes.asgi import Running


class Gateway:
    """Answers calls and takes feedback; ``fail`` makes every call so."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.feedback: list[dict[str, Any]] = []
        self.fail: int | None = None
        self.models = ["first", "second"]
        routes = [
            Route("/healthz", lambda _request: Response("ok")),
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/feedback", self._feedback, methods=["POST"]),
        ]
        self.running = Running(Starlette(routes=routes))

    def _models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.calls.append((body, dict(request.headers)))
        if self.fail:
            return JSONResponse({"error": {"message": "scripted"}}, self.fail)
        headers = {"x-gateway-call-id": f"call-{len(self.calls)}"}
        chunk = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": []}
        if body.get("stream"):
            events = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
            return Response(events, media_type="text/event-stream", headers=headers)
        return JSONResponse(chunk, headers=headers)

    async def _feedback(self, request: Request) -> Response:
        self.feedback.append(await request.json())
        return JSONResponse({}, 202)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """The look-alike, running."""
    gateway = Gateway()
    with gateway.running:
        yield gateway


def test_plain_and_streamed_calls_of_several_people_with_thumbs(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every header of ours is used, thumbs name the calls they are about, and the summary says where to look."""
    tally = traffic.run(gateway.running.url, calls=20)
    assert tally["plain"] + tally["streamed"] == len(gateway.calls) == 20
    assert tally["plain"]
    assert tally["streamed"]
    assert tally["thumbs"] == len(gateway.feedback) > 0
    assert {thumb["rating"] for thumb in gateway.feedback} == {"up", "down"}
    assert all(thumb["id"].startswith("call-") for thumb in gateway.feedback)
    for name in ("user", "session", "tags", "prompt"):
        assert len({headers[f"x-gateway-{name}"] for _, headers in gateway.calls}) > 1
    assert {body["model"] for body, _ in gateway.calls} == {"first"}
    assert f"{gateway.running.url}/dashboards/" in capsys.readouterr().out.replace("\n", "")


def test_a_given_model_and_key_are_used(gateway: Gateway) -> None:
    """And the address may end in /v1, as one copies it."""
    traffic.run(f"{gateway.running.url}/v1", calls=1, api_key="gw-key", model="mine")
    ((body, headers),) = gateway.calls
    assert body["model"] == "mine"
    assert headers["authorization"] == "Bearer gw-key"


def test_failed_calls_are_counted_and_all_failing_is_an_error(gateway: Gateway) -> None:
    """A wrong model or key is the operator's to mend."""
    gateway.fail = 404
    with pytest.raises(ConfigError, match="mine"):
        traffic.run(gateway.running.url, calls=3, model="mine")
    assert len(gateway.calls) == 3


def test_no_gateway_there_is_said(gateway: Gateway) -> None:
    """With the command that starts one."""
    with Running(Starlette()) as other:
        with pytest.raises(ConfigError, match="is it a gateway"):
            traffic.run(other.url, calls=1)
        url = other.url
    with pytest.raises(ConfigError, match="gateway up"):
        traffic.run(url, calls=1)


def test_no_models_listed_is_said(gateway: Gateway) -> None:
    """Then one has to be named."""
    gateway.models = []
    with pytest.raises(ConfigError, match="--model"):
        traffic.run(gateway.running.url, calls=1)


def test_the_same_seed_gives_the_same_traffic() -> None:
    """And another one another."""
    assert list(scenes(30)) == list(scenes(30))
    assert list(scenes(30)) != list(scenes(30, seed=8))


def test_the_sample_holds_what_the_gateway_is_for() -> None:
    """Context, a tool's result, and personal data of every kind, all of it made up or reserved."""
    said = json.dumps([list(scene.messages) for scene in scenes(30)], ensure_ascii=False)
    for piece in ("<context>", '"role": "tool"', "tool_calls", IBAN, NID, "sk-proj-"):
        assert piece in said
    assert any(card in said for card in CARDS)
    assert any(phone in said for phone in PHONES)
    for domain in re.findall(r"@([\w.]+\w)", said):
        assert domain in {"example.com", "example.org", "example.net"}
    for scene in scenes(30):
        for value in scene.headers().values():
            assert value.isascii()
