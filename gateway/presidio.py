"""A model behind an address: Presidio's analyzer as a service."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import msgspec

from gateway.redact import ENTITIES, Entity

TIMEOUT_S = 10.0
"""Of one batch at a remote analyzer; then the call's text is withheld."""


class _Found(msgspec.Struct, frozen=True):
    """A result as Presidio's analyzer tells it."""

    start: int
    end: int
    entity_type: str
    score: float


_many = msgspec.json.Decoder(list[list[_Found]])
_one = msgspec.json.Decoder(list[_Found])


class PresidioModel:
    """Presidio's analyzer at an address: ``POST /analyze``, with whatever model runs there. Raw text goes to it."""

    def __init__(self, url: str, timeout: float = TIMEOUT_S) -> None:
        self._url = f"{url.rstrip('/')}/analyze"
        self._client = httpx.Client(timeout=timeout, trust_env=False)
        self._batches = True

    def read(self, texts: Sequence[str]) -> list[list[Entity]]:
        """What is found in each text. Raises ``httpx.HTTPError`` or ``msgspec.DecodeError``."""
        if self._batches:
            answer = self._asked(list(texts))
            if answer.is_success:
                return [_entities(found) for found in _many.decode(answer.content)]
            self._batches = False  # an analyzer from before it took lists
        return [_entities(_one.decode(self._asked(text).raise_for_status().content)) for text in texts]

    def _asked(self, text: str | list[str]) -> httpx.Response:
        return self._client.post(self._url, json={"text": text, "language": "en", "entities": list(ENTITIES)})


def _entities(found: list[_Found]) -> list[Entity]:
    return [
        Entity(each.start, each.end, each.entity_type, each.score) for each in found if each.entity_type in ENTITIES
    ]
