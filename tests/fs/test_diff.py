"""What two directories differ in, against comparing all paths of both."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import BadPacket, BadProgram
from packetfs.fs.diff import Change, diff
from packetfs.fs.directory import entries_of
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.codec import encode
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.entry import Entry, encode_entry
from packetfs.packet.head import Head, Kind
from packetfs.packet.tree import tree_packet
from packetfs.pool.pool import Pool

DIRECTORY = stat.S_IFDIR | 0o755
FILE = stat.S_IFREG | 0o644


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool.create(str(tmp_path_factory.mktemp("pool") / "p"), durable=False) as made:
        yield made


@pytest.fixture(scope="module")
def fs(pool: Pool) -> FileSystem:
    return FileSystem(pool)


def make(fs: FileSystem, tree: dict[bytes, int]) -> Digest:
    """Return the root of a tree of files (content number) and directories (-1 and below: their time)."""
    fs.remove(b"")
    for path, number in sorted(tree.items()):
        name = path.rpartition(b"/")[2]
        if number < 0:
            fs.set(path, Entry(name, DIRECTORY, mtime_ns=number))
        else:
            fs.set(path, Entry(name, FILE, size=number, root=digest_of(b"%d" % number)))
    return fs.tree_root()


def paths(pool: Pool, root: Digest, above: bytes = b"") -> dict[bytes, Entry]:
    found = {}
    for entry in entries_of(pool, root):
        path = above + b"/" + entry.name if above else entry.name
        found[path] = entry
        if entry.is_dir:
            found |= paths(pool, Digest(entry.root), path)
    return found


def brute_force(pool: Pool, old: Digest, new: Digest) -> list[Change]:
    before, after = paths(pool, old), paths(pool, new)
    changes = []
    for path in sorted(before | after, key=lambda path: path.split(b"/")):
        a, b = before.get(path), after.get(path)
        above = path.rpartition(b"/")[0]
        if b is None and above and not (above in after and after[above].is_dir):
            continue
        if a and b and a.is_dir != b.is_dir:
            changes += [Change(path, a, None), Change(path, None, b)]
        elif a and b and a.is_dir:
            if a.mtime_ns != b.mtime_ns:
                changes.append(Change(path, a, b))
        elif a != b:
            changes.append(Change(path, a, b))
    return changes


NAMES = st.sampled_from([b"a", b"b", b"c", b"long" * 20])
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(b"/".join), st.integers(-3, 3), max_size=25)


def rooted(tree: dict[bytes, int]) -> dict[bytes, int]:
    """Make every path above another a directory."""
    for path in list(tree):
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            above = b"/".join(parts[:count])
            tree[above] = min(tree.get(above, -1), -1)
    return tree


@settings(max_examples=150)
@given(old=TREES, new=TREES)
def test_small_trees(pool: Pool, fs: FileSystem, old: dict[bytes, int], new: dict[bytes, int]) -> None:
    before, after = make(fs, rooted(old)), make(fs, rooted(new))
    assert list(diff(pool, before, after)) == brute_force(pool, before, after)
    assert list(diff(pool, after, after)) == []


@settings(max_examples=12)
@given(
    count=st.sampled_from([0, 200, 5000]),
    edits=st.lists(st.tuples(st.sampled_from(["set", "remove", "range"]), st.integers(0, 5100)), max_size=12),
)
def test_big_directories(pool: Pool, fs: FileSystem, count: int, edits: list[tuple[str, int]]) -> None:
    tree = {b"%05d" % number: 1 for number in range(count)}
    before = make(fs, tree)
    for kind, number in edits:
        for near in range(number, number + (300 if kind == "range" else 1)):
            if kind == "set":
                tree[b"%05d" % near] = 2
            else:
                tree.pop(b"%05d" % near, None)
    after = make(fs, tree)
    assert list(diff(pool, before, after)) == brute_force(pool, before, after)
    assert list(diff(pool, after, before)) == brute_force(pool, after, before)


def test_everything_is_new_without_an_old_root(pool: Pool, fs: FileSystem) -> None:
    root = make(fs, {b"a": -1, b"a/b": 1})
    assert [(change.path, change.old) for change in diff(pool, None, root)] == [(b"a", None), (b"a/b", None)]


def test_only_what_differs_is_read(fs: FileSystem, pool: Pool) -> None:
    tree = {b"%06d" % number: 1 for number in range(20_000)}
    before = make(fs, tree)
    tree[b"010000"] = 2
    after = make(fs, tree)
    reads = []

    class Counting:
        def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = 0) -> Digest:
            raise AssertionError((payload, digest, mark))

        def read(self, digest: Digest) -> bytes:
            reads.append(digest)
            return pool.read(digest)

        def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
            raise AssertionError((digest, offset, length))

    assert len(list(diff(Counting(), before, after))) == 1
    assert len(reads) <= 8


def program(pool: Pool, *parts: bytes) -> Digest:
    return pool.put(encode(Head(Kind.DIRECTORY, 1).packet()) + b"".join(parts))


def test_hostile_directories_are_refused(pool: Pool, fs: FileSystem) -> None:
    good = make(fs, {b"a": 1})
    leaf, other = (encode_entry(Entry(name, FILE)) for name in (b"x", b"y"))
    node = pool.put(leaf)
    nested = pool.put(tree_packet(node, 1, 1))
    bad = [
        program(pool, other, leaf),
        program(pool, leaf, leaf),
        program(pool, tree_packet(nested, 1, 1)),
        program(pool, tree_packet(nested, 1, 3)),
        program(pool, tree_packet(node, 1, 2)),
        program(pool, tree_packet(pool.put(b""), 1, 1)),
        program(pool, leaf[:64]),
        pool.put(encode(Head(Kind.FILE, 1).packet()) + leaf),
        pool.put(encode(Head(Kind.DIRECTORY, 1).packet()) + leaf + b"odd"),
    ]
    for root in bad:
        with pytest.raises((BadProgram, BadPacket)):
            list(diff(pool, good, root))


def test_a_directory_without_end_is_refused(pool: Pool) -> None:
    root = program(pool)
    for _ in range(70):
        root = program(pool, encode_entry(Entry(b"d" * 255, DIRECTORY, root=root)))
    with pytest.raises(BadProgram):
        list(diff(pool, None, root))
