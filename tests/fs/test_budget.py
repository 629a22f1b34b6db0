"""What a cache of host directories keeps: within its budget the newest content, all programs; and full disks."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import MissingExtent, PoolFull
from packetfs.fs import budget as budget_module
from packetfs.fs.budget import UNLIMITED, Allowance, keep_within, tidy
from packetfs.fs.diff import diff
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.mirroring.mirror import MirrorOptions, mirror
from packetfs.packet.digest import Digest
from packetfs.packet.layout import Buffer
from packetfs.packet.tree import leaves
from packetfs.pool.pool import Pool
from packetfs.pool.storage import DiskStorage

MEAN = 4096
SIZE = 50_000


@pytest.fixture
def fs(tmp_path: Path) -> Iterator[FileSystem]:
    with Pool.create(str(tmp_path / "pool"), mean=MEAN, durable=False) as pool, FileSystem(pool) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "host"
    path.mkdir()
    return path


def write(path: Path, seed: int, size: int = SIZE, *, day: int) -> bytes:
    content = random.Random(seed).randbytes(size)
    path.write_bytes(content)
    os.utime(path, (day * 86400, day * 86400))
    return content


def take(fs: FileSystem, host: Path, budget: int, *, checksum: bool = False) -> Digest:
    root = mirror(fs, str(host), b"", MirrorOptions(budget=budget, checksum=checksum))
    fs.commit()
    return root


def is_held(fs: FileSystem, root: bytes) -> bool:
    """Tell whether all content of a file is there; its program must be in any case."""
    return all(fs.pool.holds(Digest(leaf[16:48])) for _, leaf in leaves(fs.pool, Digest(root)) if leaf[0] == 4)


def held_names(fs: FileSystem) -> set[bytes]:
    return {entry.name for entry in fs.children(b"") if is_held(fs, entry.root)}


def test_what_fits_is_kept_and_programs_always(fs: FileSystem, host: Path) -> None:
    for number in range(4):
        write(host / f"f{number}", number, day=number)
    root = take(fs, host, 2 * SIZE + 10)
    assert held_names(fs) == {b"f0", b"f1"}
    assert fs.pool.content_bytes == 2 * SIZE
    with Pool.create(fs.pool.path + "2", mean=MEAN, durable=False) as pool, FileSystem(pool) as other:
        assert take(other, host, UNLIMITED) == root


def test_without_a_budget_there_are_only_programs(fs: FileSystem, host: Path) -> None:
    write(host / "f", 1, day=1)
    (host / "empty").touch()
    take(fs, host, 0)
    assert not fs.pool.content_bytes


def test_what_changed_is_kept_beyond_the_budget(fs: FileSystem, host: Path) -> None:
    """Not what is only read again, nor what alone is larger than the budget."""
    for number in range(4):
        write(host / f"f{number}", number, day=1)
    write(host / "huge", 9, 2 * SIZE, day=1)
    take(fs, host, SIZE)
    assert held_names(fs) == {b"f0"}
    take(fs, host, SIZE, checksum=True)
    assert held_names(fs) == {b"f0"}
    write(host / "f3", 33, day=2)
    write(host / "huge", 99, 2 * SIZE, day=2)
    take(fs, host, SIZE)
    assert held_names(fs) == {b"f0", b"f3"}


def test_while_a_sync_runs_content_stays_below_two_budgets(fs: FileSystem, host: Path) -> None:
    for number in range(10):
        write(host / f"f{number}", number, day=1)
    take(fs, host, 2 * SIZE)
    for number in range(10):
        write(host / f"f{number}", 100 + number, day=2)
    take(fs, host, 2 * SIZE)
    assert fs.pool.content_bytes == 4 * SIZE


def test_half_of_the_free_disk_is_the_most(fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "_free_bytes", lambda _: 2 * SIZE)
    for number in range(3):
        write(host / f"f{number}", number, day=1)
    take(fs, host, 100 * SIZE)
    assert fs.pool.content_bytes == SIZE


def test_garbage_goes_first_then_what_is_oldest(fs: FileSystem, host: Path) -> None:
    for number in range(4):
        write(host / f"f{number}", number, day=10 - number)
    take(fs, host, UNLIMITED)
    write(host / "f1", 50, day=20)
    (host / "f2").unlink()
    root = take(fs, host, UNLIMITED)
    assert fs.pool.content_bytes == 5 * SIZE
    assert keep_within(fs, 3 * SIZE, [root]) > 0
    assert held_names(fs) == {b"f0", b"f1", b"f3"}
    keep_within(fs, SIZE, [root])
    assert held_names(fs) == {b"f1"}
    assert fs.pool.content_bytes == SIZE
    assert [change.path for change in diff(fs.pool, None, root)] == [b"f0", b"f1", b"f3"]


def test_a_part_of_a_file_stays_where_all_does_not_fit(fs: FileSystem, host: Path) -> None:
    content = write(host / "f", 1, day=1)
    root = take(fs, host, SIZE)
    keep_within(fs, SIZE - SIZE // 32, [root])
    assert SIZE - SIZE // 32 - MEAN * 3 // 2 < fs.pool.content_bytes <= SIZE - SIZE // 32
    assert fs.read(b"f", 0, SIZE // 2) == content[: SIZE // 2]
    with pytest.raises(MissingExtent):
        fs.read(b"f")


def test_programs_of_held_roots_stay_and_content_by_age(fs: FileSystem, host: Path) -> None:
    write(host / "never", 1, day=1)
    write(host / "often", 2, day=5)
    first = take(fs, host, UNLIMITED)
    write(host / "often", 3, day=6)
    second = take(fs, host, UNLIMITED)
    write(host / "often", 4, day=7)
    third = take(fs, host, UNLIMITED)
    keep_within(fs, 2 * SIZE, [third, second])
    before = {change.path: change.old for change in diff(fs.pool, second, third)}
    assert list(before) == [b"often"]
    assert before[b"often"] is not None
    assert is_held(fs, before[b"often"].root)
    assert held_names(fs) == {b"often"}
    assert not fs.pool.holds(first)
    keep_within(fs, 2 * SIZE, [third])
    assert not fs.pool.holds(second)


def test_a_file_with_a_program_in_it_shields_nothing(fs: FileSystem, host: Path) -> None:
    """Its content is the very extent of another file's program, and is met first."""
    write(host / "victim", 1, day=1)
    take(fs, host, UNLIMITED)
    program = fs.entry(b"victim")
    assert program is not None
    (host / "bait").write_bytes(fs.pool.read(Digest(program.root)))
    root = take(fs, host, UNLIMITED)
    keep_within(fs, 10 * SIZE, [root])
    assert held_names(fs) == {b"victim", b"bait"}
    assert len(fs.read(b"victim")) == SIZE


@given(
    days=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), max_size=4),
    limit=st.integers(0, 10),
    held=st.integers(1, 4),
)
@settings(max_examples=30)
def test_any_history(tmp_path_factory: pytest.TempPathFactory, days: list[list[int]], limit: int, held: int) -> None:
    """Whatever changed: content within the limit, no older file whole where a newer one is not, all programs there."""
    base = tmp_path_factory.mktemp("any")
    (base / "host").mkdir()
    with Pool.create(str(base / "pool"), mean=MEAN, durable=False) as pool, FileSystem(pool) as fs:
        roots = [take(fs, base / "host", UNLIMITED)]
        day = 0
        for changes in days:
            for number in changes:
                day += 1
                write(base / "host" / f"f{number}", day, 5000 * (number + 1), day=day)
            roots.insert(0, take(fs, base / "host", UNLIMITED))
        keep_within(fs, limit * 5000, roots[:held])
        assert pool.content_bytes <= limit * 5000
        for root in roots[:held]:
            for change in diff(pool, None, root):
                assert change.new is not None
                list(leaves(pool, Digest(change.new.root)))
        entries = sorted(fs.children(b""), key=lambda entry: -entry.mtime_ns)
        whole = [is_held(fs, entry.root) for entry in entries]
        assert whole == sorted(whole, reverse=True)
        assert not any(pool.holds(root) for root in roots[held:] if root not in roots[:held])


def test_a_small_change_is_not_worth_a_collection(fs: FileSystem, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counting(fs: FileSystem, limit: int, held: Sequence[Digest]) -> int:
        calls.append(limit)
        return keep_within(fs, limit, held)

    monkeypatch.setattr(budget_module, "keep_within", counting)
    monkeypatch.setattr(budget_module, "COLLECT_GROWTH_MIN", SIZE)
    for number in range(8):
        write(host / f"f{number}", number, day=number + 1)
    tidy(fs, 100 * SIZE, [take(fs, host, 100 * SIZE)])
    write(host / "f0", 100, day=20)
    tidy(fs, 100 * SIZE, [take(fs, host, 100 * SIZE)])
    assert calls == []
    for turn in range(3):
        write(host / "f0", 101 + turn, day=21 + turn)
        root = take(fs, host, 100 * SIZE)
    tidy(fs, 100 * SIZE, [root])
    assert len(calls) == 1
    assert fs.pool.content_bytes == 8 * SIZE
    tidy(fs, 100 * SIZE, [root])
    assert len(calls) == 1
    tidy(fs, 4 * SIZE, [root])
    assert fs.pool.content_bytes <= 4 * SIZE
    assert len(calls) == 2


class SmallDisk(DiskStorage):
    """A disk on which files cannot grow beyond `room` bytes together, until some are punched out."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        before = os.fstat(fd).st_blocks * 512
        super().write(fd, buffers, offset)
        self.room -= os.fstat(fd).st_blocks * 512 - before
        if self.room < 0:
            length = sum(map(len, buffers))
            if os.fstat(fd).st_size == offset + length:
                os.ftruncate(fd, offset)
                self.room += length
                raise PoolFull(path="disk")

    def punch(self, fd: int, offset: int, length: int) -> None:
        before = os.fstat(fd).st_blocks
        super().punch(fd, offset, length)
        self.room += (before - os.fstat(fd).st_blocks) * 512


@pytest.mark.parametrize("room", [600_000, 900_000, 1_300_000])
def test_a_full_disk_costs_the_content_only(tmp_path: Path, host: Path, room: int) -> None:
    for number in range(40):
        write(host / f"f{number}", number, 100_000, day=number)
    disk = SmallDisk(room)
    with Pool.create(str(tmp_path / "pool"), durable=False, storage=disk) as pool, FileSystem(pool) as fs:
        root = take(fs, host, 100_000_000)
        assert pool.content_bytes < room
        assert len(list(diff(pool, None, root))) == 40
        assert len(held_names(fs)) < 4, "no more than what was still in memory"
    with Pool.create(str(tmp_path / "other"), durable=False) as pool, FileSystem(pool) as fs:
        assert take(fs, host, 0) == root


def test_a_full_disk_ends_an_import_into_a_real_pool(tmp_path: Path, host: Path) -> None:
    for number in range(40):
        write(host / f"f{number}", number, 100_000, day=number)
    disk = SmallDisk(1_000_000)
    with Pool.create(str(tmp_path / "pool"), durable=False, storage=disk) as pool, FileSystem(pool) as fs:
        with pytest.raises(PoolFull):
            take(fs, host, UNLIMITED)
        assert pool.content_bytes > 500_000
        fs.rollback()
        disk.room = 10_000_000


def test_what_cannot_help_is_not_tried_twice(fs: FileSystem) -> None:
    allowance = Allowance(fs.pool, 1000)
    attempts: list[int] = []

    def fail() -> None:
        attempts.append(1)
        raise PoolFull(path="disk")

    for _ in range(2):
        with pytest.raises(PoolFull):
            allowance.making_room(fail)
    assert len(attempts) == 3
    assert not allowance.admits(0, changed=True)


def test_a_note_of_another_form_is_made_anew(fs: FileSystem, host: Path) -> None:
    fs.set_note(b"collected", b"?")
    assert tidy(fs, SIZE, [take(fs, host, SIZE)]) == 0
    assert struct.unpack("<QQ", fs.note(b"collected") or b"")[0] == fs.pool.arena.end
