"""The redaction room: the only door from raw to clean.

``Redactor.record`` makes an ``Exchange`` a ``Record``; ``Redactor.score`` makes a ``Note`` a ``Score``. Every text goes

    normalise → recognisers → spans → copies → placeholders

and what cannot be finished is withheld. ``docs/redaction.md`` says what is found, what is kept and what escapes.
"""

from gateway.redact.deadline import RedactionFailed, TimedOut
from gateway.redact.door import PROFILES, REDACTED, VERSION, Redactor
from gateway.redact.models import ENTITIES, Entity, GlinerModel, Model, SpacyModel
from gateway.redact.normalise import Normalised, normalise
from gateway.redact.recogniser import Recogniser, Rule, RuleRecogniser, Span

__all__ = [
    "ENTITIES",
    "PROFILES",
    "REDACTED",
    "VERSION",
    "Entity",
    "GlinerModel",
    "Model",
    "Normalised",
    "Recogniser",
    "RedactionFailed",
    "Redactor",
    "Rule",
    "RuleRecogniser",
    "SpacyModel",
    "Span",
    "TimedOut",
    "normalise",
]
