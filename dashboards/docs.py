"""``/docs``: the OpenAPI document as a page of ours. FastAPI's own pages load scripts from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from dashboards.entry import signed_in
from dashboards.render import page
from gateway.login import Gate

Json = Mapping[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
GROUP_NAMES = {"read": "Read API", "proxy": "Proxy and feedback", "health": "Health"}


def router(app: FastAPI, gate: Gate) -> APIRouter:
    """The route. The page holds nothing of anybody's and needs no login."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    def docs(request: Request) -> Response:
        return page(request, "docs.html", tab="docs", signed_in=signed_in(gate, request), **describe(app.openapi()))

    return routes


def describe(schema: Json) -> dict[str, Any]:
    """The document as the template wants it: groups of operations, then the shapes they name."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                tag = (operation.get("tags") or ["read"])[0]
                groups.setdefault(tag, []).append(_operation(path, method, operation))
    shapes = schema.get("components", {}).get("schemas", {})
    return {
        "title": schema["info"]["title"],
        "version": schema["info"]["version"],
        "description": schema["info"].get("description", ""),
        "groups": [{"name": name, "operations": groups[tag]} for tag, name in GROUP_NAMES.items() if tag in groups],
        "shapes": [
            {"name": name, "description": shape.get("description", ""), "fields": _fields(shape)}
            for name, shape in sorted(shapes.items())
            if name.endswith("Answer") or shape.get("x-shown")
        ],
    }


def _operation(path: str, method: str, operation: Json) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "path": path,
        "method": method.upper(),
        "anchor": f"{method}{path.replace('/', '-').replace('{', '').replace('}', '')}",
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "parameters": [_parameter(parameter) for parameter in operation.get("parameters", [])],
        "body": _fields(body) if body else [],
        "responses": [
            {
                "status": status,
                "description": answer.get("description", "").replace("Successful Response", "Found."),
                "schema": _answer_schema(answer),
            }
            for status, answer in sorted(operation.get("responses", {}).items())
        ],
    }


def _answer_schema(answer: Json) -> str:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _parameter(parameter: Json) -> dict[str, Any]:
    schema = parameter.get("schema", {})
    default = schema.get("default")
    text = parameter.get("description", "") or schema.get("description", "")
    return {
        "name": parameter["name"],
        "where": parameter["in"],
        "required": parameter.get("required", False),
        "type": _type(schema),
        "description": f"{text} Default {default}.".strip() if default not in (None, "") else text,
    }


def _fields(schema: Json) -> list[dict[str, str]]:
    return [
        {"name": name, "type": _type(field), "description": field.get("description", "")}
        for name, field in schema.get("properties", {}).items()
    ]


def _type(schema: Json) -> str:
    """A short name of a schema, such as ``integer | null`` or ``list of CallAnswer``."""
    shapes: tuple[tuple[str, Callable[[Any], str]], ...] = (
        ("$ref", lambda ref: str(ref).rpartition("/")[2]),
        ("anyOf", lambda several: " | ".join(_type(one) for one in several)),
        ("enum", lambda values: " | ".join(str(value) for value in values)),
    )
    for key, name in shapes:
        if key in schema:
            return name(schema[key])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any JSON")
