"""Bytes under every mixture of writes, holes and truncations: what is read, and the program that they settle into."""

from __future__ import annotations

import errno
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.fs.posix.files import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE
from tests.fs.posix.rig import ME, MEAN, Rig, whole_root

SIZE = 40 * MEAN
_OFFSETS = st.one_of(st.integers(0, SIZE), st.integers(0, 40).map(lambda n: n * MEAN))
_LENGTHS = st.one_of(st.integers(1, 200), st.integers(1, 3 * MEAN))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), _OFFSETS, _LENGTHS),
        st.tuples(st.just("zeros"), _OFFSETS, _LENGTHS),
        st.tuples(st.just("append"), _LENGTHS, st.just(0)),
        st.tuples(st.just("truncate"), _OFFSETS, st.just(0)),
        st.tuples(st.just("punch"), _OFFSETS, _LENGTHS),
        st.tuples(st.just("zero_range"), _OFFSETS, _LENGTHS),
        st.tuples(st.just("extend"), _OFFSETS, _LENGTHS),
        st.tuples(st.just("copy"), _OFFSETS, _LENGTHS),
        st.tuples(st.just("settle"), st.just(0), st.just(0)),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Rig(str(tmp_path_factory.mktemp("pool") / "p"))
    yield made
    made.close()


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


class Model:
    """A file as a bytearray."""

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = bytearray(data)

    def write(self, offset: int, data: bytes) -> None:
        self.truncate(max(len(self.data), offset))
        self.data[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        del self.data[size:]
        self.data += bytes(size - len(self.data))

    def clear(self, offset: int, length: int) -> None:
        stop = min(offset + length, len(self.data))
        if offset < stop:
            self.data[offset:stop] = bytes(stop - offset)


def apply(rig: Rig, handle: int, model: Model, number: int, step: tuple[str, int, int]) -> None:
    """Do one step to the file and to its model."""
    kind, at, length = step
    ino = None
    if kind in ("write", "zeros"):
        data = noise(number, length) if kind == "write" else bytes(length)
        rig.ops.write(handle, at, data)
        model.write(at, data)
    elif kind == "append":
        data = noise(number, at)
        rig.ops.write(handle, len(model.data), data)
        model.write(len(model.data), data)
    elif kind == "truncate":
        ino = rig.ops.lookup(1, b"f").ino
        from packetfs.fs.posix.attributes import Changes

        assert rig.ops.setattr(ino, Changes(size=at)).size == at
        model.truncate(at)
    elif kind == "punch":
        rig.ops.fallocate(handle, PUNCH_HOLE | KEEP_SIZE, at, length)
        model.clear(at, length)
    elif kind == "zero_range":
        rig.ops.fallocate(handle, ZERO_RANGE, at, length)
        model.truncate(max(len(model.data), at + length))
        model.clear(at, length)
    elif kind == "extend":
        rig.ops.fallocate(handle, 0, at, length)
        model.truncate(max(len(model.data), at + length))
    elif kind == "copy":
        copied = bytes(model.data[:length])
        target = at + length
        assert rig.ops.copy_file_range(handle, 0, handle, target, length) == len(copied)
        if copied:
            model.write(target, copied)
    else:
        rig.ops.fsync(handle)


@settings(max_examples=150)
@given(size=st.integers(0, SIZE), sparse=st.booleans(), steps=_STEPS, look=st.booleans())
def test_any_changes_settle_to_the_program_of_the_bytes(
    shared: Rig, size: int, sparse: bool, steps: list[tuple[str, int, int]], look: bool
) -> None:
    data = bytearray(noise(size, size))
    if sparse:
        data[size // 4 : size // 2] = bytes(size // 2 - size // 4)
    ino = shared.make(b"f", bytes(data))
    model = Model(data)
    try:
        with shared.opened(ino) as handle:
            for number, step in enumerate(steps):
                apply(shared, handle, model, number, step)
                if look:
                    assert shared.read(handle) == model.data
                assert shared.ops.getattr(ino).size == len(model.data)
        assert shared.root_of(ino) == whole_root(shared.pool, bytes(model.data))
        assert shared.content(ino) == model.data
    finally:
        shared.ops.unlink(1, b"f")
        shared.ops.forget(ino, 1 << 20)


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(1, 3 << 20), min_size=1, max_size=3), pieces=st.integers(1000, 1 << 21))
def test_a_stream_in_pieces_is_the_whole(shared: Rig, sizes: list[int], pieces: int) -> None:
    data = b"".join(noise(n, size) if n % 2 == 0 else bytes(size) for n, size in enumerate(sizes))
    attributes, handle = shared.ops.create(1, b"s", 0o644, os.O_RDWR, ME)
    for at in range(0, len(data), pieces):
        shared.ops.write(handle, at, data[at : at + pieces])
    shared.ops.release(handle)
    assert shared.root_of(attributes.ino) == whole_root(shared.pool, data)
    shared.ops.unlink(1, b"s")
    shared.ops.forget(attributes.ino, 1)


def test_holes_cost_nothing_however_long(rig: Rig) -> None:
    ino = rig.make(b"h")
    with rig.opened(ino) as handle:
        rig.ops.write(handle, 1 << 50, b"end")
        rig.ops.write(handle, 1 << 40, noise(1, 10 * MEAN))
        rig.ops.fsync(handle)
        found = rig.ops.getattr(ino)
        assert found.size == (1 << 50) + 3
        assert found.blocks * 512 <= 16 * MEAN
        rig.ops.fallocate(handle, PUNCH_HOLE | KEEP_SIZE, 1 << 40, 1 << 49)
        rig.ops.fsync(handle)
        assert rig.ops.getattr(ino).blocks == 1
        assert rig.ops.lseek(handle, 5, os.SEEK_DATA) >= (1 << 50) - MEAN
        assert rig.ops.lseek(handle, 5, os.SEEK_HOLE) == 5
        assert rig.read(handle, (1 << 50) - 2, 10) == b"\0\0end"
        with pytest.raises(OSError, match="No such device"):
            rig.ops.lseek(handle, (1 << 50) + 3, os.SEEK_DATA)
        with pytest.raises(OSError, match="too large"):
            rig.ops.write(handle, (1 << 63) - 2, b"xx")


def test_a_small_change_reads_little_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from packetfs.fs.posix import overlay

    rig = Rig(str(tmp_path / "p"))
    data = noise(3, 1000 * MEAN)
    ino = rig.make(b"big", data)
    read = 0
    original = overlay.Overlay._read_into

    def count(self: overlay.Overlay, offset: int, out: memoryview) -> int:
        nonlocal read
        done = original(self, offset, out)
        read += done
        return done

    monkeypatch.setattr(overlay.Overlay, "_read_into", count)
    before = rig.pool.content_bytes
    with rig.opened(ino) as handle:
        rig.ops.write(handle, 500 * MEAN, b"changed")
        rig.ops.write(handle, 0, b"changed")
    assert rig.pool.content_bytes - before <= 4 * MEAN
    assert read <= 4 << 20, "two windows, not the file"
    changed = bytearray(data)
    changed[500 * MEAN : 500 * MEAN + 7] = changed[:7] = b"changed"
    assert rig.root_of(ino) == whole_root(rig.pool, bytes(changed))
    rig.close()


def test_a_copy_of_a_whole_file_adds_nothing(rig: Rig) -> None:
    data = noise(4, 100 * MEAN)
    ino = rig.make(b"one", data)
    copy = rig.make(b"two")
    before = rig.pool.content_bytes
    with rig.opened(ino) as handle, rig.opened(copy) as other:
        assert rig.ops.copy_file_range(handle, 0, other, 0, 1 << 31) == len(data)
    assert rig.content(copy) == data
    assert rig.pool.content_bytes == before


def test_settled_content_is_a_view(rig: Rig) -> None:
    ino = rig.make(b"v", noise(5, 20 * MEAN))
    with rig.opened(ino) as handle:
        parts = rig.ops.read(handle, 5 * MEAN, MEAN)
        assert not callable(parts)
        assert all(isinstance(part, memoryview) and part.readonly for part in parts)


def test_what_lies_on_the_disk_alone_is_read_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(6, 20 * MEAN)
    ino = rig.make(b"v", data)
    rig.pool.flush()
    with rig.opened(ino) as handle:
        monkeypatch.setattr(rig.pool.arena, "peek", lambda _position, _length: None)
        found = rig.ops.read(handle, 5 * MEAN, 3 * MEAN)
        assert callable(found)
        with ThreadPoolExecutor() as others:
            assert b"".join(others.submit(found).result()) == data[5 * MEAN : 8 * MEAN]


def test_what_was_shown_and_is_on_the_disk_alone_again_is_read_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(8, 20 * MEAN)
    ino = rig.make(b"v", data)
    rig.pool.flush()
    with rig.opened(ino) as handle:
        assert rig.read(handle) == data
        rig.ops.idle(0)
        assert not callable(rig.ops.read(handle, 5 * MEAN, 3 * MEAN))
        rig.ops.idle(0)
        monkeypatch.setattr(rig.pool.arena, "is_near", lambda _position: False)
        monkeypatch.setattr(rig.pool.arena, "peek", lambda _position, _length: None)
        found = rig.ops.read(handle, 5 * MEAN, 3 * MEAN)
        assert callable(found)
        assert b"".join(found()) == data[5 * MEAN : 8 * MEAN]


def test_damage_that_is_met_later_is_an_error_of_the_system(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ino = rig.make(b"v", noise(7, 20 * MEAN))
    rig.pool.flush()
    with rig.opened(ino) as handle:
        monkeypatch.setattr(rig.pool.arena, "peek", lambda _position, _length: None)
        found = rig.ops.read(handle, 0, MEAN)
        assert callable(found)
        segment = Path(rig.pool.path) / "arena" / "00000000"
        with segment.open("r+b") as file:
            file.seek(5000)
            file.write(bytes(40 * MEAN))
        with pytest.raises(OSError, match="extent") as caught:
            found()
        assert caught.value.errno == errno.EIO


@settings(max_examples=25)
@given(
    size=st.integers(3 << 20, 6 << 20),
    edits=st.lists(st.tuples(st.integers(0, 6 << 20), st.integers(1, 3 * MEAN), st.booleans()), min_size=1, max_size=4),
    hole=st.integers(0, 6 << 20),
)
def test_whole_nodes_are_taken_over_where_nothing_changed(
    shared: Rig, size: int, edits: list[tuple[int, int, bool]], hole: int
) -> None:
    data = bytearray(noise(size, size))
    data[hole : hole + 5 * MEAN] = bytes(len(data[hole : hole + 5 * MEAN]))
    ino = shared.make(b"n", bytes(data))
    model = Model(data)
    with shared.opened(ino) as handle:
        for number, (at, length, punch) in enumerate(edits):
            apply(shared, handle, model, number, ("punch" if punch else "write", at, length))
    assert shared.root_of(ino) == whole_root(shared.pool, bytes(model.data))
    assert shared.fs.names.row("SELECT holes FROM inode WHERE ino=?", (ino,))[0] >= 0
    shared.ops.unlink(1, b"n")
    shared.ops.forget(ino, 1)
