"""openai-python, synchronous."""

import json

import openai
from case import FUNCTION, KEY, MESSAGES, MISSING, MODEL, failure, main, v1

client = openai.OpenAI(base_url=v1(), api_key=KEY)


def plain():
    return client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content


def stream():
    chunks = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def tool():
    tools = [{"type": "function", "function": FUNCTION}]
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=tools)
    (call,) = answer.choices[0].message.tool_calls
    return [call.function.name, json.loads(call.function.arguments)]


def error():
    try:
        client.chat.completions.create(model=MISSING, messages=MESSAGES)
    except openai.APIStatusError as fault:
        return failure(fault, fault.status_code, fault)


main(["openai"], plain, stream, tool, error)
