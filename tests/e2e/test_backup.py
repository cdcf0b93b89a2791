"""``gateway backup`` and ``gateway restore`` as an operator meets them: keys, places, and files that are not whole."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from gateway.installkey import key_file, place_of
from tests.e2e.installation import ADMIN_TOKEN, Installation, balanced
from tests.fakes.semantic import Plan, semantic
from tests.faults.backups import elsewhere, gateway
from tests.faults.pace import PRICES

SAID = "my phone number is 212-555-0142"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A stopped installation with five calls in the store, and a thumb."""
    with semantic() as upstream:
        settings = {
            "redact": {"profile": "fast"},
            "prices": PRICES,
            "upstreams": [{"name": "fake", "base_url": upstream}],
        }
        site = Installation(tmp_path_factory.mktemp("site"), settings).start()
        for number in range(5):
            body = Plan(number=number, tokens=(1000 + number, 10)).request(prompt=SAID)
            answer = httpx.post(f"{site.base}/v1/chat/completions", json=body, timeout=30, trust_env=False)
            assert answer.status_code == 200
        thumb = {"id": answer.headers["x-gateway-call-id"], "rating": "up"}
        assert httpx.post(f"{site.base}/v1/feedback", json=thumb, timeout=30, trust_env=False).status_code < 300
        site.settled(5)
        site.call(answer.headers["x-gateway-call-id"])
        assert site.stop() == 0
        yield site


@pytest.fixture(scope="module")
def file(site: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its backup, made while it does not run."""
    path = tmp_path_factory.mktemp("backup") / "backup.tar"
    code, told = gateway(site, "backup", str(path))
    assert code == 0, told
    assert "5 stored" in told
    assert "keep a copy" in told
    return path


def restored(site: Installation, file: Path, directory: Path, *more: str, state: Path | None = None) -> tuple[int, str]:
    """Into a new directory; the installation there is not started."""
    return gateway(elsewhere(site, directory), "restore", str(file), *more, state=state or site.directory / "state")


def key_of(site: Installation) -> Path:
    """The file its install key is in."""
    return key_file(site.directory / "state", place_of(site.data_dir))


def left(directory: Path) -> list[Path]:
    """What a refused restore left behind."""
    data = directory / "data"
    return list(data.iterdir()) if data.exists() else []


def test_a_restored_installation_is_what_it_was(site: Installation, file: Path, tmp_path: Path) -> None:
    """Calls, bodies, prices, the thumb and the ledger; and it goes on from there."""
    copy = elsewhere(site, tmp_path / "copy")
    code, told = gateway(copy, "restore", str(file), state=site.directory / "state")
    assert code == 0, told
    site.start()
    before = [{key: value for key, value in call.items() if key != "stored_at"} for call in site.calls()]
    began = datetime.fromisoformat(before[-1]["started_at"])
    days = {"since": began.isoformat(), "until": (began + timedelta(days=1)).isoformat()}
    costs = site.api("/api/costs", **days)
    site.stop()
    copy.start(environ={"GATEWAY_STATE_DIR": str(site.directory / "state")})
    try:
        assert [{key: value for key, value in call.items() if key != "stored_at"} for call in copy.calls()] == before
        assert copy.api("/api/costs", **days) == costs
        assert sum(len(call["scores"]) for call in before) == 1
        assert all("212-555" not in json.dumps(call) for call in before)
        body = Plan(number=6).request()
        httpx.post(f"{copy.base}/v1/chat/completions", json=body, timeout=30, trust_env=False).raise_for_status()
        ledger = copy.settled(6)
        assert balanced(ledger)
        assert ledger["stored"] == 6
    finally:
        copy.stop()


def test_a_backup_is_readable_by_its_owner_alone_and_holds_no_key(site: Installation, file: Path) -> None:
    """Unless it is asked for; and nothing that was said is in it in the clear."""
    assert file.stat().st_mode & 0o777 == 0o600
    assert SAID.encode() not in file.read_bytes()
    key = key_of(site)
    assert key.read_bytes().strip() not in file.read_bytes()
    with tarfile.open(file) as archive:
        assert {member.name.split("/")[0] for member in archive} == {"backup.json", "data", "store", "SHA256SUMS"}


def test_a_file_that_is_there_is_not_written_over(site: Installation, file: Path) -> None:
    """Nor is a half written one left."""
    before = file.read_bytes()
    code, told = gateway(site, "backup", str(file))
    assert (code, "is there already" in told) == (2, True)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_elsewhere_the_key_has_to_be_brought(site: Installation, file: Path, tmp_path: Path) -> None:
    """By --key, by journal_key, or in the backup itself; without it nothing is unpacked."""
    code, told = restored(site, file, tmp_path / "without", state=tmp_path / "fresh")
    assert (code, "--key" in told) == (2, True), told
    assert left(tmp_path / "without") == []
    key = key_of(site)
    other = tmp_path / "other.key"
    other.write_text("ab" * 32)
    assert restored(site, file, tmp_path / "wrong", "--key", str(other), state=tmp_path / "fresh")[0] == 2
    code, told = restored(site, file, tmp_path / "given", "--key", str(key), state=tmp_path / "fresh")
    assert code == 0, told
    (adopted,) = (tmp_path / "fresh").glob("*/install.key")
    assert adopted.read_text() == key.read_text()
    assert adopted.stat().st_mode & 0o777 == 0o600
    enclosing = tmp_path / "with.tar"
    assert gateway(site, "backup", str(enclosing), "--with-key")[0] == 0
    code, told = restored(site, enclosing, tmp_path / "enclosed", state=tmp_path / "fresher")
    assert code == 0, told
    configured = elsewhere(site, tmp_path / "configured")
    path = configured.directory / "gateway.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"journal_key": "cd" * 32}))
    code, told = gateway(configured, "restore", str(file), state=tmp_path / "freshest")
    assert (code, "journal_key" in told) == (2, True), told


def test_another_key_on_file_is_kept(site: Installation, file: Path, tmp_path: Path) -> None:
    """A gateway that ran there for a moment made one."""
    copy = elsewhere(site, tmp_path / "copy")
    state = tmp_path / "state"
    assert gateway(copy, "backup", str(tmp_path / "never.tar"), state=state)[0] == 2  # nothing there yet
    site_key = key_of(site)
    copy.start(environ={"GATEWAY_STATE_DIR": str(state)})
    copy.stop()
    (first,) = state.glob("*/install.key")
    made = first.read_text()
    copy.data_dir.rename(tmp_path / "away")
    code, told = gateway(copy, "restore", str(file), "--key", str(site_key), state=state)
    assert (code, "is kept as" in told) == (0, True), told
    assert made in [path.read_text() for path in first.parent.iterdir()]
    assert first.read_text() == site_key.read_text()


def test_only_an_empty_place_is_restored_into(site: Installation, file: Path) -> None:
    """What is there stays as it is."""
    before = sorted(path for path in site.data_dir.rglob("*"))
    code, told = gateway(site, "restore", str(file))
    assert (code, "is not empty" in told) == (2, True), told
    assert sorted(path for path in site.data_dir.rglob("*")) == before


def test_a_new_file_system_is_an_empty_place(site: Installation, file: Path, tmp_path: Path) -> None:
    """It has a folder of its own; what was found again and put in there is another matter."""
    found = tmp_path / "copy" / "data" / "lost+found"
    copy = elsewhere(site, tmp_path / "copy")
    found.mkdir(parents=True)
    again = found / "#12"
    again.touch()
    state = site.directory / "state"
    code, told = gateway(copy, "restore", str(file), state=state)
    assert (code, "is not empty" in told) == (2, True), told
    again.unlink()
    code, told = gateway(copy, "restore", str(file), state=state)
    assert code == 0, told
    assert (copy.data_dir / "control.db").exists()


def test_a_restore_that_was_cut_off_is_not_started_on(site: Installation, tmp_path: Path) -> None:
    """It would look like a new installation."""
    copy = elsewhere(site, tmp_path / "copy")
    (copy.data_dir / "restoring").mkdir(parents=True)
    code, told = gateway(copy, "up", state=tmp_path / "state")
    assert (code, "restore" in told) == (2, True), told


@pytest.mark.parametrize("damage", ["flip", "cut", "other", "none"])
def test_what_is_not_whole_is_refused_and_nothing_is_left(
    site: Installation, file: Path, tmp_path: Path, damage: str
) -> None:
    """A flipped bit in any file, a file cut short, a file that is something else, one that is not there."""
    broken = tmp_path / "broken.tar"
    data = bytearray(file.read_bytes())
    if damage == "flip":
        with tarfile.open(file) as archive:
            member = next(member for member in archive if member.name.endswith("data.bin"))
        data[member.offset_data + member.size // 2] ^= 1
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "other":
        data = bytearray(b"hello" * 10_000)
    if damage != "none":
        broken.write_bytes(data)
    code, told = restored(site, broken, tmp_path / "copy")
    assert code == (2 if damage == "none" else 1), told
    assert "Traceback" not in told
    assert left(tmp_path / "copy") == []


def test_no_member_is_written_outside(site: Installation, file: Path, tmp_path: Path) -> None:
    """Whatever its name says, and whatever it is."""
    for name, kind in (
        ("data/../../evil", tarfile.REGTYPE),
        ("/evil", tarfile.REGTYPE),
        ("data/link", tarfile.SYMTYPE),
    ):
        evil = tmp_path / "evil.tar"
        with tarfile.open(file) as archive, tarfile.open(evil, "w") as target:
            about = archive.next()
            assert about is not None
            target.addfile(about, archive.extractfile(about))
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, "/etc/passwd", 4 if kind == tarfile.REGTYPE else 0
            target.addfile(info, io.BytesIO(b"evil"))
        directory = tmp_path / f"copy-{name.replace('/', '-')}"
        code, told = restored(site, evil, directory)
        assert (code, "does not belong" in told) == (1, True), told
        assert left(directory) == []
        assert list(tmp_path.rglob("evil")) == []


def test_it_goes_through_a_pipe(site: Installation, tmp_path: Path) -> None:
    """From standard output to standard input, as over ssh."""
    copy = elsewhere(site, tmp_path / "copy")
    environ = os.environ | {"GATEWAY_STATE_DIR": str(site.directory / "state")}
    run = [sys.executable, "-m", "gateway"]
    written = subprocess.run(
        [*run, "backup", "-", "--config", str(site.directory / "gateway.yaml")], env=environ, capture_output=True
    )
    assert written.returncode == 0
    config = str(copy.directory / "gateway.yaml")
    read = subprocess.run(
        [*run, "restore", "-", "--config", config], env=environ, input=written.stdout, capture_output=True
    )
    assert read.returncode == 0, read.stderr
    assert (copy.data_dir / "control.db").exists()


def test_a_served_store_has_a_backup_of_its_own(site: Installation, tmp_path: Path) -> None:
    """We do not make half of one."""
    served = Installation(tmp_path, {})
    (tmp_path / "gateway.yaml").write_text(
        yaml.safe_dump(
            {"data_dir": str(tmp_path / "data"), "admin_token": ADMIN_TOKEN, "store": {"url": "clickhouse://h"}}
        )
    )
    code, told = gateway(served, "backup", str(tmp_path / "x.tar"), state=tmp_path)
    assert (code, "BACKUP" in told) == (2, True), told
