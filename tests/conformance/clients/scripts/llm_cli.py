"""Simon Willison's ``llm``, with the model in its file of further OpenAI models."""

import json
import os
import tempfile
from pathlib import Path

from case import KEY, MISSING, MODEL, PROMPT, TOOL, failure, main, v1

home = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(home)
models = [
    {"model_id": name, "model_name": name, "api_base": v1(), "api_key_name": "conformance", "supports_tools": True}
    for name in (MODEL, MISSING)
]
(home / "extra-openai-models.yaml").write_text(json.dumps(models))
(home / "keys.json").write_text(json.dumps({"conformance": KEY}))

import llm  # noqa: E402  it reads its home when it is imported


def get_weather(city: str) -> str:
    """The weather of a city."""
    return city


def plain():
    return llm.get_model(MODEL).prompt(PROMPT, stream=False).text()


def stream():
    return "".join(llm.get_model(MODEL).prompt(PROMPT, stream=True))


def tool():
    (call,) = llm.get_model(MODEL).prompt(PROMPT, tools=[get_weather], stream=True).tool_calls()
    assert call.name == TOOL
    return [call.name, call.arguments]


def error():
    try:
        llm.get_model(MISSING).prompt(PROMPT, stream=False).text()
    except Exception as fault:  # its own class or openai's, by version
        return failure(fault, getattr(fault, "status_code", None), fault)


main(["llm"], plain, stream, tool, error)
