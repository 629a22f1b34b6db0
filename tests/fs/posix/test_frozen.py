"""A snapshot as a filesystem that does not change."""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packetfs.errors import SnapshotMounted
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.posix.attributes import Caller, Changes
from packetfs.fs.posix.frozen import FrozenOperations
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool

CONTENT = random.Random(7).randbytes(300_000) + bytes(1_000_000) + b"end"
COUNT = 3000


def _content(offset: int, out: memoryview) -> int:
    part = CONTENT[offset : offset + len(out)]
    out[: len(part)] = part
    return len(part)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrozenOperations]:
    path: Path = tmp_path_factory.mktemp("frozen") / "pool"
    with Pool.create(os.fspath(path), durable=False) as pool, FileSystem(pool) as fs:
        fs.put_file(b"file", _content, Entry(b"file", 0o100640, 1, 2, 3, sparse=True))
        fs.link(b"file", b"linked", 77)
        fs.set(b"many", Entry(b"many", 0o40755))
        root = fs.entry(b"file")
        assert root is not None
        for number in range(COUNT):
            name = b"%04d" % number
            fs.set(b"many/" + name, Entry(name, 0o100600, root=root.root, size=root.size))
        fs.set(b"link", Entry(b"link", stat.S_IFLNK | 0o777, target=b"many/0001"))
        fs.snapshot(b"then")
        fs.remove(b"many")
        operations = FrozenOperations(fs, b"then")
        yield operations
        operations.close()


def test_files_are_read_where_they_lie(frozen: FrozenOperations) -> None:
    found = frozen.lookup(1, b"file")
    assert (found.size, found.uid, found.gid, found.mtime_ns, found.nlink) == (len(CONTENT), 1, 2, 3, 2)
    assert found.blocks * 512 < 400_000
    handle = frozen.open(found.ino, os.O_RDONLY)
    assert b"".join(frozen.read(handle, 1000, 5000)) == CONTENT[1000:6000]
    assert b"".join(frozen.read(handle, len(CONTENT) - 3, 100)) == b"end"
    assert frozen.read(handle, len(CONTENT), 100) == []
    assert frozen.lseek(handle, 310_000, os.SEEK_DATA) > 1_000_000
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
        frozen.lseek(handle, len(CONTENT), os.SEEK_DATA)
    frozen.release(handle)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        frozen.read(handle, 0, 1)


def test_what_is_shown_cannot_be_dropped(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "pool")
    with Pool.create(path, durable=False) as pool, FileSystem(pool) as fs:
        for name in (b"then", b"other"):
            fs.set(name, Entry(name, 0o100640))
            fs.snapshot(name)
        with Pool.open(path) as first, Pool.open(path) as second, FileSystem(first) as shown, FileSystem(second) as too:
            operations = [FrozenOperations(each, b"then") for each in (shown, too)]
            fs.drop_snapshot(b"other")
            with pytest.raises(SnapshotMounted):
                fs.drop_snapshot(b"then")
            operations[0].close()
            first.close()
            with pytest.raises(SnapshotMounted):
                fs.drop_snapshot(b"then")
            assert [each.name for each in fs.snapshots()] == [b"then"]
            operations[1].close()
        fs.drop_snapshot(b"then")
        assert fs.snapshots() == []


def test_names_of_one_file_have_one_number_that_stays(frozen: FrozenOperations) -> None:
    first = frozen.lookup(1, b"file").ino
    assert frozen.lookup(1, b"linked").ino == first
    frozen.forget(first, 1 << 30)
    with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
        frozen.getattr(first)
    assert frozen.lookup(1, b"file").ino == first


def test_a_listing_goes_on_from_any_cookie(frozen: FrozenOperations) -> None:
    ino = frozen.lookup(1, b"many").ino
    handle = frozen.opendir(ino)
    everything = [(cookie, name) for cookie, name, _ in frozen.readdir(handle, 0)]
    assert [name for _, name in everything] == [b".", b"..", *(b"%04d" % number for number in range(COUNT))]
    for start in (0, 1, 2, 3, 500, 499, COUNT):
        following = next(frozen.readdir(handle, everything[start][0]), None)
        assert following is None or following[:2] == everything[start + 1]
    assert next(frozen.readdir(handle, everything[-1][0]), None) is None
    pieces, cookie = [], 0
    while piece := [entry for entry, _ in zip(frozen.readdir(handle, cookie), range(70), strict=False)]:
        pieces += [name for _, name, _ in piece]
        cookie = piece[-1][0]
    assert pieces == [name for _, name in everything]


def test_nothing_can_be_changed(frozen: FrozenOperations) -> None:
    ino = frozen.lookup(1, b"file").ino
    caller = Caller(0, 0)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: frozen.setattr(ino, Changes(size=0)),
        lambda: frozen.open(ino, os.O_RDWR),
        lambda: frozen.mkdir(1, b"new", 0o755, caller),
        lambda: frozen.unlink(1, b"file"),
        lambda: frozen.rename(1, b"file", 1, b"other"),
        lambda: frozen.setxattr(ino, b"user.x", b""),
    )
    for attempt in attempts:
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            attempt()
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        frozen.lookup(1, b"none")
    assert frozen.readlink(frozen.lookup(1, b"link").ino) == b"many/0001"
