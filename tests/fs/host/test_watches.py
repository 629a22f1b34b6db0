"""What the kernel tells of a tree, and what is made of it. Events are in the queue when the system call returns."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.errors import TooManyWatches
from packetfs.fs.host import watches as module
from packetfs.fs.host.watches import Q_OVERFLOW, Kind, Note, Watches, decode_events


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "sub").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def watches(root: Path) -> Iterator[Watches]:
    opened = Watches(os.fsencode(root))
    yield opened
    opened.close()


def last(notes: Iterator[Note]) -> dict[bytes, Kind]:
    return {note.path: note.kind for note in notes}


def test_a_file_is_done_when_it_is_closed(root: Path, watches: Watches) -> None:
    with (root / "sub" / "file").open("wb") as file:
        file.write(b"x")
        file.flush()
        assert last(watches.notes()) == {b"sub/file": Kind.WRITING}
    assert last(watches.notes()) == {b"sub/file": Kind.DONE}
    (root / "sub" / "file").chmod(0o600)
    assert last(watches.notes()) == {b"sub/file": Kind.DONE}


def test_names_that_move_and_go(root: Path, watches: Watches) -> None:
    (root / "a").write_bytes(b"1")
    last(watches.notes())
    (root / "a").rename(root / "sub" / "b")
    assert last(watches.notes()) == {b"a": Kind.DONE, b"sub/b": Kind.DONE}
    (root / "sub" / "b").unlink()
    assert last(watches.notes()) == {b"sub/b": Kind.DONE}


def test_directories_are_watched_as_they_come_with_what_is_in_them(root: Path, watches: Watches) -> None:
    (root / "new" / "deep").mkdir(parents=True)
    assert last(watches.notes())[b"new"] is Kind.TREE  # deep came before new was watched
    (root / "new" / "deep" / "file").write_bytes(b"x")
    assert last(watches.notes())[b"new/deep/file"] is Kind.DONE


def test_a_renamed_directory_is_told_under_its_new_name(root: Path, watches: Watches) -> None:
    (root / "sub" / "in").mkdir()
    last(watches.notes())
    (root / "sub").rename(root / "other")
    assert last(watches.notes()) == {b"sub": Kind.DONE, b"other": Kind.TREE}
    (root / "other" / "in" / "file").write_bytes(b"x")
    assert last(watches.notes()) == {b"other/in/file": Kind.DONE}


def test_a_directory_that_moved_out_is_told_no_more(root: Path, tmp_path: Path, watches: Watches) -> None:
    (root / "sub").rename(tmp_path / "outside")
    assert last(watches.notes()) == {b"sub": Kind.DONE}
    (tmp_path / "outside" / "file").write_bytes(b"x")
    assert last(watches.notes()) == {}


def test_staging_is_nobodys_change(root: Path, watches: Watches) -> None:
    (root / ".packetfs-staging").mkdir()
    (root / ".packetfs-staging" / "1").write_bytes(b"x")
    assert last(watches.notes()) == {}


def test_after_an_overflow_everything_is_looked_at_and_watched(root: Path) -> None:
    lost = [struct.pack("<iIII", -1, Q_OVERFLOW, 0, 0)]
    real = Watches(os.fsencode(root), read=lambda fd: lost.pop() if lost else module._read_all(fd))
    (root / "unseen").mkdir()
    while os.read(real.fd, 4096) and not _is_empty(real.fd):
        pass  # what overflowed is gone
    assert last(real.notes()) == {b"": Kind.ALL}
    (root / "unseen" / "file").write_bytes(b"x")
    assert last(real.notes())[b"unseen/file"] is Kind.DONE
    real.close()


def _is_empty(fd: int) -> bool:
    try:
        return not os.read(fd, 4096)
    except BlockingIOError:
        return True


def test_too_many_directories_are_an_error_with_a_remedy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "inotify_watch", refuse)
    with pytest.raises(TooManyWatches, match="no more watches"):
        Watches(os.fsencode(root))


def test_records_are_decoded_with_and_without_names() -> None:
    data = struct.pack("<iIII", 1, 8, 0, 16) + b"name".ljust(16, b"\0") + struct.pack("<iIII", 2, 4, 0, 0)
    assert [(e.watch, e.mask, e.name) for e in decode_events(data)] == [(1, 8, b"name"), (2, 4, b"")]
