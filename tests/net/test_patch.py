"""A changed file is patched without reading what stays: only where nothing can have changed what is said to stay."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from packetfs.errors import CorruptExtent, Unverified
from packetfs.fs.host import writer
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.writer import Writer
from packetfs.net.receiving.host_file import HostFile
from packetfs.net.receiving.spans import Spans
from packetfs.net.receiving.written import Patched
from packetfs.net.wire.packed import COPY, FILL, LITERAL, Instruction
from packetfs.pool.extent import Extent
from packetfs.pool.gc import discard
from packetfs.pool.pool import Pool
from tests.net.rig import Rig

LONG_AGO = 1_600_000_000_000_000_000
SIZE = 1_500_000


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    (tmp_path / "src").mkdir()
    (tmp_path / "dst").mkdir()
    return Rig(tmp_path)


def write(path: Path, data: bytes, when: int = 0) -> None:
    """Write a file whose time is `when` seconds after LONG_AGO."""
    path.write_bytes(data)
    os.utime(path, ns=(0, LONG_AGO + when * 10**9))


def changed(data: bytes, rng: random.Random) -> bytes:
    """Return the data after some edits of all kinds."""
    new = bytearray(data)
    for _ in range(rng.randrange(1, 30)):
        at = rng.randrange(len(new) or 1)
        kind = rng.randrange(4)
        piece = bytes(rng.choice((100, 70_000))) if kind == 3 else rng.randbytes(rng.choice((1, 50, 4096, 90_000)))
        if kind == 0:
            del new[at : at + len(piece)]
        new[at : at + (0 if kind == 1 else len(piece))] = piece
    return bytes(new)


@pytest.mark.parametrize("end", ["{base}/dst", "large {base}/dst", "pfs:dst"])
def test_file_after_file_of_edits_arrives(rig: Rig, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file goes to the disk past the page cache."""
    if end.startswith("large "):
        monkeypatch.setattr(writer, "DIRECT_MIN", 0)
        end = end.removeprefix("large ")
    rng = random.Random(5)
    rig.make_pool()
    data = rng.randbytes(3_000_000)
    for number in range(6):
        write(rig.base / "src" / "file", data, number)
        rig.sync(f"{rig.base}/src/", end.format(base=rig.base))
        assert not rig.troubles
        rig.sync(end.format(base=rig.base) + "/", rig.base / "back")
        assert (rig.base / "back" / "file").read_bytes() == data
        data = changed(data, rng)


@pytest.mark.parametrize("adopted", ["without history", "beside a history of the same bytes", "after a sync"])
def test_what_was_only_taken_for_the_same_is_no_base(rig: Rig, adopted: str) -> None:
    """Size and time hide that the destination has other bytes; the next change of the source must not build on them."""
    rng = random.Random(6)
    src, dst = rig.base / "src", rig.base / "dst"
    data, other = rng.randbytes(SIZE), rng.randbytes(SIZE)
    write(src / "file", data)
    if adopted == "beside a history of the same bytes":
        write(src / "twin", data)
        write(dst / "x", b"not empty")
    if adopted == "after a sync":
        rig.sync(f"{src}/", dst)
    write(dst / "file", other)
    rig.sync(f"{src}/", dst)
    # as rsync does, without --checksum; where a sync left the file, its ctime tells
    assert (dst / "file").read_bytes() == (data if adopted == "after a sync" else other)
    write(src / "file", data[:5000] + b"new" + data[5003:], 1)
    rig.sync(f"{src}/", dst)
    assert (dst / "file").read_bytes() == (src / "file").read_bytes()


def test_a_file_that_was_touched_by_the_sync_and_changed_since_is_restored(rig: Rig) -> None:
    rng = random.Random(7)
    src, dst = rig.base / "src", rig.base / "dst"
    data = rng.randbytes(SIZE)
    write(src / "file", data)
    rig.sync(f"{src}/", dst)
    write(dst / "file", rng.randbytes(SIZE), 5)
    write(src / "file", data[:-1], 1)
    rig.sync(f"{src}/", dst)
    assert (dst / "file").read_bytes() == data[:-1]


def test_a_base_that_changes_while_it_is_copied_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "old", b"old")
    base = HostFile(os.open(tmp_path / "old", os.O_RDONLY))
    assert base.is_as_opened()
    with (tmp_path / "old").open("r+b") as file:
        file.write(b"OLD")
    assert not base.is_as_opened()


@pytest.mark.parametrize("in_kernel", [True, False])
def test_instructions_make_the_file_whoever_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    if not in_kernel:
        monkeypatch.setattr(os, "copy_file_range", _refuse)
    old = random.Random(8).randbytes(300_000)
    write(tmp_path / "old", old)
    base = HostFile(os.open(tmp_path / "old", os.O_RDONLY))
    items = [
        (Instruction(COPY, 200_000, 0), b""),
        (Instruction(LITERAL, 3), b"new"),
        (Instruction(FILL, 70_000, byte=7), b""),
        (Instruction(COPY, 99_000, 201_000), b""),
    ]
    with Beneath(os.fsencode(tmp_path)) as beneath, Writer(beneath, b"new", b"staged") as writer:
        patched = Patched(writer, lambda _: base, sparse=False)
        spans = Spans(b"new", 369_003, iter(items), lambda *_: b"", patched.take)
        spans.finish()
        writer.finish()
        assert (tmp_path / "staged").read_bytes() == old[:200_000] + b"new" + b"\7" * 70_000 + old[201_000:]


def test_a_base_that_is_shorter_than_told_is_no_success(tmp_path: Path) -> None:
    write(tmp_path / "old", b"short")
    base = HostFile(os.open(tmp_path / "old", os.O_RDONLY))
    with Beneath(os.fsencode(tmp_path)) as beneath, Writer(beneath, b"new", b"staged") as writer:
        patched = Patched(writer, lambda _: base, sparse=False)
        with pytest.raises(Unverified):
            patched.take(Instruction(COPY, 100, 0), b"")


@pytest.mark.parametrize("damaged", ["history", "pool"])
def test_damage_in_what_a_delta_builds_on_is_met_by_sending_the_bytes(rig: Rig, damaged: str) -> None:
    """The sender's old bytes, of before the machine started, look like the new ones, so it does not send them; or the
    receiver's are wrong."""
    data = random.Random(9).randbytes(SIZE)
    new = data[:700_000] + b"new" + data[700_003:]
    rig.make_pool()
    write(rig.base / "src" / "file", data)
    rig.sync(f"{rig.base}/src/", "pfs:dst")
    spoil(rig.base / damaged, data[700_000:700_040], new[700_000:700_040] if damaged == "history" else bytes(40))
    forget_what_was_written(rig.base / "history")
    write(rig.base / "src" / "file", new, 1)
    assert rig.sync(f"{rig.base}/src/", "pfs:dst").sent.wire >= SIZE
    assert not rig.troubles
    rig.sync("pfs:dst/", rig.base / "back")
    assert (rig.base / "back" / "file").read_bytes() == new


def test_checksum_believes_nothing_that_was_written_since_the_machine_started(rig: Rig) -> None:
    data = random.Random(9).randbytes(SIZE)
    new = data[:700_000] + b"new" + data[700_003:]
    write(rig.base / "src" / "file", data)
    rig.sync(f"{rig.base}/src/", rig.base / "dst")
    spoil(rig.base / "history", data[700_000:700_040], new[700_000:700_040])
    write(rig.base / "src" / "file", new, 1)
    rig.sync(f"{rig.base}/src/", rig.base / "dst", checksum=True)
    assert (rig.base / "dst" / "file").read_bytes() == new


def test_nothing_lasting_is_made_of_what_is_damaged_where_it_changes(rig: Rig) -> None:
    data = random.Random(10).randbytes(SIZE)
    new = data[:700_000] + b"new" * 20 + data[700_060:]
    rig.make_pool()
    write(rig.base / "src" / "file", data)
    rig.sync(f"{rig.base}/src/", "far:pfs:dst")
    spoil(rig.base / "pool", data[700_000:700_040], bytes(40))
    forget_what_was_written(rig.base / "pool")
    write(rig.base / "src" / "file", new, 1)
    rig.sync(f"{rig.base}/src/", "far:pfs:dst")
    with Pool.open(str(rig.base / "pool"), writable=True) as pool:
        assert discard(pool, [extent for extent in pool.scan() if is_damaged(pool, extent)])
    rig.sync("pfs:dst/", rig.base / "back")
    assert (rig.base / "back" / "file").read_bytes() == new


def is_damaged(pool: Pool, extent: Extent) -> bool:
    try:
        pool.lookup.payload_of(extent)
    except CorruptExtent:
        return True
    return False


def forget_what_was_written(base: Path) -> None:
    """Let it have been before the machine started."""
    for path in base.rglob("verified"):
        path.write_bytes(b"of another boot")


def spoil(pool: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in the arenas below a directory."""
    count = 0
    for path in pool.rglob("arena/*"):
        held = path.read_bytes()
        count += held.count(old)
        path.write_bytes(held.replace(old, new))
    assert count == 1


def _refuse(*_: object) -> int:
    raise OSError(18, "another filesystem")
