"""Frozen jobs that others wrote, and what a job prints: refused in words of ours, nothing left behind, no escapes."""

from __future__ import annotations

import json
from array import array as array_of
from pathlib import Path
from typing import Any

import pytest

from packetfs.dataclass import asdict
from packetfs.engines.input.source import HostFile
from packetfs.engines.jobs.job import resume_job
from packetfs.engines.jobs.jobfile import VERSION
from packetfs.engines.jobs.moving import _SIZES, PARTS, thaw_job
from packetfs.engines.jobs.steering import list_jobs
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import FaultReport
from packetfs.engines.results.totals import COUNTS
from packetfs.errors import BadProgram, PacketFSError
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.values import show_key
from packetfs.packet.codec import encode
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import PACKET
from packetfs.vm.context import Context, begin_shard
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, VMS_MAX, Fault, MapType, Show, State
from packetfs.vm.program import MapDefinition, encode_program, program_digest
from packetfs.vm.snapshot import chunks, freeze
from tests.vm.rig import array, program

PROGRAM = encode_program(program("mov r0, 0\n exit", array()))
SHARD = 1 << 20


def stream_of(parts: dict[str, bytes], delivered: int = 0, microvms: bytes = b"") -> bytes:
    held = [parts.get(name, b"") for name in PARTS]
    stream = _SIZES.pack(*map(len, held), delivered) + b"".join(held)
    return encode(Head(Kind.JOB, len(stream)).packet()) + b"".join(chunks(stream)) + microvms


def job_json(source: Path, options: dict[str, object] | None = None, **changes: Any) -> bytes:
    file = HostFile(str(source))
    origin = asdict(file.origin())
    file.close()
    fields: dict[str, object] = {
        "version": VERSION,
        "program": program_digest(PROGRAM).hex(),
        "sources": [origin],
        "records": "packet",
        "options": {**asdict(JobOptions(workers=1)), **(options or {})},
        "batch": 1,
        "maps_bytes": 64,
        "created_ns": 0,
    }
    if "place" in changes:
        fields["sources"] = [{**origin, "place": changes.pop("place")}]
    return json.dumps(fields | changes).encode()


def microvm(slot: int = 1, **fields: Any) -> bytes:
    contexts, spill, maps = (bytearray((slot + 1) * stride) for stride in (CONTEXT_BYTES, SPILL_STRIDE, 64))
    begin_shard(contexts, slot, shard=0, start=0, stop=SHARD, position=0, record_base=0, seed=0)
    context = Context(contexts, slot)
    for name, value in fields.items():
        setattr(context, name, value)
    return freeze(contexts, spill, maps, 64, [slot])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * SHARD))
    return path


def _drop(data: object) -> None:
    del data


def thawed(packets: bytes, tmp_path: Path) -> bool:
    """Thaw and resume, and tell whether it ended well: else in words of ours. `pfs vms` lists jobs in between."""
    parent = tmp_path / "jobs"
    try:
        directory = thaw_job(packets, str(parent))
        list_jobs(str(parent))
        resume_job(directory, out=_drop, keep=False)
    except PacketFSError:
        return False
    return True


def test_a_thawed_job_ends_well(source: Path, tmp_path: Path) -> None:
    parts = {"job.json": job_json(source), "program": PROGRAM, "reduced": _reduced(0)}
    assert thawed(stream_of(parts, 0, microvm()), tmp_path)


@pytest.mark.parametrize(
    "context",
    [
        {"shard": (1 << 64) - 1},
        {"state": State.DONE, "emitted": (1 << 64) - 1},
        {"state": State.DONE, "records": 1 << 63},
        {
            "state": State.FAULTED,
            "fault": 1,
            "flags": 1,
            "pc": 1 << 31,
            "stack_low": 4096,
            "data": 256,
            "data_end": 256,
        },
        {"state": State.PAUSED, "flags": 1, "pc": 1, "stack_low": 4096, "data": 256, "data_end": 256, "helper_pc": 1},
        {
            "state": State.PAUSED,
            "flags": 1,
            "pc": 0,
            "stack_low": 4096,
            "data": 256,
            "data_end": 256,
            "helper_pc": 1,
            "fault_address": 28,
        },
        {"position": (1 << 64) - 2, "stop": (1 << 64) - 1},
        {"position": (1 << 63) + 1, "stop": (1 << 64) - 1},
    ],
)
def test_a_thawed_microvm_may_say_anything(context: dict[str, Any], source: Path, tmp_path: Path) -> None:
    parts = {"job.json": job_json(source), "program": PROGRAM}
    for delivered in (0, (1 << 64) - 1):
        thawed(stream_of(parts, delivered, microvm(**context)), tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "zz"},
        {"engine": []},
        {"shard_bytes": "x"},
        {"shard_bytes": 0},
        {"fuel": 0},
        {"fuel": "x"},
        {"more": 1},
        {"workers": "x"},
        {"workers": 1.5},
        {"workers": 5000},
        {"workers": True},
        {"fuel": 10**30},
        {"fuel": None},
        {"seed": "s"},
        {"seed": -1},
        {"slice_slots": 10**30},
        {"vms": "x"},
        {"vms": 65_536},
        {"repeat": "x"},
        {"keep": 1},
        {"parent": 5},
    ],
)
def test_options_of_a_thawed_job_are_checked(options: dict[str, object], source: Path, tmp_path: Path) -> None:
    assert not thawed(stream_of({"job.json": job_json(source, options), "program": PROGRAM}), tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 10**12},
        {"program": 5},
        {"records": 7},
        {"records": "fixed:0"},
        {"sources": 5},
        {"sources": [5]},
        {"version": VERSION + 1},
        {"maps_bytes": 64.0},
        {"maps_bytes": 1 << 60},
        {"created_ns": "x"},
        {"place": 0},
        {"place": "a\0b"},
    ],
)
def test_fields_of_a_thawed_job_are_checked(changes: dict[str, Any], source: Path, tmp_path: Path) -> None:
    assert not thawed(stream_of({"job.json": job_json(source, **changes), "program": PROGRAM}), tmp_path)


def _reduced(*maps: object, shards: int = 0, faults: object = 0, tail: bytes = b"") -> bytes:
    counts = [shards, *[0] * (COUNTS - 1)]
    return " ".join(map(str, (*counts, faults, *maps))).encode() + b"\n" + tail


@pytest.mark.parametrize(
    "reduced",
    [
        b"\xff\n",
        b"\n",
        b"5\n",
        _reduced(),
        _reduced(0, 0),
        _reduced(3, tail=b"abc"),
        _reduced("x"),
        _reduced(-1, tail=bytes(64)),
        _reduced(0, shards=-1),
        _reduced(0, faults=200_000, tail=b"[" * 200_000),
        _reduced(0, faults=2, tail=b"{}"),
        _reduced(0, faults=3, tail=b"[5]"),
        _reduced(10**15),
        _reduced(10**30),
        _reduced(0, faults=10**15),
    ],
    ids=range(15),
)
def test_what_was_reduced_is_checked(reduced: bytes, source: Path, tmp_path: Path) -> None:
    assert not thawed(stream_of({"job.json": job_json(source), "program": PROGRAM, "reduced": reduced}), tmp_path)


@pytest.mark.parametrize("job", [b"[" * 200_000, b"\xff\xfe", b"", b"{}", b"[]", b'{"version": 3}'])
def test_a_job_file_of_anything_leaves_nothing_behind(job: bytes, tmp_path: Path) -> None:
    with pytest.raises(PacketFSError):
        thaw_job(stream_of({"job.json": job, "program": PROGRAM}), str(tmp_path / "jobs"))
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_jobs_directory_is_its_owners_alone(source: Path, tmp_path: Path) -> None:
    directory = thaw_job(stream_of({"job.json": job_json(source), "program": PROGRAM}), str(tmp_path / "jobs"))
    assert Path(directory).stat().st_mode & 0o077 == 0
    assert Path(directory).parent.stat().st_mode & 0o022 == 0


ESCAPE = "\x1b]0;owned\x07\x1b[2J\r\n\x9b"


def test_names_keys_and_faults_reach_a_terminal_without_escapes() -> None:
    definition = MapDefinition(ESCAPE.encode()[:16], MapType.HASH, 32, 8, 1, show=Show.TEXT)
    fault = FaultReport(0, 1, ESCAPE, 0, 0, Fault.ADDRESS, 0, 1, 0, ESCAPE, 0)
    shown = (show_key(definition, ESCAPE.encode().ljust(32, b"\0")), printable(definition.name), printable(str(fault)))
    assert all(text.isprintable() for text in shown)
    assert BadProgram(root=ESCAPE, reason=ESCAPE).message.isprintable()


OFFSETS = encode_program(
    program(
        """ldxdw r2, [r1+32]
        stxdw [r10-8], r2
        mov r1, r10
        add r1, -8
        mov r2, 8
        call 4096
        exit""",
        array(),
    )
)
"""Emits the offset of each record."""


@pytest.mark.parametrize("reduced", [0, 1])
def test_a_microvm_cannot_be_a_round_ahead_of_its_slot(reduced: int, tmp_path: Path) -> None:
    """The shards whose turn in those slots is the next one have not begun: all begin as others do."""
    small, path, shard, count = tmp_path / "small", tmp_path / "file", 512, VMS_MAX + 100
    small.write_bytes(bytes(shard * reduced))
    with path.open("wb") as file:
        file.truncate(count * shard)
    start = (VMS_MAX - reduced) * shard
    ahead = microvm(shard=VMS_MAX, start=start, stop=start + shard, position=start)
    sources = [json.loads(job_json(each))["sources"][0] for each in (small, path)]
    parts = {
        "job.json": job_json(
            path, {"shard_bytes": shard}, batch=50, sources=sources, program=program_digest(OFFSETS).hex()
        ),
        "program": OFFSETS,
        "reduced": _reduced(0, shards=reduced),
    }
    out = bytearray()
    resume_job(thaw_job(stream_of(parts, 0, ahead), str(tmp_path / "jobs")), out=out.extend)
    assert array_of("Q", bytes(out)) == array_of("Q", range(0, count * shard, PACKET))


@pytest.mark.parametrize("place", [{"slot": 1, "shard": 1}, {"slot": 2, "shard": 0}])
def test_a_microvm_in_a_slot_of_another_shard_is_none(place: dict[str, int], source: Path, tmp_path: Path) -> None:
    job = job_json(source, {"shard_bytes": SHARD})
    packets = stream_of({"job.json": job, "program": PROGRAM}, 0, microvm(**place, records=7))
    result = resume_job(thaw_job(packets, str(tmp_path / "jobs")), out=_drop)
    assert (result.shards, result.records) == (3, 3 * SHARD // PACKET)
