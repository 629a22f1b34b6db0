from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.fs.host import metadata
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import Handle, Signature, apply_metadata, is_sparse, make_entry, pack_signature
from packetfs.packet.entry import Entry
from tests.fs.host.conftest import NOBODY, AsNobody

UID, GID = os.geteuid(), os.getegid()
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
ACL = bytes.fromhex("02000000 01000600ffffffff 02000400e8030000 04000400ffffffff 10000400ffffffff 20000000ffffffff")
FILE = Entry(b"f", stat.S_IFREG | 0o640, UID, GID, 1_700_000_000_123_456_789)


def make_file(beneath: Beneath, path: bytes = b"f") -> None:
    os.close(beneath.create(path))


def read_back(beneath: Beneath, path: bytes = b"f") -> Entry:
    status = beneath.lstat(path)
    link = beneath.readlink(path) if stat.S_ISLNK(status.st_mode) else b""
    return make_entry(path, status, beneath.xattrs(path), link=link)


@pytest.mark.parametrize("mode", [0o400, 0o644, 0o777, 0o1755, 0o2755, 0o4755, 0o6711])
@pytest.mark.parametrize("time", [0, 1, -1, -1_500_000_000, 1_700_000_000_999_999_999, 4_102_444_800_000_000_001])
def test_mode_and_times_come_back(beneath: Beneath, mode: int, time: int) -> None:
    make_file(beneath)
    entry = replace(FILE, mode=stat.S_IFREG | mode, mtime_ns=time, xattrs=((b"user.a", b""), (b"user.b", b"\0\xff")))
    assert beneath.set_metadata(b"f", entry, as_root=False) == []
    assert read_back(beneath) == entry


@pytest.mark.usefixtures("root_only")
def test_root_restores_owner_setuid_capabilities_and_acls(beneath: Beneath) -> None:
    make_file(beneath)
    xattrs = (
        (b"security.capability", CAPABILITY),
        (b"system.posix_acl_access", ACL),
        (b"trusted.t", b"1"),
        (b"user.\xff", b"2"),
    )
    entry = replace(FILE, mode=stat.S_IFREG | 0o6640, uid=1234, gid=4321, xattrs=xattrs)
    assert beneath.set_metadata(b"f", entry, as_root=True) == []
    assert read_back(beneath) == entry
    assert beneath.set_metadata(b"f", replace(entry, xattrs=()), as_root=True) == []
    assert read_back(beneath) == replace(entry, xattrs=())


@pytest.mark.usefixtures("root_only")
@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK])
def test_special_files_come_back_without_being_opened(beneath: Beneath, kind: int) -> None:
    rdev = os.makedev(300, 70_000) if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
    beneath.mknod(b"f", kind, rdev)
    entry = replace(FILE, mode=kind | 0o604, uid=5, gid=6, rdev=rdev, xattrs=((b"trusted.t", b"1"),))
    assert beneath.set_metadata(b"f", entry, as_root=True) == []
    assert read_back(beneath) == entry


@pytest.mark.usefixtures("root_only")
def test_symlinks_come_back(beneath: Beneath) -> None:
    beneath.symlink(b"\xfftarget", b"f")
    entry = replace(FILE, mode=stat.S_IFLNK | 0o777, uid=5, gid=6, target=b"\xfftarget", xattrs=((b"trusted.t", b"1"),))
    assert beneath.set_metadata(b"f", entry, as_root=True) == []
    assert read_back(beneath) == entry


def test_a_time_beyond_what_entries_hold(beneath: Beneath) -> None:
    make_file(beneath)
    os.utime(beneath.shown + b"/f", ns=(0, 2**63 + 5))
    status = beneath.lstat(b"f")
    if status.st_mtime_ns > 2**63:
        assert make_entry(b"f", status).mtime_ns == 2**63 - 1
    assert len(pack_signature(status)) == 40


def test_what_is_right_already_is_not_touched(beneath: Beneath) -> None:
    make_file(beneath)
    entry = replace(FILE, xattrs=((b"user.a", b"1"),))
    beneath.set_metadata(b"f", entry, as_root=False)
    before = beneath.lstat(b"f")
    assert beneath.set_metadata(b"f", entry, as_root=UID == 0) == []
    assert beneath.lstat(b"f") == before


def test_attributes_change_even_where_the_mode_forbids_it(place: Path, as_nobody: AsNobody) -> None:
    with as_nobody(), Beneath(place) as beneath:
        make_file(beneath)
        for mode in (0, 0o400, 0o200):
            for xattrs in ((), ((b"user.a", b"1"),), ((b"user.b", b"2"),)):
                entry = replace(FILE, mode=stat.S_IFREG | mode, uid=os.geteuid(), gid=os.getegid(), xattrs=xattrs)
                assert beneath.set_metadata(b"f", entry, as_root=False) == []
                assert beneath.lstat(b"f").st_mode == entry.mode
                os.chmod(place / "f", 0o600)
                assert beneath.xattrs(b"f") == xattrs


@pytest.mark.usefixtures("root_only")
def test_without_root_nobodys_rights_are_lent(place: Path, as_nobody: AsNobody) -> None:
    with as_nobody(), Beneath(place) as beneath:
        make_file(beneath)
        beneath.mkdir(b"d")
        xattrs = ((b"security.capability", CAPABILITY), (b"trusted.t", b"1"), (b"user.a", b"1"))
        entry = replace(FILE, mode=stat.S_IFREG | 0o6755, uid=0, gid=0, xattrs=xattrs)
        assert beneath.set_metadata(b"f", entry, as_root=False) == []
        given = read_back(beneath)
        assert (given.uid, given.gid, given.mode & 0o7777) == (NOBODY, NOBODY, 0o755)
        assert given.xattrs == ((b"user.a", b"1"),)
        refused = beneath.set_metadata(b"f", entry, as_root=True)
        assert [problem.partition(":")[0] for problem in refused] == [
            "owner 0",
            "extended attribute security.capability",
            "extended attribute trusted.t",
        ]


def test_attributes_that_the_filesystem_does_not_take_are_reported(
    beneath: Beneath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    make_file(beneath)
    monkeypatch.setattr(os, "listxattr", refuse)
    monkeypatch.setattr(os, "setxattr", refuse)
    assert beneath.xattrs(b"f") == ()
    assert beneath.set_metadata(b"f", FILE, as_root=False) == []
    entry = replace(FILE, mtime_ns=5, xattrs=((b"user.a", b"1"),))
    assert beneath.set_metadata(b"f", entry, as_root=False) == ["extended attribute user.a: Operation not supported"]
    assert beneath.lstat(b"f").st_mtime_ns == 5


def test_an_attribute_that_vanishes_while_it_is_read_is_left_out(
    beneath: Beneath, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(beneath)
    monkeypatch.setattr(os, "listxattr", lambda _: ["user.gone"])
    assert beneath.xattrs(b"f") == ()


def test_labels_of_the_host_neither_leave_nor_come(beneath: Beneath, monkeypatch: pytest.MonkeyPatch) -> None:
    make_file(beneath)
    monkeypatch.setattr(os, "listxattr", lambda _: ["security.selinux", "security.ima", "system.nfs4_acl"])
    assert beneath.xattrs(b"f") == ()
    entry = replace(FILE, xattrs=((b"security.selinux", b"x"), (b"system.nfs4_acl", b"x"), (b"bogus", b"x")))
    assert beneath.set_metadata(b"f", entry, as_root=True) == []


def test_signature_golden() -> None:
    signature = Signature(1, -2, 3, 4, 5)
    assert signature.pack().hex() == "".join(
        ("0100000000000000", "feffffffffffffff", "0300000000000000", "0400000000000000", "0500000000000000")
    )


u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)


@given(st.builds(Signature, u64, i64, i64, u64, u64))
def test_signature_round_trip(signature: Signature) -> None:
    assert Signature.unpack(signature.pack()) == signature
    assert len(signature.pack()) == 40


def test_signature_of_a_stat(tmp_path: Path) -> None:
    status = tmp_path.stat()
    assert Signature.of(status).pack() == pack_signature(status)


@pytest.mark.parametrize(
    ("ctime", "mtime", "start", "racy"),
    [
        (100_000_000_001, 0, 100_000_000_001, True),  # changed in the very tick
        (100_000_000_001, 0, 100_040_000_000, True),  # the stamp may lag by a tick
        (100_000_000_001, 0, 100_100_000_000, False),
        (100_000_000_000, 0, 101_000_000_000, True),  # whole seconds: perhaps a coarse clock
        (100_000_000_000, 0, 103_000_000_000, False),
        (100_000_000_001, 900_000_000_000, 101_000_000_000, False),  # a modification time set into the future
        (0, 100_000_000_001, 100_000_000_001, True),  # no change time at all
    ],
)
def test_racy(ctime: int, mtime: int, start: int, racy: bool) -> None:
    assert Signature(1, mtime, ctime, 1, 1).is_racy(start) is racy


def test_a_write_just_after_the_look_is_always_racy_or_seen(tmp_path: Path) -> None:
    import time

    path = tmp_path / "f"
    for number in range(200):
        path.write_bytes(b"%d" % (number % 10))
        start = time.time_ns()
        seen = Signature.of(path.stat())
        path.write_bytes(b"x")
        assert seen.is_racy(start) or Signature.of(path.stat()) != seen


@pytest.mark.parametrize(
    ("size", "data", "sparse"), [(1 << 20, 0, True), (0, 1 << 20, False), (0, 1, False), (0, 0, False)]
)
def test_holes(tmp_path: Path, size: int, data: int, sparse: bool) -> None:
    with open(tmp_path / "f", "wb+", buffering=0) as file:
        file.truncate(size)
        file.write(b"x" * data)
        assert is_sparse(file.fileno(), os.fstat(file.fileno())) is sparse


def test_a_descriptor_serves_as_handle(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb+") as file:
        assert apply_metadata(Handle(file.fileno()), replace(FILE, xattrs=((b"user.a", b"1"),)), as_root=False) == []
        assert metadata.read_xattrs(Handle(file.fileno())) == ((b"user.a", b"1"),)
