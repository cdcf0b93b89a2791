"""The gateway: an OpenAI-compatible reverse proxy that accounts for, redacts and keeps every LLM call."""

from importlib.metadata import version

__version__ = version("llm-gateway")
