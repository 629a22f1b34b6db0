"""Sketches of names: what both sides make of them, and syncs of many names of which few differ."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.fs.filesystem import FileSystem
from packetfs.limits import SYMBOLS_MAX
from packetfs.net.finding.comparing import OwnNames
from packetfs.net.finding.names import ID, Selection, ids_of, walk
from packetfs.net.finding.sketching import (
    cost_of_sketch,
    estimate,
    pack_symbols,
    subtract,
    symbols_wanted,
    unpack_symbols,
)
from packetfs.net.receiving.target_pool import PoolTarget
from packetfs.net.wire.listing import Listed
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry, decode_entry, encode_entry
from packetfs.packet.head import Kind
from packetfs.packet.sketch import sketch, sketch_peel
from packetfs.packet.tree import TreeWriter, name_key
from packetfs.pool.pool import Pool
from tests.net.rig import Rig, describe
from tests.packet.store import MemoryStore

KEY = bytes(range(32))


def random_ids(rng: random.Random, count: int) -> bytes:
    return rng.randbytes(ID * count)


@given(st.integers(0, 2**32), st.integers(0, 3000), st.integers(0, 60), st.integers(1, 60))
def test_symbols_travel_and_come_back(seed: int, items: int, start: int, count: int) -> None:
    symbols = sketch(random_ids(random.Random(seed), items), start, start + count)
    packed = pack_symbols(symbols, start, items)
    assert unpack_symbols(packed, start, items) == symbols
    assert len(packed) <= 15 * count


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, 40))
def test_what_differs_is_found_on_both_sides(seed: int, mine: int, theirs: int) -> None:
    rng = random.Random(seed)
    both = random_ids(rng, 500)
    ours, other = random_ids(rng, mine), random_ids(rng, theirs)
    symbols = subtract(sketch(both + ours, 0, 400), sketch(both + other, 0, 400))
    found = sketch_peel(symbols)
    assert found[2]
    chosen = Selection(both + ours, found[0])
    assert [number for number in range(500 + mine) if chosen(number)] == list(range(500, 500 + mine))


@pytest.mark.parametrize("pair", [(1500, 1500), (3000, 0), (0, 3000), (10_000, 9_000), (500, 20_000)])
def test_a_difference_that_is_too_large_is_estimated(pair: tuple[int, int]) -> None:
    rng = random.Random(pair[0])
    ours, theirs = random_ids(rng, pair[0]), random_ids(rng, pair[1])
    symbols = subtract(sketch(ours, 0, 1024), sketch(theirs, 0, 1024))
    assert not sketch_peel(symbols)[2]
    assert 0.7 * sum(pair) < estimate(symbols) < 1.4 * sum(pair)


def test_how_many_symbols_more_follows_from_what_could_not_be_peeled() -> None:
    rng = random.Random(9)
    symbols = subtract(sketch(random_ids(rng, 1500), 0, 1024), sketch(random_ids(rng, 1500), 0, 1024))
    wanted = symbols_wanted(1024, estimate(symbols))
    assert 3500 < wanted < 6000
    assert 100_000 < cost_of_sketch(1024, wanted, 3000) < 200_000
    assert cost_of_sketch(1024, SYMBOLS_MAX + 1, 3000) > 1 << 60
    assert symbols_wanted(1024, 10) == 1280


def tree(store: MemoryStore, entries: list[Entry]) -> Digest:
    writer = TreeWriter(store, Kind.DIRECTORY, 4096)
    for entry in entries:
        writer.add(encode_entry(entry), 1, name_key(entry.name))
    return writer.close()


def test_all_names_are_walked_and_a_directory_has_its_own_id() -> None:
    store = MemoryStore()
    files = [Entry(b"%05d" % number, 0o100644, size=number, root=bytes(32)) for number in range(3000)]
    below = tree(store, files)
    changed = tree(store, [*files[:-1], Entry(files[-1].name, 0o100600, size=5, root=bytes(32))])
    roots = [tree(store, [Entry(b"d", 0o40755, root=inner), Entry(b"f", 0o100644)]) for inner in (below, changed)]
    names = list(walk(store, roots[0]))
    assert [path for path, _ in names] == [b"d", *(b"d/" + entry.name for entry in files), b"f"]
    assert decode_entry(names[1][1]) == files[0]
    one, two = (ids_of(store, root, KEY) for root in roots)
    differing = [at // ID for at in range(0, len(one), ID) if one[at : at + ID] != two[at : at + ID]]
    assert differing == [3000]
    assert ids_of(store, roots[0], bytes(32)) != one


# syncs


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.make_pool()
    return rig


@pytest.fixture
def src(rig: Rig) -> Path:
    """A tree of 600 files."""
    rng, src = random.Random(1), rig.base / "src"
    for number in range(600):
        folder = src / f"{number % 20:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file {number}").write_bytes(rng.randbytes(rng.randrange(1, 3000)))
    os.link(src / "00" / "file 0", src / "00" / "other name")
    (src / "link").symlink_to("00/file 0")
    return src


def copy(rig: Rig, src: Path, end: str) -> str:
    """Have the tree at the destination too, and nothing remembered."""
    target = "pfs:dst" if end == "pool" else f"{'far:' if end == 'far' else ''}{rig.base / 'dst'}"
    if end == "pool":
        rig.sync(f"{src}/", target)
        shutil.rmtree(rig.base / "history")
    else:
        shutil.copytree(src, rig.base / "dst", symlinks=True)
        (rig.base / "dst" / "00" / "other name").unlink()
        os.link(rig.base / "dst" / "00" / "file 0", rig.base / "dst" / "00" / "other name")
        for path in [src, *src.rglob("*")]:
            shutil.copystat(path, rig.base / "dst" / path.relative_to(src), follow_symlinks=False)
    return target


def change(src: Path) -> None:
    """Change some of the tree in all ways."""
    data = (src / "03" / "file 3").read_bytes()
    (src / "03" / "file 3").write_bytes(b"!" + data)
    same = (src / "04" / "file 4").stat()
    (src / "04" / "file 4").write_bytes(b"?" * same.st_size)
    os.utime(src / "04" / "file 4", ns=(same.st_mtime_ns, same.st_mtime_ns))
    (src / "05" / "file 5").chmod(0o600)
    (src / "06" / "file 6").unlink()
    (src / "07" / "file 7").rename(src / "07" / "renamed")
    (src / "new").mkdir()
    (src / "new" / "file").write_bytes(b"new")
    shutil.rmtree(src / "08")
    (src / "08").write_bytes(b"a file now")
    (src / "09" / "file 9").unlink()
    (src / "09" / "file 9").mkdir()
    os.link(src / "00" / "file 0", src / "third name")
    os.link(src / "01" / "file 1", src / "01" / "its second name")
    (src / "link").unlink()
    (src / "link").symlink_to("elsewhere")


@pytest.mark.parametrize("end", ["host", "far", "pool"])
def test_of_many_names_only_what_differs_is_listed(rig: Rig, src: Path, end: str) -> None:
    target = copy(rig, src, end)
    change(src)
    summary = rig.sync(f"{src}/", target, delete=True)
    assert summary.sent.wire < 12_000
    assert summary.received.wire < 20_000
    assert not rig.troubles
    if end == "pool":
        rig.sync("pfs:dst/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)
    again = rig.sync(f"{src}/", target, delete=True)
    assert again.sent.wire + again.received.wire < 1200


def test_a_pull_takes_a_sketch_too(rig: Rig, src: Path) -> None:
    copy(rig, src, "host")
    change(src)
    summary = rig.sync(f"far:{src}/", rig.base / "dst", delete=True)
    assert summary.received.wire < 12_000
    assert describe(rig.base / "dst") == describe(src)


@pytest.mark.parametrize("checksum", [False, True])
def test_a_sender_that_forgot_is_told_by_the_receivers_memory(rig: Rig, src: Path, checksum: bool) -> None:
    """With `checksum`, what changed behind the memory's back is found too."""
    target = f"far:{rig.base / 'dst'}"
    rig.sync(f"{src}/", target)
    shutil.rmtree(rig.base / "history")
    change(src)
    behind = rig.base / "dst" / "10" / "file 10"
    if checksum:
        seen = behind.stat()
        behind.write_bytes(b"-" * seen.st_size)
        os.utime(behind, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    summary = rig.sync(f"{src}/", target, delete=True, checksum=checksum)
    assert summary.sent.wire + summary.received.wire < 32_000
    assert describe(rig.base / "dst") == describe(src)


@pytest.mark.parametrize("end", ["host", "pool"])
def test_without_delete_what_is_there_alone_stays(rig: Rig, src: Path, end: str) -> None:
    target = copy(rig, src, end)
    (src / "06" / "file 6").unlink()
    (src / "03" / "file 3").write_bytes(b"changed")
    rig.sync(f"{src}/", target)
    if end == "pool":
        rig.sync("pfs:dst/", rig.base / "dst")
    assert (rig.base / "dst" / "06" / "file 6").exists()
    assert (rig.base / "dst" / "03" / "file 3").read_bytes() == b"changed"
    assert not rig.troubles


@pytest.mark.parametrize("end", ["host", "pool"])
def test_a_dry_run_names_what_differs_and_changes_nothing(rig: Rig, src: Path, end: str) -> None:
    target = copy(rig, src, end)
    before = describe(rig.base / "dst") if end == "host" else {}
    (src / "03" / "file 3").write_bytes(b"changed")
    (src / "06" / "file 6").unlink()
    rig.sync(f"{src}/", target, dry_run=True, delete=True)
    named = {(change.path, change.action) for change in rig.changes}
    assert {(b"03/file 3", "content"), (b"06/file 6", "delete")} <= named
    assert len(named) < 6
    if end == "host":
        assert describe(rig.base / "dst") == before


@pytest.mark.parametrize("end", ["host", "pool"])
def test_where_most_differs_all_names_are_listed(rig: Rig, src: Path, end: str) -> None:
    target = copy(rig, src, end)
    for path in src.rglob("file *"):
        path.chmod(0o640)
    (src / "03" / "file 3").write_bytes(b"changed")
    summary = rig.sync(f"{src}/", target, delete=True)
    assert summary.sent.wire < 60_000
    if end == "pool":
        rig.sync("pfs:dst/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)


def test_several_thousand_differences_take_a_second_portion(rig: Rig) -> None:
    src, dst = rig.base / "src", rig.base / "dst"
    for number in range(8000):
        folder = src / f"{number % 40:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(b"%d" % number)
    shutil.copytree(src, dst)
    for number in range(1500):
        (src / f"{number % 40:02}" / f"{number}").write_bytes(b"changed %d" % number)
    summary = rig.sync(f"{src}/", dst)
    assert summary.received.wire < 3000 * 1.7 * 14 + 10_000
    assert summary.sent.wire < 1500 * 100 + 3000 * 8
    assert describe(dst) == describe(src)


def test_what_became_of_another_kind_is_sent(rig: Rig, src: Path) -> None:
    copy(rig, src, "host")
    (rig.base / "dst" / "03" / "file 3").unlink()
    (rig.base / "dst" / "03" / "file 3").symlink_to("/nonexistent")
    rig.sync(f"{src}/", rig.base / "dst", delete=True)
    assert describe(rig.base / "dst") == describe(src)


@pytest.mark.parametrize("partial", [False, True])
def test_names_that_come_after_a_listing_stay(rig: Rig, partial: bool) -> None:
    """On a connection that stands, changes follow the first sync: what it deleted may come again."""
    with Pool.open(str(rig.base / "pool"), writable=True) as pool, FileSystem(pool) as fs:
        fs.make_parents(b"dst/x")
        for name in (b"a", b"gone"):
            fs.set(b"dst/" + name, Entry(name, 0o120777, target=b"t"))
        target = PoolTarget(fs, b"dst", delete=True)
        if partial:
            store, root = target.names()
            ids = ids_of(store, root, KEY)
            OwnNames(store, root, {}, (), Selection(ids, ids[-ID:])).begin(target)
        else:
            target.expect_listing()
            target.examine(Listed(b"a", Entry(b"a", 0o120777, target=b"t"), ()))
        target.end_listing()
        target.finish(Digest(bytes(32)))
        assert [entry.name for entry in fs.children(b"dst")] == [b"a"]
        target.put(b"gone", Entry(b"gone", 0o120777, target=b"t"), None)
        target.finish(Digest(bytes(32)))
        assert [entry.name for entry in fs.children(b"dst")] == [b"a", b"gone"]
