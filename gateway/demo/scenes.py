"""What the sample traffic says. Every person, number and address is made up or reserved for documentation. PURE."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Message = dict[str, Any]

PEOPLE = (
    ("Ada Lindqvist", "ada.lindqvist@example.com"),
    ("Rahim Uddin", "rahim.uddin@example.org"),
    ("Grace Okafor", "grace.okafor@example.net"),
    ("Tomás Rivera", "tomas.rivera@example.com"),
)
CARDS = ("4242 4242 4242 4242", "5555 5555 5555 4444", "4111 1111 1111 1111")
PHONES = ("+1 202-555-0143", "+44 20 7946 0958", "+880 1712-345678")
IBAN = "GB33BUKB20201555555555"
NID = "১৯৮৫২৬৯৩৬৬৮৭৪"
KEY = "sk-proj-" + "DemoDemoDemoDemo0123456789abcdefABCDEF"
CITIES = ("Dhaka", "Lisbon", "Oslo", "Lagos")
THUMBS = (
    ("up", "Exactly what I needed."),
    ("up", ""),
    ("down", "That is not what the document says. Write to me at ada.lindqvist@example.com."),
    ("down", ""),
)
SHIPPING = (
    "<context>Orders over 50 euros ship free. Parcels arrive within three working days. Returns are accepted for 30"
    " days.</context>"
)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A call to make: what is said, by which application on whose behalf, and how it is rated, if at all."""

    messages: tuple[Message, ...]
    app: str
    user: str
    session: str
    prompt: str
    stream: bool
    max_tokens: int = 60
    thumb: tuple[str, str] | None = None

    def headers(self) -> Mapping[str, str]:
        """Our request headers."""
        return {
            "x-gateway-user": self.user,
            "x-gateway-session": self.session,
            "x-gateway-prompt": self.prompt,
            "x-gateway-tags": f"app={self.app},env=demo",
        }


def scenes(count: int, seed: int = 7) -> Iterator[Scene]:
    """So many calls; the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311  sample data
    kinds = (_support, _documents, _tool, _summary, _chat)
    for number in range(count):
        messages, app, prompt = kinds[number % len(kinds)](dice)
        _, mail = dice.choice(PEOPLE)
        yield Scene(
            messages=tuple(messages),
            app=app,
            user=mail,
            session=f"{app}-{mail.partition('.')[0]}-{number // 8}",  # headers are ASCII
            prompt=prompt,
            stream=dice.random() < 0.5,
            thumb=dice.choice(THUMBS) if dice.random() < 0.5 else None,
        )


Kind = tuple[list[Message], str, str]


def _support(dice: random.Random) -> Kind:
    name, mail = dice.choice(PEOPLE)
    pay = dice.choice((f"my card {dice.choice(CARDS)}", f"my account {IBAN}"))
    text = f"Hello, I am {name} ({mail}, {dice.choice(PHONES)}). You charged {pay} twice. What should I do?"
    system = "You are a support agent of a web shop. Answer in two sentences."
    return [_said("system", system), _said("user", text)], "support", "support-v2"


def _documents(dice: random.Random) -> Kind:
    question = dice.choice(("How long do parcels take?", "When is shipping free?", "Can I return shoes in winter?"))
    system = "Answer only from the context."
    return [_said("system", system), _said("user", f"{SHIPPING} {question}")], "search", "rag-v1"


def _tool(dice: random.Random) -> Kind:
    city = dice.choice(CITIES)
    name, mail = dice.choice(PEOPLE)
    arguments = f'{{"city": "{city}", "notify": "{mail}", "nid": "{NID}"}}'
    function = {"name": "get_weather", "arguments": arguments}
    call = {"id": "call_1", "type": "function", "function": function}
    return (
        [
            _said("user", f"What is the weather in {city}? Tell {name} as well."),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": f"{city}: 21 degrees, light rain."},
        ],
        "assistant",
        "weather-v1",
    )


def _summary(dice: random.Random) -> Kind:
    name, mail = dice.choice(PEOPLE)
    log = f"user={mail} login ok; token={KEY}; user={mail} logout; disk 91% full; backup failed twice"
    return [_said("user", f"Summarise this log for {name} in one sentence: {log}")], "ops", "summary-v3"


def _chat(dice: random.Random) -> Kind:
    city = dice.choice(CITIES)
    return (
        [
            _said("user", f"Name one thing to see in {city}."),
            _said("assistant", "The old town by the river."),
            _said("user", "Why is it worth a visit?"),
        ],
        "assistant",
        "travel-v1",
    )


def _said(role: str, text: str) -> Message:
    return {"role": role, "content": text}
