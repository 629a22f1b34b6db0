"""Live microVMs from outside: `pfs vms` and `pfs top` on jobs that run, are paused, killed, moved and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.engines.jobs.steering import describe_job, microvms
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.records import BY_TYPE
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.program import Program, encode_program
from tests.frontends.command import COMMAND, HANGS, Ended, Pfs, await_job, environment

ENDLESS = "again: ja again"
SLOW = """
    ; 200,000 slots, then the record is output
    ldxdw r6, [r1+0]
    mov r7, r2
    mov r3, 100000
    again:
    add r3, -1
    jne r3, 0, again
    mov r1, r6
    mov r2, r7
    call 4096
    mov r0, 2
    exit
"""
RECORDS = b"".join(b"%063d\n" % i for i in range(4000))


class Jobs:
    """`pfs` with a runtime directory of its own, and jobs that are ended with the test."""

    def __init__(self, pfs: Pfs) -> None:
        self.pfs, self.home = pfs, pfs.home
        self.started: list[subprocess.Popen[bytes]] = []
        (self.home / "run").mkdir(mode=0o700)
        for name, text in (("endless", ENDLESS), ("slow", SLOW)):
            (self.home / f"{name}.pfs").write_bytes(encode_program(Program(pad(assemble(text)))))
        (self.home / "text").write_bytes(RECORDS)

    def __call__(self, *arguments: str) -> Ended:
        ended = self.pfs(*arguments, XDG_RUNTIME_DIR=str(self.home / "run"))
        assert "Traceback" not in ended.err
        assert "fault in PacketFS" not in ended.err
        return ended

    def good(self, *arguments: str) -> Ended:
        ended = self(*arguments)
        assert ended.code == 0, ended.err
        return ended

    def start(self, *arguments: str, out: Path | None = None, halted: bool = False) -> str:
        """Start `pfs run` and return the name of its job once a microVM of it has run; `halted`: its process does not
        go on before it gets SIGCONT, however long that takes."""
        with (out or self.home / "out").open("wb") as file:
            command = subprocess.Popen(
                [*COMMAND, "run", *arguments], cwd=self.home, stdout=file, stderr=subprocess.PIPE,
                env=environment(self.home, XDG_RUNTIME_DIR=str(self.home / "run")),
            )  # fmt: skip
        self.started.append(command)
        job = await_job(self.home, command)
        while not any(context.executed for context in microvms(job.directory)):
            assert command.poll() is None
        if halted:
            command.send_signal(signal.SIGSTOP)
        return job.name

    def status(self) -> list[object]:
        return [job["status"] for job in self.good("vms", "--json").records]


@pytest.fixture
def jobs(pfs: Pfs) -> Iterator[Jobs]:
    made = Jobs(pfs)
    yield made
    for command in made.started:
        if command.poll() is None:
            command.kill()
        command.wait()
        if command.stderr is not None:
            command.stderr.close()


FUEL = ("--fuel", str(1 << 50), "--records", "packet", "--shard", "4096", "--keep")


def test_nothing_is_live(jobs: Jobs) -> None:
    assert jobs.good("vms").out == b""
    assert jobs.good("top").text.startswith("0 jobs")
    assert jobs.good("vms", "--json").records == []


def test_a_job_is_listed_paused_and_let_go_on(jobs: Jobs) -> None:
    job = jobs.start("endless.pfs", "text", *FUEL)
    found = jobs.good("vms", "--json").records[0]
    assert set(found) - {"type"} == set(BY_TYPE["job"].fields)
    assert (found["status"], found["owner"], found["files"]) == ("running", jobs.started[0].pid, ["text"])
    contexts = jobs.good("vms", job, "--json").records
    assert set(contexts[0]) - {"type"} == set(BY_TYPE["microvm"].fields)
    assert [each["vm"] for each in contexts] == [1 + int(str(each["shard"])) for each in contexts]
    assert job in jobs.good("vms").text
    assert jobs.good("vms", job).text.split()[:2] == ["vm", "state"]
    jobs.good("vms", "--pause", job)
    assert jobs.status() == ["paused"]
    jobs.good("vms", job, "--hold", "1")
    jobs.good("vms", job, "--release", "1")
    jobs.good("vms", "--resume", job)
    assert jobs.status() == ["running"]
    assert "1 job; microVMs" in jobs.good("top", "-n", "2", "--interval", "0.1").text
    jobs.good("vms", "--drop", job)
    assert jobs.started[0].wait(HANGS) == ExitCode.INTERRUPTED


@pytest.mark.parametrize(("ended", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, 143)])
def test_a_job_that_is_stopped_is_kept_and_can_be_dropped(jobs: Jobs, ended: signal.Signals, code: int) -> None:
    job = jobs.start("endless.pfs", "text", *FUEL)
    jobs.started[0].send_signal(ended)
    _, err = jobs.started[0].communicate(timeout=HANGS)
    assert jobs.started[0].returncode == code
    assert f"pfs vms --resume {job}" in err.decode()
    assert jobs.status() == ["left"]
    jobs.good("vms", "--drop", job)
    assert jobs.status() == []


def test_a_killed_job_is_resumed_and_nothing_is_lost_or_twice(jobs: Jobs) -> None:
    out = jobs.home / "first"
    job = jobs.start("slow.pfs", "text", *FUEL, out=out, halted=True)
    jobs.started[0].kill()
    jobs.started[0].communicate()
    assert jobs.status() == ["left"]
    found, contexts = jobs.good("vms", "--json").records[0], jobs.good("vms", job, "--json").records
    read = sum(int(str(each["position"])) - 4096 * int(str(each["shard"])) for each in contexts)
    assert read <= int(str(found["done"])) <= len(RECORDS)
    resumed = jobs.good("vms", "--resume", job)
    assert out.read_bytes() + resumed.out == RECORDS
    assert "4,000 records" in resumed.err
    assert jobs.status() == []


def test_a_killed_job_that_wrote_to_a_file_is_refused_or_gives_all_of_it(jobs: Jobs) -> None:
    one = ("--workers", "1", "--vms", "1", "-o", "result")  # shard by shard, so that the first is out before the last
    forgetful = jobs.start("slow.pfs", "text", *FUEL[:-1], *one)
    while not describe_job(f"{jobs.home}/run/packetfs/{forgetful}").delivered:
        assert jobs.started[0].poll() is None
    jobs.started[0].kill()
    jobs.started[0].wait()
    refused = jobs("vms", "--resume", forgetful)
    assert refused.code == ExitCode.FAILED
    assert "bytes of its output went to a file" in refused.err
    assert "--keep" in refused.err
    assert refused.out == b""
    assert jobs.status() == ["left"]
    jobs.good("vms", "--drop", forgetful)
    assert not (jobs.home / "result").exists()
    keeping = jobs.start("slow.pfs", "text", *FUEL, "-o", "result", halted=True)
    jobs.started[1].kill()
    jobs.started[1].wait()
    assert jobs.good("vms", "--resume", keeping).out == RECORDS


def test_a_resumed_job_shows_its_numbers_as_the_run_would_have(jobs: Jobs) -> None:
    text = ".argument digits u64 default 2\n.decimals total digits\n.map total array key 4 value 8 entries 1\n"
    (jobs.home / "slow.s").write_text(text + SLOW)
    job = jobs.start("slow.s", "text", *FUEL, halted=True)
    jobs.started[0].send_signal(signal.SIGINT)
    jobs.started[0].send_signal(signal.SIGCONT)
    jobs.started[0].communicate()
    resumed = jobs.good("vms", "--resume", job)
    assert resumed.err.splitlines()[0].split() == ["total", "0.00"]


def test_a_paused_job_moves_as_packets(jobs: Jobs) -> None:
    out = jobs.home / "first"
    job = jobs.start("slow.pfs", "text", *FUEL, out=out, halted=True)
    jobs.good("vms", "--pause", job)
    jobs.started[0].send_signal(signal.SIGCONT)
    jobs.good("vms", "--freeze", job, "frozen")
    size = os.path.getsize(jobs.home / "frozen")
    assert size % 64 == 0
    jobs.good("vms", "--drop", job)
    assert jobs.started[0].wait(HANGS) == ExitCode.INTERRUPTED
    if jobs.status():
        jobs.good("vms", "--drop", job)
    thawed = jobs.good("vms", "--thaw", "frozen").text.strip()
    assert thawed != job
    assert out.read_bytes() + jobs.good("vms", "--resume", thawed).out == RECORDS


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("vms", "nope"), ExitCode.NOT_FOUND),
        (("vms", "--resume", "../nope"), ExitCode.NOT_FOUND),
        (("vms", "--pause", "nope"), ExitCode.NOT_FOUND),
        (("vms", "--drop", "nope"), ExitCode.NOT_FOUND),
        (("vms", "--freeze", "nope", "x"), ExitCode.NOT_FOUND),
        (("vms", "--thaw", "text"), ExitCode.DAMAGED),
        (("vms", "--thaw", "missing"), ExitCode.NOT_FOUND),
        (("vms", "--thaw", "endless.pfs"), ExitCode.DAMAGED),
        (("vms", "a", "--drop", "b"), ExitCode.USAGE),
        (("vms", "--hold", "1"), ExitCode.USAGE),
        (("top", "-n", "0"), ExitCode.USAGE),
        (("top", "--interval", "0"), ExitCode.USAGE),
    ],
)
def test_what_is_not_there_is_one_sentence(jobs: Jobs, arguments: tuple[str, ...], code: ExitCode) -> None:
    ended = jobs(*arguments)
    assert ended.code == code, ended.err


def test_a_directory_that_others_may_write_to_is_refused(jobs: Jobs) -> None:
    (jobs.home / "run" / "packetfs").mkdir()
    (jobs.home / "run" / "packetfs").chmod(0o777)
    ended = jobs("run", "endless.pfs", "text")
    assert ended.code == ExitCode.DENIED


def test_what_is_no_job_is_passed_over(jobs: Jobs) -> None:
    for name, text in (("a", "{"), ("b", "[" * 5000), ("c", '{"version": 2}')):
        (jobs.home / "run" / "packetfs" / name).mkdir(mode=0o700, parents=True)
        (jobs.home / "run" / "packetfs" / name / "job.json").write_text(text)
    (jobs.home / "run" / "packetfs").chmod(0o700)
    assert jobs.good("vms", "--json").records == []
