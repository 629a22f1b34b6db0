"""Maps: arrays and hash tables, their errno values and bytes, against a dict; tables that a program scribbled on."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import BadProgram
from packetfs.vm.image import load
from packetfs.vm.layout import Fault, MapFlag, MapType, Region, State
from packetfs.vm.machine import MACHINES, Machine
from packetfs.vm.maps import entries, hash_of
from packetfs.vm.program import MapDefinition
from tests.vm.rig import RING, Rig, array, every_machine, fault, program, result, rig, table

MAP, MAPS, STACK = (region << 28 for region in (Region.MAP, Region.MAPS, Region.STACK))
ENTRY, BIG, EXISTS, INVALID = ((1 << 64) - number for number in (2, 7, 17, 22))

KEY = "lddw r1, map 0\n mov r2, r10\n sub r2, 8\n mov r3, r10\n sub r3, 16\n"


def update(key: int, value: int, flags: int = 0) -> str:
    return f"stdw [r10-8], {key}\n stdw [r10-16], {value}\n {KEY} mov r4, {flags}\n call 2\n"


def lookup(key: int) -> str:
    return f"stdw [r10-8], {key}\n {KEY} call 1\n"


def delete(key: int) -> str:
    return f"stdw [r10-8], {key}\n {KEY} call 3\n"


VALUE = "jeq r0, 0, none\n ldxdw r0, [r0+0]\n none: exit"


@every_machine
def test_array(machine: Machine) -> None:
    assert result(machine, update(3, 77) + "exit", array(4)) == 0
    assert result(machine, update(3, 77) + lookup(3) + VALUE, array(4)) == 77
    assert result(machine, lookup(3) + "exit", array(4, 20)) == MAPS + 3 * 24
    assert result(machine, lookup(4) + "exit", array(4)) == 0
    assert result(machine, update(4, 1) + "exit", array(4)) == BIG
    assert result(machine, update(4, 1, 1) + "exit", array(4)) == BIG
    assert result(machine, update(3, 1, 1) + "exit", array(4)) == EXISTS
    assert result(machine, update(3, 1, 2) + "exit", array(4)) == 0
    assert result(machine, update(3, 1, 3) + "exit", array(4)) == INVALID
    assert result(machine, delete(3) + "exit", array(4)) == INVALID


@every_machine
def test_hash(machine: Machine) -> None:
    assert result(machine, lookup(5) + "exit", table()) == 0
    assert result(machine, update(5, 77) + "exit", table()) == 0
    assert result(machine, update(5, 77) + lookup(5) + VALUE, table()) == 77
    assert result(machine, update(5, 7) + update(5, 8) + lookup(5) + VALUE, table()) == 8
    assert result(machine, update(5, 7, 2) + "exit", table()) == ENTRY
    assert result(machine, update(5, 7) + update(5, 7, 1) + "exit", table()) == EXISTS
    assert result(machine, update(5, 7, 1) + update(5, 9, 2) + lookup(5) + VALUE, table()) == 9
    assert result(machine, update(5, 7, 4) + "exit", table()) == INVALID
    assert result(machine, delete(5) + "exit", table()) == ENTRY
    assert result(machine, update(5, 7) + delete(5) + "exit", table()) == 0
    assert result(machine, update(5, 7) + delete(5) + lookup(5) + "exit", table()) == 0
    assert result(machine, update(1, 7) + update(2, 7) + "exit", table(1)) == BIG
    assert result(machine, update(1, 7) + update(1, 8) + "exit", table(1)) == 0
    assert result(machine, update(1, 7) + delete(1) + update(2, 9) + lookup(2) + VALUE, table(1)) == 9


@every_machine
@pytest.mark.parametrize("kind", [MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH])
def test_kinds_of_hash_tables(machine: Machine, kind: MapType) -> None:
    one = MapDefinition(b"t", kind, 8, 8, 1)
    assert result(machine, update(1, 7) + update(2, 7) + "exit", one) == BIG


@every_machine
def test_what_is_refused(machine: Machine) -> None:
    fixed = array(1, flags=int(MapFlag.READ_ONLY), initial=bytes(8))
    for text in (update(0, 1), delete(0)):
        assert result(machine, text + "exit", RING) == INVALID
        assert result(machine, text + "exit", fixed) == INVALID
    assert result(machine, lookup(0) + "exit", RING) == 0
    assert result(machine, lookup(0) + "exit", fixed) == Region.SHARED << 28


@every_machine
def test_what_is_no_map(machine: Machine) -> None:
    for number in (1, 2, 3, 130, 131):
        for handle in (0, MAP + 1, MAP - 1, 1 << 32 | MAP, MAPS):
            text = KEY.replace("map 0", f"{handle:#x}") + f"call {number}\n exit"
            assert fault(machine, text, array()) == (Fault.MAP, 6, handle)


@every_machine
def test_pointers_are_checked_as_loads_are(machine: Machine) -> None:
    for number in (1, 2, 3):
        text = KEY.replace("sub r2, 8", "sub r2, 7") + f"call {number}\n exit"
        assert fault(machine, text, table()) == (Fault.ADDRESS, 6, STACK + 4089)
    text = KEY.replace("sub r3, 16", "sub r3, 7") + "mov r4, 0\n call 2\n exit"
    assert fault(machine, text, table()) == (Fault.ADDRESS, 7, STACK + 4089)
    assert result(machine, text.replace("mov r4, 0", "mov r4, 9"), table()) == INVALID


@every_machine
def test_keys_and_values_are_read_before_anything_changes(machine: Machine) -> None:
    """The value lies in the entry before, the key in the map's own header."""
    text = update(5, 77) + "lddw r1, map 0\n lddw r2, 0x40000000\n mov r3, r10\n sub r3, 16\n mov r4, 0\n call 2\n exit"
    ran = rig(machine, text, table(4)).finish()
    held = dict(entries(ran.image.maps[0], memoryview(ran.maps)))
    assert held == {struct.pack("<Q", key): struct.pack("<Q", 77) for key in (5, 1)}


@every_machine
def test_layout_of_a_hash_table(machine: Machine) -> None:
    ran = rig(machine, update(5, 77) + update(6, 78) + delete(5) + "exit", table(2)).finish()
    keys = [hash_of(struct.pack("<Q", key)) for key in (5, 6)]
    index = [0] * 4
    for entry, h in enumerate(keys):
        at = next(p % 4 for p in range(h % 4, h % 4 + 4) if index[p % 4] == 0)
        index[at] = entry + 1
    index[index.index(1)] = 0xFFFFFFFF
    assert ran.maps[:48] == struct.pack("<4I16x4I", 1, 1, 2, 1, *index)
    rows = ((0xFFFFFFFF, keys[0] & 0xFFFFFFFF, 5, 77), (0, keys[1] & 0xFFFFFFFF, 6, 78))
    assert ran.maps[48:96] == b"".join(struct.pack("<IIQQ", *row) for row in rows)


def mixed(h: int) -> int:
    h = (h * 0x9E3779B97F4A7C15) % (1 << 64)
    return h ^ h >> 32


def test_hash_function() -> None:
    assert hash_of(bytes(8)) == 0
    assert hash_of(b"\1") == mixed(mixed(1))
    assert hash_of(b"\1" + bytes(7)) == hash_of(b"\1")
    assert hash_of(struct.pack("<QQ", 1, 2)) == mixed(mixed(mixed(1) ^ 2))


def test_keys_that_differ_at_their_end_are_spread() -> None:
    used = {hash_of(b"item%04d" % n) % 512 for n in range(256)}
    assert len(used) > 150


SCRIPT = """
    mov r6, r1
    ldxdw r7, [r6+0]
    ldxb r8, [r7+0]
    lddw r1, map 0
    mov r2, r7
    add r2, 2
    mov r3, r7
    add r3, 5
    ldxb r4, [r7+1]
    jeq r8, 1, look
    jeq r8, 2, set
    call 3
    ja say
  set: call 2
    ja say
  look: call 1
  say: stxdw [r10-8], r0
    mov r1, r10
    sub r1, 8
    mov r2, 8
    call 4096
    exit
"""
"""Runs records of 16 bytes: what (1 lookup, 2 update, 3 delete), flags, key (3 bytes), value (11 bytes)."""

steps = st.tuples(
    st.sampled_from([1, 2, 2, 3]), st.sampled_from([0, 0, 1, 2]), st.integers(0, 9), st.binary(min_size=11, max_size=11)
)


def play(machine: Machine, script: list[tuple[int, int, int, bytes]], size: int) -> Rig:
    data = b"".join(bytes((what, flags)) + struct.pack("<HB", key, 0) + value for what, flags, key, value in script)
    ran = rig(machine, SCRIPT, table(size, 3, 11), data=data, size=16).finish()
    assert ran.context().state == State.DONE
    return ran


def expected(script: list[tuple[int, int, int, bytes]], size: int) -> tuple[list[int | None], dict[int, bytes]]:
    """Return what a dict says to each step (None: some address) and what it then holds."""
    held: dict[int, bytes] = {}
    said: list[int | None] = []
    for what, flags, key, value in script:
        if what == 1:
            said.append(None if key in held else 0)
        elif what == 3:
            said.append(0 if held.pop(key, None) is not None else ENTRY)
        elif key in held and flags == 1:
            said.append(EXISTS)
        elif key not in held and (flags == 2 or len(held) == size):
            said.append(ENTRY if flags == 2 else BIG)
        else:
            held[key] = value
            said.append(0)
    return said, held


@settings(max_examples=60)
@given(script=st.lists(steps, min_size=1, max_size=60), size=st.integers(1, 7))
def test_hash_tables_are_dicts(script: list[tuple[int, int, int, bytes]], size: int) -> None:
    said, held = expected(script, size)
    left = set()
    for machine in MACHINES:
        ran = play(machine, script, size)
        answers = struct.unpack(f"<{len(script)}Q", ran.output)
        assert all(a == b if b is not None else a >> 28 == Region.MAPS for a, b in zip(answers, said, strict=True))
        keys = {struct.pack("<HB", key, 0): value for key, value in held.items()}
        assert dict(entries(ran.image.maps[0], memoryview(ran.maps))) == keys
        left.add(ran.remains())
    assert len(left) == 1


@settings(max_examples=20)
@given(keys=st.lists(st.binary(min_size=30, max_size=30), min_size=1, max_size=12), size=st.integers(1, 30))
def test_keys_of_all_sizes(keys: list[bytes], size: int) -> None:
    text = "ldxdw r2, [r1+0]\n mov r3, r2\n lddw r1, map 0\n mov r4, 0\n call 2\n exit"
    left = set()
    for machine in MACHINES:
        ran = rig(machine, text, table(12, size, 30), data=b"".join(keys), size=30).finish()
        assert ran.context().verdicts[0] == len(keys)
        left.add(ran.remains())
        assert dict(entries(ran.image.maps[0], memoryview(ran.maps))) == {key[:size]: key for key in keys}
    assert len(left) == 1


@every_machine
def test_many_deletions_rebuild_the_index(machine: Machine) -> None:
    script = [(what, 0, key % 50, bytes([key % 256]) * 11) for key in range(300) for what in (2, 3)] + [
        (2, 0, 7, b"v" * 11)
    ]
    ran = play(machine, script, 8)
    assert dict(entries(ran.image.maps[0], memoryview(ran.maps))) == {b"\7\0\0": b"v" * 11}
    count, free, high, removed = struct.unpack_from("<4I", ran.maps)
    assert (count, free, high) == (1, 0, 1)
    assert removed < 14


def test_an_index_is_written_anew_at_the_same_step_everywhere() -> None:
    """With 8 words for 4 entries, each removed word counts: step by step, both have the same bytes."""
    script = [(what, 0, key, b"v" * 11) for key in range(9) for what in (2, 3)]
    for steps in range(1, len(script) + 1):
        assert len({bytes(play(machine, script[:steps], 4).maps) for machine in MACHINES}) == 1


@settings(max_examples=60)
@given(
    script=st.lists(steps, min_size=1, max_size=12), noise=st.binary(min_size=16, max_size=300), at=st.integers(0, 200)
)
def test_scribbled_tables_hurt_nobody(script: list[tuple[int, int, int, bytes]], noise: bytes, at: int) -> None:
    """A program may write anything over its own tables: they then hold nonsense, the same on every machine."""
    left = set()
    for machine in MACHINES:
        data = b"".join(bytes((what, flags)) + struct.pack("<HB", key, 0) + value for what, flags, key, value in script)
        ran = rig(machine, SCRIPT, table(4, 3, 11), array(2), data=data, size=16)
        ran.maps[at : at + len(noise)] = noise[: max(len(ran.maps) - at, 0)]
        left.add(ran.finish().remains())
    assert len(left) == 1


def test_places() -> None:
    definitions = (
        array(3, 5), table(3, 5, 9), RING, array(1, 6, initial=b"abc"), array(1, 4, flags=0x80, initial=b"ro"),
        array(2, 1, flags=0x80),
    )  # fmt: skip
    image = load(program("exit", *definitions))
    places = image.maps
    assert [(p.offset, p.size, p.stride, p.capacity) for p in places] == [
        (8, 24, 8, 0),
        (32, 32 + 32 + 3 * 32, 32, 8),
        (192, 0, 0, 0),
        (0, 8, 8, 0),
        (0, 8, 8, 0),
        (8, 16, 8, 0),
    ]
    assert (image.maps_bytes, image.initial, image.shared) == (192, b"abc", b"ro" + bytes(22))


def test_maps_that_need_too_much() -> None:
    load(program("exit", array(1 << 23)))
    for maps in ((array((1 << 23) + 1),), (array(1 << 22), array((1 << 22) + 1)), (table(1 << 22),)):
        with pytest.raises(BadProgram, match="they need more than 67108864 bytes"):
            load(program("exit", *maps))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lddw r0, map 1", MAP + 1),
        ("lddw r0, map_fd 0", MAP),
        ("lddw r0, value 0 + 0", MAPS),
        ("lddw r0, value 1 + 12", MAPS + 32 + 12),
        ("lddw r0, value_fd 1 + 15", MAPS + 32 + 15),
        ("lddw r0, code f", (Region.CODE << 28) + 3),
        ("lddw r0, 0x8000000180000001", 0x8000000180000001),
    ],
)
@every_machine
def test_wide_loads(machine: Machine, text: str, value: int) -> None:
    assert result(machine, f"{text}\n exit\n f: exit", array(4), array(1, 16)) == value


@pytest.mark.parametrize(
    ("text", "make"), [("value 0 + 32", array), ("value 0 - 1", array), ("value 0 + 0", table), ("var 0", array)]
)
def test_wide_loads_that_are_refused(text: str, make: Callable[[int], MapDefinition]) -> None:
    with pytest.raises(ValueError, match="r"):
        load(program(f"lddw r0, {text}\n exit", make(4)))


def test_entries_of_arrays_leave_zeros_out() -> None:
    image = load(program("exit", array(4, 3)))
    memory = bytearray(image.maps_bytes)
    memory[8:11] = b"abc"
    assert list(entries(image.maps[0], memoryview(memory))) == [(b"\1\0\0\0", b"abc")]
