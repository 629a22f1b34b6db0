"""A tree that is written out is the tree that is stored; and file objects read what files hold."""

from __future__ import annotations

import errno
import io
import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.errors import DestinationFull
from packetfs.events import Event, Trouble
from packetfs.fs.export import export
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.entry import Entry
from packetfs.pool.gc import evict
from packetfs.pool.pool import Pool

DIRECTORY = stat.S_IFDIR | 0o755
FILE = stat.S_IFREG | 0o640
UID, GID = os.getuid(), os.getgid()


@pytest.fixture
def fs(tmp_path: Path) -> Iterator[FileSystem]:
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool, FileSystem(pool) as made:
        yield made


def put(fs: FileSystem, path: bytes, content: bytes, group: int = 0, sparse: bool = False) -> Entry:
    source = io.BytesIO(content)
    fs.make_parents(path)
    entry = Entry(path.rpartition(b"/")[2], FILE, UID, GID, 10**18, group=group, sparse=sparse)
    return fs.put_file(path, lambda _, view: source.readinto(view), entry)


def top(fs: FileSystem, path: bytes) -> Entry:
    fs.tree_root(path)
    entry = fs.entry(path)
    assert entry is not None
    return entry


def test_a_tree_is_written_out(fs: FileSystem, tmp_path: Path) -> None:
    content = random.randbytes(200_000)
    put(fs, b"top/deep/er/file", content)
    put(fs, b"top/one", b"linked", group=5)
    put(fs, b"top/two", b"linked", group=5)
    put(fs, b"top/holes", b"a" + bytes(1 << 20), sparse=True)
    fs.set(b"top/link", Entry(b"link", stat.S_IFLNK | 0o777, UID, GID, 10**18, target=b"one"))
    fs.set(b"top/closed", Entry(b"closed", stat.S_IFDIR | 0o500, UID, GID, 10**17))
    put(fs, b"top/closed/file", b"inside")
    (tmp_path / "out" / "there").mkdir(parents=True)
    (tmp_path / "out" / "there" / "kept").touch()
    events: list[Event] = []
    done = export(fs.pool, top(fs, b"top"), os.fsencode(tmp_path / "out"), b"there", events.append)
    out = tmp_path / "out" / "there"
    assert [event for event in events if isinstance(event, Trouble)] == []
    assert (done.files, done.size) == (6, len(content) + 12 + (1 << 20) + 1 + 6)
    assert (out / "deep" / "er" / "file").read_bytes() == content
    assert (out / "one").stat().st_ino == (out / "two").stat().st_ino
    assert (out / "one").stat().st_mtime_ns == 10**18
    assert stat.S_IMODE((out / "one").stat().st_mode) == 0o640
    assert (out / "holes").read_bytes() == b"a" + bytes(1 << 20)
    assert (out / "holes").stat().st_blocks * 512 < 1 << 20
    assert (out / "link").readlink() == Path("one")
    assert (out / "closed").stat().st_mode & 0o777 == 0o500
    assert (out / "closed").stat().st_mtime_ns == 10**17
    assert (out / "closed" / "file").read_bytes() == b"inside"
    assert sorted(os.listdir(tmp_path / "out")) == ["there"]
    assert (out / "kept").exists()


def test_damage_costs_the_file_alone(fs: FileSystem, tmp_path: Path) -> None:
    put(fs, b"top/bad", b"lost" * 1000)
    put(fs, b"top/good", b"kept" * 1000)
    evict(fs.pool, digest_of(b"lost" * 1000))
    events: list[Event] = []
    export(fs.pool, top(fs, b"top"), os.fsencode(tmp_path), b"out", events.append)
    assert [event.path for event in events if isinstance(event, Trouble)] == [b"out/bad"]
    assert (tmp_path / "out" / "good").read_bytes() == b"kept" * 1000
    assert sorted(os.listdir(tmp_path / "out")) == ["good"]


def test_a_full_disk_ends_it(fs: FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(fs, b"top/one", b"no room" * 1000)
    put(fs, b"top/two", b"nor for this" * 1000)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(DestinationFull, match="out/one"):
        export(fs.pool, top(fs, b"top"), os.fsencode(tmp_path), b"out")
    assert os.listdir(tmp_path / "out") == []


def test_hostile_names_go_nowhere(fs: FileSystem, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "out" / "trap").symlink_to(tmp_path / "outside")
    put(fs, b"trap/file", b"x")
    export(fs.pool, top(fs, b"trap"), os.fsencode(tmp_path / "out"), b"trap")
    assert os.listdir(tmp_path / "outside") == []


def test_a_file_object(fs: FileSystem) -> None:
    content = random.randbytes(150_000) + bytes(100_000) + random.randbytes(50_000)
    entry = put(fs, b"file", content)
    assert (entry.size, fs.read(b"file", 10, 20)) == (len(content), content[10:30])
    with fs.open_read(b"file") as file:
        put(fs, b"file", b"other")
        assert file.read() == content
        assert file.seek(-5, io.SEEK_END) == len(content) - 5
        assert file.read(100) == content[-5:]
        assert file.read(1) == b""
        file.seek(149_990)
        assert io.BufferedReader(file).read(30) == content[149_990:150_020]
        assert file.seek(10**9) == 10**9
        assert file.read(1) == b""
        with pytest.raises(ValueError, match="position"):
            file.seek(-1)
    assert fs.read(b"file") == b"other"


def test_putting_again_uses_the_old_content(fs: FileSystem) -> None:
    first = put(fs, b"file", random.randbytes(100_000))
    before = fs.pool.content_bytes
    source = fs.open_read(b"file")
    fs.put_file(b"file", lambda _, view: source.readinto(view), Entry(b"file", FILE))
    assert fs.pool.content_bytes == before
    assert Digest(first.root) == fs.paths.need(b"file").entry.root
