"""Directories that a receiver has elsewhere: questions about them, and syncs that nothing else makes short."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.stage import host
from fuzz.wire import record, split
from packetfs.fs.filesystem import FileSystem
from packetfs.limits import SUBTREES_SHARE
from packetfs.net.ends import Place, Terms
from packetfs.net.finding import sketching, subtrees
from packetfs.net.sending import sender
from packetfs.net.wire.messages import Type
from packetfs.pool.pool import Pool
from tests.net.rig import Rig, describe

FILES, FOLDERS = 3000, 60


def fill(root: Path, files: int = FILES, folders: int = FOLDERS) -> None:
    """Make a tree whose folders lie in one folder."""
    rng = random.Random(1)
    for number in range(files):
        folder = root / "top" / f"{number % folders:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file {number}").write_bytes(rng.randbytes(40))


def clone(source: Path, target: Path) -> None:
    """Copy a tree with times and links between names."""
    shutil.copytree(source, target, symlinks=True)
    first: dict[int, Path] = {}
    for path in sorted(source.rglob("*")):
        status = path.lstat()
        if path.is_file() and not path.is_symlink() and status.st_nlink > 1:
            leader = first.setdefault(status.st_ino, path)
            if leader != path:
                (target / path.relative_to(source)).unlink()
                os.link(target / leader.relative_to(source), target / path.relative_to(source))
    for path in [*source.rglob("*"), source]:
        shutil.copystat(path, target / path.relative_to(source), follow_symlinks=False)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.make_pool()
    return rig


@pytest.fixture
def src(rig: Rig) -> Path:
    fill(rig.base / "src")
    return rig.base / "src"


def copy(rig: Rig, src: Path, end: str) -> str:
    """Have the tree at the destination too, and nothing remembered."""
    if end == "pool":
        rig.sync(f"{src}/", "pfs:dst")
        shutil.rmtree(rig.base / "history")
        return "pfs:dst"
    clone(src, rig.base / "dst")
    return f"{'far:' if end == 'far' else ''}{rig.base / 'dst'}"


def check(rig: Rig, src: Path, end: str) -> None:
    assert not rig.troubles
    if end == "pool":
        rig.sync("pfs:dst/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)


@pytest.mark.parametrize("end", ["host", "far", "pool"])
def test_a_renamed_directory_is_one_name(rig: Rig, src: Path, end: str) -> None:
    target = copy(rig, src, end)
    (src / "top").rename(src / "renamed")
    summary = rig.sync(f"{src}/", target, delete=True)
    assert summary.sent.wire + summary.received.wire < 18_000
    assert summary.changed == FILES + FOLDERS + 1
    assert summary.sent.copied == 40 * FILES
    check(rig, src, end)
    again = rig.sync(f"{src}/", target, delete=True)
    assert again.sent.wire + again.received.wire < 1200


def test_a_pull_asks_too(rig: Rig, src: Path) -> None:
    copy(rig, src, "host")
    (src / "top").rename(src / "renamed")
    summary = rig.sync(f"far:{src}/", rig.base / "dst", delete=True)
    assert summary.sent.wire + summary.received.wire < 18_000
    check(rig, src, "host")


def move_and_edit(src: Path) -> None:
    """Rename, and change in a few places."""
    (src / "top").rename(src / "renamed")
    (src / "renamed" / "003" / "file 3").write_bytes(b"changed")
    (src / "renamed" / "004" / "file 4").unlink()
    (src / "renamed" / "005").rename(src / "005")
    (src / "new").write_bytes(b"new")


def duplicate(src: Path) -> None:
    shutil.copytree(src / "top", src / "another")
    shutil.copytree(src / "top", src / "another" / "third")


def duplicate_and_edit_the_first(src: Path) -> None:
    """What lies in its place is no longer what stands for it elsewhere."""
    duplicate(src)
    for folder in sorted((src / "top").iterdir()):
        same = folder / sorted(os.listdir(folder))[0]
        seen = same.stat()
        same.write_bytes(bytes(seen.st_size))
        os.utime(same, ns=(seen.st_mtime_ns, seen.st_mtime_ns))


def swap(src: Path) -> None:
    for number in range(0, FOLDERS, 2):
        one, other = (src / "top" / f"{number + more:03}" for more in (0, 1))
        one.rename(src / "aside")
        other.rename(one)
        (src / "aside").rename(other)


def close_to_others(src: Path) -> None:
    """Change directories alone: what is in them stays in its place."""
    for folder in (src / "top").iterdir():
        folder.chmod(0o750)
    (src / "top").rename(src / "renamed")
    (src / "renamed").rename(src / "top")
    for path in (src / "top").glob("*/*"):
        path.chmod(0o600)


def file_in_its_place(src: Path) -> None:
    (src / "top").rename(src / "renamed")
    (src / "top").write_bytes(b"a file now")


EDITS = (move_and_edit, duplicate, duplicate_and_edit_the_first, swap, close_to_others, file_in_its_place)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("end", ["host", "pool"])
def test_whatever_moves_arrives(rig: Rig, src: Path, end: str, edit: Callable[[Path], None]) -> None:
    target = copy(rig, src, end)
    edit(src)
    rig.sync(f"{src}/", target, delete=True)
    check(rig, src, end)


@pytest.mark.parametrize("end", ["host", "pool"])
def test_without_delete_what_was_there_stays_beside_it(rig: Rig, src: Path, end: str) -> None:
    target = copy(rig, src, end)
    before = describe(src / "top")
    (src / "top").rename(src / "renamed")
    rig.sync(f"{src}/", target)
    assert not rig.troubles
    if end == "pool":
        rig.sync("pfs:dst/", rig.base / "dst")
    assert describe(rig.base / "dst" / "renamed") == before
    assert describe(rig.base / "dst" / "top").keys() == before.keys()


@pytest.mark.parametrize("end", ["host", "pool"])
def test_a_dry_run_names_what_would_be_copied(rig: Rig, src: Path, end: str) -> None:
    target = copy(rig, src, end)
    (src / "top").rename(src / "renamed")
    before = describe(rig.base / "dst") if end == "host" else {}
    rig.sync(f"{src}/", target, dry_run=True, delete=True)
    named = {(change.path, change.action) for change in rig.changes}
    assert named >= {(b"renamed/003/file 3", "new"), (b"renamed/003", "new"), (b"renamed", "new"), (b"top", "delete")}
    assert len(named) == FILES + FOLDERS + 2
    if end == "host":
        assert describe(rig.base / "dst") == before


@pytest.mark.parametrize("end", ["host", "pool"])
def test_names_of_one_file_stay_one_file(rig: Rig, src: Path, end: str) -> None:
    """Some with all names in what moves, some with one of them elsewhere."""
    for number in range(FOLDERS):
        folder = src / "top" / f"{number:03}"
        os.link(folder / f"file {number}", folder / "its second name")
        os.link(folder / f"file {number + FOLDERS}", src / f"beside {number}")
    target = copy(rig, src, end)
    (src / "top").rename(src / "renamed")
    rig.sync(f"{src}/", target, delete=True)
    check(rig, src, end)


def test_what_changed_while_it_was_known_is_sent_after_all(rig: Rig, src: Path) -> None:
    """A memory that hides a change says that a directory is here; the root of what is copied from it tells."""
    target = f"far:{rig.base / 'dst'}"
    rig.sync(f"{src}/", target)
    shutil.rmtree(rig.base / "history")
    hidden = rig.base / "dst" / "top" / "003" / "file 3"
    seen = hidden.stat()
    hidden.write_bytes(bytes(seen.st_size))
    os.utime(hidden, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    (src / "top").rename(src / "renamed")
    rig.sync(f"{src}/", target, delete=True)
    check(rig, src, "far")


# two sides in this process


class Lab:
    """Two ends whose sketches are too small for anything, and questions cheap."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base, self.src, self.dst = base, base / "src", base / "dst"
        self.src.mkdir(parents=True)
        monkeypatch.setattr(sender, "SKETCH_NAMES", 1)
        monkeypatch.setattr(sketching, "SUBTREES_SHARE", 1)
        self._patch = monkeypatch

    def shrink(self, first: int, most: int) -> None:
        self._patch.setattr(sketching, "SKETCH_FIRST", first)
        self._patch.setattr(sketching, "SYMBOLS_MAX", most)

    def sync(self, *, pool: bool = False) -> tuple[int, Counter[int]]:
        """Sync without any memory; return the bytes that passed, and how many messages of each kind."""
        shutil.rmtree(self.base / "history", ignore_errors=True)
        target = self.pool() if pool else host(self.dst, self.base / "history" / "far")
        heard = record(host(self.src, self.base / "history" / "near"), target, Terms(delete=True))
        return sum(map(len, heard)), Counter(frame.kind for said in heard for frame in split(said))

    def pool(self) -> Place:
        return Place(str(self.base / "pool"), b"dst", str(self.base / "history" / "far"))

    def make_pool(self) -> None:
        with Pool.create(str(self.base / "pool"), mean=4096, durable=False) as pool, FileSystem(pool) as fs:
            fs.commit()

    def write_out(self) -> None:
        """Bring what the pool has into the plain destination."""
        shutil.rmtree(self.dst, ignore_errors=True)
        self.dst.mkdir()
        record(self.pool(), host(self.dst, self.base / "history" / "out"), Terms(delete=True))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def test_without_a_sketch_only_directories_that_differ_are_listed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lab.src)
    clone(lab.src, lab.dst)
    clone(lab.src, lab.base / "old")
    for number in range(10):
        (lab.src / "top" / f"{number:03}" / f"file {number}").write_bytes(b"changed")
    lab.shrink(16, 16)
    monkeypatch.setattr(sketching, "SUBTREES_SHARE", SUBTREES_SHARE)
    passed, kinds = lab.sync()
    assert describe(lab.dst) == describe(lab.src)
    assert (kinds[Type.SUBTREES], kinds[Type.HELD]) == (1, 1)
    shutil.rmtree(lab.dst)
    (lab.base / "old").rename(lab.dst)
    monkeypatch.setattr(subtrees, "SUBTREES_MAX", 0)
    whole, kinds = lab.sync()
    assert describe(lab.dst) == describe(lab.src)
    assert not kinds[Type.SUBTREES]
    assert passed < whole / 5


def test_a_deep_tree_takes_no_more_trips_than_a_flat_one(lab: Lab) -> None:
    folder = lab.src
    for level in range(60):
        folder = folder / f"{level}"
        folder.mkdir()
        for number in range(5):
            (folder / f"{number} of {level}").write_bytes(b"%d" % level)
    clone(lab.src, lab.dst)
    for number in range(9):
        (folder / f"new {number}").write_bytes(b"new")
    lab.shrink(4, 4)
    _, kinds = lab.sync()
    assert kinds[Type.SUBTREES] == 1
    assert describe(lab.dst) == describe(lab.src)


def test_what_moved_leaves_the_sketch(lab: Lab) -> None:
    """A renamed directory among many names of which a few differ: the second sketch has these alone."""
    fill(lab.src)
    for number in range(FILES):
        (lab.src / f"beside {number}").write_bytes(b"%d" % number)
    clone(lab.src, lab.dst)
    (lab.src / "top").rename(lab.src / "renamed")
    (lab.src / "beside 7").write_bytes(b"changed")
    passed, kinds = lab.sync()
    assert (kinds[Type.SUBTREES], kinds[Type.MORE], kinds[Type.SKETCH]) == (1, 1, 2)
    assert passed < 34_000
    assert describe(lab.dst) == describe(lab.src)


# any trees


class Gardener:
    """Makes and changes trees; the same seed always does the same."""

    def __init__(self, seed: int, root: Path) -> None:
        self._rng = random.Random(seed)
        self._root = root
        self._count = 0

    def folders(self) -> list[Path]:
        found = sorted(self._root.rglob("*"))
        return [self._root, *(path for path in found if path.is_dir() and not path.is_symlink())]

    def files(self) -> list[Path]:
        return [path for path in sorted(self._root.rglob("*")) if path.is_file() and not path.is_symlink()]

    def name(self) -> str:
        self._count += 1
        return f"{self._rng.choice('abcdefgh')}{self._count}"

    def grow(self, count: int) -> None:
        actions = (self.add_file, self.add_file, self.add_file, self.add_folder, self.add_link, self.add_name)
        for _ in range(count):
            self._rng.choice(actions)()

    def change(self, count: int) -> None:
        actions = (self.move, self.copy, self.remove, self.edit, self.touch, self.chmod, self.add_file, self.add_name)
        for _ in range(count):
            self._rng.choice(actions)()

    def place(self) -> Path:
        return self._rng.choice(self.folders()) / self.name()

    def add_file(self) -> None:
        self.place().write_bytes(self._rng.randbytes(self._rng.choice((0, 5, 300, 9000))))

    def add_folder(self) -> None:
        self.place().mkdir()

    def add_link(self) -> None:
        self.place().symlink_to(self.name())

    def add_name(self) -> None:
        if files := self.files():
            os.link(self._rng.choice(files), self.place())

    def anything(self) -> Path | None:
        found = sorted(self._root.rglob("*"))
        return self._rng.choice(found) if found else None

    def move(self) -> None:
        """Move something, as often as not in place of what lies elsewhere."""
        old, place = self._rng.choice(self.folders()), self.place()
        if old == self._root or place.is_relative_to(old):
            return
        target = self._rng.choice(self.folders())
        if self._rng.random() < 0.5 and not (target.is_relative_to(old) or old.is_relative_to(target)):
            shutil.rmtree(target)
            place = target
        old.rename(place)

    def copy(self) -> None:
        old, place = self._rng.choice(self.folders()), self.place()
        if not place.is_relative_to(old) and len(self.files()) < 150:
            shutil.copytree(old, place, symlinks=True)

    def remove(self) -> None:
        found = self.anything()
        if found is not None and found.is_dir() and not found.is_symlink():
            shutil.rmtree(found)
        elif found is not None:
            found.unlink()

    def edit(self) -> None:
        """Change a file so that its size and time do not tell."""
        if files := [path for path in self.files() if path.stat().st_size]:
            path = self._rng.choice(files)
            seen = path.stat()
            path.write_bytes(self._rng.randbytes(seen.st_size))
            if self._rng.random() < 0.5:
                os.utime(path, ns=(seen.st_mtime_ns, seen.st_mtime_ns))

    def touch(self) -> None:
        found = self.anything()
        if found is not None:
            os.utime(found, ns=(self._rng.randrange(2**60),) * 2, follow_symlinks=False)

    def chmod(self) -> None:
        found = self.anything()
        if found is not None and not found.is_symlink():
            found.chmod(self._rng.choice((0o755, 0o700, 0o644)) | (0o700 if found.is_dir() else 0))


@pytest.mark.parametrize("pool", [False, True])
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), first=st.sampled_from((1, 4, 16)), most=st.sampled_from((16, 64, 1 << 20)))
def test_any_tree_becomes_any_other(
    tmp_path_factory: pytest.TempPathFactory, pool: bool, seed: int, first: int, most: int
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        lab = Lab(tmp_path_factory.mktemp("lab"), monkeypatch)
        gardener = Gardener(seed, lab.src)
        gardener.grow(60)
        lab.make_pool()
        if pool:
            lab.sync(pool=True)
        else:
            clone(lab.src, lab.dst)
        gardener.change(12)
        lab.shrink(first, most)
        lab.sync(pool=pool)
        if pool:
            lab.write_out()
        assert describe(lab.dst) == describe(lab.src)
