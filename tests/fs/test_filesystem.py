"""The namespace against a dict, the programs of directories against building them whole, and snapshots."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import BadPath, NoSnapshot, NotADirectory, NotAFile, NotFound, SnapshotExists
from packetfs.fs.directory import entries_of, find_entry
from packetfs.fs.filesystem import FileSystem
from packetfs.limits import NODE_LEAVES_MAX
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool

DIRECTORY = stat.S_IFDIR | 0o755
FILE = stat.S_IFREG | 0o644


@pytest.fixture
def fs(tmp_path: Path) -> Iterator[FileSystem]:
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool, FileSystem(pool) as made:
        yield made


def a_file(name: bytes, content: int = 0, group: int = 0) -> Entry:
    return Entry(name, FILE, mtime_ns=5, size=content, root=digest_of(b"%d" % content), group=group)


def a_directory(name: bytes, mtime_ns: int = 1) -> Entry:
    return Entry(name, DIRECTORY, mtime_ns=mtime_ns)


def walk(fs: FileSystem, path: bytes = b"") -> dict[bytes, Entry]:
    """Return every path below `path`; directories without what their content decides."""
    found = {}
    for entry in fs.children(path):
        inner = path + b"/" + entry.name if path else entry.name
        if entry.is_dir:
            found[inner] = Entry(entry.name, entry.mode, mtime_ns=entry.mtime_ns)
            found |= walk(fs, inner)
        else:
            found[inner] = entry
    return found


def stored(fs: FileSystem, root: Digest, path: bytes = b"") -> dict[bytes, Entry]:
    """Return every path of a stored directory, as `walk` does."""
    found = {}
    for entry in entries_of(fs.pool, root):
        inner = path + b"/" + entry.name if path else entry.name
        if entry.is_dir:
            found[inner] = Entry(entry.name, entry.mode, mtime_ns=entry.mtime_ns)
            found |= stored(fs, Digest(entry.root), inner)
        else:
            found[inner] = entry
    return found


def rebuilt(fs: FileSystem, tree: dict[bytes, Entry]) -> Digest:
    """Return the root of `tree` when it is made at one go, under a name of its own."""
    fs.set(b"whole", a_directory(b"whole"))
    for path in sorted(tree):
        fs.set(b"whole/" + path, tree[path])
    root = fs.tree_root(b"whole")
    fs.remove(b"whole")
    return root


def test_every_field_comes_back(fs: FileSystem) -> None:
    entry = Entry(
        b"odd\xff\n",
        stat.S_IFCHR | 0o7777,
        2**32 - 1,
        2**32 - 1,
        -1,
        2**64 - 1,
        digest_of(b""),
        b"target",
        2**64 - 1,
        2**64 - 1,
        ((b"user.a", b""), (b"user.b", b"\0" * 70_000)),
        True,
    )
    fs.set(entry.name, entry, b"s" * 40)
    fs.commit()
    assert fs.entry(entry.name) == entry
    assert list(fs.children_with_seen(b"")) == [(entry, b"s" * 40)]


def test_what_is_not_there(fs: FileSystem) -> None:
    fs.set(b"file", a_file(b"file"))
    assert fs.entry(b"none") is None
    assert fs.entry(b"file/none") is None
    with pytest.raises(NotFound):
        fs.set(b"none/file", a_file(b"file"))
    with pytest.raises(NotADirectory):
        fs.set(b"file/file", a_file(b"file"))
    with pytest.raises(FileNotFoundError):
        fs.remove(b"none")
    with pytest.raises(NotAFile):
        fs.read(b"")
    for path in (b"a/", b"/", b".", b"..", b"a\0b", b"n" * 256, b"d/" * 20_000 + b"f"):
        with pytest.raises(BadPath):
            fs.set(path, a_file(b"file"))


def test_names_are_in_byte_order_over_many_pages(fs: FileSystem) -> None:
    names = [b"%d" % number for number in range(1500)]
    for name in names:
        fs.set(name, a_file(name))
    assert [entry.name for entry in fs.children(b"")] == sorted(names)


def test_a_directory_may_change_while_it_is_listed(fs: FileSystem) -> None:
    for number in range(1200):
        fs.set(b"f%04d" % number, a_file(b"f"))
    for entry, _ in fs.children_with_seen(b""):
        fs.set(entry.name, a_file(entry.name, 7), b"1" * 40)
        fs.remove(entry.name)
        fs.set(b"a" + entry.name, a_file(b"a"))
    assert [entry.name for entry in fs.children(b"")] == [b"af%04d" % number for number in range(1200)]


def test_a_signature_changes_no_program(fs: FileSystem) -> None:
    fs.set(b"file", a_file(b"file"))
    root = fs.tree_root()
    fs.set_seen(b"file", b"a" * 40)
    fs.set(b"file", a_file(b"file"), b"b" * 40)
    top = fs.entry(b"")
    assert top is not None
    assert top.root == root
    assert fs.seen(b"file") == b"b" * 40


def test_another_content_drops_the_signature(fs: FileSystem) -> None:
    fs.set(b"file", a_file(b"file"), b"a" * 40)
    fs.set(b"file", a_file(b"file", 1))
    assert fs.seen(b"file") is None


def test_dirtiness_reaches_the_root(fs: FileSystem) -> None:
    fs.make_parents(b"a/b/c/file")
    fs.set(b"a/b/c/file", a_file(b"file"))
    before = fs.tree_root()
    fs.set(b"a/b/c/file", a_file(b"file", 1))
    top, inner = fs.entry(b""), fs.entry(b"a/b")
    assert top is not None
    assert inner is not None
    assert top.root == inner.root == bytes(32)
    assert fs.tree_root(b"a/b") != before
    assert fs.tree_root() != before
    fs.set(b"a/b/c/file", a_file(b"file"))
    assert fs.tree_root() == before


def test_a_directory_counts_its_entries(fs: FileSystem) -> None:
    for name in (b"one", b"two"):
        fs.make_parents(b"top/inner/" + name)
        fs.set(b"top/inner/" + name, a_file(name))
    root = fs.tree_root(b"top")
    (inner,) = entries_of(fs.pool, root)
    assert (inner.name, inner.size) == (b"inner", 2)
    assert fs.entry(b"top/inner") == inner


def test_a_deep_tree_needs_no_stack(fs: FileSystem) -> None:
    path = b"/".join([b"d"] * 3000)
    fs.make_parents(path)
    fs.set(path, a_file(b"d"))
    assert fs.tree_root() != fs.tree_root(b"d")
    fs.remove(b"d")
    assert list(fs.children(b"")) == []


def test_rollback_and_commit(fs: FileSystem) -> None:
    fs.set(b"kept", a_directory(b"kept"))
    fs.set_note(b"state", b"1")
    fs.commit()
    fs.set(b"kept/file", a_file(b"file"))
    fs.set(b"gone", a_directory(b"gone"))
    fs.set(b"gone/file", a_file(b"file"))
    fs.set_note(b"state", b"2")
    fs.rollback()
    assert walk(fs) == {b"kept": a_directory(b"kept")}
    assert fs.note(b"state") == b"1"
    with pytest.raises(NotFound):
        fs.set(b"gone/file", a_file(b"file"))
    fs.set_note(b"state", None)
    assert fs.note(b"state") is None


def test_names_survive_reopening(tmp_path: Path) -> None:
    with Pool.create(str(tmp_path / "pool")) as pool, FileSystem(pool) as fs:
        fs.set(b"file", a_file(b"file"))
        fs.commit()
        fs.set(b"lost", a_file(b"lost"))
    with Pool.open(str(tmp_path / "pool")) as pool, FileSystem(pool) as fs:
        assert [entry.name for entry in fs.children(b"")] == [b"file"]


def test_hard_links_are_names_of_one_inode(fs: FileSystem) -> None:
    fs.make_parents(b"a/x")
    fs.make_parents(b"b/x")
    fs.set(b"a/x", a_file(b"x", 1, group=9), within=b"")
    fs.set(b"b/x", a_file(b"x", 1, group=9), within=b"")
    fs.tree_root()
    fs.set(b"a/x", a_file(b"x", 2, group=9), within=b"")
    assert fs.entry(b"b/x") == a_file(b"x", 2, group=9)
    top = fs.entry(b"b")
    assert top is not None
    assert top.root == bytes(32), "the directory of the other name changed too"
    fs.set(b"a/x", a_file(b"x", 3))
    assert fs.entry(b"b/x") == a_file(b"x", 2, group=9), "without its group a name has an inode of its own"
    fs.link(b"a/x", b"a/y", 5)
    assert fs.entry(b"a/x") == a_file(b"x", 3, group=5)
    fs.remove(b"a/x")
    assert fs.entry(b"a/y") == a_file(b"y", 3, group=5)


def test_a_file_that_becomes_a_link_joins_the_inode(fs: FileSystem) -> None:
    for name in (b"x", b"y"):
        fs.set(name, a_file(name, 1))
    for name in (b"x", b"y", b"x"):
        fs.set(name, a_file(name, 1, group=9), within=b"")
    fs.set(b"y", a_file(b"y", 2, group=9), within=b"")
    assert fs.entry(b"x") == a_file(b"x", 2, group=9)
    assert len(fs.names.names(fs.paths.need(b"x").ino)) == 2


def test_groups_of_two_trees_are_apart(fs: FileSystem) -> None:
    for top in (b"a", b"b"):
        fs.set(top, a_directory(top))
        for name in (b"x", b"y"):
            fs.set(top + b"/" + name, a_file(name, 1, group=9), within=top)
    fs.set(b"a/x", a_file(b"x", 2, group=9), within=b"a")
    assert fs.entry(b"a/y") == a_file(b"y", 2, group=9)
    assert fs.entry(b"b/y") == a_file(b"y", 1, group=9)


def test_snapshots(fs: FileSystem) -> None:
    fs.make_parents(b"top/inner/file")
    fs.set(b"top/inner/file", a_file(b"file", 1))
    first = fs.snapshot(b"first", b"top", time_ns=1)
    fs.set(b"top/inner/file", a_file(b"file", 2))
    second = fs.snapshot(b"second", time_ns=2)
    assert fs.snapshots() == [first, second]
    assert fs.resolve(b"first", b"inner/file") == a_file(b"file", 1)
    assert fs.resolve(b"second", b"top/inner/file") == a_file(b"file", 2)
    assert fs.resolve(b"first").root == first.root
    for path in (b"none", b"inner/file/none"):
        with pytest.raises(NotFound):
            fs.resolve(b"first", path)
    with pytest.raises(SnapshotExists):
        fs.snapshot(b"first")
    fs.drop_snapshot(b"first")
    with pytest.raises(NoSnapshot):
        fs.resolve(b"first")
    assert fs.snapshots() == [second]


def test_a_name_is_found_in_a_big_directory(fs: FileSystem) -> None:
    names = [b"n%d" % number for number in range(3000)]
    for name in names:
        fs.set(name, a_file(name))
    root = fs.tree_root()
    assert all(find_entry(fs.pool, root, name) == a_file(name) for name in names[::50])
    assert all(find_entry(fs.pool, root, name) is None for name in (b"a", b"n15x", b"z", b"n" * 255))


NAMES = st.sampled_from([b"a", b"b", b"c", b"a" * 60, b"\xff"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
STEPS = st.lists(
    st.tuples(st.sampled_from(["file", "dir", "remove", "rename", "root"]), PATHS, PATHS, st.integers(0, 3)),
    max_size=40,
)


class Model:
    """The same operations on a dict of paths."""

    def __init__(self) -> None:
        self.tree: dict[bytes, Entry] = {}

    def is_dir(self, path: bytes) -> bool:
        return not path or (path in self.tree and self.tree[path].is_dir)

    def below(self, path: bytes) -> list[bytes]:
        return [other for other in self.tree if other == path or other.startswith(path + b"/")]

    def set(self, path: bytes, entry: Entry) -> None:
        if path in self.tree and not (self.is_dir(path) and entry.is_dir):
            self.remove(path)
        self.tree[path] = entry

    def remove(self, path: bytes) -> None:
        for other in self.below(path):
            del self.tree[other]

    def rename(self, old: bytes, new: bytes) -> None:
        moved = {new + other[len(old) :]: self.tree[other] for other in self.below(old)}
        self.remove(old)
        self.remove(new)
        for path, entry in moved.items():
            name = path.rpartition(b"/")[2]
            self.tree[path] = a_directory(name, entry.mtime_ns) if entry.is_dir else a_file(name, entry.size)


@settings(max_examples=60)
@given(steps=STEPS)
def test_operations_against_a_dict(
    steps: list[tuple[str, bytes, bytes, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Pool.create(str(tmp_path_factory.mktemp("pool") / "p"), durable=False) as pool, FileSystem(pool) as fs:
        model = Model()
        for kind, path, other, number in steps:
            parent, name = path.rpartition(b"/")[0], path.rpartition(b"/")[2]
            if kind in ("file", "dir") and model.is_dir(parent):
                entry = a_file(name, number) if kind == "file" else a_directory(name, number)
                fs.set(path, entry)
                model.set(path, entry)
            elif kind == "remove" and path in model.tree:
                fs.remove(path)
                model.remove(path)
            elif kind == "rename" and path in model.tree and model.is_dir(other.rpartition(b"/")[0]):
                if other != path and not other.startswith(path + b"/"):
                    fs.rename(path, other)
                    model.rename(path, other)
            elif kind == "root":
                fs.tree_root()
        assert walk(fs) == model.tree
        assert stored(fs, fs.tree_root()) == model.tree
        assert rebuilt(fs, model.tree) == fs.tree_root()


@settings(max_examples=12)
@given(
    count=st.sampled_from([0, 1, 100, 900, 3000]),
    rounds=st.lists(st.lists(st.tuples(st.integers(0, 4000), st.booleans()), max_size=8), max_size=4),
)
def test_a_revised_program_is_the_whole_one(
    count: int, rounds: list[list[tuple[int, bool]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Pool.create(str(tmp_path_factory.mktemp("pool") / "p"), durable=False) as pool, FileSystem(pool) as fs:
        fs.set(b"top", a_directory(b"top"))
        tree = {b"%05d" % number: a_file(b"%05d" % number) for number in range(count)}
        for name, entry in tree.items():
            fs.set(b"top/" + name, entry)
        fs.tree_root(b"top")
        for content, edits in enumerate(rounds, 1):
            for number, keep in edits:
                name = b"%05d" % number
                if keep:
                    tree[name] = a_file(name, content)
                    fs.set(b"top/" + name, tree[name])
                elif tree.pop(name, None):
                    fs.remove(b"top/" + name)
            assert fs.tree_root(b"top") == rebuilt(fs, tree)


def test_a_removed_range_is_revised_too(fs: FileSystem) -> None:
    tree = {b"%05d" % number: a_file(b"%05d" % number) for number in range(3 * NODE_LEAVES_MAX)}
    fs.set(b"top", a_directory(b"top"))
    for name, entry in tree.items():
        fs.set(b"top/" + name, entry)
    fs.tree_root(b"top")
    for name in sorted(tree)[100:2900]:
        del tree[name]
        fs.remove(b"top/" + name)
    assert fs.tree_root(b"top") == rebuilt(fs, tree)
