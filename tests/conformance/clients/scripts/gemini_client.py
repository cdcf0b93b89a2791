"""Google's genai SDK, through generateContent."""

from case import FUNCTION, KEY, MISSING, MODEL, PROMPT, failure, main, root
from google import genai
from google.genai import errors, types

client = genai.Client(api_key=KEY, vertexai=False, http_options=types.HttpOptions(base_url=root()))


def plain():
    return client.models.generate_content(model=MODEL, contents=PROMPT).text


def stream():
    return "".join(part.text for part in client.models.generate_content_stream(model=MODEL, contents=PROMPT))


def tool():
    tools = [types.Tool(function_declarations=[types.FunctionDeclaration(**FUNCTION)])]
    config = types.GenerateContentConfig(tools=tools)
    (call,) = client.models.generate_content(model=MODEL, contents=PROMPT, config=config).function_calls
    return [call.name, call.args]


def error():
    try:
        client.models.generate_content(model=MISSING, contents=PROMPT)
    except errors.APIError as fault:
        return failure(fault, fault.code, fault)


main(["google-genai"], plain, stream, tool, error)
