"""A price version that can be named: the one new calls get, or an operator's file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, field_validator

from gateway.config import Price, Section
from gateway.errors import ConfigError

CURRENT = "current"


class PriceList(Section):
    """Prices under a name: ``overrides`` as in the configuration's ``prices``, and the ``version`` that they stand as.

    As there, they go before the price table's; a model that is not named gets the table's price.
    """

    version: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
    overrides: Mapping[str, Price] = Field(default_factory=dict)

    @field_validator("version")
    @classmethod
    def _is_its_own(cls, value: str) -> str:
        if value in {CURRENT, "override"} or value.startswith(("override:", "genai-prices")):
            raise ValueError("expected a name of its own, such as contract-2026-12")
        return value


def read(path: Path) -> PriceList:
    """A file in YAML or JSON. Raises ``ConfigError`` that says where it is wrong."""
    try:
        data = yaml.safe_load(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"--prices: {path} cannot be read: {error.strerror}; expected a file, or {CURRENT}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{path}: is neither YAML nor JSON{where}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected version and overrides at the top, found a {type(data).__name__}")
    try:
        return PriceList.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        raise ConfigError(
            "\n".join(f"{path}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
        ) from None
