"""`pfs mount` with the real filesystem, used by real programs."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from packetfs.errors import MountFull
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.mount.mounted import find_mount
from packetfs.frontends.mount.unmount import unmount
from packetfs.fs.posix import acl
from packetfs.fs.posix.acl import Rule, Tag
from tests.frontends.command import COMMAND, Pfs, environment
from tests.frontends.mount.served import AT_MOST, HANG, await_true, detach_anyhow, needs_mount

pytestmark = [needs_mount, AT_MOST]

SOON = 30.0
"""Seconds that a mount without changes needs to go at the most, on a machine that does much else."""


class Mount:
    """A pool and where it is mounted."""

    def __init__(self, pfs: Pfs, place: Path) -> None:
        self.pfs = pfs
        self.at = place
        self.pool = pfs.home / "pool"

    def mount(self, *words: str) -> None:
        self.pfs.good("mount", str(self.pool), str(self.at), *words)

    def umount(self) -> None:
        self.pfs.good("umount", str(self.at))

    def again(self) -> None:
        self.umount()
        self.mount()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    place = tmp_path / "mnt"
    place.mkdir()
    made = Mount(Pfs(tmp_path), place)
    made.pfs.good("init", str(made.pool))
    guard = subprocess.Popen(["sh", "-c", 'sleep "$1"; umount -f "$2"', "-", str(HANG), place])
    try:
        made.mount()
        yield made
    finally:
        detach_anyhow(place)
        guard.kill()
        guard.wait()


def _run(*command: str | Path, cwd: Path | None = None) -> bytes:
    done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=HANG, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def _tree(at: Path) -> None:
    """Make a tree with one of everything."""
    (at / "deep" / "er").mkdir(parents=True)
    (at / "deep" / "file").write_bytes(random.randbytes(300_000))
    (at / "deep" / "er" / "empty").write_bytes(b"")
    os.link(at / "deep" / "file", at / "linked")
    (at / "symlink").symlink_to("deep/nowhere")
    os.mkfifo(at / "fifo")
    os.setxattr(at / "linked", "user.note", b"kept")
    with (at / "sparse").open("wb") as file:
        file.seek(5_000_000)
        file.write(b"end")
    os.chmod(at / "deep" / "er", 0o2750)  # noqa: S103
    os.utime(at / "deep" / "file", ns=(1, 1_600_000_000_123_456_789))


def test_what_was_written_is_there_after_the_next_mount(mount: Mount) -> None:
    content = random.randbytes(5_000_000)
    (mount.at / "dir").mkdir()
    (mount.at / "dir" / "file").write_bytes(content)
    with (mount.at / "dir" / "file").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"changed")
    mount.again()
    expected = content[:1_000_000] + b"changed" + content[1_000_007:]
    assert (mount.at / "dir" / "file").read_bytes() == expected
    mount.umount()
    assert mount.pfs.good("cat", "--pool", str(mount.pool), "dir/file").out == expected


def test_a_directory_comes_out_of_a_pool_that_is_mounted(mount: Mount, tmp_path: Path) -> None:
    """Its program may not be built yet, and the mount has the lease to write it."""
    (mount.at / "dir" / "deep").mkdir(parents=True)
    for name in ("one", "deep/two"):
        with (mount.at / "dir" / name).open("wb", buffering=0) as file:
            file.write(name.encode() * 1000)
            os.fsync(file.fileno())
    mount.pfs.good("get", "--pool", str(mount.pool), "dir", str(tmp_path / "out"))
    for name in ("one", "deep/two"):
        assert (tmp_path / "out" / "dir" / name).read_bytes() == name.encode() * 1000


def test_a_killed_server_leaves_what_was_synced_and_can_be_followed(mount: Mount) -> None:
    with (mount.at / "kept").open("wb", buffering=0) as file:
        file.write(b"synced")
        os.fsync(file.fileno())
    gone = (mount.at / "open").open("w+b")
    _kill_server(mount.at)
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.listdir(mount.at)
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.write(gone.fileno(), b"x")
    with suppress(OSError):
        gone.raw.close()
    mount.mount()
    assert (mount.at / "kept").read_bytes() == b"synced"


def _kill_server(at: Path) -> None:
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"mount" in words and os.fsencode(at) in words:
            handle = os.pidfd_open(int(name))
            os.kill(int(name), signal.SIGKILL)
            _await(handle)
            return
    raise AssertionError("there is no server")


def _await(handle: int) -> None:
    import select

    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    assert waiting.poll(HANG * 1000)
    os.close(handle)


def test_the_mount_point_is_looked_at_first(mount: Mount, tmp_path: Path) -> None:
    mount.umount()
    pfs, pool = mount.pfs, str(mount.pool)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_bytes(b"")
    for place, code, words in (
        ("full", 5, "it is not empty"),
        ("none", 4, "none: there is no such file or directory"),
        ("full/file", 4, "full/file is not a directory"),
    ):
        ended = pfs("mount", pool, str(tmp_path / place))
        assert (ended.code, words in ended.err) == (code, True), ended.err
    ended = pfs("mount", str(tmp_path / "full"), str(mount.at))
    assert ended.code == 10
    assert pfs("mount", pool, str(mount.at), "-o", "wrong").code == 2
    assert pfs("umount", str(mount.at)).code == 4


def test_a_mounted_pool_is_not_mounted_twice(mount: Mount, tmp_path: Path) -> None:
    ended = mount.pfs("mount", str(mount.pool), str(mount.at))
    assert (ended.code, "already" in ended.err) == (11, True)
    (tmp_path / "other").mkdir()
    ended = mount.pfs("mount", str(mount.pool), str(tmp_path / "other"))
    assert (ended.code, "being written by process" in ended.err) == (11, True)


def test_a_mount_stays_while_it_cannot_be_made_durable(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(MountFull, match="no space left on device"):
            unmount(str(mount.at), lazy=False)
    assert find_mount(str(mount.at)) is not None
    unmount(str(mount.at), lazy=False)
    assert find_mount(str(mount.at)) is None


def test_a_busy_mount_names_its_users_and_goes_lazily(mount: Mount) -> None:
    with (mount.at / "file").open("wb"):
        ended = mount.pfs("umount", str(mount.at))
        assert (ended.code, f"({os.getpid()})" in ended.err) == (11, True)
        mount.pfs.good("umount", "--lazy", str(mount.at))
        assert os.listdir(mount.at) == []


def test_ctrl_c_unmounts_and_keeps_everything(mount: Mount) -> None:
    mount.umount()
    command = [*COMMAND, "mount", "--foreground", str(mount.pool), str(mount.at)]
    with subprocess.Popen(command, env=environment(mount.pfs.home), stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        assert b"is mounted on" in server.stderr.readline()
        (mount.at / "file").write_bytes(b"kept")
        server.send_signal(signal.SIGINT)
        assert server.wait(HANG) == 0
    assert not os.path.ismount(mount.at)
    assert mount.pfs.good("cat", "--pool", str(mount.pool), "file").out == b"kept"


def test_a_snapshot_is_read_only_and_as_it_was(mount: Mount) -> None:
    _tree(mount.at)
    before = _listing(mount.at)
    content = (mount.at / "deep" / "file").read_bytes()
    mount.umount()
    mount.pfs.good("snapshots", "--pool", str(mount.pool), "--take", "then")
    mount.mount()
    (mount.at / "deep" / "file").write_bytes(b"later")
    (mount.at / "linked").unlink()
    mount.umount()
    mount.mount("-o", "snapshot=then")
    assert _listing(mount.at) == before
    assert (mount.at / "linked").read_bytes() == (mount.at / "deep" / "file").read_bytes() == content
    assert os.path.samefile(mount.at / "linked", mount.at / "deep" / "file")
    assert os.getxattr(mount.at / "linked", "user.note") == b"kept"
    assert os.readlink(mount.at / "symlink") == "deep/nowhere"
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        (mount.at / "new").write_bytes(b"")
    with (mount.at / "sparse").open("rb") as file:
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) > 4_000_000
    assert (mount.at / "sparse").stat().st_blocks < 1000
    drop = ("snapshots", "--pool", str(mount.pool), "--drop", "then")
    refused = mount.pfs(*drop)
    assert refused.code == ExitCode.LOCKED
    assert "pfs umount" in refused.err
    assert _listing(mount.at) == before
    mount.umount()
    mount.pfs.good(*drop)


def _listing(at: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(at.rglob("*")):
        seen = path.lstat()
        size = 0 if path.is_dir() else seen.st_size
        found[str(path.relative_to(at))] = (seen.st_mode, seen.st_uid, seen.st_gid, size, seen.st_mtime_ns)
    return found


def test_a_read_only_mount_takes_no_lease(mount: Mount) -> None:
    (mount.at / "file").write_bytes(b"content")
    mount.umount()
    mount.mount("-o", "ro")
    assert (mount.at / "file").read_bytes() == b"content"
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        (mount.at / "file").write_bytes(b"no")
    mount.pfs.good("rm", "--pool", str(mount.pool), "file")


def test_a_mount_goes_without_waiting_for_the_others_of_its_pool(mount: Mount, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    mount.pfs.good("mount", str(mount.pool), str(other), "-o", "ro")
    try:
        started = time.monotonic()
        unmount(str(other), lazy=False)
        assert time.monotonic() - started < SOON
        assert find_mount(str(mount.at)) is not None
    finally:
        detach_anyhow(other)


def test_a_read_only_mount_follows_what_others_change(mount: Mount, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"one")
    mount.umount()
    mount.pfs.good("put", "--pool", str(mount.pool), str(source), "dir")
    mount.mount("-o", "ro")
    assert (mount.at / "dir/source/file").read_bytes() == b"one"
    assert not (mount.at / "dir/source/second").exists()
    (source / "file").write_bytes(b"other")
    (source / "second").write_bytes(b"2")
    mount.pfs.good("put", "--replace", "--pool", str(mount.pool), str(source), "dir")
    await_true(lambda: (mount.at / "dir/source/file").read_bytes() == b"other")
    await_true((mount.at / "dir/source/second").exists)


def test_a_shared_map_reaches_the_pool(mount: Mount) -> None:
    (mount.at / "map").write_bytes(bytes(100_000))
    code = (
        "import mmap,os,sys\n"
        "with open(sys.argv[1], 'r+b') as f, mmap.mmap(f.fileno(), 0) as m:\n"
        " m[50000:50003] = b'abc'; m.flush(); m[70000:70003] = b'xyz'\n"
    )
    _run(sys.executable, "-c", code, mount.at / "map")
    mount.again()
    content = (mount.at / "map").read_bytes()
    assert (content[50_000:50_003], content[70_000:70_003], len(content)) == (b"abc", b"xyz", 100_000)


def test_ten_thousand_names_are_listed_while_they_change(mount: Mount) -> None:
    (mount.at / "many").mkdir()
    for number in range(10_000):
        os.close(os.open(mount.at / "many" / f"{number:05}", os.O_CREAT | os.O_WRONLY))
    seen = set()
    with os.scandir(mount.at / "many") as entries:
        for count, entry in enumerate(entries):
            assert entry.name not in seen
            seen.add(entry.name)
            if count % 100 == 0:
                (mount.at / "many" / f"new{count}").write_bytes(b"")
                (mount.at / "many" / f"{9999 - count // 100:05}").unlink(missing_ok=True)
    assert {f"{number:05}" for number in range(9_900)} <= seen


def test_names_of_255_bytes_of_any_kind(mount: Mount) -> None:
    name = b"\xff\n" + b"n" * 253
    place = os.fsencode(mount.at)
    os.close(os.open(os.path.join(place, name), os.O_CREAT))
    assert os.listdir(place) == [name]
    with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
        os.open(os.path.join(place, name + b"x"), os.O_CREAT)


def test_sqlite_with_a_log(mount: Mount) -> None:
    code = (
        "import sqlite3, sys\n"
        "with sqlite3.connect(sys.argv[1]) as db:\n"
        " db.execute('PRAGMA journal_mode=WAL')\n"
        " db.execute('CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)')\n"
        " db.executemany('INSERT INTO t(b) VALUES(?)', [('x' * 100,)] * 5000); db.commit()\n"
        " db.executemany('UPDATE t SET b=? WHERE a=?', [('y', n) for n in range(1, 5000, 7)]); db.commit()\n"
    )
    _run(sys.executable, "-c", code, mount.at / "base.db")
    mount.again()
    shutil.copy(mount.at / "base.db", mount.pfs.home / "copy.db")
    with sqlite3.connect(mount.pfs.home / "copy.db") as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert base.execute("SELECT count(*) FROM t WHERE b='y'").fetchone() == (715,)
    base.close()


def test_git_clones_and_is_clean(mount: Mount) -> None:
    _needs("git")
    origin = mount.pfs.home / "origin"
    origin.mkdir()
    for number in range(50):
        (origin / f"file{number}").write_text(f"{number}\n" * 100)
    settings = ("-c", "user.name=n", "-c", "user.email=e@example", "-c", "init.defaultBranch=main")
    _run("git", "init", "-q", cwd=origin)
    _run("git", "add", ".", cwd=origin)
    _run("git", *settings, "commit", "-qm", "one", cwd=origin)
    _run("git", "clone", "-q", "--no-hardlinks", origin, mount.at / "clone")
    assert _run("git", "-c", "safe.directory=*", "status", "--porcelain", cwd=mount.at / "clone") == b""
    _run("git", "-c", "safe.directory=*", "fsck", "--strict", cwd=mount.at / "clone")


def test_tar_and_cp_keep_holes_links_and_times(mount: Mount) -> None:
    _needs("tar")
    source = mount.pfs.home / "source"
    source.mkdir()
    _tree(source)
    (mount.at / "tar").mkdir()
    _run("tar", "-C", source, "--sparse", "--xattrs", "-cf", mount.at / "a.tar", ".")
    _run("tar", "-C", mount.at / "tar", "--xattrs", "--xattrs-include=*", "-xpf", mount.at / "a.tar")
    assert _listing(mount.at / "tar") == _listing(source)
    _run("cp", "-a", "--sparse=always", mount.at / "tar", mount.at / "cp")
    assert _listing(mount.at / "cp") == _listing(source)
    assert (mount.at / "cp" / "sparse").stat().st_blocks < 1000
    assert (mount.at / "cp" / "linked").stat().st_nlink == 2


def test_rsync_finds_nothing_left_to_do(mount: Mount) -> None:
    _needs("rsync")
    source = mount.pfs.home / "source"
    source.mkdir()
    _tree(source)
    _run("rsync", "-aHAX", f"{source}/", f"{mount.at}/there/")
    assert _run("rsync", "-aHAXni", f"{source}/", f"{mount.at}/there/") == b""
    mount.again()
    assert _run("rsync", "-aHAXnic", f"{source}/", f"{mount.at}/there/") == b""
    assert (mount.at / "there" / "linked").stat().st_nlink == 2


def test_permissions_are_checked(mount: Mount) -> None:
    mount.umount()
    mount.mount("-o", "allow_other,noatime")
    secret = mount.at / "secret"
    secret.write_bytes(b"x")
    secret.chmod(0o600)
    (mount.at / "d").mkdir()
    (mount.at / "d").chmod(0o3777)
    os.chown(mount.at / "d", -1, 77)
    code = (
        "import os\nos.setgroups([]); os.setgid(1234); os.setuid(1234)\n"
        "os.close(os.open('d/mine', os.O_CREAT | os.O_WRONLY, 0o644))\n"
        "try: open('secret')\n"
        "except PermissionError: print('refused')\n"
    )
    assert _run(sys.executable, "-c", code, cwd=mount.at) == b"refused\n"
    assert ((mount.at / "d" / "mine").stat().st_uid, (mount.at / "d" / "mine").stat().st_gid) == (1234, 77)


def test_nothing_is_kept_open_after_a_while(mount: Mount) -> None:
    """What was written but not synced is committed by itself."""
    (mount.at / "file").write_bytes(b"by itself")
    await_true(lambda: mount.pfs("cat", "--pool", str(mount.pool), "file").out == b"by itself")


def _reads(path: Path, uid: int) -> bool:
    """Say whether a user may read a file, whoever may enter the directories above it."""
    code = "import os,sys\nos.setgroups([]); os.setgid(4321); os.setuid(int(sys.argv[2]))\nopen(sys.argv[1]).read()\n"
    command = [sys.executable, "-c", code, path.name, str(uid)]
    return not subprocess.run(command, cwd=path.parent, capture_output=True, check=False).returncode


def test_the_kernel_goes_by_access_control_lists(mount: Mount) -> None:
    mount.umount()
    mount.mount("-o", "allow_other")
    rules = [
        Rule(Tag.OWNER, 6),
        Rule(Tag.USER, 4, 1234),
        Rule(Tag.OWNING_GROUP, 0),
        Rule(Tag.MASK, 4),
        Rule(Tag.OTHERS, 0),
    ]
    file, folder = mount.at / "file", mount.at / "folder"
    file.write_bytes(b"secret")
    folder.mkdir(0o755)
    os.setxattr(file, "system.posix_acl_access", acl.pack(rules))
    os.setxattr(folder, "system.posix_acl_default", acl.pack(rules))
    (folder / "made").write_bytes(b"secret")
    for path in (file, folder / "made"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert [_reads(path, uid) for uid in (1234, 1235)] == [True, False]
    _run("cp", "-a", file, mount.at / "copy")
    file.chmod(0o600)
    assert not _reads(file, 1234), "chmod takes it from the mask"
    assert _reads(mount.at / "copy", 1234)
    mount.umount()
    mount.mount("-o", "allow_other")
    assert [_reads(mount.at / "copy", uid) for uid in (1234, 1235)] == [True, False]


def test_who_writes_a_file_takes_its_capabilities_away(mount: Mount) -> None:
    """ping's: a file that is written gets nothing of what root had given to the old bytes."""
    tool = mount.at / "tool"
    for mode in ("r+b", "ab", "wb"):
        tool.write_bytes(b"trusted")
        os.setxattr(tool, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        os.setxattr(tool, "user.note", b"kept")
        with tool.open(mode) as file:
            file.write(b"other")
        assert os.listxattr(tool) == ["user.note"]
    with tool.open("wb") as file:
        os.setxattr(tool, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        file.write(b"other")
    assert os.listxattr(tool) == ["user.note"]


def test_space_of_files_that_a_killed_server_had_open_is_given_back_without_a_mount(mount: Mount) -> None:
    with (mount.at / "gone").open("w+b", buffering=0) as file:
        (mount.at / "gone").unlink()
        file.write(random.randbytes(3_000_000))
        os.fsync(file.fileno())
        _kill_server(mount.at)
        with suppress(OSError):
            file.close()
    mount.umount()
    freed = json.loads(mount.pfs.good("gc", "--json", "--pool", str(mount.pool)).out.splitlines()[-1])
    assert freed["freed"] >= 3_000_000
