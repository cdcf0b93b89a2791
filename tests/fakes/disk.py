"""Disks in memory, small ones, and full ones."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ENOUGH = 1 << 30
"""Bytes free in memory that every test's data fits into."""


def memory() -> Path | None:
    """The folder for files that no disk is to be waited for; ``None``, the usual one, where there is not enough.

    Where processes are killed and not machines, waiting for a disk adds time and no proof.
    """
    found = Path("/dev/shm")
    return found if found.is_dir() and shutil.disk_usage(found).free >= ENOUGH else None


class NotMounted(Exception):
    """A small file system cannot be mounted here."""


@contextlib.contextmanager
def small_disk(directory: Path, size_mib: int) -> Iterator[None]:
    """A file system of its own at a directory. Raises ``NotMounted`` where that is not allowed."""
    directory.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(directory)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotMounted(f"mount: {error.strerror}") from None
    if made.returncode != 0:
        raise NotMounted(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def leave_free(ballast: Path, free: int) -> None:
    """Take what is left of a disk but for some bytes."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4_096):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
        os.ftruncate(file.fileno(), max(0, os.fstat(file.fileno()).st_size - free))
