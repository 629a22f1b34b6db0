"""The session over a filesystem in memory: every request that the kernel makes, on a real mount."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.frontends.mount.device import attach, detach
from packetfs.frontends.mount.mounted import find_mount
from packetfs.frontends.mount.notify import inval_entry, inval_inode
from packetfs.frontends.mount.options import parse_options
from packetfs.frontends.mount.session import Session
from packetfs.fs.posix.attributes import Caller
from tests.frontends.mount.memory import MemoryOperations
from tests.frontends.mount.served import (
    AT_MOST,
    CAN_MOUNT,
    HANG,
    await_true,
    detach_anyhow,
    forget_names,
    needs_mount,
    served,
)

pytestmark = [needs_mount, AT_MOST]


@pytest.fixture
def memory() -> MemoryOperations:
    return MemoryOperations()


@pytest.fixture
def at(memory: MemoryOperations, tmp_path: Path) -> Iterator[Path]:
    with served(memory, tmp_path / "mnt"):
        yield tmp_path / "mnt"


def test_a_written_file_is_read_back(at: Path) -> None:
    content = random.randbytes(3_000_001)
    (at / "file").write_bytes(content)
    assert (at / "file").read_bytes() == content
    assert (at / "file").stat().st_size == len(content)


def test_directories_list_what_was_made(at: Path) -> None:
    (at / "one").mkdir(mode=0o750)
    (at / "two").symlink_to("one/../three")
    os.mkfifo(at / "pipe")
    assert {entry.name: stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) for entry in os.scandir(at)} == {
        "one": stat.S_IFDIR,
        "two": stat.S_IFLNK,
        "pipe": stat.S_IFIFO,
    }
    assert os.readlink(at / "two") == "one/../three"
    assert stat.S_IMODE((at / "one").stat().st_mode) == 0o750


def test_a_missing_name_is_remembered_until_it_is_made(at: Path) -> None:
    assert not (at / "later").exists()
    (at / "later").write_bytes(b"now")
    assert (at / "later").read_bytes() == b"now"


def test_a_device_number_survives(at: Path) -> None:
    os.mknod(at / "device", stat.S_IFCHR | 0o600, os.makedev(259, 70000))
    assert (at / "device").stat().st_rdev == os.makedev(259, 70000)


def test_renames_replace_refuse_and_exchange(at: Path) -> None:
    (at / "a").write_bytes(b"a")
    (at / "b").write_bytes(b"b")
    with pytest.raises(FileExistsError):
        _rename2(at / "a", at / "b", 1)
    _rename2(at / "a", at / "b", 2)
    assert ((at / "a").read_bytes(), (at / "b").read_bytes()) == (b"b", b"a")
    (at / "a").rename(at / "b")
    assert (os.listdir(at), (at / "b").read_bytes()) == (["b"], b"b")


def _rename2(old: Path, new: Path, flags: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


def test_an_unlinked_file_lives_as_long_as_it_is_open(at: Path, memory: MemoryOperations) -> None:
    with (at / "gone").open("w+b") as file:
        file.write(b"still here")
        file.flush()
        (at / "gone").unlink()
        assert os.fstat(file.fileno()).st_nlink == 0
        assert os.pread(file.fileno(), 100, 0) == b"still here"
    await_true(lambda: len(memory.nodes) == 1)


def test_hard_links_are_one_file(at: Path) -> None:
    (at / "a").write_bytes(b"x")
    os.link(at / "a", at / "b")
    assert (at / "a").stat().st_nlink == (at / "b").stat().st_nlink == 2
    assert os.path.samefile(at / "a", at / "b")


MAPPING = """
import mmap, os, sys
with open(sys.argv[1], "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as mapped:
    mapped[5000:5003] = b"abc"
    assert os.pread(file.fileno(), 3, 5000) == b"abc"
    os.pwrite(file.fileno(), b"xyz", 9000)
    assert mapped[9000:9003] == b"xyz"
    mapped.flush()
"""
"""In a process of its own: a page fault keeps the GIL, so the server's thread could not answer it."""


def test_a_shared_map_is_coherent_with_read_and_write(at: Path) -> None:
    (at / "map").write_bytes(bytes(10_000))
    subprocess.run([sys.executable, "-c", MAPPING, at / "map"], check=True, timeout=HANG)
    assert (at / "map").read_bytes()[5000:5003] == b"abc"


def test_holes_are_punched_and_found(at: Path) -> None:
    (at / "sparse").write_bytes(b"x" * 40_960)
    with (at / "sparse").open("r+b", buffering=0) as file:
        _fallocate(file.fileno(), 3, 8192, 16_384)
        assert os.pread(file.fileno(), 4, 8192) == bytes(4)
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == 8192
        assert os.lseek(file.fileno(), 8192, os.SEEK_DATA) == 24_576
        os.posix_fallocate(file.fileno(), 0, 50_000)
        assert os.fstat(file.fileno()).st_size == 50_000
        with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
            os.lseek(file.fileno(), 60_000, os.SEEK_DATA)


def _fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(descriptor, mode, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def test_copy_file_range_reaches_the_filesystem(at: Path, memory: MemoryOperations) -> None:
    (at / "from").write_bytes(b"0123456789" * 1000)
    with (at / "from").open("rb") as old, (at / "to").open("wb") as new:
        assert os.copy_file_range(old.fileno(), new.fileno(), 5000, 10, 0) == 5000
    assert (at / "to").read_bytes() == b"0123456789" * 500
    assert "copy_file_range" in memory.calls


def test_locks_exclude_each_other(at: Path) -> None:
    (at / "lock").write_bytes(b"")
    with (at / "lock").open("r+b") as one, (at / "lock").open("r+b") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    code = (
        "import fcntl,sys; sys.stdin.readline(); fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    # Started before a file of the mount is open here: the child would close it while this process, which serves it,
    # waits for the child with the GIL held.
    command = [sys.executable, "-c", code, str(at / "lock")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    with other, (at / "lock").open("r+b") as one:
        fcntl.lockf(one, fcntl.LOCK_EX)
        _, said = other.communicate(b"\n", timeout=HANG)
    assert b"BlockingIOError" in said


def test_appends_of_two_files_do_not_overwrite(at: Path) -> None:
    with (at / "log").open("ab", buffering=0) as one, (at / "log").open("ab", buffering=0) as two:
        for turn in range(50):
            (one if turn % 2 else two).write(b"%03d\n" % turn)
    assert (at / "log").read_bytes() == b"".join(b"%03d\n" % turn for turn in range(50))


def test_extended_attributes(at: Path) -> None:
    (at / "x").write_bytes(b"")
    os.setxattr(at / "x", "user.big", b"v" * 60_000)
    os.setxattr(at / "x", "user.none", b"")
    assert os.getxattr(at / "x", "user.big") == b"v" * 60_000
    assert sorted(os.listxattr(at / "x")) == ["user.big", "user.none"]
    os.removexattr(at / "x", "user.big")
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        os.getxattr(at / "x", "user.big")


def test_long_names(at: Path) -> None:
    (at / ("n" * 255)).write_bytes(b"1")
    assert os.listdir(at) == ["n" * 255]
    with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
        (at / ("n" * 256)).write_bytes(b"1")


def test_a_large_directory_is_listed_while_it_changes(at: Path, memory: MemoryOperations) -> None:
    for number in range(10_000):
        memory._make(1, b"%05d" % number, stat.S_IFREG | 0o644, Caller(0, 0)).known = 0
    seen = set()
    with os.scandir(at) as entries:
        for count, entry in enumerate(entries):
            seen.add(entry.name)
            if count % 100 == 0:
                (at / f"new{count}").write_bytes(b"")
                (at / f"{9999 - count // 100:05}").unlink()
    lasting = {f"{number:05}" for number in range(9_900)}
    assert lasting <= seen


def test_temporary_files_get_a_name_by_linking(at: Path) -> None:
    descriptor = os.open(at, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        os.write(descriptor, b"content")
        assert os.listdir(at) == []
        _link_open(descriptor, at / "named")
    finally:
        os.close(descriptor)
    assert (at / "named").read_bytes() == b"content"


def _link_open(descriptor: int, name: Path) -> None:
    import ctypes

    follow, here = 0x400, -100
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.linkat(here, b"/proc/self/fd/%d" % descriptor, here, os.fsencode(name), follow):
        raise OSError(ctypes.get_errno(), "linkat")


def test_attributes_are_set(at: Path) -> None:
    (at / "f").write_bytes(b"12345")
    os.utime(at / "f", ns=(1_234_567_890_123_456_789, -1_500_000_000))
    os.chmod(at / "f", 0o640)
    os.chown(at / "f", 5, 6)
    os.truncate(at / "f", 3)
    found = os.stat(at / "f")
    assert (found.st_uid, found.st_gid, found.st_size, stat.S_IMODE(found.st_mode)) == (5, 6, 3, 0o640)
    assert found.st_atime_ns == 1_234_567_890_123_456_789
    os.utime(at / "f", ns=(0, -1_500_000_000))
    assert os.stat(at / "f").st_mtime_ns == -1_500_000_000


def test_syncing_arrives(at: Path, memory: MemoryOperations) -> None:
    with (at / "f").open("wb", buffering=0) as file:
        file.write(b"x")
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    descriptor = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
    subprocess.run(["sync", "-f", at], check=True, timeout=HANG)
    assert {"fsync", "fdatasync", "fsyncdir", "flush"} <= set(memory.calls)


def test_statvfs(at: Path) -> None:
    found = os.statvfs(at)
    assert (found.f_blocks, found.f_bavail, found.f_namemax, found.f_frsize) == (1000, 400, 255, 4096)


def test_a_fault_in_an_operation_is_an_error_and_the_mount_lives(
    at: Path, memory: MemoryOperations, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "mkdir", lambda *_: 1 // 0)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        (at / "d").mkdir()
    (at / "f").write_bytes(b"alive")
    assert (at / "f").read_bytes() == b"alive"
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_a_slow_read_stalls_nobody_and_can_be_interrupted(at: Path, memory: MemoryOperations) -> None:
    (at / "slow").write_bytes(bytes(100_000))
    (at / "quick").write_bytes(b"quick")
    os.setxattr(at / "slow", "user.kind", b"slow")
    go, begun = threading.Event(), threading.Event()

    def compute() -> list[bytes]:
        begun.set()
        go.wait(HANG)
        return [b"computed"]

    memory.slow = compute
    code = "import os,sys; print(os.read(os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT), 4096))"
    command = [sys.executable, "-c", code, str(at / "slow")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert begun.wait(HANG)
        assert (at / "quick").read_bytes() == b"quick"
        go.set()
        assert reader.communicate(timeout=HANG)[0] == b"b'computed'\n"
    go.clear()
    begun.clear()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert begun.wait(HANG)
        reader.send_signal(signal.SIGTERM)
        assert reader.wait(HANG) == -signal.SIGTERM
    go.set()


def test_setuid_goes_with_a_write_of_another_user(at: Path, tmp_path: Path) -> None:
    del at
    with served(MemoryOperations(), tmp_path / "open", "allow_other"):
        file = tmp_path / "open" / "tool"
        file.write_bytes(b"x")
        os.chmod(file, 0o6777)  # noqa: S103
        code = "import os; os.setuid(1234); f=os.open('tool', os.O_WRONLY); os.write(f, b'y')"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=file.parent, check=False, capture_output=True, timeout=HANG)
        assert done.returncode == 0, done.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o777


def test_the_kernel_forgets_what_it_is_told_to(tmp_path: Path) -> None:
    memory = MemoryOperations()
    with served(memory, tmp_path / "mnt") as session:
        at = tmp_path / "mnt"
        (at / "f").write_bytes(b"old!")
        assert (at / "f").read_bytes() == b"old!"
        ino = (at / "f").stat().st_ino
        memory.nodes[ino].data[:] = b"new!"
        assert (at / "f").read_bytes() == b"old!"
        session.notify(inval_inode(ino))
        assert (at / "f").read_bytes() == b"new!"
        assert not (at / "hidden").exists()
        memory.nodes[1].names[b"hidden"] = ino
        memory.nodes[ino].nlink += 1
        assert not (at / "hidden").exists()
        session.notify(inval_entry(1, b"hidden"))
        assert (at / "hidden").read_bytes() == b"new!"


def test_idle_is_called_when_nothing_is_asked(at: Path, memory: MemoryOperations) -> None:
    assert at.exists()
    await_true(lambda: memory.idles >= 3)


def test_references_add_up(tmp_path: Path) -> None:
    memory = MemoryOperations()
    with served(memory, tmp_path / "mnt"):
        at = tmp_path / "mnt"
        for number in range(200):
            (at / str(number)).write_bytes(b"")
        for entry in os.scandir(at):
            entry.stat()
        forget_names(at)
        for number in range(200):
            (at / str(number)).unlink()
        await_true(lambda: len(memory.nodes) == 1)


def test_hostile_requests_are_refused_one_by_one() -> None:
    """The kernel does not send such; a descriptor of something else might."""
    import socket

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    session = Session(theirs.fileno(), MemoryOperations(), ready=lambda: None, complain=print)
    thread = threading.Thread(target=_serve_until_closed, args=(session,), daemon=True)
    thread.start()
    from packetfs.frontends.mount.protocol import HEAD, REPLY_HEAD, Opcode

    with ours, theirs:
        ours.settimeout(HANG)
        silent = (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY, Opcode.DESTROY)
        for opcode in [*(each for each in Opcode if each not in silent), 99, 4096]:
            for body in (b"", b"\0", b"\xff" * 7, b"\xff" * 200):
                ours.send(HEAD.pack(HEAD.size + len(body), opcode, 77, 1, 0, 0, 0, 0) + body)
                reply = ours.recv(1 << 17)
                size, _, unique = REPLY_HEAD.unpack_from(reply)
                assert (size, unique) == (len(reply), 77), opcode
        ours.send(HEAD.pack(4000, Opcode.LOOKUP, 78, 1, 0, 0, 0, 0))
        assert REPLY_HEAD.unpack(ours.recv(1000))[1:] == (-errno.EINVAL, 78)
        ours.send(HEAD.pack(HEAD.size, Opcode.DESTROY, 79, 1, 0, 0, 0, 0))
        assert REPLY_HEAD.unpack(ours.recv(1000)) == (16, 0, 79)
        thread.join(HANG)
        assert not thread.is_alive()


def _serve_until_closed(session: Session) -> None:
    session.serve()


NOBODY = 65534
"""A user whom the helper can look up."""


def _users_may_mount() -> bool:
    return shutil.which("fusermount3") is not None and os.stat("/dev/fuse").st_mode & 0o006 == 0o006


@pytest.mark.skipif(CAN_MOUNT and not _users_may_mount(), reason="needs fusermount3, and /dev/fuse open to users")
def test_a_user_mounts_with_the_helper() -> None:
    """In a child that gives up root: the descriptor comes over a socket from fusermount3."""
    place = Path(tempfile.mkdtemp(prefix="packetfs-mount-", dir="/tmp"))  # others may not enter pytest's
    os.chown(place, NOBODY, NOBODY)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        code = 1
        try:
            memory = MemoryOperations()
            memory.nodes[1].uid = NOBODY
            device = attach("a,b\\c", str(place), parse_options(["noexec"]))
            session = Session(device, memory, ready=lambda: _tell(write, b"up"), complain=print)
            thread = threading.Thread(target=session.serve)
            thread.start()
            (place / "file").write_bytes(b"of a user")
            _tell(write, (place / "file").read_bytes())
            found = find_mount(str(place))
            _tell(write, b" " + (found.pool if found is not None else b"none"))
            detach(str(place))
            thread.join(HANG)
            code = int(thread.is_alive())
        except Exception as error:
            _tell(write, repr(error).encode())
        finally:
            os._exit(code)
    try:
        os.close(write)
        with open(read, "rb") as told:
            assert told.read() == b"upof a user a,b\\c"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        detach_anyhow(place)
        place.rmdir()


def _tell(to: int, what: bytes) -> None:
    os.write(to, what)
