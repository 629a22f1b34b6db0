"""Importing what is told to have changed gives what looking at everything gives, and what a first look gives."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.watches import Kind, Watches
from packetfs.fs.mirroring import prints
from packetfs.fs.mirroring.mirror import MirrorOptions, mirror, renew
from packetfs.limits import MIB
from packetfs.packet.digest import Digest
from packetfs.pool.pool import Pool

CACHE = MirrorOptions(budget=64 * MIB)


@pytest.fixture
def fs(tmp_path: Path) -> Iterator[FileSystem]:
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool, FileSystem(pool) as opened:
        yield opened


def fresh_root(tmp_path: Path, root: Path) -> Digest:
    """Return the root that the tree has for somebody who sees it for the first time."""
    shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
    with Pool.create(str(tmp_path / "fresh"), durable=False) as pool, FileSystem(pool) as opened:
        return mirror(opened, str(root), b"")


def act(root: Path, rng: random.Random) -> None:
    """Change something below `root`."""
    directories = [root, *(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())]
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    place = rng.choice(directories) / f"n{rng.randrange(12)}"
    choice = rng.randrange(7)
    if choice == 0 and not os.path.lexists(place):
        (place / "deep" / "er").mkdir(parents=True)
        (place / "deep" / "er" / "file").write_bytes(rng.randbytes(10))
    elif choice == 1 and files:
        rng.choice(files).unlink()
    elif choice == 2 and len(directories) > 1:
        shutil.rmtree(rng.choice(directories[1:]))
    elif choice == 3 and files and not place.exists():
        rng.choice(files).rename(place)
    elif choice == 4 and len(directories) > 1 and not (root / "moved").exists():
        rng.choice(directories[1:]).rename(root / "moved")
    elif choice == 5 and not place.exists() and not place.is_symlink():
        place.symlink_to("nowhere")
    elif not place.is_dir() and not place.is_symlink():
        place.write_bytes(rng.randbytes(rng.randrange(100_000)))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_told_is_enough(tmp_path: Path, fs: FileSystem, seed: int) -> None:
    root, rng = tmp_path / "root", random.Random(seed)
    root.mkdir()
    mirror(fs, str(root), b"")
    watches = Watches(os.fsencode(root))
    for _ in range(12):
        for _ in range(rng.randrange(1, 5)):
            act(root, rng)
        notes = list(watches.notes())
        paths = {note.path: False for note in notes} | {n.path: True for n in notes if n.kind is Kind.TREE}
        assert renew(fs, os.fsencode(root), paths).root == fresh_root(tmp_path, root)
    watches.close()


def test_nothing_else_is_looked_at(tmp_path: Path, fs: FileSystem) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"1")
    (root / "b").write_bytes(b"1")
    before = mirror(fs, str(root), b"")
    (root / "b").write_bytes(b"22")
    assert renew(fs, os.fsencode(root), {b"a": False}).root == before
    assert renew(fs, os.fsencode(root), {b"b": False}).root != before


def test_hard_links_are_looked_for_everywhere(tmp_path: Path, fs: FileSystem) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_bytes(b"1")
    mirror(fs, str(root), b"")
    os.link(root / "a", root / "sub" / "b")
    assert renew(fs, os.fsencode(root), {b"sub/b": False}).root == fresh_root(tmp_path, root)
    (root / "sub" / "b").write_bytes(b"22")
    assert renew(fs, os.fsencode(root), {b"sub/b": False}).root == fresh_root(tmp_path, root)
    (root / "a").unlink()
    assert renew(fs, os.fsencode(root), {b"a": False}).root == fresh_root(tmp_path, root)


Edit = tuple[str, int, int]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(("write", "insert", "cut", "append", "zeros")), st.integers(0, 400_000), st.integers(1, 9000)
    ),
    max_size=4,
)


def edited(data: bytes, edits: list[Edit], rng: random.Random) -> bytes:
    for kind, at, size in edits:
        at = min(at, len(data))
        new = bytes(size) if kind == "zeros" else rng.randbytes(size)
        if kind == "append":
            data += new
        elif kind == "cut":
            data = data[:at] + data[at + size :]
        elif kind == "insert":
            data = data[:at] + new + data[at:]
        else:
            data = data[:at] + new + data[at + size :]
    return data


@settings(max_examples=25)
@given(edits=EDITS, seed=st.integers(0, 99))
def test_a_file_that_changed_gets_the_root_of_a_new_one(
    tmp_path: Path, fs: FileSystem, edits: list[Edit], seed: int
) -> None:
    root, rng = tmp_path / "root", random.Random(seed)
    root.mkdir(exist_ok=True)
    old = rng.randbytes(200_000) + bytes(100_000) + rng.randbytes(100_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prints, "PRINTED_MIN", 0)
        for content in old, edited(old, edits, rng):
            (root / "file").write_bytes(content)
            found = renew(fs, os.fsencode(root), {b"file": False}, CACHE).root
            assert found == fresh_root(tmp_path, root)
            assert fs.read(b"file") == content
