"""Content that goes to the disk past the page cache is what was asked for, whatever the disk or the old file does."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.errors import Unverified
from packetfs.fs.host import direct
from packetfs.fs.host import writer as writer_module
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.direct import Direct
from packetfs.fs.host.writer import Writer
from packetfs.limits import MIB
from packetfs.pool import dear, past
from packetfs.pool.past import BLOCK

SIZE = 40 * BLOCK + 777


@pytest.fixture
def old(tmp_path: Path) -> Iterator[int]:
    """An old file of random bytes, open."""
    (tmp_path / "old").write_bytes(random.Random(1).randbytes(SIZE))
    fd = os.open(tmp_path / "old", os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds so small that a few blocks pass all of them."""
    monkeypatch.setattr(direct, "_BUFFER", 2 * BLOCK)
    monkeypatch.setattr(direct, "_FLUSH", 5 * BLOCK)
    monkeypatch.setattr(direct, "_WINDOW", 16 * BLOCK)
    monkeypatch.setattr(direct, "_PARTS", 3)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "new", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def open_direct(target: int, leaving: int = -1, start: int = 0) -> Direct:
    opened = Direct.open(target, b"new", leaving=leaving, start=start)
    if opened is None:
        pytest.skip("this filesystem knows no direct writes")
    return opened


def write_anything(out: Direct, old: int, rng: random.Random) -> bytes:
    """Append pieces of all kinds, in place and moved, and return what they make."""
    made = b""
    for _ in range(30):
        length = rng.choice((1, 100, BLOCK, 3 * BLOCK, 11 * BLOCK + 5))
        kind = rng.randrange(4)
        if kind == 0:
            data = rng.randbytes(length)
            out.write(data)
        elif kind == 1:
            data = bytes(length)
            out.skip(length)
        else:
            offset = rng.randrange(SIZE - length)
            if kind == 2:  # in place, by blocks
                offset = min(offset // BLOCK * BLOCK + len(made) % BLOCK, SIZE - length)
            data = os.pread(old, length, offset)
            out.copy(old, offset, length)
        made += data
    out.finish()
    out.close()
    return made


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(12))
def test_pieces_of_all_kinds_make_what_they_are(old: int, target: int, seed: int) -> None:
    made = write_anything(open_direct(target, old), old, random.Random(seed))
    os.ftruncate(target, len(made))  # as who ends in a hole does
    assert os.pread(target, len(made) + 1, 0) == made


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("start", [1, BLOCK - 1, BLOCK, 3 * BLOCK + 5])
def test_it_goes_on_where_a_file_ends(old: int, target: int, start: int) -> None:
    begun = random.Random(start).randbytes(start)
    os.pwrite(target, begun, 0)
    made = write_anything(open_direct(target, start=start), old, random.Random(start))
    os.ftruncate(target, start + len(made))
    assert os.pread(target, start + len(made) + 1, 0) == begun + made


def test_a_large_file_goes_past_the_page_cache_where_new_pages_are_dear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dear, "_DEAR", -1.0)
    opened: list[int] = []

    def noted(fd: int, flags: int) -> int:
        opened.append(fd)
        return past.open_past(fd, flags)

    monkeypatch.setattr(direct, "open_past", noted)
    rng = random.Random(5)
    pieces = [rng.randbytes(rng.randrange(1, 3 * MIB)) for _ in range(30)]
    with Beneath(bytes(tmp_path)) as beneath, Writer(beneath, b"file", b"file") as out:
        out.expect(sum(map(len, pieces)))
        for piece in pieces:
            out.write(piece)
        assert opened == [out.fd]
        assert out.read(100, 50) == pieces[0][100:150]
        out.write(b"end")
        out.finish()
        out.committed = True
    assert (tmp_path / "file").read_bytes() == b"".join(pieces) + b"end"


@pytest.mark.usefixtures("small")
def test_an_end_in_a_block_that_is_not_whole_is_written(old: int, target: int) -> None:
    out = open_direct(target)
    out.copy(old, 0, SIZE)
    out.finish()
    out.close()
    assert os.pread(target, SIZE + 1, 0) == os.pread(old, SIZE, 0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("trouble", ["no direct writes", "slow", "one block at a time"])
def test_a_disk_that_will_not_gets_the_same_content(
    old: int, target: int, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = open_direct(target)
    real = os.pwritev
    if trouble == "slow":
        monkeypatch.setattr(past, "_TRIAL", 0)
        monkeypatch.setattr(past, "_SECONDS_PER_MIB", 0)

    def pwritev(fd: int, parts: list[memoryview], at: int) -> int:
        if trouble == "no direct writes" and fd != target:
            raise OSError(errno.EINVAL, "unaligned")
        return real(fd, [parts[0][:BLOCK]] if trouble == "one block at a time" else parts, at)

    monkeypatch.setattr(os, "pwritev", pwritev)
    made = write_anything(out, old, random.Random(7))
    os.ftruncate(target, len(made))
    assert os.pread(target, len(made) + 1, 0) == made


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("when", ["before it is mapped", "after"])
def test_an_old_file_that_is_cut_short_is_an_error_and_no_signal(
    tmp_path: Path, old: int, target: int, when: str
) -> None:
    out = open_direct(target)
    if when == "after":
        out.copy(old, 0, 2 * BLOCK)
    os.truncate(tmp_path / "old", BLOCK)
    with pytest.raises(Unverified):
        copy_to_end(out, old)
    out.close()


def copy_to_end(out: Direct, old: int) -> None:
    out.copy(old, 4 * BLOCK, 20 * BLOCK)
    out.finish()


def test_a_writer_makes_the_same_with_and_without(tmp_path: Path, old: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "DIRECT_MIN", SIZE)
    found = []
    with Beneath(bytes(tmp_path)) as beneath:
        for name in (b"with", b"without"):
            with Writer(beneath, name, name + b".staged") as writer:
                if name == b"with":
                    writer.expect_copies(old, SIZE)
                writer.write(b"literal")
                writer.copy(old, 7, 30 * BLOCK)
                writer.skip(3 * BLOCK)
                writer.copy(old, 0, 9 * BLOCK)
                writer.skip(5)
                writer.finish()
                found.append(os.pread(writer.fd, SIZE * 2, 0))
    assert found[0] == found[1]
