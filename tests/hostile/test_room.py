"""Memory that is not there: an error before the first store, never a signal; a few packets do not become a GiB."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from packetfs.engines.input.records import parse_records
from packetfs.engines.input.source import HostFile
from packetfs.engines.jobs.job import resume_job, run_job
from packetfs.engines.jobs.moving import _SIZES, thaw_job
from packetfs.engines.jobs.steering import list_jobs, remove_job
from packetfs.engines.live.ledger import LEDGER_BYTES, Ledger
from packetfs.engines.live.spool import Spool
from packetfs.engines.options import JobOptions
from packetfs.engines.results import tables
from packetfs.errors import BadJob, BadMicroVM, MapTooLarge, TableFull
from packetfs.limits import JOB_STREAM_MAX, MIB, TABLE_ROOM
from packetfs.packet.codec import Packet, encode
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import Op
from packetfs.vm.layout import State
from packetfs.vm.snapshot import chunks
from tests.engines.rig import SLOW, hashed
from tests.engines.rig import program as engine_program
from tests.hostile.test_jobs import PROGRAM, job_json, microvm, stream_of

LINES = parse_records("line")


def _drop(data: object) -> None:
    del data


def _free(monkeypatch: pytest.MonkeyPatch, left: Callable[[], int]) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=left(), f_frsize=1))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"some words\n" * 300_000)
    return path


@pytest.mark.parametrize("looks", [0, 1, 3, 9])
def test_a_job_ends_in_words_before_memory_is_used_up(
    looks: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [1 << 40] * looks + [TABLE_ROOM - 1]
    _free(monkeypatch, lambda: left.pop(0) if len(left) > 1 else left[0])
    options = JobOptions(parent=str(tmp_path / "jobs"), workers=2, slice_slots=100)
    with pytest.raises(TableFull):
        run_job(engine_program(SLOW), [HostFile(str(source))], LINES, out=_drop, options=options)
    assert os.listdir(tmp_path / "jobs") == []


def test_what_turns_may_store_to_counts_before_they_begin(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,048 microVMs of 512 bytes may each touch three pages; one of a MiB at most 76 KiB."""
    _free(monkeypatch, lambda: TABLE_ROOM + 8 * MIB)
    for shard_bytes, fits in ((512, False), (MIB, True)):
        options = JobOptions(parent=str(tmp_path / "jobs"), workers=2, shard_bytes=shard_bytes)
        try:
            run_job(engine_program(SLOW), [HostFile(str(source))], LINES, out=_drop, options=options)
            assert fits
        except TableFull:
            assert not fits


def test_thawing_makes_sure_of_memory_first(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = stream_of({"job.json": job_json(source), "program": PROGRAM}, 0, microvm())
    _free(monkeypatch, lambda: TABLE_ROOM + 1024)
    with pytest.raises(TableFull):
        thaw_job(packets, str(tmp_path / "jobs"))
    assert os.listdir(tmp_path / "jobs") == []


def test_what_is_thawed_is_looked_at(source: Path, tmp_path: Path) -> None:
    parts = {"job.json": job_json(source), "program": PROGRAM}
    for packets in (microvm()[:63], microvm().replace(b"PKFS", b"PKFT")):
        with pytest.raises((BadMicroVM, ValueError)):
            thaw_job(stream_of(parts, 0, packets), str(tmp_path / "jobs"))
    assert os.listdir(tmp_path / "jobs") == []


def test_a_microvm_that_is_nowhere_in_its_program_does_no_harm(source: Path, tmp_path: Path) -> None:
    """It thaws; when the job goes on it ends with a fault, or its shard begins anew."""
    nowhere = {"state": State.PAUSED, "flags": 1, "pc": 9, "stack_low": 4096, "data": 256, "data_end": 256}
    packets = stream_of({"job.json": job_json(source), "program": PROGRAM}, 0, microvm(**nowhere))
    result = resume_job(thaw_job(packets, str(tmp_path / "jobs")), out=_drop, keep=False)
    assert result.faulted <= 1
    assert os.listdir(tmp_path / "jobs") == []


def test_a_few_packets_do_not_become_a_gigabyte(source: Path, tmp_path: Path) -> None:
    job = job_json(source)
    rest = JOB_STREAM_MAX - _SIZES.size - len(job) - len(PROGRAM)
    stream = _SIZES.pack(len(job), len(PROGRAM), 0, rest, 0) + job + PROGRAM
    zeros = encode(Packet(Op.FILL, length=1, operand=rest))
    packets = encode(Head(Kind.JOB, JOB_STREAM_MAX).packet()) + b"".join(chunks(stream)) + zeros
    directory = thaw_job(packets, str(tmp_path / "jobs"))
    assert os.stat(f"{directory}/spool").st_blocks * 512 < MIB
    with pytest.raises(BadJob):
        resume_job(directory, out=_drop, keep=False)
    one = encode(Packet(Op.FILL, length=1, operand=rest, body=b"\1".ljust(48, b"\0")))
    with pytest.raises(ValueError, match="FILL"):
        thaw_job(packets[:-64] + one, str(tmp_path / "jobs"))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_parts_of_a_job_have_sizes_that_are_possible(part: int) -> None:
    sizes = [0, 0, 0, 0, 0]
    sizes[part] = JOB_STREAM_MAX - _SIZES.size
    packets = encode(Head(Kind.JOB, JOB_STREAM_MAX).packet()) + b"".join(chunks(_SIZES.pack(*sizes)))
    with pytest.raises(BadJob):
        thaw_job(packets, "/nowhere")


def test_keys_over_all_shards_are_bounded(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.write_bytes(b"".join(b"%c\n" % (97 + number) for number in range(16)))
    files, options = [HostFile(str(source))], JobOptions(parent=str(tmp_path / "jobs"))
    assert len(run_job(hashed(), files, LINES, out=_drop, options=options).maps[0].entries) == 16
    monkeypatch.setattr(tables, "UNION_ENTRIES_MAX", 15)
    with pytest.raises(MapTooLarge, match="long"):
        run_job(hashed(), files, LINES, out=_drop, options=options)


@pytest.mark.parametrize("reduced", [b"\n", b"5 5\n", b"9" * 100_000 + b"\n", b"9 " * 100_000 + b"\n", b"\xff"])
def test_a_damaged_job_is_listed_and_can_be_dropped(reduced: bytes, source: Path, tmp_path: Path) -> None:
    parent = tmp_path / "jobs"
    parts = {"job.json": job_json(source), "program": PROGRAM}
    whole = thaw_job(stream_of(parts), str(parent))
    damaged = thaw_job(stream_of({**parts, "reduced": reduced}), str(parent))
    found = {job.directory: job for job in list_jobs(str(parent))}
    assert not found[whole].damage
    assert found[damaged].damage
    remove_job(damaged)
    (Path(whole) / "job.json").write_bytes(b"[")
    assert [job.damage != "" for job in list_jobs(str(parent))] == [True]
    remove_job(whole)
    assert list_jobs(str(parent)) == []
    (parent / "other").mkdir()
    with pytest.raises(BadJob):
        remove_job(str(parent / "other"))


def test_a_batch_that_began_twice_is_found_in_the_log(tmp_path: Path) -> None:
    """The first output was taken back while nothing else was held, then the batch emitted again."""
    (tmp_path / "spool").touch()
    ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
    spool = Spool(str(tmp_path), ledger, keep=False)
    spool.append(0, [3], [b"old"])
    spool.forget(0)
    spool.append(0, [3], [b"new"])
    spool.close()
    again = Spool(str(tmp_path), ledger, keep=False)
    found = list(again.recover())
    again.release(found[0][1])
    assert again.read(found[2][1].at, 3) == b"new"
    again.close()
