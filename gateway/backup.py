"""``gateway backup`` and ``gateway restore``: an installation with the embedded store in one tar file, while it runs.

The file, in this order: ``backup.json`` (what it is), ``install.key`` if asked for, ``data/…`` laid out like
``data_dir``, ``store/…`` like the store's directory, and ``SHA256SUMS`` over all of them. Calls that wait for redaction
are in it sealed, as they are on disk: without the install key nobody reads them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import httpx
import msgspec

from gateway import __version__, mark, snapshot
from gateway.config import Config
from gateway.environment import state_dir
from gateway.errors import BackupError, ConfigError, StoreError
from gateway.installkey import InstallKey, key_file, place_of
from gateway.model import Ledger
from gateway.paths import Layout, hold, replace
from gateway.store.address import Address, parse
from gateway.store.connection import connect, require
from gateway.store.freeze import freeze, frozen
from gateway.supervise import BEHIND, supervisor_lock

FORMAT = 1
STANDARD = "-"
"""Standard output or input, instead of a file."""
ANSWER_S = 120.0
"""``work`` may first have to finish a batch for a store that stalls."""
_ABOUT, _KEY, _SUMS = "backup.json", "install.key", "SHA256SUMS"
_DATA, _STORE = "data", "store"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself. ``key`` is the public name of the install key, ``place`` where it was on file."""

    format: int = FORMAT
    version: str
    created_at: datetime
    key: str
    place: str
    ledger: Ledger


# -- backup ----------------------------------------------------------------------------------------------------------


def backup(config: Config, destination: str, *, with_key: bool) -> About:
    """Write a backup to a file, or to standard output for ``-``.

    Raises ``ConfigError`` for what the operator can mend, ``BackupError`` for the rest; then no file is left.
    """
    layout = Layout(config.data_dir.resolve())
    address = _embedded(config, layout)
    if not layout.journal.is_dir():
        raise ConfigError(f"data_dir: nothing to back up in {config.data_dir}")
    key = InstallKey.load(config.journal_key, state_dir(), config.data_dir)
    own = key_file(state_dir(), place_of(config.data_dir))
    with _failing("the backup was not written"), _alone(layout):
        try:
            about = About(
                version=__version__,
                created_at=datetime.now(UTC),
                key=key.id,
                place=place_of(config.data_dir),
                ledger=_snapshot(layout, address),
            )
            with _output(destination) as file:
                members: list[tuple[str, Path]] = [(_KEY, own)] if with_key and config.journal_key is None else []
                members += _below(layout.snapshot, _DATA)
                members += _below(frozen(Path(address.path), snapshot.NAME), _STORE)
                _write(file, about, members)
        finally:
            snapshot.drop(layout, Path(address.path))
    return about


def where_the_key_is(config: Config) -> str:
    """A sentence for the operator, who has to keep it."""
    if config.journal_key is not None:
        return "the install key is not in it: keep journal_key elsewhere"
    return f"the install key is not in it: keep a copy of {key_file(state_dir(), place_of(config.data_dir))} elsewhere"


def _snapshot(layout: Layout, address: Address) -> Ledger:
    """Have ``work`` take it, which alone may open the store; take it here when no gateway runs."""
    try:
        lock = hold(supervisor_lock(layout, BEHIND), "")
    except ConfigError:
        return _asked(layout)
    try:
        return snapshot.take(layout, lambda name: _freeze(address, name))
    finally:
        os.close(lock)


def _asked(layout: Layout) -> Ledger:
    headers = {mark.HEADER: mark.read(layout)}
    transport = httpx.HTTPTransport(uds=str(layout.work_socket))
    with httpx.Client(transport=transport, base_url="http://work", timeout=ANSWER_S, headers=headers) as client:
        try:
            answer = client.post("/internal/snapshot")
        except httpx.HTTPError as error:
            raise BackupError(f"the gateway runs, but its store does not answer ({type(error).__name__})") from None
    if answer.status_code != 200:
        raise BackupError(f"the gateway could take no snapshot: {answer.status_code} {answer.text[:200]}")
    return msgspec.json.decode(answer.content, type=Ledger)


def _freeze(address: Address, name: str) -> None:
    require(address)
    if not Path(address.path).is_dir():
        return
    client = connect(address, None)
    try:
        freeze(client, address, name)
    finally:
        client.close()


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    layout.create()
    lock = hold(snapshot.lock(layout), f"another backup of {layout.data_dir} is being written")
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _output(destination: str) -> Iterator[IO[bytes]]:
    """A file that is there whole or not at all, readable by its owner alone."""
    if destination == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(destination)
    if path.exists():
        raise ConfigError(f"{destination}: is there already; name a file that is not")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        _sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _below(folder: Path, name: str) -> list[tuple[str, Path]]:
    """Every file and directory below a folder, parents first."""
    found = [(name, folder)] if folder.is_dir() else []
    return found + [(f"{name}/{path.relative_to(folder)}", path) for path in sorted(folder.rglob("*"))]


def _write(file: IO[bytes], about: About, members: list[tuple[str, Path]]) -> None:
    sums: list[str] = []
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, _ABOUT, msgspec.json.format(msgspec.json.encode(about)), sums)
        for name, path in members:
            info = archive.gettarinfo(path, name)
            info.type = tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE  # hard links are files of their own here
            info.linkname, info.mode = "", 0o700 if path.is_dir() else 0o600
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            if info.isdir():
                archive.addfile(info)
                continue
            info.size = path.stat().st_size
            with path.open("rb") as content:
                hashed = _Hashed(content)
                archive.addfile(info, hashed)
            sums.append(f"{hashed.digest}  {name}\n")
        _add(archive, _SUMS, "".join(sums).encode(), [])


def _add(archive: tarfile.TarFile, name: str, content: bytes, sums: list[str]) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    archive.addfile(info, io.BytesIO(content))
    sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")


class _Hashed(io.RawIOBase):
    """A file that knows the digest of what was read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As of any file."""
        data = self._file.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        """SHA-256 of what was read so far, in hex."""
        return self._hash.hexdigest()


# -- restore ---------------------------------------------------------------------------------------------------------


def restore(config: Config, source: str, *, key: Path | None, say: Callable[[str], None]) -> About:
    """Unpack a backup into the configured, empty ``data_dir``; ``key`` is a file that holds its install key.

    Raises ``ConfigError`` for what the operator can mend, ``BackupError`` for a backup that is not whole; then
    ``data_dir`` is as empty as before.
    """
    layout = Layout(config.data_dir.resolve())
    store = Path(_embedded(config, layout).path)
    for directory in (layout.data_dir, store):
        if directory.exists() and not all(_unused(path) for path in directory.iterdir()):
            raise ConfigError(f"{directory}: is not empty; move what is in it away first")
    unpacked = {_DATA: layout.restoring, _STORE: store.with_name(f"{store.name}.restoring")}
    with _failing("the backup was not restored"):
        try:
            with _input(source) as file, tarfile.open(fileobj=file, mode="r|") as archive:
                about, text = _unpack(archive, unpacked)
            found = _key(config, about, text, key)
            _adopt(config, about, found, say)
            _put(layout, store, unpacked)
        finally:
            for folder in unpacked.values():
                shutil.rmtree(folder, ignore_errors=True)
    return about


def _unused(path: Path) -> bool:
    """Whether it is what a new file system has in it."""
    return path.name == snapshot.LOST_AND_FOUND and path.is_dir() and not any(path.glob("*"))


@contextlib.contextmanager
def _input(source: str) -> Iterator[IO[bytes]]:
    if source == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115  closed below; only its opening is the operator's mistake
    except OSError as error:
        raise ConfigError(f"{source}: {error.strerror}") from None
    with file:
        yield file


def _unpack(archive: tarfile.TarFile, places: dict[str, Path]) -> tuple[About, str]:
    """What the backup says of itself and the key in it, if there is one; the files are where ``places`` says."""
    about: About | None = None
    key = ""
    found: dict[str, str] = {}
    expected: dict[str, str] | None = None
    for info in archive:
        top, _, rest = info.name.partition("/")
        if info.isdir() and top in places:
            _safe(places[top], rest).mkdir(mode=0o700, parents=True, exist_ok=True)
            continue
        content = archive.extractfile(info) if info.isreg() else None
        if content is None:
            raise BackupError(f"a member that does not belong there: {info.name[:200]!r}")
        hashed = _Hashed(content)
        if about is None:
            about = _about(info.name, hashed)
        elif info.name == _KEY:
            key = hashed.read().decode("ascii", "replace")
        elif info.name == _SUMS:
            expected = {name: digest for digest, _, name in _sums(hashed.read())}
            continue
        elif top in places and rest:
            _extract(hashed, _safe(places[top], rest), info.mtime)
        else:
            raise BackupError(f"a member that does not belong there: {info.name[:200]!r}")
        found[info.name] = hashed.digest
    if about is None or expected is None:
        raise BackupError("it ends early")
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise BackupError(f"{len(wrong)} files are not as they were written, {wrong[0][:200]!r} among them")
    return about, key


def _sums(content: bytes) -> Iterator[tuple[str, str, str]]:
    """Lines as of ``sha256sum``: digest, blanks, name."""
    return (line.partition("  ") for line in content.decode("utf-8", "replace").splitlines())


def _about(name: str, content: _Hashed) -> About:
    try:
        about = msgspec.json.decode(content.read() if name == _ABOUT else b"", type=About)
    except msgspec.DecodeError:
        raise BackupError("it is no backup of a gateway") from None
    if about.format != FORMAT:
        raise BackupError(f"its format is {about.format}; version {about.version} of the gateway reads it")
    return about


def _safe(folder: Path, name: str) -> Path:
    """A path below the folder, whatever the name says."""
    if any(part in ("", ".", "..") for part in name.split("/")) and name:
        raise BackupError(f"a member that does not belong there: {name[:200]!r}")
    return folder / name


def _extract(content: _Hashed, path: Path, mtime: float) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
    os.utime(path, (mtime, mtime))  # a segment's age is its file's


def _key(config: Config, about: About, enclosed: str, given: Path | None) -> str:
    """The text of the backup's install key; empty when it is the configured one. Raises ``ConfigError`` without it."""
    if config.journal_key is not None:
        if InstallKey.of(config.journal_key.get_secret_value()).id != about.key:
            raise ConfigError("journal_key: is not the key this backup was made with")
        return ""
    if given is not None:
        try:
            texts = [given.read_text("ascii")]
        except (OSError, ValueError):
            raise ConfigError(f"--key: {given} cannot be read") from None
    else:
        files = [key_file(state_dir(), place) for place in (place_of(config.data_dir), about.place)]
        texts = [enclosed, *(path.read_text("ascii") for path in files if path.exists())]
    for text in filter(None, texts):
        with contextlib.suppress(ConfigError):
            if InstallKey.of(text).id == about.key:
                return text.strip()
    raise ConfigError(
        f"the backup needs install key {about.key}, which is not here: give its file by --key, or set journal_key"
    )


def _adopt(config: Config, about: About, key: str, say: Callable[[str], None]) -> None:
    """Put the key on file for this ``data_dir``; another one there opens nothing any more, and is kept."""
    path = key_file(state_dir(), place_of(config.data_dir))
    if not key or (path.exists() and InstallKey.of(path.read_text("ascii")).id == about.key):
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        aside = path.with_name(f"{path.name}.{InstallKey.of(path.read_text('ascii')).id}")
        path.rename(aside)
        say(f"another install key was on file; it is kept as {aside}")
    replace(path, f"{key}\n")


def _put(layout: Layout, store: Path, unpacked: dict[str, Path]) -> None:
    """Move what was unpacked to where it belongs; the data's own folder is gone last."""
    layout.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if unpacked[_STORE].is_dir():
        if store.is_dir():
            store.rmdir()
        unpacked[_STORE].rename(store)
        _sync(store.parent)
    for path in layout.restoring.iterdir():
        path.rename(layout.data_dir / path.name)
    _sync(layout.data_dir)


# -- both ------------------------------------------------------------------------------------------------------------


def _embedded(config: Config, layout: Layout) -> Address:
    url = config.store.url.get_secret_value() if config.store.url else None
    address = parse(url, layout.store)
    if not address.embedded:
        raise ConfigError(
            "store.url: a ClickHouse server is backed up with its own BACKUP; this is for the embedded store"
        )
    return address


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        raise BackupError(f"{what}: {error}") from None
    except StoreError as error:
        raise BackupError(f"{what}: {error}") from None
    except tarfile.TarError:
        raise BackupError(f"{what}: it is no tar file, or ends early") from None
    except OSError as error:
        raise BackupError(f"{what}: {error.strerror or type(error).__name__}") from None


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
