"""What a side remembers: made, waited for, thrown away when damaged, kept within its budget, and right after that."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from packetfs.errors import CorruptExtent, HistoryFull, MissingExtent, PoolBusy, PoolFailed
from packetfs.fs import budget as budget_module
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.metadata import Signature
from packetfs.limits import ROOTS_HELD
from packetfs.net import history as history_module
from packetfs.net.history import bound_histories, open_history, settle_source, settle_target
from packetfs.packet.digest import digest_of
from packetfs.packet.layout import Mark
from packetfs.pool.gc import evict
from packetfs.pool.pool import Pool
from tests.net.rig import Rig, describe

MEAN = 65536
MB = 1_000_000


@pytest.fixture
def base(tmp_path: Path) -> str:
    return str(tmp_path / "history")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    (tmp_path / "src").mkdir()
    return Rig(tmp_path)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collect after every sync that added anything."""
    monkeypatch.setattr(budget_module, "COLLECT_GROWTH_MIN", 0)
    monkeypatch.setattr(budget_module, "COLLECT_GROWTH", 1 << 40)


def kept_in(base: str) -> list[str]:
    return sorted(name for name in os.listdir(base) if name != "lock")


def test_histories_are_bounded_together_and_the_oldest_go_first(base: str) -> None:
    named: list[str] = []
    for number, (role, place) in enumerate((("source", b"/0"), *(("guest", b"/%d" % each) for each in range(4)))):
        before = kept_in(base) if named else []
        with open_history(base, role, place, MEAN) as fs:
            fs.pool.put(random.Random(number).randbytes(MB))
        named += [name for name in kept_in(base) if name not in before]
    for age, name in enumerate(reversed(named)):
        os.utime(f"{base}/{name}", (1000 - age, 1000 - age))
    own, oldest, _, newer, newest = named
    with open_history(base, "guest", b"/0", MEAN):
        os.utime(f"{base}/{oldest}", (1, 1))
        bound_histories(base, "guest", 5 * MB // 2)
        assert kept_in(base) == sorted((own, oldest, newer, newest)), "one is open, and one is of another role"
    bound_histories(base, "guest", 5 * MB // 2)
    assert kept_in(base) == sorted((own, oldest, newest)), "the one that was open is the one used last"


def open_near(rig: Rig, role: str, place: Path) -> Pool:
    """Open the pool of a history for a look."""
    key = digest_of(b"%s\0%d\0%s" % (role.encode(), MEAN, os.fsencode(os.path.realpath(place))))
    return Pool.open(str(rig.base / "history" / f"{role}-{key[:12].hex()}"), writable=True)


def fill(path: Path, seed: int, size: int, *, day: int) -> None:
    path.write_bytes(random.Random(seed).randbytes(size))
    os.utime(path, (day * 86400, day * 86400))


def edit(path: Path, offset: int, *, day: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"edited %d" % day)
    os.utime(path, (day * 86400, day * 86400))


# opening


def test_it_is_kept_by_role_place_and_mean(base: str) -> None:
    for role, place, mean in [
        ("source", b"/a", 4096),
        ("target", b"/a", 4096),
        ("source", b"/b", 4096),
        ("source", b"/a", 8192),
    ]:
        with open_history(base, role, place, mean) as fs:
            assert fs.note(b"who") is None
            fs.set_note(b"who", b"%s %s" % (role.encode(), place))
            fs.commit()
    with open_history(base, "source", b"/a", 4096) as fs:
        assert fs.note(b"who") == b"source /a"


def test_a_second_sync_waits_for_the_first(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ExitStack()
    fs = first.enter_context(open_history(base, "source", b"/a", MEAN))
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            fs.set_note(b"first", b"was here")
            fs.commit()
            first.close()

    monkeypatch.setattr("packetfs.net.history.time.sleep", wait)
    with open_history(base, "source", b"/a", MEAN) as second:
        assert second.note(b"first") == b"was here"
    assert len(waits) == 3


def test_who_does_not_end_is_named(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "HISTORY_WAIT", 0.1)
    with open_history(base, "source", b"/a", MEAN):
        with pytest.raises(PoolBusy, match=f"process {os.getpid()} "), open_history(base, "source", b"/a", MEAN):
            pass
        with open_history(base, "target", b"/a", MEAN):
            pass


def test_many_at_once_make_one(base: str) -> None:
    """Nobody takes for damaged what another is just making."""
    code = """
import sys
from packetfs.net.history import open_history
with open_history(sys.argv[1], "source", b"/a", 65536) as fs:
    fs.set_note(sys.argv[2].encode(), b"1")
    fs.commit()
"""
    command = [sys.executable, "-c", code, base]
    running = [subprocess.Popen([*command, str(number)]) for number in range(6)]
    assert [process.wait() for process in running] == [0] * 6
    with open_history(base, "source", b"/a", MEAN) as fs:
        assert all(fs.note(b"%d" % number) for number in range(6))


@pytest.mark.parametrize("name", ["names.db", "arena/00000000"])
def test_one_that_is_damaged_is_made_anew(base: str, name: str) -> None:
    with open_history(base, "source", b"/a", MEAN) as fs:
        fs.set_note(b"x", b"1")
        fs.commit()
        path = Path(fs.pool.path)
    (path / name).write_bytes(b"no" * 50_000)
    with open_history(base, "source", b"/a", MEAN) as fs:
        assert fs.note(b"x") is None
        fs.set_note(b"x", b"1")


def test_damage_met_later_lets_the_next_sync_work(base: str) -> None:
    with open_history(base, "source", b"/a", MEAN) as fs:
        fs.set_note(b"x", b"1")
        fs.commit()
    with pytest.raises(CorruptExtent), open_history(base, "source", b"/a", MEAN):
        raise CorruptExtent(digest="0", path="p", offset=0, reason="it is made up")
    with open_history(base, "source", b"/a", MEAN) as fs:
        assert fs.note(b"x") is None


@pytest.mark.usefixtures("eager")
def test_damage_met_while_tidying_spoils_nothing(rig: Rig) -> None:
    src = rig.base / "src"
    fill(src / "f", 1, MB, day=1)
    rig.sync(f"{src}/", rig.base / "dst")
    with open_near(rig, "source", src) as pool, FileSystem(pool) as fs:
        entry = fs.entry(b"f")
        assert entry is not None
        evict(pool, entry.root)  # type: ignore[arg-type]
    (src / "new").write_bytes(b"new")
    rig.sync(f"{src}/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)
    fill(src / "f", 2, MB, day=3)
    rig.sync(f"{src}/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 4000])
def test_a_full_disk_costs_the_content_first(base: str, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    with open_history(base, "source", b"/a", MEAN) as fs:
        if content:
            fs.pool.put(content)
        fs.commit()
    tries: list[int] = []

    def fail_once(pool: Pool) -> FileSystem:
        tries.append(1)
        if len(tries) == 1:
            raise PoolFailed(path="names.db", reason="disk I/O error")
        return FileSystem(pool)

    monkeypatch.setattr(history_module, "FileSystem", fail_once)
    monkeypatch.setattr(history_module, "NAMES_ROOM", 1 << 62)
    if content:
        with open_history(base, "source", b"/a", MEAN) as fs:
            assert not fs.pool.content_bytes
    else:
        with pytest.raises(HistoryFull, match=base), open_history(base, "source", b"/a", MEAN):
            pass


# roots


def test_the_newest_roots_are_remembered(base: str) -> None:
    with open_history(base, "source", b"/a", MEAN) as fs:
        roots = [digest_of(b"%d" % number) for number in range(ROOTS_HELD + 4)]
        for root in [*roots, roots[5], roots[-1]]:
            settle_source(fs, root, 1 << 30)
        found = fs.note(b"synced") or b""
        assert len(found) == 32 * ROOTS_HELD
        assert found[:96] == roots[-1] + roots[5] + roots[-2]


@pytest.mark.usefixtures("eager")
def test_a_second_destination_that_lags_gets_the_difference_alone(rig: Rig) -> None:
    """Two syncs behind, with all garbage collected meanwhile, and with its old content still there."""
    src = rig.base / "src"
    fill(src / "f", 1, 4 * MB, day=1)
    rig.sync(f"{src}/", rig.base / "one")
    rig.sync(f"{src}/", rig.base / "two")
    for day in (2, 3):
        edit(src / "f", day * MB, day=day)
        rig.sync(f"{src}/", rig.base / "one")
    summary = rig.sync(f"{src}/", rig.base / "two")
    assert describe(rig.base / "two") == describe(src)
    assert summary.sent.wire < 2000


# the budget


@pytest.mark.parametrize("keep", [0, 300_000, 2 * MB, 9 * MB])
@pytest.mark.usefixtures("eager")
def test_every_change_arrives_within_any_budget(rig: Rig, keep: int) -> None:
    """What was evicted is sent by whole extents, so a change costs a few of them at the most."""
    src = rig.base / "src"
    (src / "deep").mkdir()
    files = [src / "a", src / "b", src / "deep" / "c"]
    for number, path in enumerate(files):
        fill(path, number, 2 * MB, day=number + 1)
    rig.sync(f"{src}/", rig.base / "dst", keep=keep)
    for day in range(10, 15):
        for path in files[: day % 3 + 1]:
            edit(path, day * 100_000, day=day)
        files[2] = files[2].rename(src / "deep" / f"c{day}")
        summary = rig.sync(f"{src}/", rig.base / "dst", keep=keep, delete=True)
        assert not rig.troubles
        assert describe(rig.base / "dst") == describe(src)
        assert summary.sent.wire < (3000 if keep > 8 * MB else 3 * 200_000)
        with open_near(rig, "source", src) as pool:
            assert pool.content_bytes <= keep
            used = sum(path.stat().st_blocks * 512 for path in Path(pool.path).rglob("*") if path.is_file())
            assert used < keep + MB


def test_four_budgets_of_content(rig: Rig) -> None:
    """One of four files has its content here: its edits are sent alone, those of others with their extents."""
    src = rig.base / "src"
    for number in range(4):
        fill(src / f"f{number}", number, 3 * MB, day=1)
    wires = []
    for day in range(2, 6):
        wires.append(rig.sync(f"{src}/", rig.base / "dst", keep=3 * MB).sent.wire)
        assert not rig.troubles
        assert describe(rig.base / "dst") == describe(src)
        for number in range(4):
            edit(src / f"f{number}", day * 400_000, day=day)
    assert max(wires[1:]) < 4 * 200_000
    with open_near(rig, "source", src) as pool:
        assert 2 * MB < pool.content_bytes <= 3 * MB


@pytest.mark.usefixtures("eager")
def test_what_changes_is_kept_and_what_does_not_is_evicted(rig: Rig) -> None:
    src = rig.base / "src"
    fill(src / "a photo", 1, 3 * MB, day=1)
    fill(src / "database", 2, 3 * MB, day=2)
    wires = []
    for day in range(3, 7):
        wires.append(rig.sync(f"{src}/", rig.base / "dst", keep=4 * MB).sent.wire)
        edit(src / "database", day * 400_000, day=day)
    assert wires[1] < 200_000
    assert max(wires[2:]) < 1000
    with open_near(rig, "source", src) as pool, FileSystem(pool) as fs:
        assert len(fs.read(b"database")) == 3 * MB
        with pytest.raises(MissingExtent):
            fs.read(b"a photo")


@pytest.mark.usefixtures("eager")
def test_one_file_as_the_source(rig: Rig) -> None:
    file = rig.base / "src" / "file"
    fill(file, 1, 2 * MB, day=1)
    rig.sync(file, rig.base / "copy", keep=4 * MB)
    for day in range(2, 6):
        edit(file, day * 100_000, day=day)
        assert rig.sync(file, rig.base / "copy", keep=4 * MB).sent.wire < 2000
        assert (rig.base / "copy").read_bytes() == file.read_bytes()


@pytest.mark.usefixtures("eager")
def test_old_programs_of_a_target_are_freed(base: str) -> None:
    with open_history(base, "target", b"/a", MEAN) as fs:
        settle_target(fs)
        kept = fs.tree_root()
        old = fs.pool.put(b"the program of a file that was replaced" * 100, mark=Mark.PROGRAM)
        fs.commit()
        settle_target(fs)
        assert not fs.pool.holds(old)
        assert fs.pool.holds(kept)


def test_a_file_written_this_moment_needs_no_budget(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time stamp cannot vouch for its content, which lies in the source alone."""
    monkeypatch.setattr(Signature, "is_racy", lambda *_: True)
    src = rig.base / "src"
    rig.sync(f"{src}/", rig.base / "dst", keep=0)
    (src / "f").write_bytes(b"fresh" * 100_000)
    rig.sync(f"{src}/", rig.base / "dst", keep=0)
    assert not rig.troubles
    assert describe(rig.base / "dst") == describe(src)
