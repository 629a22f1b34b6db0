"""Files that are written again: what is recognised is cut exactly as all else, and only what is there is believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.fs.leaves import Leaves
from packetfs.fs.posix import stream
from packetfs.packet.digest import Digest
from packetfs.packet.layout import HEADER, Op
from packetfs.pool.following import Following
from packetfs.pool.gc import evict
from tests.fs.posix.rig import ME, MEAN, Rig, whole_root
from tests.fs.posix.test_content import noise

PIECE = 1 << 20
_PARTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60 * MEAN), st.integers(1, 50 * MEAN)), max_size=8)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Rig(str(tmp_path_factory.mktemp("pool") / "p"))
    yield made
    made.close()


@pytest.fixture
def recognised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the chunks that were not cut."""
    lengths: list[int] = []
    original = Following.recognise

    def count(self: Following, data: memoryview) -> list[tuple[int, Digest]]:
        found = original(self, data)
        lengths.extend(length for length, _ in found)
        return found

    monkeypatch.setattr(Following, "recognise", count)
    return lengths


def write(rig: Rig, name: bytes, data: bytes, piece: int = PIECE) -> int:
    attributes, handle = rig.ops.create(1, name, 0o644, os.O_WRONLY, ME)
    for at in range(0, len(data), piece):
        rig.ops.write(handle, at, data[at : at + piece])
    rig.ops.release(handle)
    return attributes.ino


@pytest.mark.parametrize("piece", [100_000, 300_000, PIECE])
def test_what_is_written_again_is_compared_and_not_cut(rig: Rig, recognised: list[int], piece: int) -> None:
    data = noise(1, 8 << 20)
    first = write(rig, b"a", data)
    assert not recognised
    before = rig.pool.content_bytes
    second = write(rig, b"b", data, piece)
    assert sum(recognised) > len(data) * 0.7
    assert rig.pool.content_bytes == before
    assert rig.root_of(first) == rig.root_of(second) == whole_root(rig.pool, data)
    assert rig.content(second) == data


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 30), parts=_PARTS, piece=st.sampled_from([70_000, 300_000, PIECE]), held=st.booleans())
def test_any_mixture_of_what_is_known_becomes_its_program(
    shared: Rig, seed: int, parts: list[tuple[int, int, int]], piece: int, held: bool
) -> None:
    """Two files that were written in turns, so that one's chunks lie behind the other's, and parts of them anywhere."""
    sources = [noise(seed, 100 * MEAN), noise(seed + 1, 40 * MEAN) + bytes(4 * MEAN) + noise(seed + 2, 40 * MEAN)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "HELD", 8 * MEAN if held else stream.HELD)
        handles = [shared.ops.create(1, name, 0o644, os.O_WRONLY, ME) for name in (b"x", b"y")]
        for at in range(0, 100 * MEAN, 30 * MEAN):
            for (_, handle), source in zip(handles, sources, strict=True):
                shared.ops.write(handle, at, source[at : at + 30 * MEAN])
        data = b"".join(
            bytes(length) if kind == 3 else noise(at, length) if kind == 2 else sources[kind][at : at + length]
            for kind, at, length in parts
        )
        inos = [attributes.ino for attributes, _ in handles]
        for _, handle in handles:
            shared.ops.release(handle)
        for name, wanted in (b"z", data), (b"t", data[len(data) // 3 :] + data), (b"u", data):
            inos.append(write(shared, name, wanted, piece))
            assert shared.root_of(inos[-1]) == whole_root(shared.pool, wanted)
            assert shared.content(inos[-1]) == wanted
    for name, ino in zip((b"x", b"y", b"z", b"t", b"u"), inos, strict=True):
        shared.ops.unlink(1, name)
        shared.ops.forget(ino, 1)


def test_what_is_no_longer_held_is_stored_again(rig: Rig) -> None:
    data = noise(2, 4 << 20)
    write(rig, b"a", data)
    write(rig, b"warm", data)
    root = whole_root(rig.pool, data)
    chunks = [Digest(leaf[HEADER : HEADER + 32]) for _, leaf in Leaves(rig.pool).between(root, 0, len(data))]
    for digest in chunks[1::50]:
        evict(rig.pool, digest)
        assert not rig.pool.holds(digest)
    again = write(rig, b"b", data)
    assert rig.content(again) == data
    assert rig.root_of(again) == root


def test_damage_behind_a_chunk_is_not_taken_for_what_is_written(rig: Rig) -> None:
    data = noise(3, 4 << 20)
    write(rig, b"a", data)
    rig.pool.flush()
    extents = [extent for extent in rig.pool.scan() if extent.length > 1000]
    for extent in extents[100::40]:
        path = Path(rig.path, "arena", "00000000")
        with path.open("r+b") as file:
            file.seek(extent.payload + 5)
            byte = file.read(1)[0]
            file.seek(extent.payload + 5)
            file.write(bytes([byte ^ 1]))
    again = write(rig, b"b", data)
    assert rig.content(again) == data
    assert rig.root_of(again) == whole_root(rig.pool, data)


def test_small_writes_and_runs_are_recognised_around(rig: Rig, recognised: list[int]) -> None:
    data = noise(4, 2 << 20) + bytes(100_000) + noise(5, 2 << 20) + b"end"
    ino = write(rig, b"a", data)
    again = write(rig, b"b", data)
    assert sum(recognised) > 2 << 20
    assert rig.root_of(ino) == rig.root_of(again) == whole_root(rig.pool, data)
    leaves = [leaf[0] for _, leaf in Leaves(rig.pool).between(rig.root_of(again), 0, len(data))]
    assert leaves.count(Op.FILL) == 1
