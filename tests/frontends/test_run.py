"""`pfs run` as its user meets it: plain files, the pool, pipes and another machine; faults, Ctrl-C, closed pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.layout import MapType, Reducer, Show
from packetfs.vm.program import MapDefinition, Program, encode_program
from tests.frontends.command import COMMAND, HANGS, Ended, Pfs, await_job, environment

SHELL = Path(__file__).resolve().parents[1] / "net" / "shell.py"
TOTALS = MapDefinition(b"totals", MapType.ARRAY, 4, 16, 1, reducer=Reducer.SUM)
FIRSTS = MapDefinition(b"firsts", MapType.HASH, 1, 8, 256, reducer=Reducer.SUM, show=Show.TEXT)

COUNT = """
    ; records and their bytes
    mov r3, 1
    lddw r1, value 0 + 0
    lock add [r1+0], r3
    lock add [r1+8], r2
    mov r0, 2
    exit
"""
SELECT = """
    ; records that begin with an exclamation mark
    ldxdw r1, [r1+0]
    ldxb r3, [r1+0]
    mov r0, 1
    jne r3, 33, out
    call 4096
    mov r0, 2
    out:
    exit
"""
WILD = """
    ; reads behind records that begin with a W
    ldxdw r1, [r1+0]
    ldxb r3, [r1+0]
    mov r0, 2
    jne r3, 87, out
    ldxdw r0, [r1+200]
    out:
    exit
"""
FIRST = """
    ; counts records by first byte
    ldxdw r1, [r1+0]
    ldxb r3, [r1+0]
    stxb [r10-1], r3
    mov r2, r10
    add r2, -1
    lddw r1, map 0
    mov r6, r1
    call 1
    jeq r0, 0, new
    mov r1, 1
    lock add [r0+0], r1
    ja out
    new:
    stdw [r10-16], 1
    mov r1, r6
    mov r2, r10
    add r2, -1
    mov r3, r10
    add r3, -16
    mov r4, 0
    call 2
    out:
    mov r0, 2
    exit
"""
ENDLESS = "again: ja again"


def packets(text: str, *maps: MapDefinition) -> bytes:
    return encode_program(Program(pad(assemble(text)), maps))


@pytest.fixture
def runs(pfs: Pfs) -> Pfs:
    """`pfs` with programs in its home directory, and a runtime directory of its own."""
    made = {
        "count": packets(COUNT, TOTALS), "select": packets(SELECT), "wild": packets(WILD),
        "first": packets(FIRST, FIRSTS), "endless": packets(ENDLESS),
    }  # fmt: skip
    for name, data in made.items():
        (pfs.home / f"{name}.pfs").write_bytes(data)
    (pfs.home / "run").mkdir(mode=0o700)
    return pfs


def run(pfs: Pfs, *arguments: str | Path, stdin: bytes = b"") -> Ended:
    ended = pfs("run", *arguments, stdin=stdin, XDG_RUNTIME_DIR=str(pfs.home / "run"))
    assert "Traceback" not in ended.err
    assert "fault in PacketFS" not in ended.err
    return ended


PLAIN = b"".join(b"%c%d\n" % (b"!."[i % 2], i) for i in range(30_000))
CHOSEN = b"".join(line for line in PLAIN.splitlines(keepends=True) if line[:1] == b"!")


# where bytes come from


def test_a_table_for_people(runs: Pfs) -> None:
    (runs.home / "text").write_bytes(PLAIN)
    ended = run(runs, "count.pfs", "text", "--records", "line")
    assert ended.text.split() == ["totals", "30,000", f"{len(PLAIN):,}"]
    assert "30,000 records" in ended.err
    assert "30,000 PASS" in ended.err


@pytest.mark.parametrize("engine", ["interpreter", "native", "auto"])
@pytest.mark.parametrize("where", ["plain", "pool", "pipe", "default", "fifo"])
def test_every_source_gives_the_same(runs: Pfs, where: str, engine: str) -> None:
    (runs.home / "text").write_bytes(PLAIN)
    arguments = ["select.pfs", "--records", "line", "--shard", "4096", "--engine", engine]
    if engine == "native" and os.environ.get("PACKETFS_PURE"):
        assert run(runs, *arguments, "text").code == ExitCode.USAGE
        return
    if where == "pool":
        runs.good("init", "--not-durable")
        runs.good("put", "text", "pfs:")
    if where == "fifo":
        os.mkfifo(runs.home / "fifo")
        feeding = subprocess.Popen(["sh", "-c", "cat text > fifo"], cwd=runs.home)
    names = {"plain": ["text"], "pool": ["pfs:text"], "pipe": ["-"], "default": [], "fifo": ["fifo"]}[where]
    ended = run(runs, *arguments, *names, stdin=PLAIN if where in ("pipe", "default") else b"")
    assert ended.code == 0, ended.err
    assert ended.out == CHOSEN
    if where == "fifo":
        assert feeding.wait(HANGS) == 0


def test_several_files_are_one_job(runs: Pfs) -> None:
    (runs.home / "a").write_bytes(b"!1\nno\n!2")
    (runs.home / "b").write_bytes(b"")
    (runs.home / "c").write_bytes(b"!3\n")
    ended = run(runs, "select.pfs", "a", "b", "-", "c", "--records", "line", stdin=b"!in\n")
    assert ended.out == b"!1\n!2!in\n!3\n"


@pytest.mark.parametrize(("limit", "code"), [("-Sn", 0), ("-n", ExitCode.NOT_FOUND)])
def test_more_files_than_a_shell_lets_be_open(runs: Pfs, limit: str, code: int) -> None:
    many = [runs.home / f"file{number}" for number in range(300)]
    for file in many:
        file.write_bytes(b"a line\n")
    limited = Pfs(runs.home, prefix=("sh", "-c", f'ulimit {limit} 200; exec "$@"', "sh"))
    ended = limited("run", "--json", "count", *many)
    assert ended.code == code
    if code:
        assert "all of 300 files cannot be read: 136 may be open at once here" in ended.err
    else:
        assert ended.records[-1]["records"] == 300


def test_programs_come_from_the_pool_too(runs: Pfs) -> None:
    runs.good("init", "--not-durable")
    runs.good("put", "count.pfs", "pfs:")
    (runs.home / "text").write_bytes(PLAIN)
    ended = run(runs, "pfs:count.pfs", "text", "--records", "packet")
    assert ended.text.split() == ["totals", f"{-(-len(PLAIN) // 64):,}", f"{len(PLAIN):,}"]
    listed = runs.good("programs", "pfs:")
    assert "pfs:count.pfs" in listed.text
    assert "1 map" in listed.text
    assert runs.good("programs", "pfs:", "--json").records[0]["slots"] == 7


@pytest.mark.parametrize("records", ["packet", "line", "fixed:100", "extent"])
def test_how_records_are_cut(runs: Pfs, records: str) -> None:
    data = PLAIN * 3
    (runs.home / "text").write_bytes(data)
    ended = run(runs, "count.pfs", "text", "--json", "--records", records, "--shard", "700")
    found = next(each for each in ended.records if each["type"] == "map")
    count = {"packet": -(-len(data) // 64), "line": data.count(b"\n"), "fixed:100": -(-len(data) // 100)}
    total = found["entries"][0]["value"]  # type: ignore[index]
    assert total[1] == len(data)
    assert total[0] == count.get(records, total[0])


# where output goes


def test_output_may_go_to_a_file_that_appears_whole(runs: Pfs) -> None:
    (runs.home / "text").write_bytes(PLAIN)
    ended = run(runs, "select.pfs", "text", "-r", "line", "-o", "chosen")
    assert (ended.code, ended.out) == (0, b"")
    assert (runs.home / "chosen").read_bytes() == CHOSEN


def test_maps_never_mix_with_output_even_where_there_is_none(runs: Pfs) -> None:
    """`pfs run grep ... > hits` must leave an empty file where nothing matches."""
    (runs.home / "text").write_bytes(PLAIN)
    ended = run(runs, "grep", "--arg", "pattern=nowhere", "text")
    assert (ended.code, ended.out) == (0, b"")
    assert ended.err.split()[:2] == ["matches", "0"]
    beside = run(runs, "grep", "--arg", "pattern=!", "text", "-o", "chosen")
    assert beside.text.split() == ["matches", "15,000"]
    assert (runs.home / "chosen").read_bytes() == CHOSEN


def test_json_has_output_maps_faults_and_counts(runs: Pfs) -> None:
    (runs.home / "text").write_bytes(PLAIN)
    ended = run(runs, "select.pfs", "text", "-r", "line", "--json")
    kinds = [each["type"] for each in ended.records]
    assert set(kinds) == {"output", "run"}
    data = b"".join(bytes.fromhex(str(each["data_hex"])) for each in ended.records if each["type"] == "output")
    assert data == CHOSEN
    assert ended.records[-1]["records"] == 30_000


def test_the_greatest_and_an_arrow_file(runs: Pfs) -> None:
    import pyarrow as pa

    (runs.home / "text").write_bytes(b"a\n" * 5 + b"b\n" * 9 + b"c\n" * 2)
    ended = run(runs, "first.pfs", "text", "-r", "line", "--top", "2", "--format", "arrow", "-o", "maps.arrow")
    assert ended.code == 0, ended.err
    assert ended.text.split() == ["firsts", "(3", "entries,", "the", "greatest", "2)", "b", "9", "a", "5"]
    table = pa.ipc.open_file((runs.home / "maps.arrow").read_bytes()).read_all()
    assert table.to_pydict()["key_text"] == ["b", "a"]


def test_repeated_runs_are_told_and_deliver_once(runs: Pfs) -> None:
    (runs.home / "text").write_bytes(PLAIN)
    ended = run(runs, "select.pfs", "text", "-r", "line", "--repeat", "3")
    assert ended.out == CHOSEN
    assert "in the median of 3 runs" in ended.err


def test_closed_output_ends_it_quietly(runs: Pfs) -> None:
    with (runs.home / "text").open("wb") as file:
        for _ in range(200):
            file.write(b"!" + b"x" * 98 + b"\n" * 20_000)
    line = f"{' '.join(COMMAND)} run select.pfs text -r line --engine auto"
    more = {"XDG_RUNTIME_DIR": str(runs.home / "run")}
    ended = subprocess.run(
        ["bash", "-c", f"{line} | head -c 10; exit ${{PIPESTATUS[0]}}"],
        cwd=runs.home, env=environment(runs.home, **more), capture_output=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert ended.returncode in (ExitCode.CLOSED, ExitCode.DONE)
    assert ended.stdout == b"!" + b"x" * 9
    assert b"Traceback" not in ended.stderr
    assert left(runs) == []


def left(pfs: Pfs) -> list[str]:
    """Return the jobs that were left in the runtime directory."""
    parent = pfs.home / "run" / "packetfs"
    return os.listdir(parent) if parent.exists() else []


# what can go wrong


def test_faults_are_named_and_the_others_go_on(runs: Pfs) -> None:
    data = b"".join(b"%c%061d\n" % (b"W" if i in (100, 5000) else b".", i) + b"x" for i in range(10_000))
    (runs.home / "text").write_bytes(data)
    ended = run(runs, "wild.pfs", "text", "--records", "packet", "--shard", "64K")
    assert ended.code == ExitCode.PARTIAL
    named = [line for line in ended.err.splitlines() if "outside mapped memory" in line]
    assert len(named) == 2
    assert all("text: " in line and "packet 1 slot 4" in line and "microVM" in line for line in named)
    assert "at byte 6400" in named[0]
    assert "pfs: 2 microVMs ended early, as named above" in ended.err
    again = run(runs, "wild.pfs", "text", "--records", "packet", "--shard", "64K", "--json")
    assert again.code == ExitCode.PARTIAL
    faults = [each for each in again.records if each["type"] == "fault"]
    assert [each["record_start"] for each in faults] == [6400, 320_000]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("count.pfs", "missing"), ExitCode.NOT_FOUND, "missing"),
        (("count.pfs", "pfs:missing"), ExitCode.NO_POOL, "pool"),
        (("count.pfs", "."), ExitCode.NOT_FOUND, "it is a directory"),
        (("no-such-program", "text"), ExitCode.NOT_FOUND, "no-such-program"),
        (("missing.pfs", "text"), ExitCode.NOT_FOUND, "missing.pfs"),
        (("text", "text"), None, "text"),
        (("count.pfs", "text", "--arg", "x=1"), ExitCode.USAGE, "x"),
        (("count.pfs", "text", "--records", "pages"), ExitCode.USAGE, "records are"),
        (("count.pfs", "text", "--records", "fixed:0"), ExitCode.USAGE, "a record has"),
        (("count.pfs", "text", "--records", "pcap"), ExitCode.DAMAGED, "pcap"),
        (("count.pfs", "text", "--vms", "0"), ExitCode.USAGE, "--vms"),
        (("count.pfs", "text", "--vms", "65536"), ExitCode.USAGE, "65,535"),
        (("count.pfs", "text", "--fuel", "0"), ExitCode.USAGE, "--fuel"),
        (("count.pfs", "text", "--shard", "1"), ExitCode.USAGE, "--shard"),
        (("count.pfs", "text", "--format", "arrow"), ExitCode.USAGE, "-o FILE"),
        (("count.pfs", "--node", "h"), ExitCode.USAGE, "lie there"),
        (("count.pfs", "text", "--node", "-oProxyCommand=x"), ExitCode.USAGE, "--node"),
        (("count.pfs", "text", "--far-pool", "/x"), ExitCode.USAGE, "--node"),
        (("count.pfs", "-", "-"), ExitCode.USAGE, "once"),
        (("count.pfs", "text", "-o", "no/such/dir/x"), ExitCode.NOT_FOUND, "no/such"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    runs: Pfs, arguments: tuple[str, ...], code: ExitCode | None, words: str
) -> None:
    (runs.home / "text").write_bytes(PLAIN[:5000])
    ended = run(runs, *arguments)
    assert words in ended.err
    assert ended.code == code if code is not None else ended.code != 0
    assert left(runs) == []


def test_the_file_that_cannot_be_written_is_named_and_not_its_draft(runs: Pfs) -> None:
    ended = run(runs, "wc", "select.pfs", "-o", "no/dir")
    assert ended.err.splitlines()[-1] == "pfs: no/dir: there is no such file or directory"


def test_only_the_program_is_required(runs: Pfs) -> None:
    ended = run(runs)
    assert ended.code == ExitCode.USAGE
    assert "required: PROGRAM (" in ended.err


def test_a_fault_of_a_python_program_names_its_line(runs: Pfs) -> None:
    (runs.home / "mean.py").write_text(
        "from packetfs import program\n\n\n@program\ndef mean(record):\n    return 10 // (len(record) - 3)\n"
    )
    (runs.home / "text").write_bytes(b"12345\nab\n")
    ended = run(runs, "mean.py", "text")
    assert ended.code == ExitCode.PARTIAL
    assert "that is mean.py, line 6:" in ended.err


def test_fuel_ends_what_does_not_end(runs: Pfs) -> None:
    (runs.home / "text").write_bytes(bytes(200))
    ended = run(runs, "endless.pfs", "text", "--records", "packet", "--fuel", "1000")
    assert ended.code == ExitCode.PARTIAL
    assert "used up its fuel" in ended.err


@pytest.mark.parametrize(("ended", "code"), [("INT", ExitCode.INTERRUPTED), ("TERM", 143), ("HUP", 129)])
@pytest.mark.parametrize("source", ["text", "-"])
def test_a_signal_ends_it_at_once_and_leaves_nothing(runs: Pfs, source: str, ended: str, code: int) -> None:
    """A loop without end, and a pipe to which nobody writes."""
    (runs.home / "text").write_bytes(bytes(200))
    arguments = ["run", "endless.pfs", source, "--records", "packet", "--fuel", str(1 << 50)]
    command = subprocess.Popen(
        [*COMMAND, *arguments], cwd=runs.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(runs.home, XDG_RUNTIME_DIR=str(runs.home / "run")),
    )  # fmt: skip
    await_job(runs.home, command)
    command.send_signal(signal.Signals[f"SIG{ended}"])
    _, err = command.communicate(timeout=HANGS)
    assert command.returncode == code
    assert err.decode().strip() == "pfs: interrupted"
    assert left(runs) == []


# on another machine


def there(runs: Pfs) -> list[str]:
    shell = f"{sys.executable} {SHELL} {runs.home}/far"
    return ["--node", "db1", "-e", shell, "--far-command", f"{sys.executable} -m packetfs"]


def test_a_run_on_a_node(runs: Pfs) -> None:
    (runs.home / "text").write_bytes(PLAIN)
    ended = run(runs, "select.pfs", "text", "-r", "line", *there(runs))
    assert ended.code == 0, ended.err
    assert ended.out == CHOSEN
    assert "moved" in ended.err
    missing = run(runs, "select.pfs", "nowhere", "-r", "line", *there(runs))
    assert missing.code == ExitCode.NOT_FOUND
    assert "db1" in missing.err


def test_faults_on_a_node_are_named_here(runs: Pfs) -> None:
    (runs.home / "text").write_bytes(b"W" + bytes(63))
    ended = run(runs, "wild.pfs", "text", "-r", "packet", *there(runs))
    assert ended.code == ExitCode.PARTIAL
    assert "packet 1 slot 4" in ended.err


def test_a_node_that_cannot_be_reached(runs: Pfs) -> None:
    ended = run(runs, "select.pfs", "text", "-r", "line", "--node", "db1", "-e", "false")
    assert ended.code == ExitCode.UNREACHABLE
