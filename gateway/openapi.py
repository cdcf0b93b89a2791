"""The OpenAPI document: the read API as FastAPI knows it, and by hand what ``serve`` answers itself."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway import __version__

DESCRIPTION = "An OpenAI-compatible gateway that keeps what each call cost, redacted, judged and rated."
Json = dict[str, Any]

HEADERS = {
    "x-gateway-key": "A client key of the gateway, when Authorization carries the upstream's own.",
    "x-gateway-user": "Who asks; kept as a pseudonym. Else the body's user.",
    "x-gateway-session": "What calls belong together; kept as a pseudonym.",
    "x-gateway-trace": "A trace id; kept as a pseudonym. Else traceparent.",
    "x-gateway-tags": "k=v,k=v",
    "x-gateway-prompt": "Id of the prompt's template.",
    "x-gateway-upstream": "Name of a configured upstream.",
    "x-gateway-no-content": "1: keep numbers, no text.",
}


def _string(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more}


def _answers(**texts: str) -> Json:
    return {status.removeprefix("s"): {"description": text} for status, text in texts.items()}


def _proxied(summary: str, method: str = "post") -> Json:
    parameters = [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": text}
        for name, text in HEADERS.items()
    ]
    return {
        method: {
            "tags": ["proxy"],
            "summary": summary,
            "description": "Forwarded as it is; the answer carries x-gateway-call-id.",
            "parameters": parameters,
            "responses": _answers(
                s200="The upstream's answer.",
                s401="No or a wrong key.",
                s502="The upstream was not reached.",
            ),
        }
    }


FEEDBACK = {
    "post": {
        "tags": ["proxy"],
        "summary": "A thumb on a call",
        "description": "The same target and rater again replaces. A thumb that comes before its call waits for it.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["id", "rating"],
                        "properties": {
                            "id": _string("Our call id, the provider's response id, or a trace id."),
                            "rating": _string("", enum=["up", "down"]),
                            "comment": _string("Redacted before it is kept."),
                            "rater": _string("Who rates; kept as a pseudonym."),
                        },
                    }
                }
            },
        },
        "responses": _answers(s202="Taken: {id, call_id or null}.", s422="A bad field, named in error.param."),
    }
}


def _health(summary: str, **texts: str) -> Json:
    return {"get": {"tags": ["health"], "summary": summary, "responses": _answers(**texts)}}


SERVED = {
    "/v1/chat/completions": _proxied("Chat completion"),
    "/v1/responses": _proxied("Response"),
    "/v1/completions": _proxied("Completion"),
    "/v1/embeddings": _proxied("Embedding"),
    "/v1/{path}": _proxied("Anything else passes through and is recorded with its numbers only", "get"),
    "/v1/feedback": FEEDBACK,
    "/healthz": _health("The process answers", s200="It does."),
    "/readyz": _health("Calls can be taken", s200="Journal writable.", s503="Not now."),
    "/metrics": _health("Prometheus metrics", s200="Text format."),
}
"""What ``serve`` answers before this process is asked."""


def document(app: FastAPI) -> Json:
    """Build the document, once."""
    if app.openapi_schema is None:
        schema = get_openapi(title="llm-gateway", version=__version__, description=DESCRIPTION, routes=app.routes)
        schema["paths"] = {**schema["paths"], **SERVED}
        for operations in schema["paths"].values():
            for operation in operations.values():
                # FastAPI documents its own shape of validation errors; ours is an ErrorAnswer.
                answer = operation["responses"].get("422", {}).get("content", {}).get("application/json", {})
                if answer:
                    answer["schema"] = {"$ref": "#/components/schemas/ErrorAnswer"}
        for unused in ("HTTPValidationError", "ValidationError"):
            schema.get("components", {}).get("schemas", {}).pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema
