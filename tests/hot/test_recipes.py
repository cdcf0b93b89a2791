"""The recipes of ``docs/recipes.md``, each read from the page and run against a fake of its provider's shape."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import yaml
from aiohttp import web

from gateway.config import Config, Upstream
from gateway.meter import Meter
from gateway.wire import parse
from tests.fakes import providers
from tests.fakes.providers import KEY, PROVIDERS, Fake, Provider
from tests.hot.gateway import Gateway, Raw, listening, request, running, send

pytestmark = pytest.mark.anyio
PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
TITLES = {
    "openai": "OpenAI",
    "azure": "Azure OpenAI",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "vllm": "vLLM",
    "ollama": "Ollama",
    "llama.cpp": "llama.cpp",
    "openrouter": "OpenRouter",
    "groq": "Groq",
    "together": "Together",
}
ASKED = {
    "azure": "/openai/deployments/chat-prod/chat/completions?api-version=2024-10-21",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/gemini-2.5-flash:generateContent",
}
"""What clients ask for; the others ask for ``/v1/chat/completions``."""
OURS = {"azure": "api-key", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}
"""The header in which a provider's own client sends its key; the others send a bearer token."""
METER = Meter({})


def recipe(name: str) -> dict[str, Any]:
    """The upstream that the page configures, with a key of ours in the place of the environment's."""
    found = re.search(rf"^## {re.escape(TITLES[name])}\n\n```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"docs/recipes.md has no snippet for {name}"
    (upstream,) = yaml.safe_load(found[1])["upstreams"]
    if "api_key" in upstream:
        assert upstream["api_key"].startswith("os.environ/")
        upstream["api_key"] = KEY
    return dict(upstream)


@asynccontextmanager
async def behind(tmp_path: Path, provider: Provider) -> AsyncIterator[tuple[Gateway, Fake]]:
    """A gateway configured by the recipe, whose address leads to the fake."""
    fake = Fake(provider)
    runner = web.AppRunner(providers.app(fake), shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    bound = listening()
    await web.SockSite(runner, bound).start()
    written = recipe(provider.name)
    told = Upstream.model_validate(written)
    here = urlunsplit(("http", f"127.0.0.1:{bound.getsockname()[1]}", urlsplit(told.base_url).path, "", ""))
    upstream = {"api_key": None, **written, "base_url": here, "dialect": told.speaks}
    keys = [{"name": "app", "key": "sk-gateway-key"}]
    try:
        async with running(tmp_path, upstream=upstream, keys=keys) as gateway:
            yield gateway, fake
    finally:
        await runner.cleanup()


async def ask(gateway: Gateway, provider: Provider, *, stream: bool) -> Raw:
    """Ask as the provider's own client would."""
    name = provider.name
    path = ASKED.get(name, "/v1/chat/completions")
    body: dict[str, Any] = {"model": "some-model", "messages": [{"role": "user", "content": "hello"}]}
    if name == "gemini":
        body = {"contents": [{"parts": [{"text": "hello"}], "role": "user"}]}
        path = path.replace(":generate", ":streamGenerate") + "?alt=sse" if stream else path
    elif stream:
        body["stream"] = True
    headers = {OURS.get(name, "authorization"): "sk-gateway-key" if name in OURS else "Bearer sk-gateway-key"}
    if name == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    return await send(gateway, request(path, json.dumps(body).encode(), **headers))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", list(PROVIDERS))
async def test_a_recipe_carries_its_provider(tmp_path: Path, name: str, stream: bool) -> None:
    """The path and the credential are the provider's, the bytes go through as they are, and what it tells is read."""
    provider = PROVIDERS[name]
    async with behind(tmp_path, provider) as (gateway, fake):
        answer = await ask(gateway, provider, stream=stream)
        assert answer.status == 200, answer.body
        assert answer.body == (b"".join(provider.stream) if stream else provider.plain)
        (whole,) = await gateway.journal.arrived(1)
    assert b"sk-gateway-key" not in b"".join(value for _, value in fake.seen[0].raw_headers)
    exchange = parse(whole)
    usage = METER.usage(exchange)
    assert (usage.source, usage.input_tokens, usage.output_tokens) == ("reported", *provider.tokens)
    assert exchange.stream is stream
    assert not exchange.partial
    assert not exchange.unparsed
    assert whole.call.key == "app"


@pytest.mark.parametrize("name", list(PROVIDERS))
async def test_a_wrong_key_is_refused_here(tmp_path: Path, name: str) -> None:
    """Nothing reaches the provider."""
    provider = PROVIDERS[name]
    async with behind(tmp_path, provider) as (gateway, fake):
        path = ASKED.get(name, "/v1/chat/completions")
        answer = await send(gateway, request(path, b"{}", **{OURS.get(name, "authorization"): "sk-other"}))
        assert answer.status == 401
    assert fake.seen == []


def test_each_provider_has_a_recipe() -> None:
    """And each recipe a fake."""
    assert set(TITLES) == set(PROVIDERS)
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert [title for title in titles if title != "Several at once"] == list(TITLES.values())


def test_several_recipes_stand_together() -> None:
    """The page's last snippet is a configuration."""
    written = re.search(r"## Several at once\n\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert written is not None
    settings = Config.model_validate(yaml.safe_load(written[1]))
    assert [upstream.speaks for upstream in settings.upstreams] == ["openai", "anthropic", "openai"]
