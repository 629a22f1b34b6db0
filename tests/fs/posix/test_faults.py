"""A disk that is full, a process that is killed, names that an older version wrote."""

from __future__ import annotations

import errno
import os
import random
import stat
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest

from packetfs.errors import PoolFull
from packetfs.fs import schema
from packetfs.fs.check import check
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.gc import collect_garbage
from packetfs.fs.posix.attributes import Changes
from packetfs.fs.posix.operations import Operations
from packetfs.fs.rebuild import forget_names, rebuild
from packetfs.fs.streams.ingest import ingest
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool
from packetfs.pool.storage import DiskStorage
from tests.fs.posix.rig import ME, MEAN, Rig, whole_root


class SmallDisk(DiskStorage):
    """A disk that takes so many more bytes."""

    room = 1 << 40

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        size = sum(map(len, buffers))
        if size > self.room:
            raise PoolFull(path="the disk")
        self.room -= size
        super().write(fd, buffers, offset)


@pytest.fixture
def disk(rig: Rig) -> SmallDisk:
    small = SmallDisk()
    rig.pool.storage = small  # type: ignore[misc]  # a pool keeps its storage; this one is exchanged under it
    rig.pool.arena._storage = small
    assert rig.pool.arena._tail is not None
    rig.pool.arena._tail._storage = small
    return small


@pytest.mark.parametrize("room", [0, 300_000, 700_000, 1_500_000])
@pytest.mark.parametrize("random_access", [False, True])
@pytest.mark.parametrize("piece", [100_000, 500_000])
def test_a_full_disk_is_said_and_loses_nothing_that_was_taken(
    rig: Rig, disk: SmallDisk, room: int, random_access: bool, piece: int
) -> None:
    source = random.Random(room)
    kept = rig.make(b"kept", source.randbytes(50_000))
    rig.ops.syncfs()
    attributes, handle = rig.ops.create(1, b"f", 0o644, os.O_RDWR, ME)
    wanted = bytearray()
    if random_access:
        rig.ops.write(handle, 4_000_000, b"end")
        rig.ops.fsync(handle)
        wanted += bytes(4_000_000) + b"end"
    disk.room = room
    failed = 0
    for number in range(40):
        data, at = source.randbytes(piece), number * piece
        try:
            rig.ops.write(handle, at, data)
        except OSError as error:
            failed = error.errno or -1
            break
        wanted[at : at + len(data)] = data
    if not failed:
        with pytest.raises(OSError, match="No space"):
            rig.ops.fsync(handle)
    assert failed in (0, errno.ENOSPC)
    assert rig.ops.getattr(attributes.ino).size == len(wanted)
    disk.room = 1 << 40
    rig.ops.release(handle)
    assert rig.root_of(attributes.ino) == whole_root(rig.pool, bytes(wanted))
    rig.reopen()
    assert rig.content(attributes.ino) == wanted
    assert len(rig.content(kept)) == 50_000
    assert not list(check(rig.fs))


def test_a_sync_of_the_root_says_that_the_disk_is_full(rig: Rig, disk: SmallDisk) -> None:
    _, handle = rig.ops.create(1, b"f", 0o644, os.O_RDWR, ME)
    rig.ops.write(handle, 0, b"x" * 100_000)
    rig.ops.release(handle)
    disk.room = 0
    root = rig.ops.opendir(1)
    with pytest.raises(OSError, match="No space"):
        rig.ops.fsyncdir(root)
    disk.room = 1 << 40
    rig.ops.fsyncdir(root)
    rig.reopen()
    assert not list(check(rig.fs))


def test_only_settled_content_is_named_after_a_kill(rig: Rig) -> None:
    ino = rig.make(b"f", b"old" * 10_000)
    rig.ops.syncfs()
    root = rig.root_of(ino)
    handle = rig.ops.open(ino, os.O_RDWR)
    rig.ops.write(handle, 100, b"new")
    rig.ops.setattr(ino, Changes(mode=0o600))
    other = rig.ops.opendir(rig.ops.mkdir(1, b"d", 0o755, ME).ino)
    rig.ops.fsyncdir(other)
    rig.kill()
    assert rig.root_of(ino) == root
    assert stat.S_IMODE(rig.ops.getattr(ino).mode) == 0o600
    assert rig.content(ino) == b"old" * 10_000
    handle = rig.ops.open(ino, os.O_RDWR)
    rig.ops.write(handle, 100, b"new")
    rig.ops.fsync(handle)
    rig.kill()
    assert rig.content(ino)[95:110] == b"doldonewldoldol"
    assert not list(check(rig.fs))
    assert not [name for name in os.listdir(rig.path) if name.startswith("scratch")]


def test_a_file_renamed_into_place_is_whole_after_a_kill(rig: Rig) -> None:
    rig.make(b"f", b"old")
    rig.ops.syncfs()
    new, handle = rig.ops.create(1, b"tmp", 0o644, os.O_RDWR, ME)
    rig.ops.write(handle, 0, b"new" * 1000)
    rig.ops.rename(1, b"tmp", 1, b"f", 0)
    rig.ops.fsyncdir(rig.ops.opendir(1))
    rig.kill()
    assert rig.content(rig.ops.lookup(1, b"f").ino) == b"new" * 1000
    assert new.ino == rig.ops.lookup(1, b"f").ino


def test_changes_are_committed_in_groups(rig: Rig) -> None:
    rig.make(b"a")
    assert rig.ops.idle(10.0) <= 1.0
    rig.kill()
    assert rig.names() == [b".", b".."], "a second has not passed"
    _, handle = rig.ops.create(1, b"a", 0o644, os.O_RDWR, ME)
    rig.ops.write(handle, 0, b"quiet")
    rig.ops.idle(10.0)
    rig.ops.idle(11.0)
    rig.ops.idle(12.0)
    rig.kill()
    assert rig.content(rig.ops.lookup(1, b"a").ino) == b"quiet"


def test_names_come_back_from_a_snapshot_with_links_and_holes(rig: Rig) -> None:
    ino = rig.make(b"f", b"x" * 100)
    rig.ops.setattr(ino, Changes(size=1 << 30))
    rig.ops.link(ino, 1, b"g")
    rig.ops.syncfs()
    rig.fs.snapshot(b"s")
    root = rig.fs.tree_root()
    rig.ops.close()
    rig.fs.close()
    rig.pool.close()
    with Pool.open(rig.path, writable=True) as pool:
        forget_names(pool)
        rebuild(FileSystem(pool))
    rig.pool = Pool.open(rig.path, writable=True)
    rig._open()
    found = rig.ops.lookup(1, b"g")
    assert (found.nlink, found.size, found.blocks) == (2, 1 << 30, 1)
    assert rig.fs.tree_root() == root


def test_names_of_version_1_are_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "p")
    with Pool.create(path, mean=MEAN) as pool:
        monkeypatch.setattr(schema, "VERSION", 1)
        monkeypatch.setattr(schema, "_LIVE", "")
        with FileSystem(pool) as fs:
            assert fs.names.version == 1
            root = ingest(pool, lambda _offset, _memory: 0).root
            values = (stat.S_IFREG | 0o644, 5, 6, 7, 0, root, b"", 0, 0, None, False, None, False)
            columns = "mode, uid, gid, mtime_ns, size, root, target, rdev, grp, xattrs, sparse, seen, dirty"
            marks = ", ".join("?" * len(values))
            fs.names.write(f"INSERT INTO inode({columns}) VALUES({marks})", values)
            fs.names.link(1, b"old", 2)
            fs.tree_root()
            fs.commit()
        monkeypatch.undo()
    with Pool.open(path) as pool, FileSystem(pool) as fs:
        assert fs.names.version == 1, "a reader changes nothing"
        assert Operations(fs).lookup(1, b"old").ctime_ns == 7
        assert fs.entry(b"old") == Entry(b"old", stat.S_IFREG | 0o644, 5, 6, 7, 0, root)
    with Pool.open(path, writable=True) as pool, FileSystem(pool) as fs:
        assert fs.names.version == schema.VERSION == 2
        ops = Operations(fs)
        found = ops.lookup(1, b"old")
        assert (found.mtime_ns, found.ctime_ns, found.atime_ns, found.blocks) == (7, 7, 7, 0)
        ops.setattr(found.ino, Changes(mode=0o600))
        ops.close()
    with Pool.open(path) as pool, FileSystem(pool) as fs:
        assert (fs.names.version, stat.S_IMODE(Operations(fs).lookup(1, b"old").mode)) == (2, 0o600)


def test_names_that_found_no_room_are_lost_whole(rig: Rig) -> None:
    """SQLite gives up the transaction: what was committed is there, and nothing is taken any more."""
    for number in range(50):
        rig.make(b"before%d" % number)
    rig.ops.syncfs()
    before = rig.names()
    database = rig.fs.names._database
    database.pragma("max_page_count", database.pragma("page_count") + 2)
    names = (b"%05d" % number + b"x" * 200 for number in range(2000))
    with pytest.raises(OSError, match="No space"):
        deque(map(rig.make, names), 0)
    with pytest.raises(OSError, match="Read-only"):
        rig.make(b"more")
    assert rig.names() == before
    rig.reopen()
    rig.make(b"after")
    assert rig.names() == sorted([*before, b"after"])
    assert rig.fs.names.rows("SELECT count(*) FROM inode WHERE ino NOT IN (SELECT ino FROM entry)") == [(1,)]
    assert rig.fs.tree_root()
    assert not list(check(rig.fs))


def test_a_disk_is_refused_before_it_is_full(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes, handle = rig.ops.create(1, b"f", 0o644, os.O_RDWR, ME)
    found = list(os.statvfs(rig.path))
    found[4] = (20 << 20) // found[1]
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(found))
    writes = (rig.ops.write(handle, number << 20, bytes(1 << 20)) for number in range(100))
    with pytest.raises(OSError, match="No space"):
        deque(writes, 0)
    with pytest.raises(OSError, match="No space"):
        deque(map(rig.make, (b"%d" % number for number in range(100_000))), 0)
    rig.ops.release(handle)
    rig.ops.unlink(1, b"f")
    rig.ops.setattr(attributes.ino, Changes(size=0))


def test_gc_and_check_know_what_a_killed_mount_left(rig: Rig) -> None:
    ino = rig.make(b"f", random.Random(1).randbytes(100_000))
    rig.ops.open(ino, os.O_RDWR)
    rig.ops.unlink(1, b"f")
    rig.ops.syncfs()
    rig.fs.rollback()
    rig.ops._programs.forget()
    rig.pool.close()
    with Pool.open(rig.path, writable=True) as pool, FileSystem(pool) as fs:
        assert not list(check(fs))
        collect_garbage(fs)
        assert pool.content_bytes >= 100_000, "whoever mounts next decides"
        Operations(fs).close()
        collect_garbage(fs)
        assert pool.content_bytes == 0
        assert fs.names.rows("SELECT ino FROM inode") == [(1,)]
    rig.pool = Pool.open(rig.path, writable=True)
    rig._open()
