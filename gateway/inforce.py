"""The configuration in force: what was accepted at the start or at a reload, whatever the file says by now.

The processes of an installation read it from the supervisor's memory, where it is kept as text: a process that starts
again comes back as it was, and no secret that the file holds comes to rest a second time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import environment, reload
from gateway.config import Config
from gateway.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Reload:
    """A configuration read anew: the names that it changes, and whether what is behind ``serve`` starts again."""

    config: Config
    text: str
    changed: tuple[str, ...]
    restart: bool


class InForce:
    """Held by the supervisor, read by the processes to which it passes ``handle``."""

    def __init__(
        self, config: Config, path: Path | None, check: Callable[[Config], None] = lambda _config: None
    ) -> None:
        """``check`` raises ``ConfigError`` for what is valid and cannot be run here."""
        self._config = config
        self._path = path
        self._check = check
        self._text = environment.source(path)[1]
        self.handle = os.memfd_create("gateway.yaml")
        self._write(self._text)

    @property
    def path(self) -> Path:
        """Where a process that was passed the handle reads it."""
        return Path(f"/proc/self/fd/{self.handle}")

    def read_anew(self) -> Reload:
        """What the file says now. Raises ``ConfigError`` when it cannot be taken up."""
        name, text = environment.source(self._path)
        after = environment.parse(name, text)
        changed = reload.changes(self._config, after)
        if fixed := reload.fixed(changed, self._config, after):
            raise ConfigError(f"needs a restart: {', '.join(fixed)}; nothing was changed")
        self._check(after)
        return Reload(after, text, tuple(changed), reload.restarts(changed))

    def offer(self, wanted: Reload) -> None:
        """Let the processes read it from now on; ``accept`` or ``take_back`` has to follow."""
        self._write(wanted.text)

    def accept(self, wanted: Reload) -> None:
        """It is in force."""
        self._config, self._text = wanted.config, wanted.text

    def take_back(self) -> None:
        """What was offered is not: the processes read what was in force before."""
        self._write(self._text)

    def _write(self, text: str) -> None:
        data = text.encode()
        fcntl.flock(self.handle, fcntl.LOCK_EX)
        os.pwrite(self.handle, data, 0)
        os.ftruncate(self.handle, len(data))
        fcntl.flock(self.handle, fcntl.LOCK_UN)


def read(path: Path | None) -> Config:
    """What is in force now, never half of it. Raises ``ConfigError``."""
    if path is None or not path.exists():
        return environment.load(path)
    with path.open("rb") as steady:
        fcntl.flock(steady, fcntl.LOCK_SH)
        return environment.load(path)
