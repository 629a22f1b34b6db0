"""Imports follow large files by fingerprints that the last import kept, and give what hashing all of it gives."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from packetfs.accel import native
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.mirroring import prints
from packetfs.fs.mirroring.mirror import MirrorOptions, mirror
from packetfs.fs.streams import ahead
from packetfs.fs.streams import ingest as streams
from packetfs.limits import MIB
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.execute import read_program
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool

SIZE = 4 * MIB
CACHE = MirrorOptions(budget=64 * MIB)
built = pytest.mark.skipif(native is None, reason="fingerprints of Python are slower than digests")


@pytest.fixture
def fs(tmp_path: Path) -> Iterator[FileSystem]:
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool, FileSystem(pool) as fs:
        yield fs


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the chunks that imports have hashed."""
    sizes: list[int] = []

    def counting(data: Buffer) -> Digest:
        sizes.append(len(data))
        return digest_of(data)

    for module in ahead, streams:
        monkeypatch.setattr(module, "digest_of", counting)
    return sizes


class Tree:
    """A directory of one large file, imported again and again."""

    def __init__(self, fs: FileSystem, base: Path) -> None:
        self.fs = fs
        self.path = base / "tree" / "file"
        self.path.parent.mkdir()
        self.data = bytearray(random.Random(1).randbytes(SIZE))
        self._moment = 0

    def bring(self, options: MirrorOptions = CACHE) -> None:
        """Import the content as it is now, and see that the program makes it."""
        self.path.write_bytes(self.data)
        self._moment += 1
        os.utime(self.path, ns=(self._moment, self._moment))
        mirror(self.fs, str(self.path.parent), b"", options)
        entry = self.fs.entry(b"file")
        assert entry is not None
        if options.budget:
            assert read_program(self.fs.pool, Digest(entry.root)) == self.data

    def change(self) -> None:
        self.data[SIZE // 2] ^= 1

    def notes(self) -> int:
        return len(list(self.fs.names.rows("SELECT key FROM note WHERE key >= 'prints '", ())))


@pytest.fixture
def tree(fs: FileSystem, tmp_path: Path) -> Tree:
    return Tree(fs, tmp_path)


@built
def test_of_a_file_that_changed_in_one_place_little_is_hashed(tree: Tree, hashed: list[int]) -> None:
    tree.bring()
    for _ in range(3):
        tree.change()
        hashed.clear()
        tree.bring()
        assert 0 < sum(hashed) < SIZE // 8


@built
def test_what_did_not_change_is_not_kept_once_more(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.bring()
    kept: list[bytes] = []
    monkeypatch.setattr(FileSystem, "set_note", lambda _fs, key, _value: kept.append(key))
    tree.bring()  # its time is another
    assert not kept
    tree.change()
    tree.bring()
    assert len(kept) == 1


@built
def test_what_is_not_kept_is_followed_too(tree: Tree, hashed: list[int]) -> None:
    nothing = MirrorOptions(budget=0)
    tree.bring(nothing)
    tree.change()
    hashed.clear()
    tree.bring(nothing)
    assert 0 < sum(hashed) < SIZE // 8


@built
def test_content_that_was_given_up_is_kept_again(tree: Tree) -> None:
    tree.bring(MirrorOptions(budget=0))
    tree.change()
    tree.bring()  # reads the program


def test_checksum_hashes_all(tree: Tree, hashed: list[int]) -> None:
    tree.bring()
    tree.change()
    hashed.clear()
    tree.bring(replace(CACHE, checksum=True))
    assert sum(hashed) >= SIZE


@built
def test_after_a_checksum_there_are_fingerprints_again(tree: Tree, hashed: list[int]) -> None:
    tree.bring(replace(CACHE, checksum=True))
    tree.change()
    hashed.clear()
    tree.bring()
    assert 0 < sum(hashed) < SIZE // 8


@built
def test_fingerprints_of_another_content_are_not_used(tree: Tree, hashed: list[int]) -> None:
    """A root stands before them: they are those of the program that the name had then."""
    tree.bring()
    key = b"prints %d" % tree.fs.paths.need(b"file").ino
    tree.data[:] = random.Random(2).randbytes(SIZE)
    found = tree.fs.note(key)
    assert found is not None
    tree.bring()
    tree.fs.set_note(key, found)
    tree.change()
    hashed.clear()
    tree.bring()
    assert sum(hashed) >= SIZE
    tree.fs.set_note(key, b"short")
    tree.change()
    tree.bring()


@built
def test_fingerprints_go_with_the_file(tree: Tree) -> None:
    tree.bring()
    assert tree.notes() == 1
    tree.path.rename(tree.path.with_name("other"))
    mirror(tree.fs, str(tree.path.parent), b"", CACHE)
    assert tree.notes() == 1
    tree.path.with_name("other").unlink()
    mirror(tree.fs, str(tree.path.parent), b"", CACHE)
    assert tree.notes() == 0


@built
@pytest.mark.parametrize(("mean", "kept"), [(4096, 0), (65536, 1)])
def test_fingerprints_are_bounded_by_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mean: int, kept: int
) -> None:
    monkeypatch.setattr(prints, "PRINTED_MEANS", SIZE // 65536)
    with Pool.create(str(tmp_path / "pool"), mean=mean, durable=False) as pool, FileSystem(pool) as fs:
        tree = Tree(fs, tmp_path)
        tree.bring()
        assert tree.notes() == kept


def test_a_pool_that_is_no_cache_keeps_none(tree: Tree) -> None:
    tree.bring(MirrorOptions())
    assert tree.notes() == 0
