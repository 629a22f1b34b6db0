from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from packetfs.errors import UnsafePath
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.syscalls import exchange
from packetfs.fs.host.walk import open_by_kernel, open_by_walk
from packetfs.limits import DIRECTORIES_OPEN
from packetfs.packet.entry import Entry
from tests.fs.host.conftest import AsNobody

FILE = Entry(b"f", stat.S_IFREG | 0o644, os.geteuid(), os.getegid(), 7)

Operation = Callable[[Beneath, bytes], object]
OPERATIONS: dict[str, Operation] = {
    "lstat": lambda b, p: b.lstat(p),
    "open_read": lambda b, p: os.close(b.open_read(p)),
    "create": lambda b, p: os.close(b.create(p + b"-new")),
    "mkdir": lambda b, p: b.mkdir(p + b"-new"),
    "symlink": lambda b, p: b.symlink(b"x", p + b"-new"),
    "mknod": lambda b, p: b.mknod(p + b"-new", stat.S_IFIFO),
    "link from": lambda b, p: b.link(p, b"stolen"),
    "link to": lambda b, p: b.link(b"own", p + b"-new"),
    "rename from": lambda b, p: b.rename(p, b"stolen"),
    "rename to": lambda b, p: b.rename(b"own", p),
    "exchange": lambda b, p: b.exchange(b"own", p),
    "unlink": lambda b, p: b.unlink(p),
    "remove_tree": lambda b, p: b.remove_tree(p),
    "names": lambda b, p: b.names(p.rpartition(b"/")[0]),
    "scandir": lambda b, p: list(b.scandir(p.rpartition(b"/")[0])),
    "rmdir": lambda b, p: b.rmdir(p),
    "readlink": lambda b, p: b.readlink(p),
    "metadata": lambda b, p: b.set_metadata(p, FILE, as_root=True),
    "xattrs": lambda b, p: b.xattrs(p),
    "open_up": lambda b, p: b.set_metadata(p, FILE, as_root=False),
}


def picture(top: Path) -> list[tuple[str, int, int, bytes]]:
    """Everything that may not change outside of the root."""
    found = []
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        found.append((str(path), status.st_mode, status.st_mtime_ns, path.read_bytes() if path.is_file() else b""))
    return found


@pytest.fixture
def outside(place: Path) -> Path:
    """The same names as inside, where nobody may write."""
    (place / "outside" / "b" / "c").mkdir(parents=True)
    for parent in ("", "b", "b/c"):
        (place / "outside" / parent / "f").write_bytes(b"secret")
    return place / "outside"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("linked", ["a", "a/b", "a/b/c"])
@pytest.mark.parametrize("relative", [False, True])
def test_no_operation_follows_a_symlink_in_any_position(
    beneath: Beneath, place: Path, outside: Path, operation: str, linked: str, relative: bool
) -> None:
    root = place / "root"
    (root / "own").write_bytes(b"own")
    (root / linked).parent.mkdir(parents=True, exist_ok=True)
    target = outside / linked[2:]
    (root / linked).symlink_to(os.path.relpath(target, (root / linked).parent) if relative else target)
    before = picture(outside)
    with pytest.raises(UnsafePath, match=f"{linked} is a symbolic link"):
        OPERATIONS[operation](beneath, b"a/b/c/f")
    assert picture(outside) == before
    assert sorted(os.listdir(root)) == ["a", "own"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("path", [b"../outside/f", b"a/../../outside/f", b"a//f", b"/etc/f", b"./f", b"a/\0/f"])
def test_no_operation_takes_a_path_that_leads_out(
    beneath: Beneath, place: Path, outside: Path, operation: str, path: bytes
) -> None:
    (place / "root" / "a").mkdir()
    (place / "root" / "own").touch()
    before = picture(outside)
    with pytest.raises(UnsafePath):
        OPERATIONS[operation](beneath, path)
    assert picture(outside) == before


@pytest.mark.parametrize("path", [b"", b"..", b".", b"a/..", b"a/", b"/"])
def test_what_names_no_file_is_refused(beneath: Beneath, path: bytes) -> None:
    beneath.mkdir(b"a")
    for act in (beneath.unlink, beneath.rmdir, beneath.open_read, beneath.mkdir, beneath.readlink):
        with pytest.raises(UnsafePath):
            act(path)


def test_a_symlink_at_the_end_is_never_followed(beneath: Beneath, outside: Path) -> None:
    before = picture(outside)
    for name in (b"read", b"removed", b"replaced", b"touched"):
        beneath.symlink(os.fsencode(outside), name)
    beneath.symlink(os.fsencode(outside / "f"), b"file")
    os.close(beneath.create(b"new"))
    with pytest.raises(UnsafePath, match="file is a symbolic link"):
        beneath.open_read(b"file")
    with pytest.raises(UnsafePath, match="become something else"):
        beneath.set_metadata(b"file", FILE, as_root=True)
    with pytest.raises(FileExistsError):
        beneath.create(b"file")
    with pytest.raises(UnsafePath):
        beneath.names(b"read")
    beneath.remove_tree(b"removed")
    beneath.rename(b"new", b"replaced")
    link = Entry(b"touched", stat.S_IFLNK | 0o777, os.geteuid(), os.getegid(), 123_456_789, target=b"x")
    assert beneath.set_metadata(b"touched", link, as_root=True) == []
    assert beneath.lstat(b"touched").st_mtime_ns == 123_456_789
    assert picture(outside) == before


def swap_at_opening(root: Path, outside: Path, *, early: bool) -> Callable[[int, bytes], int]:
    """An opener at whose side somebody puts a symlink in place of `a`, just before or just after it is opened."""

    def opener(base: int, path: bytes) -> int:
        fd = -1 if early else open_by_kernel(base, path)
        (root / "a").rename(root / "moved")
        (root / "a").symlink_to(outside)
        return open_by_kernel(base, path) if early else fd

    return opener


def test_a_directory_swapped_before_it_is_opened_is_refused(place: Path, outside: Path) -> None:
    (place / "root" / "a").mkdir(parents=True)
    with (
        Beneath(place / "root", opener=swap_at_opening(place / "root", outside, early=True)) as beneath,
        pytest.raises(UnsafePath),
    ):
        beneath.create(b"a/new")
    assert not (outside / "new").exists()


def test_a_directory_swapped_after_it_was_opened_still_is_the_old_one(place: Path, outside: Path) -> None:
    (place / "root" / "a").mkdir(parents=True)
    with Beneath(place / "root", opener=swap_at_opening(place / "root", outside, early=False)) as beneath:
        os.close(beneath.create(b"a/new"))
        beneath.remove_tree(b"a/f")
    assert (place / "root" / "moved" / "new").exists()
    assert (outside / "f").exists()
    assert not (outside / "new").exists()


@pytest.mark.parametrize("opener", [open_by_kernel, open_by_walk])
def test_no_swap_by_another_thread_leads_out(place: Path, outside: Path, opener: Callable[[int, bytes], int]) -> None:
    root = place / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "link").symlink_to(outside)
    top = os.open(root, os.O_PATH)
    stop = threading.Event()
    before = picture(outside)

    def swap() -> None:
        while not stop.is_set():
            exchange(top, b"a", top, b"link")

    thread = threading.Thread(target=swap)
    thread.start()
    refused = made = 0
    try:
        with Beneath(root, opener=opener) as beneath:
            for number in range(400):
                beneath.forget(b"")
                try:
                    os.close(beneath.create(b"a/b/%d" % number))
                    made += 1
                except UnsafePath:
                    refused += 1
                except (FileNotFoundError, NotADirectoryError):
                    pass
    finally:
        stop.set()
        thread.join()
        os.close(top)
    assert picture(outside) == before
    assert made + refused > 0


def test_a_tree_deeper_than_any_path_of_the_kernel(beneath: Beneath) -> None:
    path = b"d" * 60
    beneath.mkdir(path)
    for _ in range(300):
        path += b"/" + b"d" * 60
        beneath.mkdir(path)
    file = path + b"/f"
    fd = beneath.create(file)
    os.write(fd, b"deep")
    os.close(fd)
    assert beneath.set_metadata(file, FILE, as_root=False) == []
    beneath.forget(b"")
    fd = beneath.open_read(file)
    assert os.read(fd, 9) == b"deep"
    os.close(fd)
    assert [name for name, _ in beneath.scandir(path)] == [b"f"]
    beneath.remove_tree(b"d" * 60)
    assert beneath.names(b"") == []


NAMES = [b"\x01", b"\n", b" ", b"-rf", b"a\tb", b"\xc3\xa4", b"\xe4", b"\xff\xfe", b"\x1b[31m", b"...", b"x" * 255]


def test_any_bytes_are_a_name_and_names_come_sorted_as_bytes(beneath: Beneath) -> None:
    for name in NAMES:
        os.close(beneath.create(name))
        beneath.mkdir(name + b"d" if len(name) < 255 else b"y" * 255)
    found = beneath.names(b"")
    assert found == sorted(found)
    assert set(NAMES) <= set(found)
    for name, status in beneath.scandir(b""):
        assert beneath.lstat(name).st_ino == status.st_ino
        beneath.remove_tree(name)
    assert beneath.names(b"") == []


def test_a_name_too_long_is_an_error_of_the_host(beneath: Beneath) -> None:
    with pytest.raises(OSError, match="too long"):
        beneath.create(b"x" * 256)


def test_what_vanishes_before_its_turn_is_left_out(beneath: Beneath) -> None:
    for name in (b"a", b"b", b"c"):
        os.close(beneath.create(name))
    walked = beneath.scandir(b"")
    assert next(walked)[0] == b"a"
    beneath.unlink(b"b")
    assert [name for name, _ in walked] == [b"c"]


def test_few_descriptors_stay_open_and_none_at_the_end(place: Path) -> None:
    start = len(os.listdir("/proc/self/fd"))
    with Beneath(place) as beneath:
        for number in range(4 * DIRECTORIES_OPEN):
            beneath.mkdir(b"%d" % number)
            os.close(beneath.create(b"%d/f" % number))
        assert len(os.listdir("/proc/self/fd")) <= start + 1 + DIRECTORIES_OPEN
        assert beneath.exists(b"0/f")
    assert len(os.listdir("/proc/self/fd")) == start


def test_a_moved_or_removed_directory_is_not_taken_for_what_has_its_name_now(beneath: Beneath) -> None:
    beneath.mkdir(b"a")
    beneath.mkdir(b"a/b")
    os.close(beneath.create(b"a/b/old"))
    beneath.rename(b"a", b"moved")
    beneath.mkdir(b"a")
    beneath.mkdir(b"a/b")
    os.close(beneath.create(b"a/b/new"))
    assert beneath.names(b"a/b") == [b"new"]
    beneath.exchange(b"a", b"moved")
    assert beneath.names(b"a/b") == [b"old"]
    beneath.remove_tree(b"a")
    with pytest.raises(FileNotFoundError):
        beneath.names(b"a/b")


def test_nothing_but_a_regular_file_is_opened(beneath: Beneath) -> None:
    beneath.mkdir(b"d")
    beneath.mknod(b"fifo", stat.S_IFIFO)
    for path in (b"d", b"fifo"):
        with pytest.raises(UnsafePath, match="not a regular file"):
            beneath.open_read(path)


def test_links_nodes_and_symlinks(beneath: Beneath) -> None:
    os.close(beneath.create(b"f"))
    beneath.link(b"f", b"g")
    beneath.symlink(b"/nowhere\n\xff", b"s")
    beneath.link(b"s", b"t")
    beneath.mknod(b"socket", stat.S_IFSOCK | 0o777)
    assert beneath.lstat(b"g").st_nlink == 2
    assert beneath.readlink(b"t") == b"/nowhere\n\xff"
    assert stat.S_ISSOCK(beneath.lstat(b"socket").st_mode)
    assert beneath.lstat(b"socket").st_mode & 0o077 == 0


def test_xattrs_of_files_and_directories(beneath: Beneath, place: Path) -> None:
    os.close(beneath.create(b"f"))
    for path in (b"", b"f"):
        os.setxattr(os.path.join(os.fsencode(place / "root"), path), b"user.\xff", b"\0" * 2000)
        assert beneath.xattrs(path) == ((b"user.\xff", b"\0" * 2000),)


def test_a_closed_tree_of_ones_own_can_be_removed(place: Path, as_nobody: AsNobody) -> None:
    (place / "root" / "a" / "b").mkdir(parents=True)
    with as_nobody(), Beneath(place / "root") as beneath:
        os.close(beneath.create(b"a/b/f"))
        os.chmod(place / "root" / "a" / "b", 0)
        os.chmod(place / "root" / "a", 0o500)
        beneath.remove_tree(b"a")
        assert beneath.names(b"") == []


def test_a_closed_directory_is_an_error_of_the_host(place: Path, as_nobody: AsNobody) -> None:
    (place / "root" / "a").mkdir(parents=True)
    with as_nobody(), Beneath(place / "root") as beneath:
        os.chmod(place / "root" / "a", 0)
        with pytest.raises(PermissionError):
            beneath.create(b"a/f")
        assert beneath.open_up(b"a")
        assert not beneath.open_up(b"a")
        os.close(beneath.create(b"a/f"))


def test_without_proc_plain_files_still_have_metadata(beneath: Beneath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packetfs.fs.host.beneath._has_proc", lambda: False)
    os.close(beneath.create(b"f"))
    assert beneath.set_metadata(b"f", FILE, as_root=False) == []
    beneath.mknod(b"fifo", stat.S_IFIFO)
    with pytest.raises(OSError, match="/proc"):
        beneath.xattrs(b"fifo")


def test_flush(beneath: Beneath) -> None:
    beneath.flush()
