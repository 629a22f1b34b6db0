"""Programs, assembler and objects that others wrote: refused in words, within a second, without running any of them."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import BadAssembly, BadProgram, PacketFSError, UnknownProgram
from packetfs.toolchain.clang import compile_c
from packetfs.toolchain.elf import read_object
from packetfs.toolchain.link import link
from packetfs.toolchain.sources import find_program, found_in
from packetfs.toolchain.text import read_program
from packetfs.vm.assembly import assemble
from packetfs.vm.helpers import ANSWER_SLOTS
from packetfs.vm.image import load
from packetfs.vm.layout import Fault, MapType, Stop
from packetfs.vm.machine import Machine
from packetfs.vm.program import MapDefinition, Program, decode_program, encode_program
from tests.vm.rig import array, every_machine, program, rig

SOURCES = Path(__file__).resolve().parents[1] / "toolchain" / "objects"
PROGRAM = encode_program(program("mov r0, 0\n exit", array(1, 64, initial=b"x" * 60)))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, len(PROGRAM) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 130),
)
def test_damaged_programs_are_refused_or_are_programs(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(PROGRAM)
    for at, value in changes:
        data[at] = value
    try:
        load(decode_program(data[: len(data) - cut]))
    except PacketFSError:
        return


@pytest.mark.parametrize(
    "definition",
    [
        MapDefinition(b"m", MapType.ARRAY, 4, 65_536, 1 << 24),
        MapDefinition(b"m", MapType.HASH, 512, 65_536, 1 << 24),
        MapDefinition(b"m", MapType.ARRAY, 4, 65_536, 1 << 24, flags=0x80),
        MapDefinition(b"m", MapType.HASH, 1, 1, 1 << 24),
    ],
)
def test_a_few_packets_cannot_ask_for_the_memory_of_the_machine(definition: MapDefinition) -> None:
    packets = encode_program(Program(assemble("exit"), (definition,) * 64))
    with within(0.5), pytest.raises(BadProgram):
        load(decode_program(packets))


def test_the_largest_program_is_read_in_time() -> None:
    maps = tuple(MapDefinition(b"m", MapType.ARRAY, 4, 65_536, 1, initial=b"x" * 65_536) for _ in range(64))
    packets = encode_program(Program(b"\xb7" + bytes(7) + (b"\xb7" + bytes(7)) * 65_534 + b"\x95" + bytes(7), maps))
    with within(3.0):
        with pytest.raises(PacketFSError):
            load(decode_program(packets[: len(packets) - 64]))
        load(decode_program(packets))


@pytest.mark.parametrize(
    "line",
    [
        "a" * (1 << 20),
        "ldxw r1, [r1" + " " * (1 << 18) + "x",
        "mov " + "," * (1 << 20),
        "mov r1" + " " * (1 << 20) + "r2 r3",
        "lddw r1, value 1" + " " * (1 << 18) + "+",
        "l" * (1 << 20) + ":",
        "x:" * 10_000,
        ".slot " + "0" * (1 << 20),
        "mov r1, " + "9" * (1 << 20),
    ],
)
def test_a_line_of_assembler_that_never_ends_is_refused_at_once(line: str) -> None:
    with within(0.5), pytest.raises(BadAssembly) as error:
        assemble(line)
    assert len(error.value.message) < 1000


def test_assembler_without_end_stops_at_the_slots_of_a_program() -> None:
    with within(3.0), pytest.raises(BadAssembly):
        assemble("ja +0\n" * 1_000_000)


def test_a_directive_of_open_quotes_is_refused_at_once() -> None:
    with within(0.5), pytest.raises(BadAssembly):
        read_program('.map "' + '\\"' * 12_000)


@cache
def compiled(name: str) -> bytes:
    return compile_c(str(SOURCES / name))


@settings(max_examples=150)
@given(st.sampled_from(["packets.c", "relocations.c", "own.c"]), st.data())
def test_damaged_objects_are_refused_or_linked(name: str, data: st.DataObject) -> None:
    content = bytearray(compiled(name))
    words = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])
    header = st.integers(0, 63)
    table = struct.unpack_from("<Q", content, 40)[0]
    places = header | st.integers(table, len(content) - 1) | st.integers(0, len(content) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, words), min_size=1, max_size=6)):
        content[at] = value
    with within(3.0):
        try:
            load(link(read_object(bytes(content), "x.o")))
        except PacketFSError:
            return


PYTHON = b"import os\nos.environ['PWNED'] = '1'\n"


@pytest.mark.parametrize("name", ["pfs:evil.py", "evil.py", "evil", "evil.o", "evil.c"])
def test_python_from_a_pool_is_data_and_never_runs(name: str) -> None:
    with pytest.raises((UnknownProgram, PacketFSError)):
        found_in(PYTHON, name)


@pytest.mark.parametrize("ending", ["", ".o", ".s", ".bpf", ".txt", ".PY", ".py.o"])
def test_only_a_file_named_py_is_run_as_python(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PWNED", raising=False)
    path = tmp_path / f"evil{ending}"
    path.write_bytes(PYTHON)
    with pytest.raises(PacketFSError):
        find_program(str(path))
    import os

    assert "PWNED" not in os.environ


@every_machine
def test_fuel_bounds_what_python_answers(machine: Machine) -> None:
    """A loop of nothing but such calls: fuel of a million slots buys a thousand of them."""
    ran = rig(machine, "a: mov r2, 0\n call 65\n ja a", fuel=1 << 20)
    answered = 0
    while ran.run()[1] is Stop.HELPER:
        ran.answer()
        answered += 1
    assert ran.fault()[0] is Fault.FUEL
    assert answered <= (1 << 20) // ANSWER_SLOTS
    assert ran.context().executed > 1 << 20


@every_machine
def test_the_checksum_of_a_long_record_is_quick(machine: Machine) -> None:
    text = "mov r4, r2\n ldxdw r3, [r1+0]\n mov r2, 0\n mov r5, 0\n call 28\n exit"
    ran = rig(machine, text, data=b"\xff\xff\xff\xfe" * (1 << 20), size=1 << 22)
    with within(0.5):
        ran.finish()
    assert ran.context().executed > (1 << 22) // 64 + ANSWER_SLOTS
