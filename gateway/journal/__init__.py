"""The journal: durable, sealed, raw. ``Journal`` is the writing side, ``Segments`` the redactors'."""

from gateway.journal.journal import Journal
from gateway.journal.recovery import recover_left
from gateway.journal.segments import Broken, Lease, Segments

__all__ = ["Broken", "Journal", "Lease", "Segments", "recover_left"]
