"""litellm as a client."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from case import FUNCTION, KEY, MESSAGES, MISSING, MODEL, failure, main, v1

litellm.telemetry = False


def ask(model=MODEL, **more):
    return litellm.completion(
        model=f"openai/{model}", messages=MESSAGES, api_base=v1(), api_key=KEY, num_retries=0, **more
    )


def plain():
    return ask().choices[0].message.content


def stream():
    return "".join(chunk.choices[0].delta.content or "" for chunk in ask(stream=True) if chunk.choices)


def tool():
    (call,) = ask(tools=[{"type": "function", "function": FUNCTION}]).choices[0].message.tool_calls
    return [call.function.name, json.loads(call.function.arguments)]


def error():
    try:
        ask(MISSING)
    except litellm.exceptions.APIError as fault:
        return failure(fault, fault.status_code, fault)
    except Exception as fault:  # its classes follow the status
        return failure(fault, getattr(fault, "status_code", None), fault)


main(["litellm"], plain, stream, tool, error)
