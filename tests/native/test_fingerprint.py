"""Fingerprints: the definition, what they tell, and the core beside its twin."""

from __future__ import annotations

import mmap
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.accel import native
from packetfs.packet.blocks import PRIME
from packetfs.packet.digest import digest_of
from packetfs.packet.file import copy_leaf
from packetfs.packet.fingerprint import (
    FINGERPRINT,
    OTHERS,
    fingerprint,
    fingerprint_key,
    fingerprint_python,
    same_fingerprints,
    same_fingerprints_python,
)
from packetfs.packet.fingerprint import KEY as KEY_SIZE

KEY = fingerprint_key(b"s" * 32)
LENGTHS = [0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 100, 4096, 65_537, 100_000]


@pytest.fixture(params=["scalar", "best"])
def unit(request: pytest.FixtureRequest) -> Iterator[str]:
    if native is None:
        yield "python"
        return
    best = native.simd()
    if request.param == "scalar":
        native.set_simd("scalar")
    yield request.param
    native.set_simd(best)


def packed(words: list[tuple[int, int]]) -> bytes:
    return b"".join(value.to_bytes(4, "little") for word in words for value in word)


def test_the_definition() -> None:
    """Sums of products of halves, and polynomials of their halves, worked out by hand for two words, in two blocks."""
    key = packed([(2, 3), (1, 0xFFFFFFFF), (10, 20)])
    points = (1 << 40, 12_345_678_901)
    secret = key.ljust(4112, b"\0") + b"".join(point.to_bytes(8, "little") for point in points)
    data = packed([(5, 7), (0xFFFFFFFF, 1)])
    sums = (5 + 2) * (7 + 3) + 0 * 0, (5 + 10) * (7 + 20) + 0xFFFFFFFF * 1
    values = sums[0], points[1] + 404
    assert sums[1] == (1 << 32) + 404
    for make in (fingerprint, fingerprint_python):
        assert make(data, secret) == b"".join(value.to_bytes(8, "little") for value in values)
    long = data.ljust(4096, b"\0") + data
    sums = sums[0] + 10 * 20, sums[1]  # the key's third word meets zeros in the first block alone
    values = (sums[0] * points[0] ** 2 + 70) % PRIME, ((points[1] + 404) * points[1] ** 2 + points[1] + 404) % PRIME
    for make in (fingerprint, fingerprint_python):
        assert make(long, secret) == b"".join(value.to_bytes(8, "little") for value in values)


@pytest.mark.parametrize("length", LENGTHS)
def test_core_and_twin_agree(unit: str, length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert len(fingerprint(data, KEY)) == FINGERPRINT
    assert fingerprint(data, KEY) == fingerprint_python(data, KEY), unit


def test_any_other_byte_and_any_other_key_is_another_fingerprint(unit: str) -> None:
    data = bytearray(random.Random(1).randbytes(2000))
    before = fingerprint(data, KEY)
    for at in range(0, 2000, 37):
        data[at] ^= 1 << at % 8
        assert fingerprint(data, KEY) != before, unit
        data[at] ^= 1 << at % 8
    assert fingerprint(data, fingerprint_key(b"t" * 32)) != before
    assert fingerprint(data[8:] + data[:8], KEY) != before


@pytest.mark.parametrize("make", [fingerprint, fingerprint_python])
@pytest.mark.parametrize("size", [0, KEY_SIZE - 1, KEY_SIZE + 1])
def test_a_key_of_another_length_is_refused(make: type, size: int) -> None:
    with pytest.raises(ValueError, match="length"):
        make(bytes(100), bytes(size))


@pytest.mark.parametrize("same", [same_fingerprints, same_fingerprints_python])
@pytest.mark.parametrize("others", [(), (0,), (3,), (0, 2, 4), (1, 2, 3), (0, 1, 2, 3), (1, 2, 3, 4)])
def test_extents_are_told_from_others_at_their_places(unit: str, same: type, others: tuple[int, ...]) -> None:
    rng = random.Random(len(others))
    extents = [rng.randbytes(rng.randrange(1, 3000)) for _ in range(6)]
    leaves = b"".join(copy_leaf(digest_of(extent), len(extent)) for extent in extents)
    known = b"".join(fingerprint(extent, KEY) for extent in extents)
    for number in others:
        extents[number] = bytes(len(extents[number]))
    stream = b"".join(extents)
    found = bytes(number not in others for number in range(6))[: max(others) + 1 if len(others) == OTHERS else 6]
    assert same(leaves, known, KEY, stream) == found, unit
    assert same(leaves, known, KEY, stream[:-1]) == found[:5]
    assert same(leaves, known[: 2 * FINGERPRINT + 5], KEY, stream) == found[:2]
    assert same(leaves[:130], known, KEY, stream) == found[:2]
    assert same(b"", known, KEY, stream) == b""


def test_a_stream_that_is_cut_short_while_it_is_looked_at_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "file"
    data = random.Random(1).randbytes(64 * 4096)
    path.write_bytes(data)
    leaves = b"".join(copy_leaf(digest_of(data[at : at + 2000]), 2000) for at in range(0, 64_000, 2000))
    known = b"".join(fingerprint(data[at : at + 2000], KEY) for at in range(0, 64_000, 2000))
    with path.open("r+b") as file:
        shown = mmap.mmap(file.fileno(), len(data), prot=mmap.PROT_READ)
        assert same_fingerprints(leaves, known, KEY, data) == b"\1" * 32
        file.truncate(4096)
        found = same_fingerprints(leaves, known, KEY, memoryview(shown)) if native is not None else b""
        assert found.rstrip(b"\0") in (b"", b"\1\1")
