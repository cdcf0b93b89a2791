"""``gateway demo``: sample traffic through a running gateway, by the official client, as applications send it."""

from __future__ import annotations

import ssl
from collections import Counter
from typing import TYPE_CHECKING

import httpx

from gateway.demo.scenes import Scene, scenes
from gateway.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from openai import OpenAI

CALL_TIMEOUT_S = 120.0
FEEDBACK_TIMEOUT_S = 10.0
NO_KEY = "none-needed"


def run(
    base_url: str,
    *,
    calls: int = 24,
    api_key: str | None = None,
    model: str | None = None,
    seed: int = 7,
    verify: ssl.SSLContext | bool = True,
) -> Counter[str]:
    """Send so many calls, plain and streamed, with thumbs on some; answers what came of them, by outcome.

    ``base_url`` is the gateway's, without ``/v1``; without ``model`` the first that it lists is asked; ``verify`` is
    how its certificate is. Raises ``ConfigError`` when no gateway answers or no call succeeds, and ``MissingExtra``.
    """
    try:
        import openai
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        raise MissingExtra("demo", "gateway demo") from None
    base_url = base_url.rstrip("/").removesuffix("/v1")
    _check(base_url, verify)
    client = _client(base_url, api_key or NO_KEY, verify)
    console = Console()
    tally: Counter[str] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with client, Progress(*columns, console=console) as progress:
        asked = model or _first_model(client)
        bar = progress.add_task(f"calling {asked}", total=calls)
        for scene in scenes(calls, seed):
            try:
                call_id = _call(client, asked, scene)
            except openai.APIError as error:
                tally["failed"] += 1
                tally[f"  {type(error).__name__}"] += 1
            else:
                tally["streamed" if scene.stream else "plain"] += 1
                tally["thumbs"] += _rate(client, call_id, scene, verify)
            progress.advance(bar)
    for outcome, count in tally.items():
        console.print(f"  {outcome:<24} {count}", highlight=False)
    if not tally["plain"] + tally["streamed"]:
        raise ConfigError(f"none of the calls succeeded; is '{asked}' a model this gateway serves, and the key right?")
    console.print(f"\n  See {base_url}/dashboards/ and {base_url}/dashboards/calls", highlight=False)
    return tally


def _client(base_url: str, api_key: str, verify: ssl.SSLContext | bool) -> OpenAI:
    import openai

    http = openai.DefaultHttpxClient(verify=verify, timeout=CALL_TIMEOUT_S)
    return openai.OpenAI(
        base_url=f"{base_url}/v1", api_key=api_key, max_retries=0, timeout=CALL_TIMEOUT_S, http_client=http
    )


def _check(base_url: str, verify: ssl.SSLContext | bool) -> None:
    try:
        answer = httpx.get(f"{base_url}/healthz", timeout=FEEDBACK_TIMEOUT_S, verify=verify)
    except (httpx.HTTPError, httpx.InvalidURL):
        raise ConfigError(f"no gateway answers at {base_url}; start one with: gateway up") from None
    if answer.status_code != httpx.codes.OK:
        raise ConfigError(f"{base_url} answers, but /healthz says {answer.status_code}; is it a gateway?")


def _first_model(client: OpenAI) -> str:
    import openai

    try:
        listed = client.models.list().data
    except openai.APIError as error:
        raise ConfigError(f"the gateway lists no models ({type(error).__name__}); name one with --model") from None
    if not listed:
        raise ConfigError("the gateway lists no models; name one with --model")
    return listed[0].id


def _call(client: OpenAI, model: str, scene: Scene) -> str:
    """Make a call and take its answer to the end; answers the gateway's call id."""
    completions = client.chat.completions.with_raw_response
    raw = completions.create(
        model=model,
        messages=list(scene.messages),
        max_tokens=scene.max_tokens,
        extra_headers=scene.headers(),
        **({"stream": True} if scene.stream else {}),  # type: ignore[call-overload]
    )
    answer = raw.parse()
    if scene.stream:
        for _ in answer:
            pass
    return str(raw.headers.get("x-gateway-call-id", ""))


def _rate(client: OpenAI, call_id: str, scene: Scene, verify: ssl.SSLContext | bool) -> int:
    """Send the scene's thumb, if it has one; answers how many were taken."""
    if scene.thumb is None or not call_id:
        return 0
    rating, comment = scene.thumb
    body = {"id": call_id, "rating": rating, "comment": comment, "rater": scene.user}
    headers = {"authorization": f"Bearer {client.api_key}"}
    url = f"{client.base_url}feedback"
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=FEEDBACK_TIMEOUT_S, verify=verify)
    except httpx.HTTPError:
        return 0
    return int(answer.status_code == httpx.codes.ACCEPTED)
