"""The only door from raw to clean: Exchange to Record, Note to Score. It fails closed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from gateway import metrics, telemetry
from gateway.identity import Pseudonyms
from gateway.model import WITHHELD, Attempt, Finding, Record, Score, Usage
from gateway.raw import Capture, Exchange, Json, Note
from gateway.redact import policy
from gateway.redact.bangla import bangla_recognisers
from gateway.redact.copies import Copies, learned
from gateway.redact.deadline import Deadline, RedactionFailed
from gateway.redact.models import Model, SpacyModel
from gateway.redact.names import name_recognisers
from gateway.redact.ner import NerRecogniser
from gateway.redact.normalise import printable
from gateway.redact.parts import uncovered, values
from gateway.redact.patterns import digit_heavy_recognisers, pattern_recognisers
from gateway.redact.placeholder import LARGEST, Placeholders
from gateway.redact.places import place_recognisers
from gateway.redact.recogniser import Recogniser, Span
from gateway.redact.scan import CACHE_ITEMS, Memory, Scanned, Scanner, Text
from gateway.redact.secrets import secret_recognisers
from gateway.redact.tree import Leaf, Part, Tree, dumped, leaves, pieces, rebuilt
from gateway.redact.walk import Walker, settle

VERSION = 3
"""Counts up when what is found changes; part of ``Record.redaction``."""
REDACTED = "[redacted]"
"""Stands for a short field whose value is none of the known ones."""
MAX_FINDINGS = 1_000

log = telemetry.log("redact")


PROFILES = ("fast", "standard", "strict")


class Redactor:
    """Makes clean records of raw calls. Not for use by two threads at once."""

    def __init__(
        self,
        profile: str,
        pseudonyms: Pseudonyms,
        extra_recognisers: Sequence[Recogniser] = (),
        timeout: float = 30.0,
        memory: int = CACHE_ITEMS,
        model: Model | None = None,
        *,
        realistic: bool = False,
    ) -> None:
        """``profile``: ``fast``; ``standard`` with NER, or ``strict``, which takes all that it doubts (both raise
        ``MissingExtra``). ``timeout``: seconds a call. ``memory``: texts and finds that are remembered, none with 0.
        ``model`` reads in the place of spaCy's small one. ``realistic``: invented names stand for real ones.
        """
        if profile not in PROFILES:
            raise ValueError(f"profile: expected one of {', '.join(PROFILES)}")
        self._pseudonyms = pseudonyms
        self._realistic = realistic
        self._deadline = Deadline(timeout)
        patterns = (
            *extra_recognisers,
            *secret_recognisers(),
            *pattern_recognisers(),
            *name_recognisers(),
            *bangla_recognisers(),
        )
        prose: tuple[Recogniser, ...] = ()
        strict = profile == "strict"
        if profile != "fast":
            prose = (NerRecogniser(model or SpacyModel(), self._deadline.check, strict=strict), *place_recognisers())
            patterns += digit_heavy_recognisers() if strict else ()
        self.reads_ahead = bool(prose)
        """Whether it reads several calls faster together."""
        self._scanner = Scanner(patterns, prose, self._deadline.check, memory)
        self._walker = Walker(Memory(memory), pseudonyms, self._deadline.check)
        self._version = f"{profile}/{VERSION}"

    def spans(self, text: str) -> list[Span]:
        """What would be cut out of a text that stands alone, in its own positions. For measuring."""
        scanned = self._scanner.scan(text)
        scanned = learned([scanned]).mark(scanned)
        places = ((span, *scanned.form.source(span.start, span.end)) for span in scanned.spans)
        return [span._replace(start=start, end=end) for span, start, end in places]

    def read_ahead(self, exchanges: Iterable[Exchange]) -> None:
        """Remember what stands in the texts of several calls, which a model reads faster together."""
        try:
            with self._deadline.running():
                trees = [tree for exchange in exchanges for tree in self._trees(exchange) if tree]
                self._scan([leaf for tree in trees for leaf in leaves(tree)])
        except Exception as error:  # each call will meet it by itself, and its text alone be withheld
            log.info("reading ahead ended early", error=error)

    def record(self, exchange: Exchange, usage: Usage, *, content: bool) -> Record:
        """The stored row of a call. Without ``content``, or when redaction fails, its text is ``[withheld]``."""
        fields = _Fields(self._word, exchange)
        request, response = _withheld(exchange.request), _withheld(exchange.response)
        findings: tuple[Finding, ...] = ()
        capture = str(exchange.reply.capture)
        if not content:
            capture = str(Capture.WITHHELD) if request or response else capture
        elif exchange.call.body_truncated and capture == Capture.FULL:
            capture = str(Capture.TRUNCATED)
        if content:
            try:
                with self._deadline.running():
                    request, response, findings, copies = self._bodies(exchange)
                fields.without(copies)
            except Exception as error:  # whatever went wrong in there, the text must not come out
                self._failed(error, exchange.call.id)
                request, response = _withheld(exchange.request), _withheld(exchange.response)
                findings, capture = (), str(Capture.WITHHELD)
        return self._record(exchange, usage, fields, capture, request, response, findings)

    def _record(
        self,
        exchange: Exchange,
        usage: Usage,
        fields: _Fields,
        capture: str,
        request: str,
        response: str,
        findings: tuple[Finding, ...],
    ) -> Record:
        call, reply = exchange.call, exchange.reply
        identity = self._pseudonyms.identity
        return Record(
            id=call.id if policy.OUR_ID.fullmatch(call.id) else self._pseudonyms.reference(call.id),
            started_at=call.started_at // 1_000_000,
            method=call.method if call.method in policy.METHODS else REDACTED,
            route=fields.route,
            upstream=fields.upstream,
            pattern=fields.pattern,
            model=fields.model,
            response_model=fields.response_model,
            key=fields.key,
            team=fields.team,
            user=printable(identity(call.user)),
            session=printable(identity(call.session)),
            trace=printable(identity(call.trace)),
            prompt=fields.prompt,
            tags=fields.tags,
            response_ref=self._pseudonyms.reference(exchange.response_id),
            origin=call.origin if call.origin in policy.ORIGINS else REDACTED,
            status=reply.status,
            ended=str(reply.ended),
            capture=capture,
            stream=exchange.stream or call.stream,
            finish_reason=_known(",".join(exchange.finish_reasons), policy.FINISH_REASONS),
            service_tier=_known(exchange.service_tier, policy.SERVICE_TIERS),
            error_code=fields.error_code,
            latency_ms=(reply.last_byte or reply.first_byte or 0) / 1e6,
            ttft_ms=None if reply.first_byte is None else reply.first_byte / 1e6,
            request_bytes=call.body_size,
            response_bytes=reply.size,
            usage=usage,
            request=request,
            response=response,
            findings=findings,
            redaction=self._version,
            attempts=fields.attempts,
        )

    def score(self, note: Note, *, content: bool = True) -> Score:
        """Somebody's word on a call. Without ``content``, or when redaction fails, its reason is ``[withheld]``."""
        why = _withheld(note.why)
        if content and note.why:
            try:
                with self._deadline.running():
                    why = self._text(note.why, "why")
            except Exception as error:  # as for a call: fails closed
                self._failed(error, note.id)
        ours = policy.OUR_ID.fullmatch(note.target)
        return Score(
            id=note.id if policy.OUR_ID.fullmatch(note.id) else self._pseudonyms.reference(note.id),
            at=note.at // 1_000_000,
            target=note.target if ours else self._pseudonyms.reference(note.target),
            name=self._word(note.name),
            source=note.source if note.source in policy.SOURCES else REDACTED,
            rater=self._rater(note),
            value=note.value if note.value is not None and math.isfinite(note.value) else None,
            label=self._word(note.label),
            why=why,
            version=self._word(note.version),
        )

    def _rater(self, note: Note) -> str:
        """A person is a pseudonym; a judge is named by the operator."""
        if note.source == "judge":
            return self._word(note.rater)
        return printable(self._pseudonyms.identity(note.rater))

    def _failed(self, error: Exception, id: str) -> None:
        why = error.why if isinstance(error, RedactionFailed) else "error"
        metrics.withheld.labels(why).inc()
        log.warning("text withheld", why=why, id=id if policy.OUR_ID.fullmatch(id) else "", error=error)

    def _word(self, value: str, form: re.Pattern[str] = policy.OPERATOR_WORD) -> str:
        """A name the operator or an API gave to something: kept when it is one and no recogniser knows it."""
        if not value:
            return ""
        try:
            if form.fullmatch(value) and not self._scanner.scan(value, words=True).spans:
                return value
        except Exception as error:  # a recogniser that breaks has not said that the word is clean
            log.warning("a word withheld", error=error)
            return WITHHELD
        return REDACTED

    def _text(self, text: str, path: str) -> str:
        scanned = self._scanner.scan(text)
        return _Rendering(Copies(), Placeholders(realistic=self._realistic)).text(
            Leaf(path, text, text), learned([scanned]).mark(scanned)
        )

    def _bodies(self, exchange: Exchange) -> tuple[str, str, tuple[Finding, ...], Copies]:
        """Both texts, redacted with one set of placeholders. Two passes: find in all leaves, then cut from all."""
        trees = self._trees(exchange)
        self._scan([leaf for tree in trees if tree for leaf in leaves(tree)])
        copies = self._copies(trees)
        placeholders = Placeholders(self._numbering(exchange.call.session), realistic=self._realistic)
        rendering = _Rendering(copies, placeholders, self._deadline.check)
        made = [
            _withheld(value) if tree is None else _written(rebuilt(tree, rendering.said, rendering.cut), value)
            for tree, value in zip(trees, (exchange.request, exchange.response), strict=True)
        ]
        return made[0], made[1], tuple(rendering.findings.values()), copies

    def _trees(self, exchange: Exchange) -> list[Tree | None]:
        """Of request and response. None: there is nothing, or nothing that may be kept."""
        self._walker.begin()
        trees = [
            None if value is None or value == "" else self._walker.walk(value, path)
            for value, path in ((exchange.request, "request"), (exchange.response, "response"))
        ]
        if exchange.unparsed and "event-stream" in exchange.reply.content_type and isinstance(exchange.response, str):
            # A stream that could not be put together: a value may lie cut in two where no recogniser sees it.
            trees[1] = None
        return trees

    def _copies(self, trees: Sequence[Tree | None]) -> Copies:
        """What was found in all texts; parts read before are opened when their cuts do not cover all copies of it."""
        copies = Copies()
        known: list[Part] = []
        for piece in (piece for tree in trees if tree for piece in pieces(tree)):
            if isinstance(piece, Leaf):
                assert piece.scanned is not None
                copies.learn(piece.scanned)
                continue
            known.append(piece)
            piece.values = values(piece)
            for cut, value in zip(piece.cuts or (), piece.values, strict=True):
                if not cut.copy:
                    copies.learn_value(value, cut.span)
        self._walker.close()
        for part, others in zip(known, uncovered(known, copies), strict=True):
            if not others:
                continue
            if self._walker.recall(part, others):
                part.values = values(part)
            else:
                self._walker.open(part)
                self._scan([*leaves(part)])
                self._walker.keep(part, others)
        return copies

    def _scan(self, texts: Sequence[Leaf]) -> None:
        found = self._scanner.scan_all([Text(leaf.text, leaf.words) for leaf in texts])
        for leaf, scanned in zip(texts, found, strict=True):
            settle(leaf, scanned)

    def _numbering(self, session: str) -> Callable[[str], int] | None:
        """Within a session a value keeps its placeholder; without one it is counted anew in each call."""
        if not session:
            return None
        return lambda value: self._pseudonyms.number(session, value, LARGEST)


class _Rendering:
    """What becomes of the leaves of one call, and what was removed from them."""

    def __init__(
        self,
        copies: Copies,
        placeholders: Placeholders,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._copies = copies
        self._tick = tick
        self._placeholders = placeholders
        self.findings: dict[tuple[str, str], Finding] = {}

    def said(self, leaf: Leaf) -> Json:
        """A leaf's text with placeholders, or the leaf as it was."""
        self._tick()
        assert leaf.scanned is not None
        marked = self._copies.mark(leaf.scanned) if self._copies else leaf.scanned
        return self.text(leaf, marked) if marked.spans else leaf.kept

    def text(self, leaf: Leaf, scanned: Scanned) -> str:
        """The source text with every span's source range replaced."""
        made, at = [], 0
        for span, value in scanned.values():
            start, end = scanned.form.source(span.start, span.end)
            if start < at:
                start = at  # two spans within one source character share its placeholder's place
            made += [leaf.text[at:start], self._placeholder(leaf.path, span, value)]
            at = max(at, end)
        return printable("".join([*made, leaf.text[at:]]))

    def cut(self, part: Part) -> Json:
        """The JSON of a part read before, with placeholders."""
        if not part.cuts:
            return msgspec.Raw(part.encoded)
        self._tick()
        made, at = [], 0
        for cut, value in zip(part.cuts, part.values, strict=True):
            made += [part.encoded[at : cut.start], cut.said(self._placeholder(cut.path, cut.span, value))]
            at = cut.end
        return msgspec.Raw(b"".join([*made, part.encoded[at:]]))

    def _placeholder(self, path: str, span: Span, value: str) -> str:
        placeholder = self._placeholders.of(span.entity, value)
        if (path, placeholder) not in self.findings and len(self.findings) < MAX_FINDINGS:
            self.findings[path, placeholder] = Finding(path, span.entity, span.name, round(span.score, 2))
        return placeholder


class _Fields:
    """The short fields of a record."""

    def __init__(self, word: Callable[..., str], exchange: Exchange) -> None:
        call = exchange.call
        self.route = word(call.route) if "{" not in call.route else _template(call.route, word)
        self.upstream = word(call.upstream)
        self.pattern = call.pattern if call.pattern == "*" else _template(call.pattern, word)
        self.model = word(exchange.model or call.model, policy.MODEL_NAME)
        self.response_model = word(exchange.response_model, policy.MODEL_NAME)
        self.key = word(call.key)
        self.team = word(call.team)
        self.prompt = word(call.prompt)
        self.tags = {word(key): word(value) for key, value in call.tags.items()}
        self.error_code = word(exchange.error_code or exchange.error_type)
        self.attempts = tuple(
            Attempt(word(tried.upstream), tried.status, str(tried.ended), tried.began / 1e6, tried.took / 1e6)
            for tried in exchange.reply.attempts
        )

    def without(self, copies: Copies) -> None:
        """Redact the clients' words in which a value of the bodies stands."""
        for name in ("model", "response_model", "prompt", "error_code"):
            if _holds(copies, getattr(self, name)):
                setattr(self, name, REDACTED)
        self.tags = {
            REDACTED if _holds(copies, key) else key: REDACTED if _holds(copies, value) else value
            for key, value in self.tags.items()
        }


def _template(value: str, word: Callable[[str], str]) -> str:
    """A route template or a configured glob: judged without its marks."""
    bare = "".join(char for char in value if char not in "{}*?[]!")
    return value if not bare or word(bare) == bare else REDACTED


def _holds(copies: Copies, word: str) -> bool:
    return bool(word) and copies.has(word)


def _written(made: Json, value: Json) -> str:
    """A body as it is stored: text as text, anything else as JSON."""
    return printable(made if isinstance(value, str) and isinstance(made, str) else dumped(made))


def _withheld(value: Json) -> str:
    """What stands for a body whose text is not kept."""
    return "" if value is None or value == "" else WITHHELD


def _known(value: str, known: frozenset[str]) -> str:
    if not value:
        return ""
    return ",".join(part if part in known else REDACTED for part in value.split(","))
