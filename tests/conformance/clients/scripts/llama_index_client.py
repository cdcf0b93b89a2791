"""LlamaIndex's OpenAILike."""

import openai
from case import KEY, MISSING, MODEL, PROMPT, failure, main, v1
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike


def model(name=MODEL):
    return OpenAILike(
        model=name, api_base=v1(), api_key=KEY, is_chat_model=True, is_function_calling_model=True, max_retries=0
    )


def plain():
    return str(model().complete(PROMPT))


def stream():
    return "".join(part.delta for part in model().stream_complete(PROMPT))


def get_weather(city: str) -> str:
    """The weather of a city."""
    return city


def tool():
    llm = model()
    answer = llm.chat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg=PROMPT)
    (call,) = llm.get_tool_calls_from_response(answer)
    return [call.tool_name, call.tool_kwargs]


def error():
    try:
        model(MISSING).complete(PROMPT)
    except openai.APIStatusError as fault:
        return failure(fault, fault.status_code, fault)


main(["llama-index-llms-openai-like"], plain, stream, tool, error)
