"""The seal: whole and unchanged, or ``SealBroken``."""

from __future__ import annotations

import os
import random
import secrets
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import SealBroken
from gateway.installkey import InstallKey
from gateway.journal.files import Appender, read
from gateway.journal.seal import HEADER_BYTES, Frame, Seal, frames, sound_length
from tests.journal.makers import KEY, OTHER_KEY

PLAIN = st.binary(max_size=400)


def sealed(*plains: bytes, key: InstallKey = KEY) -> bytes:
    """A file of these frames."""
    seal = Seal.fresh(key)
    return seal.header + b"".join(seal.close(index, 1, plain) for index, plain in enumerate(plains))


def opened(data: bytes, key: InstallKey = KEY) -> list[bytes]:
    """Every frame that opens. Raises ``SealBroken`` when the header does not."""
    seal = Seal.of(data, key)
    texts = []
    for frame in frames(data):
        try:
            texts.append(seal.open(frame))
        except SealBroken:
            continue
    return texts


@given(st.lists(PLAIN, max_size=6))
def test_any_bytes_come_back_as_they_were(plains: list[bytes]) -> None:
    """What is sealed under a key opens under it, in order."""
    data = sealed(*plains)
    assert opened(data) == plains
    assert sound_length(data) == len(data)


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=5, unique=True).map(sorted))
def test_numbers_may_be_left_out(numbers: list[int]) -> None:
    """Each write that a full disk refused has used some up, for as long as it was full."""
    seal = Seal.fresh(KEY)
    data = seal.header + b"".join(seal.close(number, 1, b"%d" % number) for number in numbers)
    assert opened(data) == [b"%d" % number for number in numbers]
    assert sound_length(data) == len(data)


@settings(max_examples=300)
@given(st.lists(PLAIN, min_size=1, max_size=4), st.data())
def test_a_flipped_byte_never_gives_other_text(plains: list[bytes], data: st.DataObject) -> None:
    """Whatever byte is changed: the header or the one frame is refused, and the other frames open."""
    file = bytearray(sealed(*plains))
    place = data.draw(st.integers(0, len(file) - 1))
    file[place] ^= data.draw(st.integers(1, 255))
    if place < HEADER_BYTES:
        with pytest.raises(SealBroken):
            opened(bytes(file))
        return
    texts = opened(bytes(file))
    assert len(texts) == len(plains) - 1
    rest = iter(plains)
    assert all(text in rest for text in texts)


def resealed(frame: Frame, index: int, kind: int) -> bytes:
    """A frame under another number and kind, its checksum made right again."""
    tail = struct.pack("<IB", index, kind) + frame.raw[13:]
    return struct.pack("<II", len(frame.raw) - 13, zlib.crc32(tail)) + tail


@pytest.mark.parametrize(("index", "kind"), [(1, 1), (0, 2)])
def test_a_frame_can_neither_be_moved_nor_relabelled(index: int, kind: int) -> None:
    """Number and kind are authenticated, not only checksummed."""
    data = sealed(b"first")
    (frame,) = frames(data)
    forged = data[:HEADER_BYTES] + resealed(frame, index, kind)
    (found,) = frames(forged)
    assert found.sound
    with pytest.raises(SealBroken):
        Seal.of(forged, KEY).open(found)


def test_a_bit_flipped_on_purpose_is_refused_whatever_the_checksum_says() -> None:
    """Whoever can write the file can write a checksum, and no text: each byte in turn."""
    data = sealed(random.Random(1).randbytes(100))
    (frame,) = frames(data)
    for place in range(13, len(frame.raw)):
        raw = frame.raw[:place] + bytes([frame.raw[place] ^ 1]) + frame.raw[place + 1 :]
        forged = data[:HEADER_BYTES] + resealed(replace(frame, raw=raw), frame.index, frame.kind)
        (found,) = frames(forged)
        assert found.sound
        with pytest.raises(SealBroken):
            Seal.of(forged, KEY).open(found)


def test_swapped_frames_are_refused() -> None:
    """A frame that stands where a younger one has been is not taken for the younger one."""
    data = sealed(b"first", b"second", b"third")
    one, two, three = (frame.raw for frame in frames(data))
    texts = opened(data[:HEADER_BYTES] + two + one + three)
    assert texts == [b"second", b"third"]


def test_a_frame_of_another_file_is_refused() -> None:
    """The file's id and key hold a frame in its file, even under the same install key."""
    mine, other = sealed(b"mine"), sealed(b"other")
    mixed = mine[:HEADER_BYTES] + other[HEADER_BYTES:]
    (frame,) = frames(mixed)
    assert frame.sound
    with pytest.raises(SealBroken):
        Seal.of(mixed, KEY).open(frame)


def test_another_install_key_is_refused() -> None:
    """A copy of the data directory alone opens nothing."""
    with pytest.raises(SealBroken, match="another install key"):
        opened(sealed(b"text"), OTHER_KEY)


def test_a_data_key_wrapped_for_another_is_refused() -> None:
    """Naming the right key in the header does not help: the data key must unwrap."""
    data = bytearray(sealed(b"text", key=OTHER_KEY))
    data[6:22] = KEY.id.encode()
    data[HEADER_BYTES - 4 : HEADER_BYTES] = struct.pack("<I", zlib.crc32(bytes(data[: HEADER_BYTES - 4])))
    with pytest.raises(SealBroken, match="wrapped key"):
        opened(bytes(data))


@given(st.binary(max_size=600))
def test_bytes_of_any_origin_give_no_text(garbage: bytes) -> None:
    """Garbage with or without a good header yields nothing, and only ``SealBroken``."""
    with pytest.raises(SealBroken):
        Seal.of(garbage, KEY)
    assert opened(Seal.fresh(KEY).header + garbage) == []


@given(st.binary(min_size=16, max_size=64))
def test_the_plain_text_is_in_no_byte_of_the_file(plain: bytes) -> None:
    """Neither raw nor merely compressed."""
    assert plain not in sealed(plain, plain)


def test_two_files_with_the_same_text_share_nothing_but_their_key_name() -> None:
    """Each file has a data key of its own, so equal text does not show."""
    one, two = sealed(b"text" * 20), sealed(b"text" * 20)
    assert one[22:HEADER_BYTES] != two[22:HEADER_BYTES]
    assert one[HEADER_BYTES + 13 :] != two[HEADER_BYTES + 13 :]


def test_a_nonce_is_not_used_again_after_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the failed write has sealed keeps its number; the file loses its half and goes on with the next."""
    appender = Appender(tmp_path / "1.open", KEY)
    appender.append([(1, b"before")])
    real = os.write
    torn: list[bytes] = []

    def half(handle: int, data: memoryview) -> int:
        if torn:
            raise OSError(28, "No space left on device")
        torn.append(bytes(data))
        return real(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError):
        appender.append([(1, secrets.token_bytes(64)), (1, secrets.token_bytes(64))])
    monkeypatch.setattr(os, "write", real)
    appender.append([(1, b"after")])
    appender.close()
    contents = read(appender.path, KEY)
    lost = {frame.index for frame in frames(contents.header + torn[0])}
    assert lost == {1, 2}
    assert [(frame.index, contents.open(frame)) for frame in contents.frames] == [(0, b"before"), (3, b"after")]
    assert appender.path.stat().st_size == contents.sound_length == appender.size
