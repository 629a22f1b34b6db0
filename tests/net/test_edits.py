"""A file whose import found out where it differs is sent as that: nothing of it is compared again."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from packetfs.errors import Vanished
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import Signature
from packetfs.fs.mirroring.edited import Edited
from packetfs.fs.mirroring.mirror import MirrorOptions, mirror
from packetfs.limits import EDITS_MAX
from packetfs.net.sending.delta import Basis, Difference
from packetfs.net.sending.source import HostSource
from packetfs.net.wire.packed import Packer
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Buffer
from packetfs.packet.rivals import Span
from packetfs.pool.pool import Pool
from packetfs.typing import Sequence
from tests.net.rig import Rig
from tests.net.test_stored_patches import applied

SIZE = 3_000_000


class Held:
    """One old file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.asked = 0

    def read(self, source: int, offset: int, length: int) -> memoryview:
        assert source == 1
        self.asked += 1
        return memoryview(self._data)[offset : offset + length]

    def size(self, source: int) -> int:  # noqa: ARG002 - there is one
        return len(self._data)


def sent(old: bytes, new: bytes, spans: Sequence[Span]) -> tuple[bytes, int, int]:
    """Return what the delta of these spans makes, how many literals that took, and how often old bytes were read."""
    packer, held = Packer(), Held(old)
    difference = Difference(Basis(None, held), 1, _unread, packer)
    instructions, literals = b"", b""
    blocks = list(_blocks(difference, packer, spans, new))
    for block, parts in blocks:
        instructions, literals = instructions + block, literals + parts
    made = applied(old, instructions, literals)
    assert difference.copied == len(new) - len(literals)
    return made, len(literals), held.asked


def _blocks(difference: Difference, packer: Packer, spans: Sequence[Span], new: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    for _ in difference.run_edits(spans, len(new), lambda start, end: new[start:end]):
        block, parts = packer.take()
        found.append((block, b"".join(parts)))
    block, parts = packer.take()
    return [*found, (block, b"".join(parts))]


def _unread(offset: int, leaf: bytes) -> Buffer:
    raise AssertionError(f"a leaf at {offset} is read: {leaf[0]}")


def test_small_edits_go_as_they_are() -> None:
    old = random.Random(1).randbytes(SIZE)
    new = bytearray(old)
    spans = [(at, at + 4096) for at in range(0, SIZE - 5000, 50_000)]
    for start, end in spans:
        new[start:end] = random.Random(start).randbytes(end - start)
    assert sent(old, bytes(new), spans) == (bytes(new), 4096 * len(spans), 0)


def test_a_large_edit_is_matched_with_what_is_around() -> None:
    old = random.Random(2).randbytes(SIZE)
    new = old[:500_000] + b"between" + old[500_000:600_000] + old[600_007:]
    made, literals, asked = sent(old, new, [(490_000, 700_000)])
    assert made == new
    assert literals < 2000
    assert asked


def test_many_literals_are_many_blocks() -> None:
    old, new = bytes(SIZE), random.Random(3).randbytes(SIZE)
    spans = [(at, min(at + 6000, SIZE)) for at in range(0, SIZE, 6000)]
    packer = Packer()
    difference = Difference(Basis(None, Held(old)), 1, _unread, packer)
    assert len(_blocks(difference, packer, spans, new)) > 2


class Import:
    """A directory of one file that was imported, changed in one place, and imported again."""

    def __init__(self, base: Path) -> None:
        self.path = base / "tree" / "file"
        self.path.parent.mkdir()
        self.old = random.Random(4).randbytes(SIZE)
        self.new = self.old[:1_000_000] + b"changed" + self.old[1_000_007:]
        self.edited = Edited()
        self.before = self.after = Digest(bytes(32))

    def bring(self, fs: FileSystem) -> None:
        options = MirrorOptions(edited=self.edited)
        for data in (self.old, self.new):
            self.path.write_bytes(data)
            os.utime(self.path, ns=(1, data[1_000_000]))
            mirror(fs, str(self.path.parent), b"", options)
            self.before, self.after = self.after, self.root(fs)

    def root(self, fs: FileSystem) -> Digest:
        entry: Entry | None = fs.entry(b"file")
        assert entry is not None
        return Digest(entry.root)


@pytest.mark.parametrize("is_there", ["as it was", "changed", "gone", "a link", "no file"])
def test_edits_are_read_as_they_were_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: str) -> None:
    monkeypatch.setattr(Signature, "is_racy", lambda *_: False)
    tree = Import(tmp_path)
    with Pool.create(str(tmp_path / "pool")) as pool, FileSystem(pool) as fs, Beneath(str(tree.path.parent)) as host:
        tree.bring(fs)
        if is_there == "changed":
            tree.path.write_bytes(b"x" * SIZE)
        elif is_there != "as it was":
            tree.path.rename(tmp_path / "elsewhere")
        if is_there == "a link":
            tree.path.symlink_to(tmp_path / "elsewhere")
        elif is_there == "no file":
            tree.path.mkdir()
        source = HostSource(fs, host, None, tree.edited)
        spans = source.edits(tree.before, tree.after)
        assert spans is not None
        found = [bytes(source.read_span(b"file", tree.after, start, end)) for start, end in spans]
        assert found == [tree.new[start:end] for start, end in spans]
        assert spans[0][0] >= 1_000_000
        assert spans[-1][1] <= 1_000_007
        with pytest.raises(Vanished):
            source.read_span(b"no such file", Digest(b"?" * 32), *spans[0])
        source.close()


def test_what_is_remembered_is_bounded() -> None:
    edited, one = Edited(), Digest(b"1" * 32)
    edited.note(one, Digest(b"2" * 32), [(0, 1)] * (EDITS_MAX // 2))
    edited.note(one, Digest(b"3" * 32), [(0, 1)] * (EDITS_MAX // 2))
    assert edited.spans(one, Digest(b"2" * 32)) is not None
    assert edited.spans(one, Digest(b"3" * 32)) is None
    edited.note(one, Digest(b"4" * 32), [(0, 1)])  # for a small one there is room still
    assert edited.spans(one, Digest(b"4" * 32)) is not None


def test_a_sync_of_edits_reads_no_leaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    rig, path = Rig(tmp_path), tmp_path / "src" / "file"
    data = bytearray(random.Random(5).randbytes(SIZE))
    path.write_bytes(data)
    rig.sync(f"{path.parent}/", f"far:{tmp_path}/dst")
    for at in range(10_000, SIZE, 100_000):
        data[at : at + 50] = random.Random(at).randbytes(50)
    path.write_bytes(data)
    monkeypatch.setattr(Difference, "run", _unread)
    done = rig.sync(f"{path.parent}/", f"far:{tmp_path}/dst")
    assert (tmp_path / "dst" / "file").read_bytes() == data
    assert done.sent.wire < 30 * 50 + 2000
