"""pydantic-ai, whose agent runs the tool and asks again."""

import asyncio

from case import KEY, MISSING, MODEL, PROMPT, TOOL, failure, main, v1
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def agent(name=MODEL):
    return Agent(OpenAIChatModel(name, provider=OpenAIProvider(base_url=v1(), api_key=KEY)))


def plain():
    return agent().run_sync(PROMPT).output


def stream():
    async def run():
        async with agent().run_stream(PROMPT) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])

    return asyncio.run(run())


def tool():
    called = []
    asked = agent()

    @asked.tool_plain
    def get_weather(city: str) -> str:
        """The weather of a city."""
        called.append({"city": city})
        return "sunny"

    asked.run_sync(PROMPT)
    (arguments,) = called
    return [TOOL, arguments]


def error():
    try:
        agent(MISSING).run_sync(PROMPT)
    except ModelHTTPError as fault:
        return failure(fault, fault.status_code, fault.body)


main(["pydantic-ai-slim"], plain, stream, tool, error)
