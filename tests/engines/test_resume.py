"""Jobs whose process dies: killed at any moment, another process goes on, and the bytes are those of an undisturbed
run. And jobs that are paused, frozen to packets, and thawed elsewhere."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from packetfs.engines.input.records import parse_records
from packetfs.engines.input.source import HostFile
from packetfs.engines.jobs.job import resume_job, run_job
from packetfs.engines.jobs.moving import freeze_job, thaw_job
from packetfs.engines.jobs.steering import JobInfo, control, describe_job, hold, list_jobs, microvms, remove_job
from packetfs.engines.live.ledger import Control
from packetfs.engines.options import JobOptions
from packetfs.errors import BadJob, BadPacket, JobBusy, OutputGone, PacketFSError, SourceChanged
from packetfs.packet.layout import Buffer
from packetfs.vm.layout import State
from packetfs.vm.program import Program
from tests.engines.rig import NUMBERED, SLOW, counting, hashed, program, run, text_of, write

DATA = text_of(400_000, seed=7)
PROGRAMS = {"counts": counting(), "hashes": hashed(), "slow": program(SLOW), "numbers": program(NUMBERED)}
OPTIONS = JobOptions(shard_bytes=2048, slice_slots=700, vms=100, workers=2, keep=True, engine="native")


def start(code: Program, source: HostFile, options: JobOptions, dies_at: int, log: Path) -> None:
    """Run a job in a child that kills itself after so many bytes of output or, if there are fewer, soon after."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        with log.open("wb", buffering=0) as file:
            left = [dies_at]

            def take(data: Buffer) -> None:
                file.write(data)
                left[0] -= len(data)
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            run_job(code, [source], parse_records("line"), out=take, options=options)
    finally:
        os._exit(0)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("keep_output", [False, True])
def test_a_killed_job_goes_on_in_another_process(tmp_path: Path, name: str, keep_output: bool) -> None:
    source = write(tmp_path / "data", DATA)
    code = PROGRAMS[name]
    wanted = run(code, [source], "line", OPTIONS)
    random = Random(name)
    for round_ in range(4):
        parent = tmp_path / f"jobs{round_}"
        options = replace(OPTIONS, parent=os.fspath(parent), keep_output=keep_output)
        log = tmp_path / f"log{round_}"
        start(code, source, options, random.randrange(max(1, len(wanted.output))), log)
        for info in list_jobs(os.fspath(parent)):
            assert not info.running
            out = bytearray()
            result = resume_job(info.directory, out=out.extend)
            already = info.delivered
            # The last write before the kill went out, but its count in the ledger may not have been stored.
            before = b"" if keep_output else log.read_bytes()[:already]
            assert before + out == wanted.output
            assert replace(result, seconds=0.0, engine="") == wanted.result
        assert list(parent.iterdir()) == []


def test_what_a_killed_job_gave_to_a_file_is_not_left_out_in_silence(tmp_path: Path) -> None:
    wanted = run(PROGRAMS["slow"], [write(tmp_path / "data", DATA)], "line", OPTIONS)
    info = leave(tmp_path, PROGRAMS["slow"], to_file=True, workers=1, vms=1)
    assert info.delivered
    out = bytearray()
    for _ in range(2):
        with pytest.raises(OutputGone, match=f"{info.delivered:,} bytes"):
            resume_job(info.directory, out=out.extend)
    directory = thaw_job(freeze_job(info.directory), os.fspath(tmp_path / "elsewhere"))
    with pytest.raises(OutputGone):
        resume_job(directory, out=out.extend)
    assert not out
    remove_job(info.directory)
    untold = leave(tmp_path, PROGRAMS["slow"], dies_at=0, to_file=True)
    assert not untold.delivered
    resume_job(untold.directory, out=out.extend)
    assert bytes(out) == wanted.output


@pytest.mark.parametrize("engine", ["native", "interpreter"])
def test_a_job_that_was_interrupted_is_kept_if_asked(tmp_path: Path, engine: str) -> None:
    data = DATA[:60_000]
    source, out = write(tmp_path / "data", data), bytearray()
    options = replace(OPTIONS, engine=engine, vms=4, workers=1, parent=os.fspath(tmp_path / "jobs"))
    wanted = run(PROGRAMS["slow"], [source], "line", options)

    def take(part: Buffer) -> None:
        if out:
            raise KeyboardInterrupt
        out.extend(part)

    with pytest.raises(KeyboardInterrupt):
        run_job(PROGRAMS["slow"], [source], parse_records("line"), out=take, options=options)
    (info,) = list_jobs(os.fspath(tmp_path / "jobs"))
    assert not info.running
    assert info.delivered == len(out)
    result = resume_job(info.directory, out=out.extend)
    assert bytes(out) == wanted.output
    assert replace(result, seconds=0.0, engine="") == wanted.result


def test_killed_again_and_again(tmp_path: Path) -> None:
    """Each process gets a little further; the ledger says what went out."""
    source, parent = write(tmp_path / "data", DATA), tmp_path / "jobs"
    wanted = run(PROGRAMS["slow"], [source], "line", OPTIONS)
    options = replace(OPTIONS, parent=os.fspath(parent))
    start(PROGRAMS["slow"], source, options, 1000, tmp_path / "log")
    (info,) = list_jobs(os.fspath(parent))
    output = (tmp_path / "log").read_bytes()[: info.delivered]
    for _ in range(50):
        pid = os.fork()
        if not pid:
            _resume_and_die(info.directory, tmp_path / "log")
        os.waitpid(pid, 0)
        if not os.path.isdir(info.directory):
            break
        info = describe_job(info.directory)
        grown = info.delivered - len(output)
        output += (tmp_path / "log").read_bytes()[:grown]
    else:
        pytest.fail("it never ended")
    assert output + (tmp_path / "log").read_bytes() == wanted.output


def _resume_and_die(directory: str, log: Path) -> None:
    try:
        with log.open("wb", buffering=0) as file:
            seen = [0]

            def take(data: Buffer) -> None:
                if seen[0] > 3_000:
                    os.kill(os.getpid(), signal.SIGKILL)
                file.write(data)
                seen[0] += len(data)

            resume_job(directory, out=take)
    finally:
        os._exit(0)


@pytest.fixture
def left(tmp_path: Path) -> JobInfo:
    """A job that was killed in the middle."""
    return leave(tmp_path, PROGRAMS["slow"])


def leave(tmp_path: Path, code: Program, dies_at: int = 20_000, **more: object) -> JobInfo:
    source, parent = write(tmp_path / "data", DATA), tmp_path / "jobs"
    start(code, source, replace(OPTIONS, parent=os.fspath(parent), **more), dies_at, tmp_path / "log")  # type: ignore[arg-type]
    (info,) = list_jobs(os.fspath(parent))
    return info


def test_a_job_is_run_by_one_process(left: JobInfo) -> None:
    busy: list[BaseException] = []

    def take(data: Buffer) -> None:  # noqa: ARG001
        if not busy:
            try:
                resume_job(left.directory, out=bytearray().extend)
            except JobBusy as error:
                busy.append(error)
            with pytest.raises(JobBusy):
                remove_job(left.directory)
            assert describe_job(left.directory).owner == os.getpid()

    resume_job(left.directory, out=take)
    assert str(os.getpid()) in str(busy[0])


def test_a_file_that_changed_is_refused(left: JobInfo, tmp_path: Path) -> None:
    os.utime(tmp_path / "data", ns=(1, 1))
    with pytest.raises(SourceChanged):
        resume_job(left.directory, out=bytearray().extend)
    assert os.path.isdir(left.directory)
    moved = HostFile(os.fspath(tmp_path / "data"))
    assert resume_job(left.directory, out=bytearray().extend, sources=[moved]).records
    assert not os.path.isdir(left.directory)


def test_damage_is_refused_or_harmless(left: JobInfo) -> None:
    """Flipped bytes in what a dead process left: an error of ours, or another result, and never a crash."""
    random = Random(3)
    for name in ("job.json", "program", "ledger", "spool", "contexts"):
        path = Path(left.directory, name)
        good = path.read_bytes()[: 1 << 20]
        for _ in range(4):
            pid = os.fork()
            if not pid:
                _flip_and_resume(path, good, random.randrange(max(1, min(len(good), 4096))), left.directory)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, name
            random.random()


def _flip_and_resume(path: Path, good: bytes, at: int, directory: str) -> None:
    """In a child: resume a copy of the damaged job, so that the next one finds it whole."""
    status = 1
    try:
        copy = f"{directory}-{os.getpid()}"
        os.system(f"cp -a --sparse=always {directory} {copy}")  # noqa: S605
        with open(f"{copy}/{path.name}", "r+b") as file:
            file.seek(at)
            file.write(bytes([good[at] ^ 0x10]) if good else b"")
        signal.alarm(60)
        with suppress(PacketFSError):
            resume_job(copy, out=bytearray().extend, keep=False)
        status = 0
    finally:
        os._exit(status)


# jobs that are steered


def _all_done_but(directory: str, vm: int) -> bool:
    """Tell whether a microVM is there and all others have ended."""
    found = {context.vm: context.state for context in microvms(directory)}
    return vm in found and all(state == State.DONE for other, state in found.items() if other != vm)


def test_pause_hold_and_go_on(tmp_path: Path) -> None:
    source, parent = write(tmp_path / "data", DATA), os.fspath(tmp_path / "jobs")
    wanted = run(PROGRAMS["slow"], [source], "line", OPTIONS)
    out, paused, results = bytearray(), threading.Event(), []

    def take(data: Buffer) -> None:
        out.extend(data)
        if not paused.is_set():
            (info,) = list_jobs(parent)
            control(info.directory, Control.PAUSE)
            hold(info.directory, 150, True)
            paused.set()

    def work() -> None:
        options = replace(OPTIONS, parent=parent, keep=False, vms=20, workers=1)  # 150 begins after the first output
        results.append(run_job(PROGRAMS["slow"], [source], parse_records("line"), out=take, options=options))

    thread = threading.Thread(target=work)
    thread.start()
    assert paused.wait(60)
    (info,) = list_jobs(parent)
    frozen = freeze_job(info.directory)
    assert describe_job(info.directory).running
    seen = {context.vm: context.state for context in microvms(info.directory)}
    assert 0 < len(seen) < 150
    control(info.directory, Control.RUN)
    while not _all_done_but(info.directory, 150):
        assert thread.is_alive()
    held = next(context for context in microvms(info.directory) if context.vm == 150)
    assert held.state != State.DONE
    hold(info.directory, 150, False)
    thread.join(60)
    assert bytes(out) == wanted.output
    assert replace(results[0], seconds=0.0, timings=(), engine="") == wanted.result
    thawed = bytearray()
    directory = thaw_job(frozen, os.fspath(tmp_path / "elsewhere"))
    delivered = describe_job(directory).delivered
    resume_job(directory, out=thawed.extend)
    assert bytes(out[:delivered] + thawed) == wanted.output


@pytest.mark.parametrize("name", ["counts", "slow", "numbers"])
def test_a_frozen_job_goes_on_elsewhere(tmp_path: Path, name: str) -> None:
    code = PROGRAMS[name]
    wanted = run(code, [write(tmp_path / "data", DATA)], "line", OPTIONS)
    info = leave(tmp_path, code, keep_output=True)
    packets = freeze_job(info.directory)
    assert len(packets) % 64 == 0
    assert freeze_job(info.directory) == packets
    directory = thaw_job(packets, os.fspath(tmp_path / "elsewhere"))
    states = [bytes(context.view) for context in microvms(directory)]
    assert all(context.state in (State.READY, State.PAUSED, State.DONE) for context in microvms(directory))
    assert states
    out = bytearray()
    result = resume_job(directory, out=out.extend)
    assert bytes(out) == wanted.output
    assert replace(result, seconds=0.0, engine="") == wanted.result
    remove_job(info.directory)
    assert list_jobs(os.fspath(tmp_path / "jobs")) == []


def test_what_is_no_job_is_not_thawed(tmp_path: Path, left: JobInfo) -> None:
    packets = freeze_job(left.directory)
    parent = tmp_path / "elsewhere"
    random = Random(5)
    for bad in (b"", b"x" * 64, packets[:64], packets[:6400], packets[:-64], packets[64:]):
        with pytest.raises((BadPacket, BadJob, PacketFSError)):
            thaw_job(bad, os.fspath(parent))
    for _ in range(200):
        at = random.randrange(min(len(packets), 20_000))
        flipped = packets[:at] + bytes([packets[at] ^ 1 << random.randrange(8)]) + packets[at + 1 :]
        try:
            remove_job(thaw_job(flipped, os.fspath(parent)))
        except PacketFSError:
            continue
    assert not parent.exists() or list(parent.iterdir()) == []
