"""One truth: with everything but the arena gone the last snapshot comes back. And what check and gc see of files."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from packetfs.errors import MissingExtent
from packetfs.events import Event
from packetfs.fs.check import Affected, check
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.gc import collect_garbage
from packetfs.fs.rebuild import forget_names, rebuild
from packetfs.fs.streams.ingest import ingest
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.entry import Entry
from packetfs.pool.gc import evict
from packetfs.pool.pool import Pool

DIRECTORY = stat.S_IFDIR | 0o755
FILE = stat.S_IFREG | 0o644


def put(fs: FileSystem, path: bytes, content: bytes, group: int = 0) -> None:
    def read_into(offset: int, view: memoryview) -> int:
        part = content[offset : offset + len(view)]
        view[: len(part)] = part
        return len(part)

    done = ingest(fs.pool, read_into)
    fs.make_parents(path)
    fs.set(path, Entry(path.rpartition(b"/")[2], FILE, size=len(content), root=done.root, group=group), within=b"")


def fill(fs: FileSystem) -> None:
    put(fs, b"one/small", b"x")
    put(fs, b"one/two/big", bytes(range(256)) * 4000, group=3)
    put(fs, b"one/link", bytes(range(256)) * 4000, group=3)
    fs.set(b"bare", Entry(b"bare", stat.S_IFLNK | 0o777, target=b"where", xattrs=((b"user.a", b"1"),)))
    for number in range(400):
        put(fs, b"many/%04d" % number, b"content %d" % number * 9)


def only_arena(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name != "arena":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def test_all_names_come_back_from_the_arena(tmp_path: Path) -> None:
    where = tmp_path / "pool"
    with Pool.create(str(where)) as pool, FileSystem(pool) as fs:
        fill(fs)
        fs.snapshot(b"old", b"one", time_ns=1)
        put(fs, b"one/small", b"y")
        taken = fs.snapshot(b"new", time_ns=2)
        put(fs, b"lost", b"after the last snapshot")
        fs.commit()
    only_arena(where)
    with Pool.open(str(where), writable=True) as pool, FileSystem(pool) as fs:
        done = rebuild(fs)
        assert (done.snapshots, done.broken) == (2, 0)
        assert [snapshot.name for snapshot in fs.snapshots()] == [b"old", b"new"]
        assert fs.tree_root() == taken.root
        assert fs.read(b"one/small") == b"y"
        assert fs.read(b"one/two/big") == fs.read(b"one/link") == bytes(range(256)) * 4000
        link = fs.entry(b"bare")
        assert link is not None
        assert (link.target, link.xattrs) == (b"where", ((b"user.a", b"1"),))
        put(fs, b"one/link", b"changed", group=3)
        assert fs.read(b"one/two/big") == b"changed", "the two names are one file again"
        assert fs.entry(b"lost") is None


def test_a_later_snapshot_of_a_part_wins(tmp_path: Path) -> None:
    where = tmp_path / "pool"
    with Pool.create(str(where)) as pool, FileSystem(pool) as fs:
        put(fs, b"a/file", b"1")
        put(fs, b"b/file", b"1")
        fs.snapshot(b"all", time_ns=1)
        put(fs, b"a/file", b"2")
        put(fs, b"b/file", b"2")
        fs.snapshot(b"part", b"a", time_ns=2)
    only_arena(where)
    with Pool.open(str(where), writable=True) as pool, FileSystem(pool) as fs:
        rebuild(fs)
        assert (fs.read(b"a/file"), fs.read(b"b/file")) == (b"2", b"1")


def test_a_rebuild_goes_around_damage(tmp_path: Path) -> None:
    where = tmp_path / "pool"
    with Pool.create(str(where)) as pool, FileSystem(pool) as fs:
        fill(fs)
        fs.snapshot(b"all")
        lost = fs.entry(b"many")
        assert lost is not None
        evict(pool, Digest(lost.root))
        forget_names(pool)
    events: list[Event] = []
    with Pool.open(str(where), writable=True) as pool, FileSystem(pool) as fs:
        assert rebuild(fs, events.append).broken == 1
        assert len(events) == 1
        assert fs.read(b"one/small") == b"x"
        assert list(fs.children(b"many")) == []
        fs.tree_root()


def test_a_dropped_snapshot_stays_dropped(tmp_path: Path) -> None:
    where = tmp_path / "pool"
    with Pool.create(str(where)) as pool, FileSystem(pool) as fs:
        put(fs, b"file", b"1")
        fs.snapshot(b"gone")
        fs.snapshot(b"kept")
        fs.drop_snapshot(b"gone")
    only_arena(where)
    with Pool.open(str(where), writable=True) as pool, FileSystem(pool) as fs:
        rebuild(fs)
        assert [snapshot.name for snapshot in fs.snapshots()] == [b"kept"]


def test_check_names_the_files_that_are_hit(tmp_path: Path) -> None:
    with Pool.create(str(tmp_path / "pool")) as pool, FileSystem(pool) as fs:
        fill(fs)
        put(fs, b"mirrored", b"of the host" * 20)
        fs.set_seen(b"mirrored", bytes(40))
        assert list(check(fs)) == []
        evict(pool, digest_of(b"of the host" * 20))
        assert list(check(fs)) == [], "content of a mirrored file may be evicted"
        fs.snapshot(b"all")
        evict(pool, digest_of(b"content 7" * 9))
        hit = [(found.path, found.snapshot) for found in check(fs) if isinstance(found, Affected)]
        assert sorted(hit, key=str) == sorted(
            [(b"many/0007", None), (b"many/0007", b"all"), (b"mirrored", b"all")], key=str
        )


def test_check_sees_flipped_bytes(tmp_path: Path) -> None:
    where = tmp_path / "pool"
    with Pool.create(str(where)) as pool, FileSystem(pool) as fs:
        fill(fs)
        fs.commit()
    (segment,) = (where / "arena").iterdir()
    raw = segment.read_bytes()
    at = raw.index(b"content 9" * 9)
    segment.write_bytes(raw[:at] + b"C" + raw[at + 1 :])
    (where / "verified").unlink()
    with Pool.open(str(where), writable=True) as pool, FileSystem(pool) as fs:
        found = list(check(fs))
        assert [one.path for one in found if isinstance(one, Affected)] == [b"many/0009"]
        assert len(found) == 2


def test_garbage_is_what_nothing_leads_to(tmp_path: Path) -> None:
    with Pool.create(str(tmp_path / "pool")) as pool, FileSystem(pool) as fs:
        fill(fs)
        put(fs, b"garbage", b"nobody needs it" * 5000)
        put(fs, b"history", b"only a snapshot has it" * 5000)
        put(fs, b"state", b"only a sync needs it" * 5000)
        fs.snapshot(b"before")
        state = fs.entry(b"state")
        assert state is not None
        fs.drop_snapshot(b"before")
        fs.remove(b"garbage")
        fs.remove(b"state")
        fs.snapshot(b"with history")
        fs.remove(b"history")
        assert collect_garbage(fs, [Digest(state.root), digest_of(b"long gone")]) > 0
        assert not pool.holds(digest_of(b"nobody needs it" * 5000))
        assert list(check(fs)) == []
        assert fs.read(b"one/two/big") == bytes(range(256)) * 4000
        assert pool.holds(Digest(state.root))
        fs.tree_root()
        assert collect_garbage(fs) >= 0
        assert not pool.holds(Digest(state.root))
        assert list(check(fs)) == []


def test_garbage_is_kept_where_a_program_cannot_be_read(tmp_path: Path) -> None:
    with Pool.create(str(tmp_path / "pool")) as pool, FileSystem(pool) as fs:
        fill(fs)
        fs.snapshot(b"all")
        big = fs.entry(b"one/two/big")
        assert big is not None
        evict(pool, Digest(big.root))
        before = pool.content_bytes
        with pytest.raises(MissingExtent):
            collect_garbage(fs)
        assert pool.content_bytes == before
