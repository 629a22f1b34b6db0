"""`pfs vm-plugin`: the plugin protocol of bpf_conformance, in processes of their own, on both interpreters."""

from __future__ import annotations

import subprocess
import sys

import pytest

from packetfs.engines.machines import every_machine as find_machines
from packetfs.vm.assembly import assemble
from tests.frontends.command import Pfs, environment

engines = pytest.mark.parametrize("engine", [machine.name for machine in find_machines()])
LOAD = assemble("ldxw r0, [r1+2]\nexit")


def spaced(data: bytes) -> str:
    """Hex as the runner writes it: two blanks behind each byte."""
    return "".join(f"{byte:02x}  " for byte in data)


@engines
def test_protocol(pfs: Pfs, engine: str) -> None:
    stdin = f"{spaced(LOAD)}\n".encode()
    assert pfs.good("vm-plugin", spaced(b"abcdefgh"), "--engine", engine, stdin=stdin).out == b"66656463\n"
    stdin = spaced(assemble("mov r0, r2\nsub r0, 1\nexit")).encode()
    assert pfs.good("vm-plugin", "--engine", engine, stdin=stdin).out == b"ffffffffffffffff\n"
    assert pfs.good("vm-plugin", "ff", "--engine", engine, "--program", stdin.decode()).out == b"0\n"


@engines
def test_a_fault_names_slot_instruction_and_reason(pfs: Pfs, engine: str) -> None:
    ended = pfs("vm-plugin", "00  11", "--engine", engine, "--program", LOAD.hex())
    assert (ended.code, ended.out) == (1, b"")
    assert "slot 0 (ldxw r0, [r1+2]): a load or store outside mapped memory (0x30000102)" in ended.err
    ended = pfs("vm-plugin", "--engine", engine, "--fuel", "1000", "--program", assemble("ja -1").hex())
    assert (ended.code, ended.out) == (1, b"")
    assert "fuel" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--program", "95 00 00 01 00 00 00 00"), 13, "Slot 0 of the code is refused: offset is 256 in exit"),
        (("--program", "95"), 13, "1 bytes are no whole number of slots"),
        (("--program", ""), 13, "1 to 65536 slots"),
        (("--program", "9"), 2, "the program is not hex"),
        (("xyz", "--program", "95 00 00 00 00 00 00 00"), 2, "MEM is not hex"),
        (("--fuel", "0", "--program", "95 00 00 00 00 00 00 00"), 2, "--fuel takes"),
        (("--elf", "--program", "95 00 00 00 00 00 00 00"), 13, "standard input"),
    ],
)
def test_what_is_wrong_is_said(pfs: Pfs, arguments: tuple[str, ...], code: int, says: str) -> None:
    ended = pfs("vm-plugin", *arguments)
    assert (ended.code, ended.out) == (code, b"")
    assert says in ended.err
    assert "Traceback" not in ended.err


def test_no_compiler_is_loaded(pfs: Pfs) -> None:
    """Conformance suites start it once a program: 57 ms of LLVM each time would be most of it."""
    source = (
        "import sys; from packetfs.frontends.cli.main import main; "
        "main(['vm-plugin', '--program', '95 00 00 00 00 00 00 00']); "
        "print(*sorted({'llvmlite', 'elftools', 'apsw', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, env=environment(pfs.home), text=True, check=True
    )
    assert done.stdout.split() == ["0"]
