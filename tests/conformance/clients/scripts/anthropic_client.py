"""Anthropic's SDK, through the Messages API."""

import anthropic
from case import FUNCTION, KEY, MESSAGES, MISSING, MODEL, failure, main, root

client = anthropic.Anthropic(base_url=root(), api_key=KEY)


def plain():
    return client.messages.create(model=MODEL, max_tokens=64, messages=MESSAGES).content[0].text


def stream():
    with client.messages.stream(model=MODEL, max_tokens=64, messages=MESSAGES) as answer:
        return "".join(answer.text_stream)


def tool():
    tools = [{"name": FUNCTION["name"], "description": FUNCTION["description"], "input_schema": FUNCTION["parameters"]}]
    (block,) = client.messages.create(model=MODEL, max_tokens=64, messages=MESSAGES, tools=tools).content
    return [block.name, block.input]


def error():
    try:
        client.messages.create(model=MISSING, max_tokens=64, messages=MESSAGES)
    except anthropic.APIStatusError as fault:
        return failure(fault, fault.status_code, fault)


main(["anthropic"], plain, stream, tool, error)
