from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packetfs.errors import DestinationBusy, DestinationFull, DestinationRefused
from packetfs.fs.host import staging as staging_module
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.staging import STAGING, Committed, Staging
from packetfs.packet.entry import Entry
from tests.fs.host.conftest import AsNobody

UID, GID = os.geteuid(), os.getegid()


def entry_of(kind: int = stat.S_IFREG, target: bytes = b"", rdev: int = 0) -> Entry:
    return Entry(b"x", kind | 0o644, UID, GID, 7, target=target, rdev=rdev)


def put(staging: Staging, path: bytes, data: bytes) -> Committed:
    with staging.create(path) as writer:
        writer.write(data)
        return staging.commit(writer, entry_of(), as_root=False)


def content(beneath: Beneath, path: bytes) -> bytes:
    fd = beneath.open_read(path)
    with open(fd, "rb") as file:
        return file.read()


def test_a_file_appears_whole_with_its_metadata_and_staging_goes(beneath: Beneath) -> None:
    beneath.mkdir(b"d")
    with Staging(beneath) as staging, staging.create(b"d/f") as writer:
        writer.write(b"one")
        assert writer.read(1, 9) == b"ne"
        assert not beneath.exists(b"d/f")
        assert staging.commit(writer, entry_of(), as_root=False) == Committed()
    assert content(beneath, b"d/f") == b"one"
    assert beneath.lstat(b"d/f").st_mtime_ns == 7
    assert stat.S_IMODE(beneath.lstat(b"d/f").st_mode) == 0o644
    assert beneath.names(b"") == [b"d"]
    assert beneath.names(b"d") == [b"f"]


def test_holes_take_no_space(beneath: Beneath) -> None:
    with Staging(beneath) as staging, staging.create(b"f") as writer:
        writer.skip(1 << 20)
        writer.write(b"x")
        writer.skip(1 << 20)
        staging.commit(writer, entry_of(), as_root=False)
    status = beneath.lstat(b"f")
    assert status.st_size == (1 << 21) + 1
    assert status.st_blocks * 512 <= 1 << 16
    assert content(beneath, b"f") == bytes(1 << 20) + b"x" + bytes(1 << 20)


def test_a_writer_that_fails_leaves_what_was_there(beneath: Beneath) -> None:
    with Staging(beneath) as staging:
        put(staging, b"f", b"old")
        with pytest.raises(ZeroDivisionError), staging.create(b"f") as writer:
            writer.write(b"%d" % (1 // 0))
        assert beneath.names(STAGING) == [b"lock"]
    assert content(beneath, b"f") == b"old"


def test_old_content_stays_readable_until_the_end(beneath: Beneath) -> None:
    with Staging(beneath, keep_old=True) as staging:
        assert put(staging, b"f", b"1").old is None
        first, second = put(staging, b"f", b"2").old, put(staging, b"f", b"3").old
        assert first
        assert second
        assert [content(beneath, path) for path in (first, second, b"f")] == [b"1", b"2", b"3"]
        staging.release(first)
        assert not beneath.exists(first)
        removed = staging.remove(b"f")
        assert removed
        assert content(beneath, removed) == b"3"
    assert beneath.names(b"") == []


Make = Callable[[Staging, bytes], object]
MAKERS: dict[str, Make] = {
    "file": lambda s, p: put(s, p, b"new"),
    "symlink": lambda s, p: s.make(p, entry_of(stat.S_IFLNK, b"/target"), as_root=False),
    "fifo": lambda s, p: s.make(p, entry_of(stat.S_IFIFO), as_root=False),
    "socket": lambda s, p: s.make(p, entry_of(stat.S_IFSOCK), as_root=False),
    "directory": lambda s, p: s.make_directory(p),
    "link": lambda s, p: s.link(b"other", p),
}


def make_deep(path: Path) -> None:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "f").write_bytes(b"old")


OLD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "file": lambda path: path.write_bytes(b"old"),
    "directory": make_deep,
    "symlink": lambda path: path.symlink_to("/etc"),
    "fifo": os.mkfifo,
}
KINDS = {
    "file": stat.S_IFREG,
    "symlink": stat.S_IFLNK,
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
    "directory": stat.S_IFDIR,
    "link": stat.S_IFREG,
}


@pytest.fixture(params=["exchange", "no exchange"])
def exchanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    if request.param == "no exchange":
        monkeypatch.setattr(Beneath, "exchange", refuse)


@pytest.mark.usefixtures("exchanging")
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("new", MAKERS)
def test_everything_replaces_everything(place: Path, new: str, old: str, keep: bool) -> None:
    with Beneath(place) as beneath:
        (place / "other").write_bytes(b"new")
        OLD[old](place / "x")
        with Staging(beneath, keep_old=keep) as staging:
            made = MAKERS[new](staging, b"x")
            assert stat.S_IFMT(beneath.lstat(b"x").st_mode) == KINDS[new]
            assert isinstance(made, Committed)
            replaced = old != "nothing" and (new, old) != ("directory", "directory")
            assert (made.old is not None) == (keep and replaced)
            if made.old and old == "directory":
                assert content(beneath, made.old + b"/deep/f") == b"old"
            if made.old and old == "file":
                assert content(beneath, made.old) == b"old"
            if made.old is None:
                assert beneath.names(STAGING) == [b"lock"]
        assert beneath.names(b"") == [b"other", b"x"]


@pytest.mark.usefixtures("exchanging")
def test_an_old_file_that_may_not_be_linked_is_kept_all_the_same(
    beneath: Beneath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with Staging(beneath, keep_old=True) as staging:
        put(staging, b"f", b"old")
        monkeypatch.setattr(beneath, "link", refuse)
        old = put(staging, b"f", b"new").old
        assert old
        assert content(beneath, old) == b"old"
        assert content(beneath, b"f") == b"new"


def test_a_link_to_where_it_already_leads(beneath: Beneath) -> None:
    with Staging(beneath) as staging:
        put(staging, b"a", b"1")
        staging.link(b"a", b"b")
        staging.link(b"a", b"b")
        assert beneath.lstat(b"a").st_nlink == 2
        assert beneath.names(STAGING) == [b"lock"]


@pytest.mark.usefixtures("root_only")
def test_devices_only_where_wanted(beneath: Beneath) -> None:
    entry = entry_of(stat.S_IFCHR, rdev=os.makedev(1, 3))
    with Staging(beneath) as staging:
        with pytest.raises(PermissionError):
            staging.make(b"null", entry, as_root=False)
        staging.make(b"null", entry, as_root=True)
        with pytest.raises(PermissionError):
            staging.make(b"odd", entry_of(0o170000), as_root=True)
    assert beneath.lstat(b"null").st_rdev == os.makedev(1, 3)
    assert beneath.names(b"") == [b"null"]


def test_two_jobs_exclude_each_other(place: Path) -> None:
    with Beneath(place) as one, Beneath(place) as two:
        with Staging(one), pytest.raises(DestinationBusy):
            Staging(two)
        Staging(two).close()
    assert os.listdir(place) == []


def test_a_lock_whose_owner_removes_it_meanwhile_is_taken_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock
    with Beneath(place) as beneath:
        waiting = [Staging(beneath)]

        def flock_late(fd: int, how: int) -> None:
            if waiting:
                waiting.pop().close()
            flock(fd, how)

        monkeypatch.setattr(fcntl, "flock", flock_late)
        with Beneath(place) as other, Staging(other), pytest.raises(DestinationBusy), Beneath(place) as third:
            Staging(third)


def test_leftovers_of_a_killed_job_go(place: Path) -> None:
    child = (
        "import os, sys\n"
        "from packetfs.fs.host.beneath import Beneath\n"
        "from packetfs.fs.host.staging import Staging\n"
        "staging = Staging(Beneath(sys.argv[1]), keep_old=True)\n"
        "writer = staging.create(b'f')\n"
        "writer.write(b'half')\n"
        "writer.settle()\n"
        "os.abort()\n"
    )
    (place / "f").write_bytes(b"old")
    source = str(Path(staging_module.__file__).parents[3])
    subprocess.run(
        [sys.executable, "-c", child, place],
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([source, *sys.path])},
        capture_output=True,
    )
    assert (place / ".packetfs-staging" / "1").read_bytes() == b"half"
    with Beneath(place) as beneath, Staging(beneath):
        assert beneath.names(STAGING) == [b"lock"]
    assert os.listdir(place) == ["f"]
    assert (place / "f").read_bytes() == b"old"


@pytest.mark.parametrize("trap", ["symlink", "file", "open"])
def test_a_staging_directory_that_others_prepared_is_refused(place: Path, trap: str) -> None:
    path = place / "root" / os.fsdecode(STAGING)
    path.parent.mkdir()
    (place / "outside").mkdir()
    (place / "outside" / "precious").touch()
    if trap == "symlink":
        path.symlink_to(place / "outside")
    elif trap == "file":
        path.touch()
    else:
        path.mkdir()
        path.chmod(0o777)
    with Beneath(path.parent) as beneath, pytest.raises(DestinationRefused, match="packetfs-staging"):
        Staging(beneath)
    assert (place / "outside" / "precious").exists()


def test_a_destination_that_cannot_be_written_is_refused(place: Path, as_nobody: AsNobody) -> None:
    with as_nobody(), Beneath(place) as beneath:
        place.chmod(0o555)
        with pytest.raises(PermissionError):
            Staging(beneath)


def test_closed_directories_of_ones_own_can_be_set_aside(place: Path, as_nobody: AsNobody) -> None:
    with as_nobody(), Beneath(place) as beneath, Staging(beneath) as staging:
        beneath.mkdir(b"d")
        os.close(beneath.create(b"d/f"))
        (place / "d").chmod(0o555)
        assert staging.remove(b"d") is None
        assert beneath.names(b"") == [STAGING]


def fail_after(calls: int, code: int) -> Callable[..., int]:
    pwrite = os.pwrite
    left = [calls]

    def write(fd: int, data: memoryview | list[bytes], offset: int) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))
        whole = b"".join(data) if isinstance(data, list) else data
        return pwrite(fd, whole[:3], offset)  # and short writes before

    return write


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_the_old_version(beneath: Beneath, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with Staging(beneath) as staging:
        put(staging, b"f", b"old")
        failing = fail_after(2, code)
        monkeypatch.setattr(os, "pwrite", failing)
        monkeypatch.setattr(os, "pwritev", failing)
        with pytest.raises(DestinationFull, match="for f"):
            put(staging, b"f", b"new content")
        assert beneath.names(STAGING) == [b"lock"]
        assert content(beneath, b"f") == b"old"


@pytest.fixture
def mounted(place: Path) -> Iterator[Path]:
    """A small filesystem of its own below `place`/root."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    path = place / "root" / "m"
    path.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_really_full_disk(mounted: Path) -> None:
    with Beneath(mounted) as beneath, Staging(beneath) as staging:
        put(staging, b"f", b"old")
        with pytest.raises(DestinationFull):
            put(staging, b"f", bytes(1 << 20))
        assert content(beneath, b"f") == b"old"
        put(staging, b"f", b"new")
        assert beneath.names(b"") == [STAGING, b"f"]
    assert shutil.disk_usage(mounted).used < 1 << 16


@pytest.mark.parametrize("new", MAKERS)
@pytest.mark.parametrize("keep", [False, True])
def test_below_another_mount(mounted: Path, new: str, keep: bool) -> None:
    (mounted / "x").write_bytes(b"old")
    (mounted / "other").write_bytes(b"new")
    make = MAKERS[new] if new != "link" else lambda s, p: s.link(b"m/other", p)
    with Beneath(mounted.parent) as beneath:
        with Staging(beneath, keep_old=keep) as staging:
            made = make(staging, b"m/x")
            assert isinstance(made, Committed)
            assert stat.S_IFMT(beneath.lstat(b"m/x").st_mode) == KINDS[new]
            assert (made.old is not None) == keep
            if made.old:
                assert content(beneath, made.old) == b"old"
        assert beneath.names(b"m") == [b"other", b"x"]
        assert beneath.names(b"") == [b"m"]


def test_leftovers_below_another_mount_go_too(mounted: Path) -> None:
    with Beneath(mounted.parent) as beneath:
        killed = Staging(beneath)
        writer = killed.create(b"m/f")
        os.close(killed._lock)
        assert beneath.names(b"m") == [writer.staged[2:]]
        Staging(beneath).close()
        assert beneath.names(b"m") == []
        writer.close()


def test_a_forged_note_removes_nothing(beneath: Beneath) -> None:
    os.close(beneath.create(b"precious"))
    killed = Staging(beneath)
    for number, far in enumerate([b"precious", b"", b"../x/.packetfs-staging-1", b"/.packetfs-staging-1", b"\0"]):
        fd = beneath.create(STAGING + b"/far-%d" % number)
        os.write(fd, far)
        os.close(fd)
    os.close(killed._lock)
    Staging(beneath).close()
    assert beneath.names(b"") == [b"precious"]


def test_a_mount_point_is_not_emptied(mounted: Path) -> None:
    (mounted / "precious").touch()
    with Beneath(mounted.parent) as beneath, Staging(beneath) as staging, pytest.raises(OSError, match="busy"):
        staging.remove(b"m")
    assert (mounted / "precious").exists()


@pytest.mark.parametrize("short", [False, True])
def test_what_is_gathered_is_written_in_order(beneath: Beneath, monkeypatch: pytest.MonkeyPatch, short: bool) -> None:
    pieces = [bytes([i]) * size for i, size in enumerate([1, 300_000, 7, *[3] * 200, 100_000, 200_000])]
    whole = os.pwritev
    if short:
        monkeypatch.setattr(os, "pwritev", lambda fd, parts, at: whole(fd, [memoryview(b"".join(parts))[:5]], at))
    with Staging(beneath) as staging:
        with staging.create(b"f") as writer:
            memory = bytearray(300_000)
            for piece in pieces:
                memory[: len(piece)] = piece
                writer.write(memoryview(memory)[: len(piece)])
                writer.settle()
            writer.skip(10)
            for piece in pieces:
                writer.write(piece)
            assert writer.read(0, 2) == b"\0\1"
            staging.commit(writer, entry_of(), as_root=False)
        assert content(beneath, b"f") == b"".join([*pieces, bytes(10), *pieces])
