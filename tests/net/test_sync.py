"""A sync from end to end, through real processes: every kind of end and of file, what moves and what does not."""

from __future__ import annotations

import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packetfs.errors import (
    Disconnected,
    FarSideFailed,
    IntoPool,
    NothingThere,
    Overlap,
    PacketFSError,
    SamePool,
    Unreachable,
)
from packetfs.fs.export import export
from packetfs.fs.filesystem import FileSystem
from packetfs.limits import MEAN
from packetfs.net.link.carrier import ChildStream
from packetfs.net.link.channel import FrameChannel
from packetfs.net.wire.messages import MAGIC, PROTOCOL, Hello, Option, Ready, Welcome
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool
from tests.net.rig import Rig, describe

RELAY = Path(__file__).parents[2] / "bench" / "relay.py"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    (tmp_path / "src").mkdir()
    return Rig(tmp_path)


@pytest.fixture
def src(rig: Rig) -> Path:
    """A tree with every kind of file."""
    src = rig.base / "src"
    rng = random.Random(7)
    (src / "empty").touch()
    (src / "small").write_bytes(b"hello")
    (src / "big").write_bytes(rng.randbytes(2_000_000))
    (src / "deep" / "er").mkdir(parents=True)
    (src / "deep" / "er" / "text").write_bytes(b"the quick brown fox\n" * 20_000)
    (src / "empty dir").mkdir(mode=0o711)
    (src / "link").symlink_to("nowhere/at all")
    os.link(src / "small", src / "deep" / "small too")
    (src / b"\xff\xfe \n name".decode("utf-8", "surrogateescape")).write_bytes(b"odd")
    os.mkfifo(src / "fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(src)
        server.bind("socket")
        os.chdir(here)
    os.setxattr(src / "small", "user.colour", b"blue")
    (src / "small").chmod(0o4751)
    with (src / "sparse").open("wb") as sparse:
        sparse.seek(50_000_000)
        sparse.write(b"end")
    for number, path in enumerate(sorted(src.rglob("*"))):
        os.utime(path, ns=(0, 1_600_000_000_000_000_000 + number * 1_000_000_007), follow_symlinks=False)
    return src


def edit(path: Path, offset: int, data: bytes, *, insert: bool = False) -> None:
    old = path.read_bytes()
    path.write_bytes(old[:offset] + data + old[offset + (0 if insert else len(data)) :])


ENDS = ["{base}/dst", "far:{base}/dst", "pfs:dst", "far:pfs:some/dst"]


@pytest.mark.parametrize("end", ENDS)
def test_a_tree_arrives_whole_and_comes_back(rig: Rig, src: Path, end: str) -> None:
    if "pfs:" in end:
        rig.make_pool()
    place = end.format(base=rig.base)
    first = rig.sync(f"{src}/", place)
    assert not rig.troubles
    assert first.total == sum(p.stat().st_size for p in src.rglob("*") if p.is_file() and not p.is_symlink())
    back = rig.sync(f"{place}/", rig.base / "back")
    assert describe(rig.base / "back") == describe(src)
    assert (rig.base / "back" / "sparse").stat().st_blocks * 512 < 1_000_000
    assert back.received.literal + back.sent.literal > 0


@pytest.mark.parametrize("end", ENDS)
def test_after_a_change_only_the_change_moves(rig: Rig, src: Path, end: str) -> None:
    if "pfs:" in end:
        rig.make_pool()
    place = end.format(base=rig.base)
    rig.sync(f"{src}/", place)
    again = rig.sync(f"{src}/", place)
    assert again.changed == 0
    assert again.sent.wire + again.received.wire < 1000
    edit(src / "big", 1_000_000, b"X")
    edit(src / "big", 300, b"inserted", insert=True)
    changed = rig.sync(f"{src}/", place)
    assert changed.changed == 1
    assert changed.sent.wire < 2000
    assert changed.sent.copied > 1_999_000
    rig.sync(f"{place}/", rig.base / "back")
    assert describe(rig.base / "back") == describe(src)


def test_pull_with_a_known_base_moves_only_the_change(rig: Rig, src: Path) -> None:
    rig.sync(f"far:{src}/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)
    edit(src / "big", 1_000_000, b"X")
    changed = rig.sync(f"far:{src}/", rig.base / "dst")
    assert changed.received.wire < 2000
    assert describe(rig.base / "dst") == describe(src)


def test_both_directions_tell_the_same_of_what_changes(rig: Rig, src: Path) -> None:
    there, here = f"far:{rig.base}/dst", rig.base / "back"
    for _ in range(2):
        sent = rig.sync(f"{src}/", there, delete=True)
        told = sorted((change.path, change.action) for change in rig.changes)
        received = rig.sync(f"far:{src}/", here, delete=True)
        assert sorted((change.path, change.action) for change in rig.changes) == told
        assert (received.changed, received.deleted) == (sent.changed, sent.deleted)
        assert received.received.logical == sent.sent.logical
        edit(src / "big", 1_000_000, b"changed")
        (src / "new").write_bytes(b"new")
        (src / "empty").unlink(missing_ok=True)


def test_without_history_only_lacking_extents_move(rig: Rig, src: Path) -> None:
    rig.sync(f"{src}/", rig.base / "dst")
    edit(src / "big", 1_000_000, b"X")
    os.rename(rig.base / "history", rig.base / "lost")
    changed = rig.sync(f"{src}/", rig.base / "dst")
    assert changed.sent.literal < 400_000
    assert describe(rig.base / "dst") == describe(src)


def test_checksum_finds_what_size_and_time_hide(rig: Rig, src: Path) -> None:
    subprocess.run(["cp", "-a", os.fspath(src), os.fspath(rig.base / "dst")], check=True)
    target = rig.base / "dst" / "deep" / "er" / "text"
    before = target.stat()
    edit(target, 100, b"#")
    os.utime(target, ns=(0, before.st_mtime_ns))
    rig.sync(f"{src}/", rig.base / "dst")
    assert describe(rig.base / "dst") != describe(src)
    rig.sync(f"{src}/", rig.base / "dst", checksum=True)
    assert describe(rig.base / "dst") == describe(src)


def test_what_somebody_changed_at_the_destination_is_restored(rig: Rig, src: Path) -> None:
    dst = rig.base / "dst"
    rig.sync(f"{src}/", dst)
    (dst / "small").write_bytes(b"vandal")
    (dst / "big").unlink()
    (dst / "deep" / "er" / "text").chmod(0)
    (dst / "link").unlink()
    (dst / "empty dir").rmdir()
    (dst / "empty dir").write_bytes(b"a file now")
    rig.sync(f"{src}/", dst)
    assert describe(dst) == describe(src)


def test_kinds_change_into_each_other(rig: Rig, src: Path) -> None:
    dst = rig.base / "dst"
    rig.sync(f"{src}/", dst)
    for name in ("small", "deep/er/text"):
        (src / name).unlink()
    (src / "small").mkdir()
    (src / "small" / "inside").write_bytes(b"x" * 1000)
    (src / "deep" / "er").rmdir()
    (src / "deep" / "er").symlink_to("/etc")
    (src / "link").unlink()
    (src / "link").write_bytes(b"no longer a link")
    rig.sync(f"{src}/", dst)
    assert [trouble.path for trouble in rig.troubles] == [b"deep/er"], "a directory with something in it stays"
    rig.sync(f"{src}/", dst, delete=True)
    assert not rig.troubles
    assert describe(dst) == describe(src)


@pytest.mark.parametrize("end", ENDS[1:3])
def test_delete_removes_what_the_source_does_not_have(rig: Rig, src: Path, end: str) -> None:
    if "pfs:" in end:
        rig.make_pool()
    place = end.format(base=rig.base)
    rig.sync(f"{src}/", place)
    (rig.base / "extra").mkdir()
    (rig.base / "extra" / "more").write_bytes(b"extra")
    rig.sync(rig.base / "extra", place)
    (src / "big").unlink()
    kept = rig.sync(f"{src}/", place)
    assert kept.deleted == 0
    assert [change for change in rig.changes if change.action == "delete"] == []
    rig.sync(f"{place}/", rig.base / "back")
    assert {"big", "extra/more"} <= set(describe(rig.base / "back")), "nothing is deleted unasked"
    rig.sync(f"{src}/", place, delete=True)
    rig.sync(f"{place}/", rig.base / "back", delete=True)
    assert describe(rig.base / "back") == describe(src)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_sync_that_receives_tells_no_deletion_of_what_stays(rig: Rig, src: Path, dry_run: bool) -> None:
    rig.sync(f"far:{src}/", rig.base / "dst")
    (src / "big").unlink()
    assert rig.sync(f"far:{src}/", rig.base / "dst", dry_run=dry_run).deleted == 0
    assert [change for change in rig.changes if change.action == "delete"] == []
    assert (rig.base / "dst" / "big").exists()
    assert rig.sync(f"far:{src}/", rig.base / "dst", dry_run=dry_run, delete=True).deleted == 1
    assert (rig.base / "dst" / "big").exists() is dry_run


@pytest.mark.parametrize("end", ENDS)
def test_a_directory_goes_when_the_file_that_replaces_it_is_whole(rig: Rig, src: Path, end: str) -> None:
    """So no removal of it goes before."""
    if "pfs:" in end:
        rig.make_pool()
    place = end.format(base=rig.base)
    (src / "it").mkdir()
    (src / "it" / "inner").write_bytes(b"inner")
    (src / "it" / "other").write_bytes(b"other")
    rig.sync(f"{src}/", place)
    shutil.rmtree(src / "it")
    (src / "it").write_bytes(b"a file")
    assert rig.sync(f"{src}/", place, delete=True).deleted == 0
    assert [change.action for change in rig.changes if change.path == b"it"] == ["new"]
    rig.sync(f"{place}/", rig.base / "back")
    assert describe(rig.base / "back") == describe(src)
    assert rig.sync(f"{src}/", place, delete=True).changed == 0


def test_a_dry_run_changes_nothing_and_names_all(rig: Rig, src: Path) -> None:
    dst = rig.base / "dst"
    rig.sync(f"{src}/", dst, dry_run=True)
    assert not dst.exists()
    assert {change.path for change in rig.changes} >= {b"big", b"deep/er/text", b"fifo"}
    rig.sync(f"{src}/", dst)
    before = describe(dst)
    edit(src / "big", 5, b"?")
    (src / "small").unlink()
    summary = rig.sync(f"{src}/", dst, dry_run=True, delete=True)
    assert {(change.path, change.action) for change in rig.changes} >= {(b"big", "content"), (b"small", "delete")}
    assert summary.sent.wire < 2000
    assert describe(dst) == before


def test_a_renamed_and_a_rotated_file_are_not_sent_again(rig: Rig, src: Path) -> None:
    rng = random.Random(3)
    (src / "log").write_bytes(rng.randbytes(500_000))
    (src / "log.1").write_bytes(rng.randbytes(600_000))
    rig.sync(f"{src}/", rig.base / "dst")
    os.rename(src / "log.1", src / "log.2")
    with (src / "log").open("ab") as log:
        log.write(rng.randbytes(10_000))
    os.rename(src / "log", src / "log.1")
    (src / "log").write_bytes(rng.randbytes(20_000))
    os.rename(src / "big", src / "moved")
    summary = rig.sync(f"{src}/", rig.base / "dst", delete=True)
    assert describe(rig.base / "dst") == describe(src)
    assert summary.sent.wire < 34_000


@pytest.mark.parametrize("end", ENDS)
def test_copies_of_what_is_there_are_not_sent(rig: Rig, src: Path, end: str) -> None:
    if "pfs:" in end:
        rig.make_pool()
    place = end.format(base=rig.base)
    rig.sync(f"{src}/", place)
    (src / "copies").mkdir()
    for name in ("big", "again"):
        (src / "copies" / name).write_bytes((src / "big").read_bytes())
    (src / "copies" / "empty").touch()
    summary = rig.sync(f"{src}/", place)
    assert summary.sent.wire < 1000
    assert summary.sent.copied == 2 * (src / "big").stat().st_size
    rig.sync(f"{place}/", rig.base / "back")
    assert describe(rig.base / "back") == describe(src)


@pytest.mark.parametrize("shared", [True, False])
def test_a_new_file_may_share_content_far_behind_its_beginning(rig: Rig, src: Path, shared: bool) -> None:
    old, new = random.Random(1).randbytes(3 << 20), random.Random(2).randbytes(20 << 20)
    (src / "old").write_bytes(old)
    rig.sync(f"{src}/", rig.base / "dst")
    edit(src / "old", 1000, b"changed")
    (src / "new").write_bytes(new + old if shared else new)
    summary = rig.sync(f"{src}/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)
    assert summary.sent.literal < len(new) + 300_000


@pytest.mark.parametrize("end", ["{base}/out/name", "{base}/out/", "pfs:name"])
def test_one_file(rig: Rig, src: Path, end: str) -> None:
    rig.make_pool()
    (rig.base / "out").mkdir()
    (rig.base / "out" / "other").write_bytes(b"stays")
    place = end.format(base=rig.base)
    rig.sync(src / "big", place)
    edit(src / "big", 99, b"!")
    again = rig.sync(src / "big", place)
    assert again.sent.wire < 2000
    made = f"{place}big" if place.endswith("/") else place
    rig.sync(made, rig.base / "back")
    assert (rig.base / "back").read_bytes() == (src / "big").read_bytes()


def test_the_slash_rule(rig: Rig, src: Path) -> None:
    rig.sync(src, rig.base / "dst")
    assert describe(rig.base / "dst" / "src") == describe(src)


def test_a_source_beyond_the_budget_still_arrives(rig: Rig, src: Path) -> None:
    rig.sync(f"{src}/", rig.base / "dst", keep=0)
    edit(src / "big", 1_000_000, b"X")
    changed = rig.sync(f"{src}/", rig.base / "dst", keep=0)
    assert describe(rig.base / "dst") == describe(src)
    assert changed.sent.literal < 400_000, "extents are still known by digest"


def test_every_sync_into_a_pool_is_a_snapshot(rig: Rig, src: Path) -> None:
    rig.make_pool()
    rig.sync(f"{src}/", "pfs:data")
    edit(src / "small", 0, b"J")
    rig.sync(f"{src}/", "pfs:data")
    from packetfs.fs.filesystem import FileSystem
    from packetfs.pool.pool import Pool

    with Pool.open(str(rig.base / "pool")) as pool, FileSystem(pool) as fs:
        roots = [snapshot.root for snapshot in fs.snapshots()]
    assert len(roots) == len(set(roots)) == 2


def test_a_missing_source_and_a_dead_far_side_are_one_sentence(rig: Rig) -> None:
    with pytest.raises(NothingThere):
        rig.sync(rig.base / "nothing", rig.base / "dst")
    with pytest.raises(PacketFSError):
        rig.sync(f"far:{rig.base}/nothing", rig.base / "dst")
    with pytest.raises(PacketFSError):
        rig.sync(rig.base / "src", "far:pfs:x")


@pytest.mark.parametrize("end", ENDS[1:3])
def test_an_empty_source_with_delete_empties_the_destination(rig: Rig, src: Path, end: str) -> None:
    rig.make_pool()
    place = end.format(base=rig.base)
    rig.sync(f"{src}/", place)
    (rig.base / "empty").mkdir()
    rig.sync(f"{rig.base}/empty/", place, delete=True)
    rig.sync(f"{place}/", rig.base / "back")
    assert set(describe(rig.base / "back")) == {"."}


@pytest.mark.parametrize("end", ENDS[:1] + ENDS[2:3])
@pytest.mark.parametrize("known", [True, False])
def test_a_dry_run_names_what_delete_would_remove(rig: Rig, src: Path, end: str, known: bool) -> None:
    rig.make_pool()
    place = end.format(base=rig.base)
    rig.sync(f"{src}/", place)
    (rig.base / "extra" / "in").mkdir(parents=True)
    (rig.base / "extra" / "in" / "deep").write_bytes(b"extra")
    rig.sync(f"{rig.base}/extra/", place)
    if not known:
        os.rename(rig.base / "history", rig.base / "lost")
    rig.sync(f"{src}/", place, delete=True, dry_run=True)
    assert [change.path for change in rig.changes if change.action == "delete"] == [b"in"]
    rig.sync(f"{src}/", place, delete=True)
    assert [change.path for change in rig.changes if change.action == "delete"] == [b"in"]


@pytest.mark.parametrize("sides", [("{src}", "far:{dst}"), ("far:{src}", "{dst}")])
def test_the_summary_counts_each_file_in_trouble_once(rig: Rig, src: Path, sides: tuple[str, str]) -> None:
    (rig.base / "dst/small/in the way").mkdir(parents=True)
    source, destination = (side.format(src=f"{src}/", dst=rig.base / "dst") for side in sides)
    summary = rig.sync(source, destination)
    assert [trouble.path for trouble in rig.troubles] == [b"small"]
    assert summary.troubles == 1


def test_ends_that_overlap_are_refused(rig: Rig, src: Path) -> None:
    for source, destination in ((f"{src}/", src / "deep"), (f"{src}/deep/", src), (f"{src}/", src), (src, rig.base)):
        with pytest.raises(Overlap):
            rig.sync(source, destination, delete=True)
    assert (src / "deep" / "er" / "text").exists()


def test_nothing_is_written_among_the_files_of_a_pool(rig: Rig, src: Path) -> None:
    rig.make_pool()
    rig.sync(f"{src}/", "pfs:kept")
    for source in (f"{src}/", src, src / "small", "pfs:kept/"):
        with pytest.raises(IntoPool):
            rig.sync(source, rig.base / "pool", delete=True)
    rig.sync("pfs:kept/", rig.base / "back")
    assert describe(rig.base / "back") == describe(src)


def test_a_pool_is_copied_as_it_lies_again_and_again(rig: Rig, src: Path) -> None:
    rig.make_pool()
    for _ in range(2):
        rig.sync(f"{rig.base}/pool/", rig.base / "moved", delete=True)
        assert describe(rig.base / "moved") == describe(rig.base / "pool")
        rig.sync(f"{src}/", "pfs:kept")


def test_a_pool_is_not_both_ends(rig: Rig) -> None:
    rig.make_pool()
    with pytest.raises(SamePool):
        rig.sync("pfs:a", "pfs:b")


def test_a_link_at_the_destination_makes_way_for_a_directory(rig: Rig, src: Path) -> None:
    outside = rig.base / "outside"
    outside.mkdir()
    (rig.base / "dst").mkdir()
    (rig.base / "dst" / "deep").symlink_to(outside)
    rig.sync(f"{src}/", rig.base / "dst")
    assert not list(outside.iterdir())
    assert describe(rig.base / "dst") == describe(src)


def test_a_host_that_cannot_be_reached_is_said_to_be_so(rig: Rig, src: Path) -> None:
    with pytest.raises(Unreachable, match="exit code 1"):
        rig.sync(f"{src}/", "far:x", far_command="/bin/false")


def test_a_link_as_source_is_refused_before_anything_is_made(rig: Rig) -> None:
    """What it leads to is meant by a slash behind it, as with rsync."""
    (rig.base / "real").mkdir()
    (rig.base / "real" / "file").write_text("content")
    (rig.base / "link").symlink_to("real")
    with pytest.raises(PacketFSError, match="symbolic link"):
        rig.sync(rig.base / "link", rig.base / "dst")
    assert not (rig.base / "dst").exists()
    rig.sync(f"{rig.base}/link/", rig.base / "dst")
    assert (rig.base / "dst" / "file").read_text() == "content"


@pytest.mark.parametrize("end", ["{base}/dst", "pfs:dst"])
def test_names_of_one_file_change_together(rig: Rig, src: Path, end: str) -> None:
    rig.make_pool()
    place = end.format(base=rig.base)
    for name in ("b", "c", "d"):
        os.link(src / "small", src / name)
    rig.sync(f"{src}/", place)
    (src / "small").write_bytes(b"in place")
    rig.sync(f"{src}/", place, delete=True)
    assert not rig.troubles
    rig.sync(f"{place}/", rig.base / "back")
    assert describe(rig.base / "back") == describe(src)
    (src / "b").unlink()
    for _ in range(2):  # that a name went shows in the other ones, which are looked at again
        rig.sync(f"{src}/", place, delete=True)
    assert rig.sync(f"{src}/", place, delete=True).changed == 0
    rig.sync(f"{place}/", rig.base / "back", delete=True)
    assert describe(rig.base / "back") == describe(src)


def test_trees_of_a_pool_keep_their_hard_links_apart(rig: Rig, src: Path) -> None:
    rig.make_pool()
    rig.sync(f"{src}/", "pfs:before")
    old = describe(src)
    (src / "small").write_bytes(b"in place")
    rig.sync(f"{src}/", "pfs:after")
    rig.sync("pfs:", rig.base / "back")
    assert not rig.troubles
    (rig.base / "out").mkdir()
    with Pool.open(str(rig.base / "pool"), writable=True) as pool, FileSystem(pool) as fs:
        whole = Entry(b"all", stat.S_IFDIR | 0o755, root=fs.tree_root())
        export(pool, whole, os.fsencode(rig.base / "out"), b"all")
    for place in (rig.base / "back", rig.base / "out" / "all"):
        assert describe(place / "before") == old
        assert describe(place / "after") == describe(src)
    assert rig.sync("pfs:", rig.base / "back").changed == 0


@pytest.mark.parametrize("count", [1, 300])
def test_what_came_before_a_cut_is_not_sent_again_into_a_pool(rig: Rig, count: int) -> None:
    rig.make_pool()
    src, total = rig.base / "src", 8_000_000
    for number in range(count):
        (src / str(number)).write_bytes(random.Random(number).randbytes(total // count))
    relay = f"{sys.executable} -I -S {RELAY} --cut {total // 2} host {sys.executable} -m packetfs"
    with pytest.raises(Disconnected):
        rig.sync(f"{src}/", "far:pfs:dst", far_command=relay)
    summary = rig.sync(f"{src}/", "far:pfs:dst")
    assert not rig.troubles
    assert summary.sent.literal < total * 0.75
    assert rig.sync(f"{src}/", "far:pfs:dst").sent.wire < 1000
    rig.sync("far:pfs:dst/", rig.base / "back")
    assert describe(rig.base / "back") == describe(src)


@pytest.mark.parametrize("ends", [True, False])
def test_the_writer_of_a_line_that_dropped_has_time_to_end(rig: Rig, ends: bool) -> None:
    rig.make_pool()
    path = str(rig.base / "pool")
    command = (sys.executable, "-m", "packetfs", "serve", "--stdio")
    with (
        Pool.open(path, writable=True) as writer,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as far,
    ):
        channel = FrameChannel(ChildStream(far), "far")
        channel.greet(Hello(MAGIC, PROTOCOL, Option.POOL, os.fsencode(path), b"dst", b"", MEAN, 0))
        channel.expect(Welcome)
        if ends:
            time.sleep(0.2)  # it meets the writer
            writer.close()
            channel.expect(Ready)
        else:
            with pytest.raises(FarSideFailed, match=f"is being written by process {os.getpid()} "):
                channel.expect(Ready)
