"""Varied prose with some personal data, and chat calls made of it. Everything is invented; one seed, one text."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gateway.raw import Call, Ended, Reply, Whole

FIRST = [
    "Amina",
    "Bashir",
    "Carla",
    "Dmitri",
    "Elena",
    "Farid",
    "Grace",
    "Hiroshi",
    "Ines",
    "Jonas",
    "Kavita",
    "Liam",
    "Mei",
    "Nadia",
    "Omar",
    "Priya",
]
LAST = [
    "Ahmed",
    "Baker",
    "Castillo",
    "Dvorak",
    "Eriksen",
    "Fischer",
    "Gupta",
    "Hossain",
    "Ivanova",
    "Jensen",
    "Keller",
    "Lindqvist",
    "Moreau",
    "Novak",
]
TOWNS = [
    "Dhaka",
    "Lisbon",
    "Rotterdam",
    "Bristol",
    "Aarhus",
    "Nagoya",
    "Valencia",
    "Turin",
    "Montreal",
    "Wellington",
    "Leipzig",
    "Porto",
]
THINGS = [
    "the delivery schedule",
    "our second invoice",
    "a broken hinge",
    "the loan agreement",
    "the rehearsal plan",
    "her research notes",
    "the irrigation pump",
    "a refund request",
    "the museum catalogue",
    "the backup job",
    "the spring menu",
    "a warranty claim",
    "the translation of chapter nine",
    "the solar inverter",
    "the parents' letter",
    "the shipping label",
]
DEEDS = [
    "review",
    "rewrite",
    "summarise",
    "postpone",
    "compare",
    "explain",
    "approve",
    "shorten",
    "check",
    "archive",
    "print",
    "forward",
]
MOODS = [
    "carefully",
    "briefly",
    "politely",
    "in plain words",
    "with some humour",
    "as a list",
    "by Friday",
    "before lunch",
]
PLAIN = (
    "Could you {deed} {thing} and tell me what stands out after {n} minutes?",
    "We talked about {thing} last week, but nobody agreed on how to {deed} it.",
    "The older version of {thing} was {n} pages long, which is why I would rather {deed} it first.",
    "It rained for {n} days in {town}, so {thing} had to wait until the road was open again.",
    "My impression is that {thing} matters more than {other}, though both need someone to {deed} them {mood}.",
    "Please {deed} {other} only when {thing} is settled; otherwise we pay {n} percent more.",
    "There are {n} open questions about {thing}, and the most urgent one concerns {other}.",
    "If it helps, compare {thing} with {other} and keep whatever reads better.",
    "What would you do with {thing} if the budget were cut by {n} percent?",
    "Nothing in {other} says that we must {deed} {thing}, yet the auditors in {town} expect it.",
    "I tried to {deed} {thing} twice and gave up after {n} attempts, because {other} kept getting in the way.",
)
PERSONAL = (
    "{name} from {town} asked about {thing}; write to {mail} if anything is unclear.",
    "You can reach {name} on +49 30 {phone} between nine and {n} o'clock.",
    "Charge the card 4111 1111 1111 1111 that {name} gave us and {deed} {thing}.",
    "{name} moved to {n} Station Road, {town}, so please {deed} {thing} again.",
    "The server at 10.20.{n}.7 still sends {thing} to {mail}.",
)
CODE = (
    "def settle(order, *, retries=3):",
    "    return [row for row in rows if row.total > 0]",
    "    logger.info('settled %d rows', len(rows))",
    "class Ledger(Base):",
    "    for attempt in range(retries):",
    '    raise ValueError("nothing to settle")',
    "import collections, itertools",
    "    # rounded to the cent, as the contract says",
    "    if not rows: continue",
)
PERSONAL_SHARE = 0.12
SYSTEM = "You are the assistant of a small trading company. Answer in the language of the question and be brief. " * 4


class Writer:
    """Writes texts and calls, never the same twice."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._calls = seed * 1_000_000

    def text(self, size: int) -> str:
        """Prose of about ``size`` characters."""
        sentences: list[str] = []
        length = 0
        while length < size:
            sentences.append(self._sentence())
            length += len(sentences[-1]) + 1
        return " ".join(sentences)

    def one_shot(self, *, told: bool = True) -> Whole:
        """A prompt of 2 KB and its answer; ``told``: the upstream reported its usage."""
        return self._call([_said("system", SYSTEM), _said("user", self.text(2000))], self.text(500), told=told)

    def session(self, turns: int) -> Iterator[Whole]:
        """A chat: each call repeats everything said before and adds a question."""
        said = [_said("system", SYSTEM)]
        for _ in range(turns):
            said.append(_said("user", self.text(600)))
            answer = self.text(600)
            yield self._call(said, answer)
            said.append(_said("assistant", answer))

    def short(self) -> Whole:
        """A question of a sentence or two, and as short an answer."""
        return self._call([_said("user", self.text(120))], self.text(200))

    def rag(self) -> Whole:
        """A question with 4 KB of passages that were found for it."""
        passages = "\n\n".join(f"[{number}] {self.text(600)}" for number in range(1, 7))
        asked = f"Answer from these passages only.\n\n{passages}\n\nQuestion: {self._sentence()}"
        return self._call([_said("system", SYSTEM), _said("user", asked)], self.text(400))

    def agent(self, turns: int) -> Iterator[Whole]:
        """A session of tool calls: each call repeats what was asked and answered before, at last about 100 KB."""
        said: list[dict[str, object]] = [_said("system", SYSTEM * 4), _said("user", self.text(400))]
        for turn in range(turns):
            arguments = {
                "path": f"src/{self._random.choice(DEEDS)}/part_{turn}.py",
                "from": turn,
                "query": self.text(60),
            }
            asked = {"name": "read_file", "arguments": json.dumps(arguments)}
            call = {"id": f"call_{turn:04d}", "type": "function", "function": asked}
            yield self._call(said, "", tool_calls=[call])
            said.append({"role": "assistant", "content": None, "tool_calls": [call]})
            said.append({"role": "tool", "tool_call_id": f"call_{turn:04d}", "content": self._result(turn)})

    def embeddings(self) -> Whole:
        """A batch of 32 texts of 500 characters to embed."""
        whole = self._call([], "")
        body = json.dumps({"model": "text-embedding-3-small", "input": [self.text(500) for _ in range(32)]}).encode()
        vectors = [{"object": "embedding", "index": at, "embedding": [0.125] * 256} for at in range(32)]
        answer = {
            "object": "list",
            "data": vectors,
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 4000},
        }
        head = json.dumps(answer).encode()
        path = "/v1/embeddings"
        call = msgspec.structs.replace(whole.call, path=path, route=path, body=body, body_size=len(body))
        return Whole(call, msgspec.structs.replace(whole.reply, head=head, size=len(head)))

    def _result(self, turn: int) -> str:
        if turn % 3:
            return "\n".join(f"{line:4d}  {self._random.choice(CODE)}" for line in range(9)) + "\n" + self._sentence()
        rows = [{"id": turn * 10 + row, "note": self._sentence(), "done": row % 2 == 0} for row in range(3)]
        return json.dumps({"rows": rows, "total": len(rows)})

    def _sentence(self) -> str:
        pick = self._random.choice
        first, last = pick(FIRST), pick(LAST)
        form = pick(PERSONAL if self._random.random() < PERSONAL_SHARE else PLAIN)
        return form.format(
            deed=pick(DEEDS),
            thing=pick(THINGS),
            other=pick(THINGS),
            mood=pick(MOODS),
            town=pick(TOWNS),
            name=f"{first} {last}",
            mail=f"{first}.{last}{self._random.randrange(1000)}@example.org".lower(),
            phone=self._random.randrange(1_000_000, 10_000_000),
            n=self._random.randrange(2, 98),
        )

    def _call(
        self,
        messages: Sequence[Mapping[str, object]],
        answer: str,
        *,
        told: bool = True,
        tool_calls: Sequence[Mapping[str, object]] = (),
    ) -> Whole:
        self._calls += 1
        asked = json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode()
        answered = json.dumps(_answer(answer, len(asked), tool_calls, told=told)).encode()
        call = Call(
            id=f"01930000-0000-7000-8000-{self._calls:012d}",
            started_at=1_750_000_000_000_000_000 + self._calls * 1_000_000,
            method="POST",
            path="/v1/chat/completions",
            route="/v1/chat/completions",
            upstream="openai",
            model="gpt-4o-mini",
            user="ada",
            content_type="application/json",
            body=asked,
            body_size=len(asked),
        )
        reply = Reply(
            status=200,
            ended=Ended.COMPLETE,
            content_type="application/json",
            head=answered,
            size=len(answered),
            first_byte=400_000_000,
            last_byte=900_000_000,
        )
        return Whole(call, reply)


def _said(role: str, content: str) -> dict[str, object]:
    return {"role": role, "content": content}


def _answer(text: str, asked: int, tool_calls: Sequence[Mapping[str, object]], *, told: bool) -> dict[str, object]:
    message = {**_said("assistant", text), **({"tool_calls": tool_calls} if tool_calls else {})}
    answer: dict[str, object] = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    if told:
        used = {"prompt_tokens": asked // 4, "completion_tokens": len(text) // 4}
        answer["usage"] = {**used, "total_tokens": sum(used.values())}
    return answer
