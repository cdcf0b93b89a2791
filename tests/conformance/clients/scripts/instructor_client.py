"""instructor, whose answers are always a tool's arguments, streamed or not."""

import instructor
import openai
from case import KEY, MESSAGES, MISSING, MODEL, TOOL, failure, main, v1
from pydantic import BaseModel


class get_weather(BaseModel):
    """The weather of a city."""

    city: str


client = instructor.from_openai(openai.OpenAI(base_url=v1(), api_key=KEY))


def ask(model=MODEL, **more):
    return client.chat.completions.create(model=model, messages=MESSAGES, max_retries=0, **more)


def plain():
    return ask(response_model=None).choices[0].message.content


def stream():
    parts = client.chat.completions.create_partial(model=MODEL, messages=MESSAGES, response_model=get_weather)
    return list(parts)[-1].city


def tool():
    return [TOOL, ask(response_model=get_weather).model_dump()]


def error():
    try:
        ask(MISSING, response_model=get_weather)
    except Exception as fault:  # its own class, around openai's
        cause = fault.__cause__
        while cause is not None and not hasattr(cause, "status_code"):
            cause = cause.__cause__ or getattr(cause, "exception", None)
        return failure(fault, getattr(cause, "status_code", None), fault)


main(["instructor"], plain, stream, tool, error)
