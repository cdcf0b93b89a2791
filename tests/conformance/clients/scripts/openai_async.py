"""openai-python, asynchronous, through the Responses API."""

import asyncio
import json

import openai
from case import FUNCTION, KEY, MISSING, MODEL, PROMPT, failure, main, v1


def on_a_loop(case):
    async def run():
        async with openai.AsyncOpenAI(base_url=v1(), api_key=KEY) as client:
            return await case(client)

    return lambda: asyncio.run(run())


async def plain(client):
    return (await client.responses.create(model=MODEL, input=PROMPT)).output_text


async def stream(client):
    text = ""
    async for event in await client.responses.create(model=MODEL, input=PROMPT, stream=True):
        text += event.delta if event.type == "response.output_text.delta" else ""
    return text


async def tool(client):
    answer = await client.responses.create(model=MODEL, input=PROMPT, tools=[{"type": "function", **FUNCTION}])
    (call,) = answer.output
    return [call.name, json.loads(call.arguments)]


async def error(client):
    try:
        await client.responses.create(model=MISSING, input=PROMPT)
    except openai.APIStatusError as fault:
        return failure(fault, fault.status_code, fault)


main(["openai"], *(on_a_loop(case) for case in (plain, stream, tool, error)))
