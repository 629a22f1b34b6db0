"""Loading: the C core and `check` refuse the same code for the same reasons, and what is loaded is the same."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import IllegalInstruction, PacketFSError
from packetfs.vm import image
from packetfs.vm.assembly import assemble
from packetfs.vm.image import Image, load
from packetfs.vm.layout import REGION_SHIFT, MapType, Region
from packetfs.vm.program import MapDefinition, Program
from tests.vm.code import any_bytes, codes

ARRAY = MapDefinition(b"array", MapType.ARRAY, 4, 24, 3)
TABLE = MapDefinition(b"table", MapType.HASH, 8, 8, 10)
RING = MapDefinition(b"ring", MapType.RINGBUF, 0, 0, 4096)
LDDW = bytes.fromhex("18")


def loaded(program: Program) -> Image | tuple[type[PacketFSError], str]:
    try:
        return load(program)
    except PacketFSError as error:
        return type(error), error.message


def same_without_core(program: Program) -> Image | tuple[type[PacketFSError], str]:
    """Load with the C core and without, and return what both gave."""
    found = loaded(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "_core", None)
        assert loaded(program) == found
    return found


wide = st.builds(
    lambda source, dst, offset, imm, second, next_imm: (
        LDDW
        + bytes([source << 4 | dst])
        + offset.to_bytes(2, "little")
        + imm.to_bytes(4, "little", signed=True)
        + second
        + next_imm.to_bytes(4, "little", signed=True)
    ),
    st.integers(0, 8),
    st.integers(0, 12),
    st.sampled_from([0, 0, 0, 1]),
    st.integers(-2, 4),
    st.sampled_from([bytes(4), bytes(4), bytes(4), b"\1\0\0\0", b"\0\1\0\0", b"\0\0\1\0"]),
    st.sampled_from([0, 0, 8, 71, 72, -1]),
)
"""Any lddw, most of them wrong in one way."""


@given(st.lists(wide | codes | any_bytes, max_size=4), st.booleans(), st.integers(-1, 3))
def test_core_and_check_judge_alike(parts: list[bytes], ends: bool, entry: int) -> None:
    code = b"".join(parts) + (assemble("exit") if ends else b"")
    same_without_core(Program(code, (ARRAY, TABLE, RING), entry=entry))


def test_an_entry_is_no_number_modulo_the_width_of_a_register() -> None:
    for entry in (1 << 32, -(1 << 32), 1 << 64):
        reason = f"Slot {entry} of the code is refused: the entry is where no instruction begins"
        assert same_without_core(Program(assemble("exit"), entry=entry)) == (IllegalInstruction, reason)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lddw r1, map 1", Region.MAP << REGION_SHIFT | 1),
        ("lddw r1, map_fd 2", Region.MAP << REGION_SHIFT | 2),
        ("lddw r1, value 0 + 71", Region.MAPS << REGION_SHIFT | 71),
        ("lddw r1, value_fd 0 + 0", Region.MAPS << REGION_SHIFT),
        ("lddw r1, code +1", Region.CODE << REGION_SHIFT | 2),
        ("lddw r1, 0x123456789abcdef0", 0x123456789ABCDEF0),
    ],
)
def test_a_lddw_becomes_a_number(text: str, value: int) -> None:
    found = same_without_core(Program(assemble(f"{text}\nexit"), (ARRAY, TABLE, RING)))
    assert isinstance(found, Image)
    halves = value.to_bytes(8, "little")
    assert found.code == LDDW + b"\1\0\0" + halves[:4] + bytes(4) + halves[4:] + assemble("exit")
    assert found.starts == b"\1\0\1"


@pytest.mark.parametrize("text", ["lddw r1, value 1 + 0", "lddw r1, value 2 + 0", "lddw r1, value 0 + 72"])
def test_only_values_of_arrays_have_addresses(text: str) -> None:
    found = same_without_core(Program(assemble(f"{text}\nexit"), (ARRAY, TABLE, RING)))
    assert isinstance(found, tuple)
    assert "has no address" in found[1]


def test_the_core_needs_no_table_of_instructions() -> None:
    code = """
import sys
from packetfs.vm import image, machine
from packetfs.vm.program import Program
machine.MACHINES[-1].prepare(image.load(Program(bytes.fromhex("9500000000000000"))))
print(machine.NATIVE is None or "packetfs.vm.isa" not in sys.modules)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "True\n"
