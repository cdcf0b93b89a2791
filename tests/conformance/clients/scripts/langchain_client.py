"""LangChain's ChatOpenAI."""

import openai
from case import FUNCTION, KEY, MISSING, MODEL, PROMPT, failure, main, v1
from langchain_openai import ChatOpenAI


def model(name=MODEL):
    return ChatOpenAI(model=name, base_url=v1(), api_key=KEY)


def plain():
    return model().invoke(PROMPT).text


def stream():
    return "".join(chunk.text for chunk in model().stream(PROMPT))


def tool():
    answer = model().bind_tools([{"type": "function", "function": FUNCTION}]).invoke(PROMPT)
    (call,) = answer.tool_calls
    return [call["name"], call["args"]]


def error():
    try:
        model(MISSING).invoke(PROMPT)
    except openai.APIStatusError as fault:
        return failure(fault, fault.status_code, fault)


main(["langchain-openai"], plain, stream, tool, error)
