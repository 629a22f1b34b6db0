"""What a first copy sends while the source is still being imported."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from packetfs.events import Trouble
from packetfs.fs.host.metadata import Handle, Xattrs, is_sparse, read_xattrs
from packetfs.net.sending import early
from packetfs.net.sending.contents import Contents
from packetfs.net.sending.early import Early
from packetfs.net.wire.batch import Batch, Content
from packetfs.net.wire.items import EntryItem, ItemReader, ItemWriter
from packetfs.packet.entry import Entry
from tests.net.rig import Rig, describe

FILE = 0o100644


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for number in range(30):
        folder = root / f"{number % 3}" / "below"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(random.randbytes(number * 100) + bytes(number * 1000))
    (root / "large").write_bytes(random.randbytes(1_500_000))
    return root


@pytest.fixture
def sent_late(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that the ordinary pass sends with their content."""
    late: list[bytes] = []
    send = Contents._begin

    def begin(self: Contents, path: bytes, entry: Entry, content: Content, declared: int = 0) -> bool:
        late.append(path)
        return send(self, path, entry, content, declared)

    monkeypatch.setattr(Contents, "_begin", begin)
    return late


def test_all_files_of_a_first_copy_go_early(rig: Rig, source: Path, tmp_path: Path, sent_late: list[bytes]) -> None:
    summary = rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    assert not sent_late
    assert not rig.troubles
    assert describe(tmp_path / "target") == describe(source)
    assert summary.sent.literal == summary.total
    assert summary.files == 31
    assert rig.sync(f"{source}/", f"far:{tmp_path / 'target'}").changed == 0


def test_a_second_destination_gets_what_is_not_read_again(
    rig: Rig, source: Path, tmp_path: Path, sent_late: list[bytes]
) -> None:
    """The source's history knows most files by then: only the new one goes early."""
    rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    (source / "1" / "new").write_bytes(b"new")
    rig.sync(f"{source}/", f"far:{tmp_path / 'other'}")
    assert b"1/new" not in sent_late
    assert describe(tmp_path / "other") == describe(source)


def test_hard_links_wait_for_their_group(rig: Rig, source: Path, tmp_path: Path, sent_late: list[bytes]) -> None:
    (source / "1" / "link").hardlink_to(source / "0" / "below" / "3")
    (source / "alone").hardlink_to(source / "large")
    rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    assert sent_late == [b"0/below/3"]
    assert describe(tmp_path / "target") == describe(source)


def test_a_file_that_changes_while_it_is_read_is_not_sent(
    rig: Rig, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_change(handle: Handle) -> Xattrs:
        if os.fstat(handle.fd).st_size == 7700:
            os.utime(source / "1" / "below" / "7", ns=(0, os.fstat(handle.fd).st_mtime_ns + 1))
        return read_xattrs(handle)

    monkeypatch.setattr("packetfs.fs.mirroring.file.read_xattrs", read_and_change)
    rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    assert rig.troubles == [Trouble(b"1/below/7", "changed while being read")]
    assert not (tmp_path / "target" / "1" / "below" / "7").exists()


@pytest.mark.parametrize("far", ["far:", ""])
def test_a_large_file_that_grows_while_it_is_read_is_named_once(
    rig: Rig, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: str
) -> None:
    def look_and_grow(fd: int, status: os.stat_result) -> bool:
        if status.st_size >= 1_000_000:
            with (source / "large").open("ab") as file:
                file.write(b"more")
        return is_sparse(fd, status)

    monkeypatch.setattr("packetfs.fs.mirroring.file.is_sparse", look_and_grow)
    summary = rig.sync(f"{source}/", f"{far}{tmp_path / 'target'}")
    assert rig.troubles == [Trouble(b"large", "changed while being read")]
    assert summary.troubles == 1
    assert not (tmp_path / "target" / "large").exists()


def test_files_beyond_the_marks_go_the_ordinary_way(
    rig: Rig, source: Path, tmp_path: Path, sent_late: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "_MARKS_MAX", 10)
    rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    assert len(sent_late) == 20
    assert describe(tmp_path / "target") == describe(source)


def test_marks_pass_over_files_that_are_no_longer_what_was_sent() -> None:
    early = Early(ItemWriter(lambda _: None))
    entries = [Entry(b"%d" % number, FILE, size=number) for number in range(5)]
    for entry in entries:
        early.mark(entry.name, entry)
    assert early.has_sent(b"0", entries[0])
    assert not early.has_sent(b"1", entries[2])
    assert early.has_sent(b"3", entries[3])
    assert not early.has_sent(b"1", entries[1])
    assert early.has_sent(b"4", entries[4])
    assert not early.has_sent(b"4", entries[4])


def test_small_literals_are_gathered_and_large_ones_kept_as_they_are() -> None:
    batches: list[Batch] = []
    items = ItemWriter(batches.append)
    sender = Early(items)
    large = random.randbytes(40_000)
    for name, data in ((b"a", b"one"), (b"b", b"two"), (b"c", large), (b"d", b"three")):
        taker = sender.offer(name, -1, len(data), lambda: Entry(b"unused", FILE))
        assert taker is not None
        taker._packer.literal(data)
        taker.accept(Entry(name, FILE, size=len(data)), 1)
    items.flush()
    (batch,) = batches
    assert batch.literals == [b"onetwo", large, b"three"]
    joined = Batch(batch.control, [b"".join(batch.literals)])
    read = []
    for item in ItemReader().read(joined):
        if isinstance(item, EntryItem):
            assert item.content is Content.LITERAL
            read.append(item.path)
        elif hasattr(item, "literals"):
            item.literals.at += [3, 3, 40_000, 5][len(read) - 1]
    assert read == [b"a", b"b", b"c", b"d"]


def test_a_large_file_that_changed_is_taken_back() -> None:
    """Its content closes with ABANDON: the receiver lets it fall and reports no failure of its own."""
    batches: list[Batch] = []
    items = ItemWriter(batches.append)
    taker = Early(items).offer(b"busy", -1, 1 << 20, lambda: Entry(b"busy", FILE, size=1 << 20))
    assert taker is not None
    taker.refuse()
    items.flush()
    (batch,) = batches
    kinds = [type(item).__name__ for item in ItemReader().read(Batch(batch.control, [b""]))]
    assert kinds == ["EntryItem", "AbandonItem"]


@pytest.fixture
def splices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Offset and length of what was sent out of the page cache."""
    seen: list[tuple[int, int]] = []
    splice = os.splice

    def count(source: int, target: int, length: int, *, offset_src: int) -> int:
        done = splice(source, target, length, offset_src=offset_src)
        seen.append((offset_src, done))
        return done

    monkeypatch.setattr(os, "splice", count)
    return seen


def test_large_files_go_out_of_the_page_cache(
    rig: Rig, source: Path, tmp_path: Path, splices: list[tuple[int, int]]
) -> None:
    """Runs and short ends between the literals do not shift what is sent."""
    noise = random.randbytes(2_000_000)
    (source / "runs").write_bytes(noise + bytes(100_000) + noise[:700_003] + b"end" + bytes(70_000) + b"x" * 30)
    rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    assert sum(length for _, length in splices) > 2_000_000
    assert not rig.troubles
    assert describe(tmp_path / "target") == describe(source)


@pytest.mark.parametrize("size", [0, 1_200_000])
def test_a_file_that_shrinks_between_hashing_and_sending_is_no_mixture(
    rig: Rig, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    splice = os.splice

    def shrink_first(*args: int, **places: int) -> int:
        if os.path.getsize(source / "large") != size:
            os.truncate(source / "large", size)
        return splice(*args, **places)

    monkeypatch.setattr(os, "splice", shrink_first)
    rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    assert not rig.troubles, "read again, and small enough now to be whole"
    assert describe(tmp_path / "target") == describe(source)


def test_other_bytes_than_were_hashed_are_sent_again(
    rig: Rig, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size is the same, and the time is put back: only the receiver's root can tell."""
    splice = os.splice
    done: list[bool] = []

    def change_first(*args: int, **places: int) -> int:
        if not done:
            status = os.stat(source / "large")
            with (source / "large").open("r+b") as file:
                file.write(b"changed")
            os.utime(source / "large", ns=(status.st_atime_ns, status.st_mtime_ns))
        done.append(True)
        return splice(*args, **places)

    monkeypatch.setattr(os, "splice", change_first)
    rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    rig.sync(f"{source}/", f"far:{tmp_path / 'target'}")
    assert (tmp_path / "target" / "large").read_bytes() == (source / "large").read_bytes()
