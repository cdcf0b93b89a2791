"""No kind of tokens gets the price of another but where its provider says so."""

from __future__ import annotations

from decimal import Decimal

import pytest
from genai_prices.types import ModelPrice

from gateway.meter.cover import covers
from gateway.meter.tokens import Counts

TEXT = {"input_mtok": Decimal(1), "output_mtok": Decimal(2)}
PICTURES = {**TEXT, "input_image_mtok": Decimal(3)}
FILM = Counts(input=9, output=1, video_input=9)


@pytest.mark.parametrize(
    ("provider", "prices", "counts", "covered"),
    [
        ("google", TEXT, FILM, True),
        ("google", PICTURES, FILM, False),
        ("openai", TEXT, FILM, False),
        ("openai", TEXT, Counts(input=9, output=1, cache_write=9), True),
        ("groq", TEXT, Counts(input=9, output=1, cache_write=9), False),
        ("groq", TEXT, Counts(input=9, output=1, cached=9), True),
        ("groq", TEXT, Counts(input=9, output=1, image_input=0), True),
        ("groq", {"input_mtok": Decimal(1)}, Counts(input=9, output=0), True),
        ("groq", {"input_mtok": Decimal(1)}, Counts(input=9, output=1), False),
        ("groq", {}, Counts(input=0, output=0), False),
    ],
)
def test_what_a_price_covers(provider: str, prices: dict[str, Decimal], counts: Counts, covered: bool) -> None:
    """A film where pictures are dearer than text is not text; nothing used needs no price."""
    assert covers(provider, "m", ModelPrice(**prices), counts) is covered


@pytest.mark.parametrize(
    ("model", "counts", "covered"),
    [
        ("gpt-image-1", Counts(input=1, output=9, image_output=9), True),
        ("gpt-5-image", Counts(input=1, output=9, image_output=9), False),
        ("gpt-4o-mini-tts", Counts(input=1, output=9, audio_output=9), True),
        ("gpt-audio", Counts(input=1, output=9, audio_output=9), False),
    ],
)
def test_models_that_write_nothing_but_pictures_or_sound(model: str, counts: Counts, covered: bool) -> None:
    """Their price of output is that kind's."""
    assert covers("openai", model, ModelPrice(**TEXT), counts) is covered
