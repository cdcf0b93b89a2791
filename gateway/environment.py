"""The configuration as it is given: one YAML file, overlaid by the environment, which nobody else reads.

``load`` answers a frozen ``Config`` or raises ``ConfigError`` naming file, key and what was expected. Every scalar can
also be set as ``GATEWAY_SECTION__KEY``; ``GATEWAY_PORT``, ``GATEWAY_DATA_DIR``, ``GATEWAY_ADMIN_TOKEN`` and
``GATEWAY_JOURNAL_KEY`` are short forms. A value ``os.environ/NAME`` is taken from the variable ``NAME``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from gateway.config import Config, Section
from gateway.errors import ConfigError

ENV_PREFIX = "GATEWAY_"
ENV_REFERENCE = "os.environ/"
SHORT_FORMS = {"GATEWAY_PORT": "GATEWAY_SERVER__PORT"}
NOT_SETTINGS = {"GATEWAY_CONFIG", "GATEWAY_STATE_DIR", "GATEWAY_DEMO_PORT", "GATEWAY_FAILPOINT"}


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read the file (``GATEWAY_CONFIG``, else ``gateway.yaml`` if present) and the environment.

    Raises ``ConfigError``. With no upstream configured, ``OPENAI_API_KEY`` gives OpenAI, and without it the demo model.
    """
    return parse(*source(path, environ), environ)


def source(path: Path | None = None, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """What ``load`` reads: the file's name and text; ``environment`` and nothing without a file.

    Raises ``ConfigError``.
    """
    environ = os.environ if environ is None else environ
    chosen = path or (Path(given) if (given := environ.get("GATEWAY_CONFIG")) else None)
    if chosen is None:
        chosen = Path("gateway.yaml")
        if not chosen.exists():
            return "environment", ""
    try:
        return str(chosen), chosen.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{chosen}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{chosen}: is not YAML: {_where(error)}") from None


def parse(source: str, text: str, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of a text and the environment; ``source`` names the text in a ``ConfigError``."""
    environ = os.environ if environ is None else environ
    data = _mapping(source, text)
    try:
        data = _resolve(data, environ)
        _overlay(data, environ)
        _default_upstream(data, environ)
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(source, error)) from None
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None


def state_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Where keys rest, apart from the data: ``GATEWAY_STATE_DIR``, else the XDG state directory."""
    environ = os.environ if environ is None else environ
    if given := environ.get("GATEWAY_STATE_DIR"):
        return Path(given)
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "llm-gateway"


def failpoint(environ: Mapping[str, str] | None = None) -> str:
    """Where this process is to die, for tests; empty in any real run."""
    return (os.environ if environ is None else environ).get("GATEWAY_FAILPOINT", "")


def _mapping(source: str, text: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: is not YAML: {_where(error)}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: expected a mapping of sections at the top, found a {type(data).__name__}")
    return data


def _where(error: Exception) -> str:
    """What is wrong and on which line, without quoting the file, which may hold secrets."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "it has characters YAML forbids"


def _resolve(value: Any, environ: Mapping[str, str], where: str = "") -> Any:
    """Replace ``os.environ/NAME`` in every string."""
    if isinstance(value, dict):
        return {key: _resolve(item, environ, f"{where}.{key}" if where else str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, environ, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, str) and value.startswith(ENV_REFERENCE):
        name = value.removeprefix(ENV_REFERENCE)
        if name not in environ:
            raise ValueError(f"{where}: the environment variable {name} is not set")
        return environ[name]
    return value


def _overlay(data: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Set scalars from ``GATEWAY_A__B``. One that fits no setting is an error: a typo must not pass in silence."""
    for name, value in environ.items():
        if not _is_setting(name):
            continue
        path = SHORT_FORMS.get(name, name).removeprefix(ENV_PREFIX).lower().split("__")
        _check_path(name, path)
        section = data
        for part in path[:-1]:
            if section.get(part) is None:
                section[part] = {}
            section = section[part]
            if not isinstance(section, dict):
                raise ValueError(f"{name}: {part} is not a section")
        section[path[-1]] = value


def _is_setting(name: str) -> bool:
    """Whether a variable is meant for us. Kubernetes sets ``GATEWAY_SERVICE_HOST`` and the like beside a service."""
    if not name.startswith(ENV_PREFIX) or name in NOT_SETTINGS:
        return False
    top = name.removeprefix(ENV_PREFIX).lower()
    return "__" in top or name in SHORT_FORMS or top in Config.model_fields


def _check_path(name: str, path: list[str]) -> None:
    model: type[BaseModel] = Config
    for position, part in enumerate(path):
        field = model.model_fields.get(part)
        if field is None:
            raise ValueError(f"{name}: there is no setting {'.'.join(path)}")
        inner = _section_of(field.annotation)
        last = position == len(path) - 1
        if last and inner is not None:
            raise ValueError(f"{name}: {'.'.join(path)} is a section; set one of its keys")
        if not last:
            if inner is None:
                raise ValueError(f"{name}: there is no setting {'.'.join(path)}")
            model = inner


def _section_of(annotation: Any) -> type[Section] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


def _default_upstream(data: dict[str, Any], environ: Mapping[str, str]) -> None:
    if data.get("upstreams"):
        return
    if environ.get("OPENAI_API_KEY"):
        data["upstreams"] = [
            {"name": "openai", "base_url": "https://api.openai.com/v1", "api_key": environ["OPENAI_API_KEY"]}
        ]
        return
    _demo(data, environ)


def _demo(data: dict[str, Any], environ: Mapping[str, str]) -> None:
    """The offline set-up: a small real model on loopback, a demo price, and a toy judge."""
    from gateway.demo import upstream

    data["demo"] = True
    data["upstreams"] = [{"name": "demo", "base_url": upstream.base_url(environ), "timeouts": {"connect": 30}}]
    overrides = data.setdefault("prices", {}).setdefault("overrides", {})
    overrides.setdefault(upstream.MODEL, upstream.PRICE)
    judge = data.setdefault("judge", {})
    for key, value in upstream.JUDGE.items():
        judge.setdefault(key, value)


def _explain(source: str, error: ValidationError) -> str:
    """One line a problem: file, key, what was expected. Never the value, which may be a secret."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        key = ""
        for part in problem["loc"]:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "there is no such setting"
        lines.append(f"{source}: {key}: {message}" if key else f"{source}: {message}")
    return "\n".join(lines)
