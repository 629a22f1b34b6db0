"""Damage in a pool: a sync with --checksum finds it and brings what is lacking, whatever else changed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from packetfs.fs.check import check
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.digest import Digest
from packetfs.pool.pool import Pool
from tests.net.rig import Rig, describe

SIZE = 1_000_000


@pytest.fixture(params=[3, 300])
def rig(tmp_path: Path, request: pytest.FixtureRequest) -> Rig:
    """A pool that has a few files, or so many that a sketch of their names is sent. One is large."""
    rig = Rig(tmp_path)
    (tmp_path / "src" / "sub").mkdir(parents=True)
    for number in range(request.param):
        (tmp_path / "src" / "sub" / str(number)).write_bytes(random.Random(number).randbytes(2000))
    large(rig).write_bytes(random.Random("large").randbytes(SIZE))
    rig.make_pool()
    rig.sync(f"{tmp_path}/src/", "pfs:dst", delete=True)
    return rig


def large(rig: Rig) -> Path:
    return rig.base / "src" / "large"


def damage(rig: Rig, stored: bytes) -> None:
    """Change what lies in the arena."""
    path = rig.base / "pool" / "arena" / "00000000"
    at = path.read_bytes().index(stored)
    with path.open("r+b") as arena:
        arena.seek(at)
        arena.write(b"damaged!")


def root_of_large(rig: Rig) -> bytes:
    """Return the first node of the large file's program."""
    with Pool.open(str(rig.base / "pool")) as pool, FileSystem(pool) as fs:
        entry = fs.entry(b"dst/large")
        assert entry is not None
        return pool.read(Digest(entry.root))


def findings(rig: Rig) -> int:
    with Pool.open(str(rig.base / "pool")) as pool, FileSystem(pool) as fs:
        return len(list(check(fs)))


def assert_there(rig: Rig) -> None:
    assert findings(rig) == 0
    rig.sync("pfs:dst/", rig.base / "back", delete=True)
    assert describe(rig.base / "back") == describe(rig.base / "src")


@pytest.mark.parametrize("part", ["content", "program"])
def test_checksum_brings_what_is_damaged(rig: Rig, part: str) -> None:
    damage(rig, large(rig).read_bytes()[SIZE // 2 :][:100] if part == "content" else root_of_large(rig)[64:])
    assert rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True).changed == 0
    found = findings(rig)
    assert found
    summary = rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True, checksum=True, dry_run=True)
    assert [change.path for change in rig.changes] == [b"large"]
    assert findings(rig) == found
    summary = rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True, checksum=True)
    assert not rig.troubles
    assert [(change.path, change.action) for change in rig.changes] == [(b"large", "content")]
    assert (summary.changed, summary.deleted) == (1, 0)
    assert summary.sent.literal < SIZE / 4
    assert_there(rig)


@pytest.mark.parametrize("held", ["nothing", "another", "an old one"])
@pytest.mark.parametrize("part", ["content", "program"])
def test_what_is_damaged_keeps_no_other_file_from_coming_back(rig: Rig, part: str, held: str) -> None:
    """It is named once, and what is there in its place stays."""
    back, old = rig.base / "back", b"what was there"
    if held == "an old one":
        rig.sync("pfs:dst/", back, delete=True)
        (rig.base / "src" / "sub" / "0").write_bytes(b"new")
        old = large(rig).read_bytes()
        large(rig).write_bytes(old[: SIZE // 2] + random.Random(5).randbytes(SIZE // 2))
        rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True)
    elif held == "another":
        back.mkdir()
        (back / "large").write_bytes(old)
    damage(rig, large(rig).read_bytes()[-SIZE // 4 :][:100] if part == "content" else root_of_large(rig)[64:])
    for _ in range(2):
        rig.sync("pfs:dst/", back, delete=True)
        assert [one.path for one in rig.troubles] == [b"large"]
        assert part == "program" or "damaged" in rig.troubles[0].reason
        there, wanted = describe(back), describe(rig.base / "src")
        assert there.pop("large", None) != wanted.pop("large")
        assert there == wanted
        assert held == "nothing" or (back / "large").read_bytes() == old
    rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True, checksum=True)
    rig.sync("pfs:dst/", back, delete=True)
    assert not rig.troubles
    assert describe(back) == describe(rig.base / "src")


@pytest.mark.parametrize("changes", [False, True])
def test_checksum_has_damaged_directories_built_again(rig: Rig, changes: bool) -> None:
    with Pool.open(str(rig.base / "pool")) as pool, FileSystem(pool) as fs:
        node = pool.read(fs.tree_root(b"dst/sub"))
    damage(rig, node[64:])
    if changes:
        (rig.base / "src" / "sub" / "0").write_bytes(b"changed")
    assert findings(rig)
    assert rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True, checksum=True).changed == changes
    assert not rig.troubles
    rig.sync("pfs:dst/", rig.base / "back", delete=True)
    assert describe(rig.base / "back") == describe(rig.base / "src")
    assert changes or not findings(rig)


def test_what_is_whole_is_left_as_it_is(rig: Rig) -> None:
    summary = rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True, checksum=True)
    assert (summary.changed, summary.deleted, summary.sent.literal) == (0, 0, 0)
    (rig.base / "src" / "sub" / "0").unlink()
    (rig.base / "src" / "sub" / "1").rename(rig.base / "src" / "one")
    summary = rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True, checksum=True)
    assert (summary.changed, summary.deleted, summary.sent.literal) == (0, 2, 0)
    assert_there(rig)


@pytest.mark.parametrize("checksum", [False, True])
def test_a_file_that_changed_needs_nothing_of_what_is_damaged(rig: Rig, checksum: bool) -> None:
    data = large(rig).read_bytes()
    damage(rig, data[SIZE // 2 :][:100])
    large(rig).write_bytes(b"new" + data[: SIZE // 2 + 1000] + b"more" + data[SIZE // 2 + 1000 :])
    rig.sync(f"{rig.base}/src/", "pfs:dst", delete=True, checksum=checksum)
    assert not rig.troubles
    rig.sync("pfs:dst/", rig.base / "back", delete=True)
    assert describe(rig.base / "back") == describe(rig.base / "src")
