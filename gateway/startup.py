"""The collector rests while a process starts: what is loaded stays, and looking through it again takes a third of that.

What was loaded is passed over later too: pauses stay short, and what helpers share is not written to.
"""

from __future__ import annotations

import gc


def loading() -> None:
    """From here on what is made stays. Whoever calls this calls ``loaded`` as well."""
    gc.disable()


def loaded() -> None:
    """From here on there is garbage."""
    gc.collect()
    gc.freeze()
    gc.enable()
