"""Names, counts and times as POSIX has them, and who goes when."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from packetfs.fs.gc import collect_garbage
from packetfs.fs.posix.attributes import NOW, Attributes, Caller, Changes
from packetfs.fs.posix.operations import Operations
from packetfs.fs.posix.tree import EXCHANGE, NOREPLACE
from packetfs.packet.entry import TIME_MAX
from tests.fs.posix.rig import ME, Rig, joined


@contextmanager
def refused(number: int) -> Iterator[None]:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is what tells
        yield
    assert caught.value.errno == number, f"{caught.value} instead of {errno.errorcode[number]}"


def directory(rig: Rig, name: bytes, parent: int = 1) -> int:
    return rig.ops.mkdir(parent, name, 0o755, ME).ino


def times(rig: Rig, ino: int) -> tuple[int, int]:
    found = rig.ops.getattr(ino)
    return found.mtime_ns, found.ctime_ns


@pytest.mark.parametrize("wanted", [-1, 0, -(10**27), 10**27, 1 << 63])
def test_any_time_can_be_set_and_kept(rig: Rig, wanted: int) -> None:
    """Those that a program may name are more than a pool can hold; what was written beside them must not be lost."""
    ino = rig.make(b"f", b"content")
    rig.ops.setattr(ino, Changes(atime_ns=wanted, mtime_ns=wanted))
    kept = max(-TIME_MAX, min(wanted, TIME_MAX))
    assert rig.ops.getattr(ino).mtime_ns == kept
    rig.ops.syncfs()
    rig.kill()
    found = rig.ops.lookup(1, b"f")
    assert (found.atime_ns, found.mtime_ns) == (kept, kept)
    assert rig.content(found.ino) == b"content"


class At(NamedTuple):
    """Where a refused operation is tried: a directory `d` with something in it, a file `f`, an empty directory `e`."""

    ops: Operations
    top: int
    file: int


@pytest.mark.parametrize(
    ("number", "act"),
    [
        (errno.ENOENT, lambda at: at.ops.lookup(1, b"none")),
        (errno.ENAMETOOLONG, lambda at: at.ops.lookup(1, b"x" * 256)),
        (errno.ENOTDIR, lambda at: at.ops.lookup(at.file, b"x")),
        (errno.EEXIST, lambda at: at.ops.mkdir(1, b"f", 0o755, ME)),
        (errno.EEXIST, lambda at: at.ops.create(1, b"f", 0o644, os.O_EXCL, ME)),
        (errno.ENAMETOOLONG, lambda at: at.ops.mkdir(1, b"x" * 256, 0o755, ME)),
        (errno.ENAMETOOLONG, lambda at: at.ops.symlink(1, b"s", b"x" * 4096, ME)),
        (errno.EISDIR, lambda at: at.ops.unlink(1, b"d")),
        (errno.ENOTDIR, lambda at: at.ops.rmdir(1, b"f")),
        (errno.ENOTEMPTY, lambda at: at.ops.rmdir(1, b"d")),
        (errno.EPERM, lambda at: at.ops.link(at.top, 1, b"e")),
        (errno.EEXIST, lambda at: at.ops.link(at.file, 1, b"d")),
        (errno.EINVAL, lambda at: at.ops.rename(1, b"d", at.top, b"x", 0)),
        (errno.EINVAL, lambda at: at.ops.rename(1, b"d", at.ops.lookup(at.top, b"in").ino, b"x", 0)),
        (errno.EISDIR, lambda at: at.ops.rename(1, b"f", 1, b"d", 0)),
        (errno.ENOTDIR, lambda at: at.ops.rename(1, b"d", 1, b"f", 0)),
        (errno.ENOTEMPTY, lambda at: at.ops.rename(1, b"e", 1, b"d", 0)),
        (errno.EEXIST, lambda at: at.ops.rename(1, b"f", 1, b"d", NOREPLACE)),
        (errno.ENOENT, lambda at: at.ops.rename(1, b"f", 1, b"none", EXCHANGE)),
        (errno.EINVAL, lambda at: at.ops.rename(1, b"d", at.top, b"in", EXCHANGE)),
        (errno.EINVAL, lambda at: at.ops.rename(1, b"f", 1, b"g", 8)),
        (errno.EINVAL, lambda at: at.ops.readlink(at.file)),
        (errno.EISDIR, lambda at: at.ops.open(at.top, os.O_RDWR)),
        (errno.EISDIR, lambda at: at.ops.setattr(at.top, Changes(size=0))),
        (errno.EBADF, lambda at: at.ops.read(77, 0, 1)),
        (errno.ENODATA, lambda at: at.ops.getxattr(at.file, b"user.x")),
        (errno.ESTALE, lambda at: at.ops.getattr(12345)),
    ],
)
def test_what_cannot_be_is_refused_by_its_number(rig: Rig, number: int, act: Callable[[At], object]) -> None:
    file = rig.make(b"f")
    top = directory(rig, b"d")
    directory(rig, b"in", top)
    directory(rig, b"e")
    with refused(number):
        act(At(rig.ops, top, file))
    assert rig.names() == [b".", b"..", b"d", b"e", b"f"]


def test_directories_count_their_subdirectories(rig: Rig) -> None:
    top = directory(rig, b"d")
    for name in (b"x", b"y"):
        directory(rig, name, top)
    rig.make(b"f", parent=top)
    assert (rig.ops.getattr(top).nlink, rig.ops.getattr(1).nlink) == (4, 3)
    rig.ops.rename(top, b"x", 1, b"x", 0)
    rig.ops.rmdir(top, b"y")
    assert (rig.ops.getattr(top).nlink, rig.ops.getattr(1).nlink) == (2, 4)
    rig.reopen()
    assert (rig.ops.getattr(top).nlink, rig.ops.getattr(1).nlink) == (2, 4)


def test_every_change_moves_the_times_that_it_should(rig: Rig) -> None:
    file, top = rig.make(b"f"), directory(rig, b"d")

    def moved(act: Callable[[], object], *inos: int) -> list[tuple[bool, bool]]:
        before = [times(rig, ino) for ino in inos]
        act()
        after = [times(rig, ino) for ino in inos]
        return [(new[0] > old[0], new[1] > old[1]) for old, new in zip(before, after, strict=True)]

    both, change, none = (True, True), (False, True), (False, False)
    assert moved(lambda: rig.ops.link(file, top, b"l"), file, top, 1) == [change, both, none]
    assert moved(lambda: rig.ops.rename(1, b"f", top, b"g", 0), file, top, 1) == [change, both, both]
    assert moved(lambda: rig.ops.unlink(top, b"l"), file, top, 1) == [change, both, none]
    assert moved(lambda: rig.ops.setattr(file, Changes(mode=0o600)), file, top) == [change, none]
    assert moved(lambda: rig.ops.setattr(file, Changes(uid=5)), file) == [change]
    assert moved(lambda: rig.ops.setattr(file, Changes(size=9)), file) == [both]
    assert moved(lambda: rig.ops.setattr(file, Changes(atime_ns=7)), file) == [change]
    assert moved(lambda: rig.ops.setxattr(file, b"user.a", b"1"), file) == [change]
    assert moved(lambda: rig.ops.removexattr(file, b"user.a"), file) == [change]
    assert moved(lambda: directory(rig, b"n", top), top, 1) == [both, none]
    assert moved(lambda: rig.ops.rmdir(top, b"n"), top, 1) == [both, none]
    with rig.opened(file, os.O_RDWR | os.O_APPEND) as handle:
        assert moved(lambda: rig.ops.write(handle, 0, b"x"), file) == [both]
    assert moved(lambda: rig.ops.release(rig.ops.open(file, os.O_RDWR | os.O_TRUNC)), file) == [both]
    rig.ops.setattr(file, Changes(atime_ns=-5_000_000_000, mtime_ns=-7))
    kept = rig.ops.getattr(file)
    assert (kept.atime_ns, kept.mtime_ns) == (-5_000_000_000, -7)
    rig.reopen()
    assert rig.ops.getattr(file) == kept, "all of it is stored"
    assert rig.ops.setattr(file, Changes(mtime_ns=NOW)).mtime_ns == rig.clock.now


def test_owners_and_modes(rig: Rig) -> None:
    top = rig.ops.mkdir(1, b"d", 0o2775, Caller(1, 2)).ino
    rig.ops.setattr(top, Changes(gid=50))
    found, handle = rig.ops.create(top, b"f", 0o6777, os.O_RDWR, Caller(7, 8, 0o022))
    assert (found.uid, found.gid, found.mode) == (7, 50, stat.S_IFREG | 0o6755)
    below = rig.ops.mkdir(top, b"e", 0o777, Caller(7, 8, 0o022))
    assert (below.gid, below.mode) == (50, stat.S_IFDIR | 0o2755)
    rig.ops.write(handle, 0, b"x")
    assert rig.ops.getattr(found.ino).mode & 0o7777 == 0o6755, "the kernel says when they are to go"
    assert rig.ops.setattr(found.ino, Changes(uid=9)).mode & 0o7777 == 0o755
    assert rig.ops.setattr(top, Changes(uid=9)).mode & 0o7777 == 0o2775
    device = rig.ops.mknod(1, b"null", stat.S_IFCHR | 0o666, os.makedev(1, 3), ME)
    assert (device.rdev, device.mode) == (os.makedev(1, 3), stat.S_IFCHR | 0o666)
    rig.ops.release(handle)


def test_an_unlinked_file_lives_as_long_as_it_is_used(rig: Rig) -> None:
    ino = rig.make(b"f", b"content" * 1000)
    handle = rig.ops.open(ino, os.O_RDWR)
    rig.ops.unlink(1, b"f")
    rig.ops.syncfs()
    assert collect_garbage(rig.fs) >= 0
    rig.ops.write(handle, 0, b"CONTENT")
    assert rig.read(handle, 0, 14) == b"CONTENTcontent"
    assert rig.ops.getattr(ino).nlink == 0
    rig.ops.forget(ino, 1)
    rig.ops.release(handle)
    with refused(errno.ESTALE):
        rig.ops.getattr(ino)


@pytest.mark.parametrize("committed", [False, True])
def test_orphans_go_when_the_pool_is_opened_again(rig: Rig, committed: bool) -> None:
    ino = rig.make(b"f", b"content" * 1000)
    rig.ops.syncfs()
    rig.ops.open(ino, os.O_RDWR)
    rig.ops.unlink(1, b"f")
    tmp, _ = rig.ops.tmpfile(1, 0o600, os.O_RDWR, ME)
    if committed:
        rig.ops.syncfs()
    rig.kill()
    assert [row[0] for row in rig.fs.names.rows("SELECT ino FROM orphan")] == []
    assert rig.names() == [b".", b"..", *([] if committed else [b"f"])]
    assert (ino,) not in rig.fs.names.rows("SELECT ino FROM inode") or not committed
    assert (tmp.ino,) not in rig.fs.names.rows("SELECT ino FROM inode")


def test_a_file_without_a_name_can_be_given_one(rig: Rig) -> None:
    found, handle = rig.ops.tmpfile(1, 0o600, os.O_RDWR, ME)
    assert found.nlink == 0
    rig.ops.write(handle, 0, b"tmp")
    rig.ops.link(found.ino, 1, b"named")
    rig.ops.release(handle)
    rig.reopen()
    assert rig.content(rig.ops.lookup(1, b"named").ino) == b"tmp"
    other, handle = rig.ops.tmpfile(1, 0o600, os.O_RDWR | os.O_EXCL, ME)
    with refused(errno.ENOENT):
        rig.ops.link(other.ino, 1, b"never")
    rig.ops.release(handle)


def test_links_are_one_inode_also_in_snapshots(rig: Rig) -> None:
    ino = rig.make(b"a", b"x" * 100)
    rig.ops.link(ino, 1, b"b")
    assert rig.ops.lookup(1, b"b").nlink == 2
    rig.ops.syncfs()
    rig.fs.snapshot(b"s")
    one, two = rig.fs.resolve(b"s", b"a"), rig.fs.resolve(b"s", b"b")
    assert one.group == two.group != 0
    with rig.opened(ino) as handle:
        rig.ops.write(handle, 0, b"y")
    rig.ops.syncfs()
    assert rig.fs.read(b"b")[:2] == b"yx"
    assert rig.fs.tree_root() != one.root


def test_a_rename_over_an_open_file_leaves_it_to_who_has_it(rig: Rig) -> None:
    old, new = rig.make(b"old", b"old"), rig.make(b"new", b"new")
    handle = rig.ops.open(old, os.O_RDONLY)
    rig.ops.rename(1, b"new", 1, b"old", 0)
    assert rig.read(handle) == b"old"
    assert rig.ops.lookup(1, b"old").ino == new
    assert rig.ops.getattr(old).nlink == 0
    rig.ops.release(handle)


def test_exchange_swaps_a_file_and_a_directory(rig: Rig) -> None:
    file, top = rig.make(b"f"), directory(rig, b"d")
    inner = directory(rig, b"in", top)
    rig.ops.rename(1, b"f", top, b"in", EXCHANGE)
    assert (rig.ops.lookup(1, b"f").ino, rig.ops.lookup(top, b"in").ino) == (inner, file)
    assert (rig.ops.getattr(1).nlink, rig.ops.getattr(top).nlink) == (4, 2)
    rig.reopen()
    assert (rig.ops.getattr(1).nlink, rig.ops.getattr(top).nlink) == (4, 2)


def test_a_reader_keeps_its_place_while_names_come_and_go(rig: Rig) -> None:
    wanted = {b"n%05d" % n for n in range(3000)}
    for name in wanted:
        rig.ops.release(rig.ops.create(1, name, 0o644, os.O_RDWR, ME)[1])
    handle = rig.ops.opendir(1)
    seen: list[bytes] = []
    cookie = turn = 0
    while True:
        part: list[tuple[int, bytes, Attributes]] = []
        for entry in rig.ops.readdir(handle, cookie):
            part.append(entry)
            if len(part) == 100:
                break
        if not part:
            break
        cookie = part[-1][0]
        seen += [name for _, name, _ in part]
        for _, name, _ in part[:50]:
            if name in wanted:
                rig.ops.unlink(1, name)
        rig.make(b"0new%d" % turn)
        turn += 1
    assert len(seen) == len(set(seen))
    assert wanted <= set(seen)
    handle = rig.ops.opendir(1)
    assert [name for _, name, _ in rig.ops.readdir(handle, 0)][2:] == sorted(rig.names())[2:]


def test_a_removed_name_is_not_handed_out_from_a_page(rig: Rig) -> None:
    for name in (b"a", b"b", b"c"):
        rig.make(name)
    handle = rig.ops.opendir(1)
    entries = rig.ops.readdir(handle, 0)
    assert [next(entries)[1] for _ in range(3)] == [b".", b"..", b"a"]
    rig.ops.unlink(1, b"b")
    assert [entry[1] for entry in entries] == [b"c"]


def test_attributes_of_users(rig: Rig) -> None:
    ino = rig.make(b"f")
    rig.ops.setxattr(ino, b"user.a", b"1", 1)
    with refused(errno.EEXIST):
        rig.ops.setxattr(ino, b"user.a", b"1", 1)
    with refused(errno.ENODATA):
        rig.ops.setxattr(ino, b"user.b", b"1", 2)
    with refused(errno.E2BIG):
        rig.ops.setxattr(ino, b"user.b", bytes(65537))
    rig.ops.setxattr(ino, b"user.big", bytes(65535))
    rig.reopen()
    assert rig.ops.listxattr(ino) == [b"user.a", b"user.big"]
    assert (rig.ops.getxattr(ino, b"user.a"), len(rig.ops.getxattr(ino, b"user.big"))) == (b"1", 65535)
    rig.ops.removexattr(ino, b"user.a")
    with refused(errno.ENODATA):
        rig.ops.removexattr(ino, b"user.a")
    with refused(errno.ENOSPC):
        for number in range(9):
            rig.ops.setxattr(ino, b"user.%d" % number, bytes(60000))
    rig.ops.syncfs()
    rig.fs.snapshot(b"whole")


def test_nothing_is_written_through_a_reader(rig: Rig) -> None:
    from packetfs.fs.filesystem import FileSystem
    from packetfs.pool.pool import Pool

    ino = rig.make(b"f", b"data")
    rig.ops.syncfs()
    with Pool.open(rig.path) as pool, FileSystem(pool) as fs:
        ops = Operations(fs)
        assert ops.lookup(1, b"f").size == 4
        handle = ops.open(ino, os.O_RDONLY)
        assert joined(ops.read(handle, 0, 9)) == b"data"
        for act in (
            lambda: ops.unlink(1, b"f"),
            lambda: ops.mkdir(1, b"d", 0o755, ME),
            lambda: ops.open(ino, os.O_RDWR),
            lambda: ops.setattr(ino, Changes(mode=0)),
        ):
            with refused(errno.EROFS):
                act()
        ops.release(handle)
        ops.idle(1.0)
        ops.close()
