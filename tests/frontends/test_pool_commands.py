"""init, check, repair and gc: pools that are fine, damaged, half gone or in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import packetfs
from packetfs.errors import PoolFull
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.main import main
from packetfs.frontends.cli.records import BY_TYPE
from packetfs.pool.pool import Pool
from packetfs.pool.storage import DiskStorage
from tests.frontends.command import Pfs

DATA = b"".join(b"line %d of the file\n" % i for i in range(10_000))


@pytest.fixture
def filled(pooled: Pfs) -> Pfs:
    """A pool with a file that is in a snapshot, and one that is not."""
    pooled.good("put", "-", "docs/kept", stdin=DATA)
    pooled.good("snapshots", "--take", "first")
    pooled.good("put", "-", "docs/later", stdin=DATA[::-1])
    return pooled


def arena(pfs: Pfs) -> Path:
    return next((pfs.pool / "arena").iterdir())


def flip(path: Path, needle: bytes) -> None:
    """Damage one byte of a file where `needle` stands."""
    at = path.read_bytes().index(needle)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([needle[0] ^ 1]))


def test_init(pfs: Pfs) -> None:
    record = pfs.good("init", "--json", "--mean", "16K", "elsewhere/deep/pool").records[0]
    assert record["path"] == str(pfs.home / "elsewhere/deep/pool")
    assert set(record) - {"type"} == set(BY_TYPE["pool"].fields)
    assert pfs.good("info", "--json", "--pool", "elsewhere/deep/pool").records[0]["mean"] == 16384
    assert pfs.good("ls", PACKETFS_POOL="elsewhere/deep/pool").out == b""
    again = pfs("init", "elsewhere/deep/pool")
    assert again.code != 0
    assert "already" in again.err


def test_a_pool_is_for_its_owner_only(pooled: Pfs) -> None:
    pooled.good("put", "-", "a", stdin=b"a line\n")
    pooled.good("run", "wc", "pfs:a")
    modes = {path.name: path.stat().st_mode & 0o777 for path in pooled.pool.rglob("*") if path.is_file()}
    assert {"names.db", "memo.db"} < set(modes)
    assert set(modes.values()) == {0o600}


def test_init_leaves_other_directories_alone(pfs: Pfs) -> None:
    (pfs.home / "photos").mkdir()
    (pfs.home / "photos/one").touch()
    assert pfs("init", "photos").code != 0
    assert os.listdir(pfs.home / "photos") == ["one"]


def test_check_of_a_whole_pool(filled: Pfs) -> None:
    assert filled.good("check").err == "all is well\n"
    assert filled.good("check", "--json").records == [{"type": "checked", "findings": 0, "affected": 0}]


def test_check_names_what_damage_hits(filled: Pfs) -> None:
    flip(arena(filled), DATA[5000:5040])
    ended = filled("check")
    assert ended.code == ExitCode.DAMAGED
    assert "pfs:docs/kept: " in ended.text
    assert "pfs:docs/kept in snapshot first: " in ended.text
    assert "docs/later" not in ended.text
    *records, last = filled("check", "--json").records
    for record in (*records, last):
        assert set(record) - {"type"} == set(BY_TYPE[str(record["type"])].fields)
    assert last == {"type": "checked", "findings": 1, "affected": 2}
    damaged = filled("cat", "docs/kept")
    assert damaged.code == ExitCode.DAMAGED
    assert DATA.startswith(damaged.out)
    assert filled.good("cat", "docs/later").out == DATA[::-1]


def test_what_is_stored_again_is_damaged_no_more(filled: Pfs) -> None:
    flip(arena(filled), DATA[5000:5040])
    assert filled("check").code == ExitCode.DAMAGED
    filled.good("put", "-", "again", stdin=DATA)
    assert filled.good("check").err == "all is well\n"
    flip(arena(filled), DATA[5000:5040])
    assert filled("check", "--json").records[-1] == {"type": "checked", "findings": 1, "affected": 3}


@pytest.mark.parametrize("lost", [("names.db",), ("index",), ("names.db", "index", "leases", "verified")])
def test_what_is_lost_beside_the_arena_is_rebuilt(filled: Pfs, lost: tuple[str, ...]) -> None:
    for name in lost:
        for path in filled.pool.glob(f"{name}*"):
            path.unlink()
    if "names.db" in lost:
        for arguments in (("ls",), ("put", "-", "x"), ("check",)):
            assert filled(*arguments).code == ExitCode.DAMAGED, "no fresh names may hide the files"
    filled.good("repair")
    filled.good("check")
    assert filled.good("cat", "docs/kept").out == DATA
    assert "first" in filled.good("snapshots").text
    assert ("docs/later" in filled.good("ls", "-R").text) == ("names.db" not in lost)


def test_names_of_no_bytes_hide_no_files_and_are_rebuilt(filled: Pfs) -> None:
    os.truncate(filled.pool / "names.db", 0)
    for arguments in (("ls",), ("put", "-", "x"), ("check",)):
        assert filled(*arguments).code == ExitCode.DAMAGED
    filled.good("repair")
    filled.good("check")
    assert filled.good("cat", "docs/kept").out == DATA
    assert "first" in filled.good("snapshots").text


def test_damaged_names_are_an_error_until_they_are_repaired(filled: Pfs) -> None:
    with (filled.pool / "names.db").open("r+b") as file:
        file.write(b"not a database at all")
    for arguments in (("ls",), ("check",), ("cat", "docs/kept")):
        ended = filled(*arguments)
        assert ended.code == ExitCode.DAMAGED
        assert "names.db" in ended.err + ended.text
        assert "pfs repair" in ended.err
    record = filled.good("repair", "--json").records[0]
    assert record == {"type": "repaired", "snapshots": 1, "restored": ["first"], "names": True}
    assert filled.good("cat", "docs/kept").out == DATA


def test_repair_leaves_whole_names_alone_unless_told(filled: Pfs) -> None:
    filled.good("repair")
    assert filled.good("cat", "docs/later").out == DATA[::-1]
    filled.good("repair", "--names")
    assert filled.good("ls", "-R").text.split() == ["docs/", "docs/kept"]


def test_gc_says_what_is_missing_where_other_programs_filled_the_disk(
    filled: Pfs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with packetfs.Pool(filled.pool) as pool:
        pool.rm("docs/later")  # leaves the program of its directory to be built

    def write(storage: DiskStorage, fd: int, buffers: object, offset: int) -> None:
        del storage, fd, buffers, offset
        raise PoolFull(path="the disk")

    with monkeypatch.context() as patched:
        patched.setattr(DiskStorage, "write", write)
        assert main(["gc", "--pool", str(filled.pool)]) == ExitCode.FULL
    said = capfd.readouterr().err
    assert "the disk: what changed is written before anything is freed" in said
    assert "Free some of that disk" in said
    freed = filled.good("gc", "--json").records[0]["freed"]
    assert isinstance(freed, int)
    assert freed > 100_000


def test_gc_frees_what_nothing_needs(filled: Pfs) -> None:
    filled.good("rm", "docs/later", "docs/kept")
    freed = filled.good("gc", "--json").records[0]
    assert set(freed) - {"type"} == set(BY_TYPE["collected"].fields)
    assert int(str(freed["freed"])) >= len(DATA) * 0.9
    assert filled.good("cat", "--snapshot", "first", "docs/kept").out == DATA
    filled.good("snapshots", "--drop", "first")
    assert "freed" in filled.good("gc").err
    assert filled.good("info", "--json").records[0]["content"] == 0
    filled.good("check")


def test_a_version_of_what_changed_costs_little_and_outlives_the_one_before(filled: Pfs) -> None:
    def content() -> int:
        return int(str(filled.good("info", "--json").records[0]["content"]))

    changed = DATA.replace(b"line 5000 of", b"LINE 5000 of").replace(b"line 9000 of", b"LINE 9000 of")
    before = content()
    filled.good("put", "-", "docs/kept", stdin=changed)
    assert content() < before + 1000
    filled.good("snapshots", "--take", "second")
    filled.good("rm", "-r", "docs")
    filled.good("snapshots", "--drop", "first")
    filled.good("gc")
    filled.good("check")
    assert filled.good("cat", "--snapshot", "second", "docs/kept").out == changed
    filled.good("snapshots", "--drop", "second")
    filled.good("gc")
    assert content() == 0


def test_a_second_writer_is_refused_by_name_and_readers_are_not(filled: Pfs) -> None:
    with Pool.open(str(filled.pool), writable=True):
        for arguments in (("rm", "docs/kept"), ("put", "-", "x"), ("gc",), ("repair",), ("snapshots", "--take", "s")):
            ended = filled(*arguments)
            assert ended.code == ExitCode.LOCKED, ended.err
            assert f"process {os.getpid()}" in ended.err
        assert filled.good("cat", "docs/kept").out == DATA
    filled.good("rm", "docs/kept")
