"""Programs as their user meets them: what they take, as files, as text; and what is read where sizes say nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from packetfs.frontends.cli.exit_codes import ExitCode
from tests.frontends.command import Pfs, environment

PYTHON = """
from typing import Annotated
from packetfs import Array, between, program

total = Array(1, decimals="digits")

@program(records="line")
def tally(record, *, step: Annotated[int, between(1, 500)] = 125, digits: int = 2):
    '''Add a number for each line.

    step: how much
    '''
    total[0] += step
"""
TALLIED = "total  3.75\n"


@pytest.fixture
def tally(pfs: Pfs) -> Pfs:
    (pfs.home / "tally.py").write_text(PYTHON)
    (pfs.home / "lines").write_bytes(b"a\nb\nc\n")
    return pfs


def refused(pfs: Pfs, *arguments: str) -> str:
    """Run what must be a usage error; return its sentence."""
    ended = pfs(*arguments)
    assert (ended.code, ended.out) == (ExitCode.USAGE, b"")
    assert ended.err.startswith("pfs: ")
    return ended.err.splitlines()[0].removeprefix("pfs: ")


@pytest.mark.parametrize(
    ("name", "argument", "takes"),
    [
        ("csv", "delimiter=", "'' has 0 bytes; it takes 1 byte"),
        ("csv", "delimiter=ab", "'ab' has 2 bytes; it takes 1 byte"),
        ("csv", "column=0", "0 is not possible; it takes 1 to 65,535"),
        ("csv", "column=-1", "-1 is not possible; it takes 1 to 65,535"),
        ("csv", "decimals=19", "19 is not possible; it takes 0 to 18"),
        ("histogram", "width=3", "3 is not possible; it takes 1, 2, 4 or 8"),
        ("histogram", "bin=0", "0 is not possible; it takes 1 or more"),
        ("filter", "width=16", "16 is not possible; it takes 0, 1, 2, 4 or 8"),
        ("sample", "every=0", "0 is not possible; it takes 1 or more"),
        ("grep", f"pattern={'x' * 257}", "has 257 bytes; it takes up to 256 bytes"),
    ],
)
def test_arguments_that_make_no_sense_are_usage_errors(tally: Pfs, name: str, argument: str, takes: str) -> None:
    said = refused(tally, "run", name, "--arg", argument, "lines")
    assert said.startswith(f"The argument {argument.partition('=')[0]} of {name}: ")
    assert said.endswith(takes)


def test_a_program_file_made_of_python_is_what_the_file_was(tally: Pfs) -> None:
    tally.good("asm", "tally.py", "-o", "tally.program")
    for program in ("tally.py", "tally.program"):
        assert tally.good("run", program, "lines").text == TALLIED
        assert refused(tally, "run", program, "--arg", "step=501", "lines").endswith("it takes 1 to 500")
        told = tally.good("programs", program).text
        assert "Add a number for each line." in told
        assert "--arg step=125  u64 1 to 500  how much" in told
    text = tally.good("disasm", "tally.program").text
    assert text.splitlines()[1:] == tally.good("disasm", "--program", "tally.py").text.splitlines()[1:]
    assert tally.good("asm", stdin=text.encode()).out == (tally.home / "tally.program").read_bytes()


def test_shipped_programs_are_shown_and_saved(tally: Pfs) -> None:
    tally.good("asm", "grep", "-o", "grep.program")
    assert tally.good("run", "grep.program", "--arg", "pattern=b", "lines").out == b"b\n"
    shown = tally.good("disasm", "grep").text
    assert ".argument pattern bytes" in shown
    (tally.home / "grep").write_bytes(b"a file of that name\n")
    assert "HEAD FILE" in tally.good("disasm", "grep").text
    assert tally.good("disasm", "--program", "grep").text.splitlines()[1:] == shown.splitlines()[1:]
    assert "--program" in refused(tally, "disasm", "--program", "--flat", "grep")
    assert "pfs run" in refused(tally, "asm", "--run", "grep")


def test_programs_of_c_are_saved(tally: Pfs) -> None:
    (tally.home / "three.c").write_text('#include "packetfs.h"\nSEC("packetfs") int three(void *c) { return 3; }\n')
    tally.good("asm", "three.c", "-o", "three.program")
    assert "3 TX" in tally.good("run", "three.program", "lines", "-r", "line").err
    (tally.home / "three.c").write_text("int three(void *c) { return }\n")
    assert "three.c cannot be compiled: line 1" in refused(tally, "run", "three.c", "lines")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mov r0, 2\nfoo r1\n", "bad.s, line 2: there is no instruction foo"),
        ("mov r0, 2\n\nja +100\nexit\n", "bad.s, line 3: its target"),
        ("mov r0, 2\nlddw r1, map 0\nexit\n", "bad.s, line 2: there is no map 0"),
        ("mov r0, 2 ; it runs off\n", "bad.s, line 1: the code runs off its end"),
        (".map a hash key 4000 value 8 entries 1\nexit\n", "bad.s, line 1: map a: keys of 4000 bytes"),
    ],
)
def test_errors_of_assembler_name_file_and_line(tally: Pfs, text: str, said: str) -> None:
    (tally.home / "bad.s").write_text(text)
    assert refused(tally, "run", "bad.s", "lines").startswith(said)
    assert refused(tally, "asm", "bad.s").startswith(said)


def test_errors_of_packets_name_file_and_line(tally: Pfs) -> None:
    (tally.home / "bad.pfs").write_text('DATA "x"\nDATA x\n')
    assert refused(tally, "asm", "bad.pfs").startswith("bad.pfs, line 2: ")


def test_last_lines_without_a_newline_stay_apart(tally: Pfs) -> None:
    for name in ("one", "two"):
        (tally.home / name).write_bytes(b"x " + name.encode())
    for program, arguments in (
        ("grep", ("--arg", "pattern=x")),
        ("sample", ("--arg", "every=1")),
        ("filter", ("--arg", "column=1", "--arg", "delimiter= ", "--arg", "equals=x")),
    ):
        assert tally.good("run", program, *arguments, "one", "two").out == b"x one\nx two\n"
        assert tally.good("run", program, *arguments, "one", "two", "-r", "packet").out == b"x onex two"


def test_files_of_proc_and_sys_are_read_to_their_end(tally: Pfs) -> None:
    ended = tally.good("run", "wc", "/proc/version", "/sys/kernel/notes")
    size = sum(len(Path(name).read_bytes()) for name in ("/proc/version", "/sys/kernel/notes"))
    assert ended.text.split()[-1] == f"{size:,}"


def test_a_pipe_is_read_while_it_is_open(tally: Pfs) -> None:
    command = tally.start("run", "grep", "--arg", "pattern=x", "-", stdin=subprocess.PIPE)
    assert command.stdin is not None
    assert command.stdout is not None
    with command:
        command.stdin.write(b"a\nxyz\nx...")
        command.stdin.flush()
        assert command.stdout.readline() == b"xyz\n"
        command.stdin.close()
        assert command.stdout.read() == b"x...\n"


@pytest.mark.parametrize("node", ["db1:/tmp", "me@db1:tmp", "db1/tmp", "ssh://db1", "-oProxyCommand=x", "", "a b"])
def test_a_node_is_a_host_alone(tally: Pfs, node: str) -> None:
    assert "Traceback" not in refused(tally, "run", "wc", f"--node={node}", "/x")


def test_one_fault_is_one_microvm(tally: Pfs) -> None:
    (tally.home / "wild.s").write_text("ldxdw r0, [r10+5000]\nexit\n")
    ended = tally("run", "wild.s", "lines")
    assert ended.code == ExitCode.PARTIAL
    assert "pfs: 1 microVM ended early" in ended.err


def test_python_without_its_extra_says_which(tally: Pfs) -> None:
    (tally.home / "hide").mkdir()
    (tally.home / "hide" / "llvmlite.py").write_text("raise ModuleNotFoundError('No module named llvmlite')\n")
    path = f"{tally.home}/hide:{environment(tally.home)['PYTHONPATH']}"
    ended = tally("run", "tally.py", "lines", PYTHONPATH=path)
    assert ended.code == ExitCode.LIBRARY
    assert "programs in Python need the extra packetfs[programs]" in ended.err


def test_kernels_for_gpus(tally: Pfs) -> None:
    kernel = tally.good("asm", "--ptx", "sm_80", "tally.py").out
    assert b".target sm_80" in kernel
    assert b".visible .entry run0(" in kernel
    assert tally.good("asm", "--ptx", "sm_80", stdin=b"mov r0, 2\nexit\n").out.startswith(b"//\n")
    assert "topk cannot run as a kernel on a GPU: it calls map_" in refused(tally, "asm", "--ptx", "sm_80", "topk")
    assert "sm_75, sm_80, sm_90" in refused(tally, "asm", "--ptx", "sm_1", "fnv")
    (tally.home / "packets").write_text('FILL 10 x "ab"\n')
    assert "only those become kernels" in refused(tally, "asm", "--ptx", "sm_80", "packets")
