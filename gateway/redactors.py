"""The redactor that a configuration asks for."""

from __future__ import annotations

from gateway.config import Profile, Redact
from gateway.errors import ConfigError
from gateway.identity import Pseudonyms
from gateway.presidio import PresidioModel
from gateway.redact import GlinerModel, Model, Redactor, SpacyModel
from gateway.redact.countries import country_recognisers

GLINER = "gliner:"


def redactor(profile: Profile, settings: Redact, pseudonyms: Pseudonyms) -> Redactor:
    """A redactor of a profile. Raises ``MissingExtra`` or ``ConfigError`` when its model does not load."""
    return Redactor(
        profile,
        pseudonyms,
        country_recognisers(settings.countries),
        settings.timeout,
        model=None if profile == "fast" else model(settings.model),
        realistic=settings.surrogates == "realistic",
    )


def model(name: str) -> Model:
    """The model of a name. Raises ``MissingExtra`` or ``ConfigError`` when it does not load."""
    if name.startswith(("http://", "https://")):
        return PresidioModel(name)
    if name.startswith(GLINER):
        return GlinerModel(name.removeprefix(GLINER))
    if not name.isidentifier():
        raise ConfigError(f"redact.model: expected a spaCy package, gliner:DIRECTORY or an address, not '{name}'")
    return SpacyModel(name)
