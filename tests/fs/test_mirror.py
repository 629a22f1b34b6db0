"""The namespace after a walk against the disk, what a walk reads and what it leaves, and files that misbehave."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import SourceUnavailable, UnsafePath
from packetfs.events import Event, Progress, Trouble
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import Signature
from packetfs.fs.mirroring import file as intake
from packetfs.fs.mirroring.mirror import MirrorOptions, mirror
from packetfs.fs.streams.ingest import ingest
from packetfs.packet.digest import digest_of
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool


@pytest.fixture
def fs(tmp_path: Path) -> Iterator[FileSystem]:
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool, FileSystem(pool) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "host"
    path.mkdir()
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every signature for old, as it is some moments later."""
    monkeypatch.setattr(Signature, "is_racy", lambda *_: False)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the files that were read."""
    sizes: list[int] = []

    def counting(*args: object, **named: object) -> object:
        done = ingest(*args, **named)  # type: ignore[arg-type]
        sizes.append(done.size)
        return done

    monkeypatch.setattr(intake, "ingest", counting)
    return sizes


def troubles(events: list[Event]) -> dict[bytes, str]:
    return {event.path: event.reason for event in events if isinstance(event, Trouble)}


def run(fs: FileSystem, host: Path, options: MirrorOptions | None = None, at: bytes = b"m") -> dict[bytes, str]:
    events: list[Event] = []
    mirror(fs, os.fsencode(host), at, options or MirrorOptions(), events.append)
    return troubles(events)


def everything(fs: FileSystem, path: bytes = b"m") -> dict[bytes, Entry]:
    found = {}
    for entry in fs.children(path):
        inner = path + b"/" + entry.name
        found[inner.partition(b"/")[2]] = entry
        if entry.is_dir:
            found |= everything(fs, inner)
    return found


def test_a_tree_of_all_kinds(fs: FileSystem, host: Path) -> None:
    (host / "d" / "e").mkdir(parents=True)
    (host / "d" / "f").write_bytes(bytes(range(256)) * 1000)
    (host / "d" / "empty").touch()
    (host / "link").symlink_to(b"\xff/nowhere".decode("utf-8", "surrogateescape"))
    os.mkfifo(host / "fifo", 0o640)
    os.setxattr(host / "d" / "f", "user.x", b"\0")
    os.utime(host / "d" / "f", ns=(1, 1_234_567_890_123_456_789))
    os.chmod(host / "d" / "f", 0o4751)  # noqa: S103
    assert run(fs, host) == {}
    found = everything(fs)
    assert sorted(found) == [b"d", b"d/e", b"d/empty", b"d/f", b"fifo", b"link"]
    file = found[b"d/f"]
    assert (file.mode, file.mtime_ns, file.size) == (stat.S_IFREG | 0o4751, 1_234_567_890_123_456_789, 256_000)
    assert (file.uid, file.gid, file.xattrs) == (os.geteuid(), os.getegid(), ((b"user.x", b"\0"),))
    assert (file.group, file.sparse) == (0, False)
    assert fs.read(b"m/d/f") == bytes(range(256)) * 1000
    assert fs.read(b"m/d/empty") == b""
    assert found[b"link"].target == b"\xff/nowhere"
    assert stat.S_ISFIFO(found[b"fifo"].mode)
    for path, entry in found.items():
        status = os.lstat(os.fsencode(host) + b"/" + path)
        assert (entry.mode, entry.mtime_ns) == (status.st_mode, status.st_mtime_ns)
    top = fs.entry(b"m")
    assert top is not None
    assert top.mode == host.stat().st_mode


@pytest.mark.usefixtures("settled")
def test_what_is_unchanged_is_not_read(fs: FileSystem, host: Path, reads: list[int]) -> None:
    (host / "d").mkdir()
    (host / "d" / "f").write_bytes(b"1")
    (host / "g").write_bytes(b"22")
    run(fs, host)
    root = fs.tree_root(b"m")
    assert sorted(reads) == [1, 2]
    reads.clear()
    run(fs, host)
    assert reads == []
    run(fs, host, MirrorOptions(checksum=True))
    assert sorted(reads) == [1, 2]
    assert fs.tree_root(b"m") == root
    reads.clear()
    (host / "g").write_bytes(b"333")
    run(fs, host)
    assert reads == [3]
    assert fs.read(b"m/g") == b"333"


def test_a_change_right_after_the_walk_is_seen_though_it_hides(fs: FileSystem, host: Path) -> None:
    """Same size, same times, perhaps in the same tick: only the racy rule finds it."""
    file = host / "f"
    for number in range(50):
        file.write_bytes(b"old%02d" % number)
        os.utime(file, ns=(5, 5))
        run(fs, host)
        file.write_bytes(b"new%02d" % number)
        os.utime(file, ns=(5, 5))
        run(fs, host)
        assert fs.read(b"m/f") == b"new%02d" % number


@pytest.mark.parametrize("racy", [False, True])
def test_a_racy_signature_is_not_kept(fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch, racy: bool) -> None:
    (host / "d").mkdir()
    (host / "f").touch()
    monkeypatch.setattr(Signature, "is_racy", lambda *_: racy)
    run(fs, host)
    for name in ("d", "f"):
        kept = fs.seen(b"m/" + name.encode())
        assert kept == (None if racy else Signature.of((host / name).stat()).pack())


def test_names_that_go_and_kinds_that_change(fs: FileSystem, host: Path) -> None:
    for name in ("a", "c", "e"):
        (host / name / "deep").mkdir(parents=True)
        (host / name / "deep" / "f").write_bytes(b"x")
    (host / "b").write_bytes(b"b")
    (host / "z").symlink_to("b")
    run(fs, host)
    for name in ("a", "c"):
        shutil.rmtree(host / name)
    (host / "c").write_bytes(b"a file now")
    (host / "b").unlink()
    (host / "b").mkdir()
    (host / "z").unlink()
    run(fs, host)
    assert sorted(everything(fs)) == [b"b", b"c", b"e", b"e/deep", b"e/deep/f"]
    assert fs.read(b"m/c") == b"a file now"


def test_any_bytes_are_a_name(fs: FileSystem, host: Path) -> None:
    names = [b"\x01", b"\n", b" ", b"-rf", b"\xc3\xa4", b"\xff\xfe", b"\x1b[31m", b"...", b"x" * 255]
    for name in names:
        with open(os.fsencode(host) + b"/" + name, "wb") as file:
            file.write(name)
    assert run(fs, host) == {}
    assert sorted(everything(fs)) == sorted(names)
    assert all(fs.read(b"m/" + name) == name for name in names)


def test_paths_beyond_the_kernels_limit(fs: FileSystem, host: Path) -> None:
    name = b"d" * 200
    with Beneath(host) as beneath:
        path = name
        for _ in range(40):
            beneath.mkdir(path)
            path += b"/" + name
        fd = beneath.create(path)
        os.write(fd, b"deep")
        os.close(fd)
        assert run(fs, host) == {}
        assert fs.read(b"m/" + path) == b"deep"
        beneath.remove_tree(name)


def test_paths_beyond_our_own_limit_are_trouble(fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "d" / "e").mkdir(parents=True)
    (host / "f").touch()
    monkeypatch.setattr("packetfs.fs.paths.PATH_MAX", 4)
    too_long = "m/d/e... has 5 bytes; a path, without what stands above the files, may have 4."
    assert run(fs, host) == {b"d/e": too_long}
    assert sorted(everything(fs)) == [b"d", b"f"]


def test_only_the_staging_of_the_top_is_left_out(fs: FileSystem, host: Path) -> None:
    (host / ".packetfs-staging").mkdir()
    (host / "d" / ".packetfs-staging").mkdir(parents=True)
    run(fs, host)
    assert sorted(everything(fs)) == [b"d", b"d/.packetfs-staging"]


def test_holes_are_noted(fs: FileSystem, host: Path) -> None:
    with open(host / "f", "wb") as file:
        file.truncate(1 << 20)
    run(fs, host)
    entry = fs.entry(b"m/f")
    assert entry is not None
    assert entry.sparse


@pytest.mark.usefixtures("settled")
def test_a_single_file(fs: FileSystem, host: Path, reads: list[int]) -> None:
    (host / "f").write_bytes(b"1")
    root = mirror(fs, str(host / "f"), b"deep/name")
    entry = fs.entry(b"deep/name")
    assert entry is not None
    assert (entry.root, entry.name) == (root, b"name")
    assert mirror(fs, str(host / "f"), b"deep/name") == root
    assert reads == [1]


def test_the_whole_namespace_can_be_one_mirror(fs: FileSystem, host: Path) -> None:
    (host / "f").write_bytes(b"1")
    assert mirror(fs, str(host), b"") == fs.tree_root()
    assert fs.read(b"f") == b"1"


@pytest.mark.parametrize("name", ["gone", "gone/deep", "fifo"])
def test_what_cannot_be_a_source(fs: FileSystem, host: Path, name: str) -> None:
    os.mkfifo(host / "fifo")
    with pytest.raises((SourceUnavailable, UnsafePath)):
        mirror(fs, str(host / name), b"m")
    assert fs.entry(b"m") is None


def test_progress(fs: FileSystem, host: Path) -> None:
    (host / "d").mkdir()
    (host / "d" / "f").write_bytes(bytes(1000))
    events: list[Event] = []
    mirror(fs, str(host), b"m", listener=events.append)
    assert events == [Progress(2, 1000, 0)]


# files that misbehave


def at_each_read(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Run `act` with the number of the read just after each file was read."""
    count = [0]

    def acting(*args: object, **named: object) -> object:
        done = ingest(*args, **named)  # type: ignore[arg-type]
        count[0] += 1
        act(count[0])
        return done

    monkeypatch.setattr(intake, "ingest", acting)


def test_a_file_that_changes_once_is_read_again(fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "f").write_bytes(b"old")
    at_each_read(monkeypatch, lambda number: number == 1 and (host / "f").write_bytes(b"newer"))
    assert run(fs, host) == {}
    assert fs.read(b"m/f") == b"newer"


def test_a_file_that_keeps_changing_stays_as_it_was(
    fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host / "f").write_bytes(b"old")
    (host / "g").write_bytes(b"g")
    run(fs, host)
    (host / "f").write_bytes(b"old 2")
    (host / "new").write_bytes(b"new")
    at_each_read(monkeypatch, lambda number: [(host / n).write_bytes(b"x" * number) for n in ("f", "new")])
    found = run(fs, host)
    assert found == {b"f": "changed while being read", b"new": "changed while being read"}
    assert sorted(everything(fs)) == [b"f", b"g"]
    assert fs.read(b"m/f") == b"old"


@pytest.mark.parametrize("moment", ["lstat", "open"])
def test_a_file_that_vanishes_goes(fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    for name in ("a", "f", "g"):
        (host / name).write_bytes(b"1")
    run(fs, host)
    method = {"lstat": "lstat_in", "open": "open_read"}[moment]
    original = getattr(Beneath, method)

    def late(self: Beneath, *args: bytes) -> object:
        if args[-1] == b"f":
            (host / "f").unlink(missing_ok=True)
        return original(self, *args)

    monkeypatch.setattr(Beneath, method, late)
    assert run(fs, host) == {b"f": "vanished"}
    assert sorted(everything(fs)) == [b"a", b"g"]


def test_a_directory_that_vanishes_goes(fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "d" / "e").mkdir(parents=True)
    (host / "f").touch()
    run(fs, host)
    names = Beneath.names

    def late(self: Beneath, path: bytes) -> list[bytes]:
        if path == b"d":
            shutil.rmtree(host / "d")
        return names(self, path)

    monkeypatch.setattr(Beneath, "names", late)
    assert run(fs, host) == {b"d": "vanished"}
    assert sorted(everything(fs)) == [b"f"]


def test_a_file_that_becomes_a_symlink_is_not_followed(
    fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host / "f").write_bytes(b"1")
    open_read = Beneath.open_read

    def late(self: Beneath, path: bytes) -> int:
        (host / "f").unlink()
        (host / "f").symlink_to("/etc/passwd")
        return open_read(self, path)

    monkeypatch.setattr(Beneath, "open_read", late)
    assert "symbolic link" in run(fs, host)[b"f"]
    assert everything(fs) == {}


def test_what_may_not_be_read_stays_as_it_was(fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "d").mkdir()
    for path in ("d/f", "f", "g"):
        (host / path).write_bytes(b"old")
    run(fs, host)
    names, open_read = Beneath.names, Beneath.open_read

    def allowed(path: bytes) -> bytes:
        if path in (b"d", b"f"):
            raise PermissionError(13, "Permission denied")
        return path

    monkeypatch.setattr(Beneath, "names", lambda self, path: names(self, allowed(path)))
    monkeypatch.setattr(Beneath, "open_read", lambda self, path: open_read(self, allowed(path)))
    (host / "f").write_bytes(b"new")
    (host / "g").write_bytes(b"new")
    assert run(fs, host) == {b"d": "Permission denied", b"f": "Permission denied"}
    assert {path: fs.read(b"m/" + path) for path in (b"d/f", b"f", b"g")} == {
        b"d/f": b"old",
        b"f": b"old",
        b"g": b"new",
    }


def test_attributes_that_no_entry_holds_are_trouble(
    fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host / "f").touch()
    os.setxattr(host / "f", "user.x", bytes(100))
    monkeypatch.setattr(intake, "_XATTRS_MAX", 50)
    assert "attributes" in run(fs, host)[b"f"]


def test_files_without_a_length_are_trouble(fs: FileSystem) -> None:
    found = run(fs, Path("/proc/self/attr"))
    assert set(found.values()) <= {"changed while being read", "Invalid argument", "Permission denied"}
    assert found


def test_other_filesystems_are_left_out_on_demand(fs: FileSystem, host: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    (host / "m").mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", host / "m"], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (host / "m" / "f").touch()
        run(fs, host)
        assert sorted(everything(fs)) == [b"m", b"m/f"]
        run(fs, host, MirrorOptions(one_filesystem=True))
        assert sorted(everything(fs)) == [b"m"]
    finally:
        subprocess.run(["umount", "-l", host / "m"], check=True)


# hard links


def groups(fs: FileSystem) -> dict[bytes, int]:
    return {path: entry.group for path, entry in everything(fs).items() if not entry.is_dir}


def number_of(path: bytes) -> int:
    return int.from_bytes(digest_of(path)[:8], "little")


def test_hard_links_carry_the_number_of_the_first_and_are_read_once(
    fs: FileSystem, host: Path, reads: list[int]
) -> None:
    (host / "d").mkdir()
    (host / "d" / "one").write_bytes(b"1")
    for name in ("a", "z"):
        os.link(host / "d" / "one", host / name)
    (host / "alone").write_bytes(b"22")
    os.link(host / "alone", host.parent / "outside")
    (host / "symlink").symlink_to("x")
    os.link(host / "symlink", host / "symlink2", follow_symlinks=False)
    run(fs, host)
    shared, links = number_of(b"a"), number_of(b"symlink")
    assert groups(fs) == {
        b"a": shared,
        b"alone": 0,
        b"d/one": shared,
        b"symlink": links,
        b"symlink2": links,
        b"z": shared,
    }
    assert sorted(reads) == [1, 2]
    assert fs.read(b"m/z") == b"1"


@pytest.mark.usefixtures("settled")
def test_hard_links_that_come_and_go(fs: FileSystem, host: Path) -> None:
    (host / "b").write_bytes(b"1")
    run(fs, host)
    os.link(host / "b", host / "c")
    run(fs, host)
    assert groups(fs) == dict.fromkeys([b"b", b"c"], number_of(b"b"))
    os.link(host / "b", host / "a")
    run(fs, host)
    assert groups(fs) == dict.fromkeys([b"a", b"b", b"c"], number_of(b"a"))
    (host / "a").unlink()
    run(fs, host)
    assert groups(fs) == dict.fromkeys([b"b", b"c"], number_of(b"b"))
    (host / "b").rename(host.parent / "outside")
    run(fs, host)
    assert groups(fs) == {b"c": 0}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("names", [b"ab", b"abcd"])
def test_content_changes_under_all_names(fs: FileSystem, host: Path, names: bytes) -> None:
    paths = [bytes([name]) for name in names]
    for number in range(3):
        (host / "b").write_bytes(b"%d" % number)
        os.utime(host / "b", ns=(number, number))
        if not number:
            for path in set(paths) - {b"b"}:
                os.link(host / "b", host / path.decode())
        run(fs, host)
        assert groups(fs) == dict.fromkeys(paths, number_of(b"a"))
        assert [fs.read(b"m/" + path) for path in paths] == [b"%d" % number] * len(paths)


@pytest.mark.usefixtures("settled")
def test_a_group_ends_even_where_the_inode_shows_no_change(fs: FileSystem, host: Path) -> None:
    (host / "d").mkdir()
    (host / "d" / "a").write_bytes(b"1")
    os.link(host / "d" / "a", host / "e")
    run(fs, host)
    (host / "d").rename(host.parent / "outside")
    run(fs, host)
    assert groups(fs) == {b"e": 0}


# any sequence of changes ends where a walk from nothing does

PATHS = st.sampled_from(["a", "b", "c", "d", "d/a", "d/e", "d/e/f", "g"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), PATHS, PATHS),
        st.tuples(st.just("mkdir"), PATHS, PATHS),
        st.tuples(st.just("link"), PATHS, PATHS),
        st.tuples(st.just("rename"), PATHS, PATHS),
        st.tuples(st.just("remove"), PATHS, PATHS),
        st.tuples(st.just("chmod"), PATHS, PATHS),
        st.tuples(st.just("mirror"), PATHS, PATHS),
    ),
    max_size=25,
)


def change(step: str, path: Path, other: Path, number: int) -> None:
    """Change the disk; each touched inode gets a time of its own, as if the clock had moved on."""
    if step == "write":
        path.write_bytes(b"%d" % (number % 7))
    elif step == "mkdir":
        path.mkdir()
    elif step == "link":
        os.link(path, other)
    elif step == "rename":
        path.rename(other)
        path = other
    elif step == "chmod":
        path.chmod(0o700 | number % 8)
    elif path.is_dir():
        shutil.rmtree(path)
        return
    else:
        left = path.stat()
        os.link(path, path.parent / "kept") if left.st_nlink > 1 else None
        path.unlink()
        path = path.parent / "kept"
    os.utime(path, ns=(number, number))
    if path.name == "kept":
        path.unlink()


@settings(max_examples=60)
@given(steps=STEPS)
def test_any_changes(steps: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    top = tmp_path_factory.mktemp("changes")
    host = top / "host"
    host.mkdir()
    with (
        pytest.MonkeyPatch.context() as patch,
        Pool.create(str(top / "p"), durable=False) as pool,
        FileSystem(pool) as fs,
    ):
        patch.setattr(Signature, "is_racy", lambda *_: False)
        for number, (step, path, other) in enumerate([*steps, ("mirror", "", "")], 1):
            if step != "mirror":
                with suppress(OSError):
                    change(step, host / path, host / other, number)
                continue
            assert run(fs, host) == {}
            assert run(fs, host, at=b"fresh") == {}
            assert everything(fs) == everything(fs, b"fresh")
            assert fs.tree_root(b"m") == fs.tree_root(b"fresh")
            fs.remove(b"fresh")
    shutil.rmtree(top)
