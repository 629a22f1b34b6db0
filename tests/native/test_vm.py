"""The C interpreter's edges that its twin does not have: hostile bytes, arguments, its header; what joins shards."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.vm_differential import Fuzzer
from packetfs.accel import native
from packetfs.engines.results.columns import columns_python, is_rising_python, lay_python, merge_python
from packetfs.engines.results.elements import reduce_python
from packetfs.engines.results.narrow import is_narrow_python, narrow_python, reduce_narrow_python, widen_python
from packetfs.errors import IllegalInstruction
from packetfs.vm.assembly import assemble
from packetfs.vm.check import check
from packetfs.vm.layout import CONTEXT_BYTES, HELPERS, SPILL_STRIDE, Fault, Framing, MapType, Reducer
from packetfs.vm.machine import Machine
from packetfs.vm.maps import hash_of
from tests.vm.rig import array, every_machine, fault, rig, table
from tools import headers

CORE: Any = native
built = pytest.mark.skipif(native is None, reason="the native core is not built")
EXIT = assemble("exit")
PLACE = struct.Struct("<IIIIIIQQII")
PLENTY = 1 << 40

opcodes = st.sampled_from(sorted({code | size for code in range(0, 256, 8) for size in range(8)}))
fields = st.tuples(
    opcodes,
    st.integers(0, 255),
    st.sampled_from([0, 0, 0, 1, -1, 2, 8, 16, 32, 5]),
    st.sampled_from([0, 0, 0, 1, 16, 32, 64, 0x40, 0x41, 0xE1, 0xF1, -1, -2, *(helper.number for helper in HELPERS)]),
)
programs = st.lists(fields, min_size=1, max_size=12)


@pytest.mark.parametrize("name", headers.HEADERS)
def test_headers_are_fresh(name: str) -> None:
    assert headers.is_fresh(name), "run `make docs`"


def accepts(code: bytes, entry: int = 0) -> bool:
    try:
        CORE.vm_load(code, b"", b"", entry, 0)
    except ValueError:
        return False
    return True


@built
@settings(max_examples=400)
@given(slots=programs, ended=st.booleans(), entry=st.integers(0, 12))
def test_it_accepts_what_the_checker_accepts(slots: list[tuple[int, int, int, int]], ended: bool, entry: int) -> None:
    code = b"".join(struct.pack("<BBhi", op, registers, offset, imm) for op, registers, offset, imm in slots)
    code += EXIT if ended else b""
    named = any(code[at] == 0x18 and code[at + 1] >> 4 for at in range(0, len(code), 8))
    try:
        check(code, 0, entry=entry)
    except IllegalInstruction:
        assert not accepts(code, entry)
    else:
        assert accepts(code, entry) or named


@built
@pytest.mark.parametrize("opcode", range(256))
def test_every_opcode_alone(opcode: int) -> None:
    """Each with the fields that some instruction of its class wants, and with each reserved field set."""
    for registers in (0x00, 0x01, 0x10, 0x0A, 0xA0, 0x0B, 0xB0):
        for offset in (0, 1, -1, 8, 16, 32):
            for imm in (0, 1, 16, 32, 64, 0x41, 0xE1):
                code = EXIT + struct.pack("<BBhi", opcode, registers, offset, imm) + EXIT
                try:
                    check(code, 0)
                except IllegalInstruction:
                    assert not accepts(code)
                else:
                    assert accepts(code)


@built
@given(
    code=st.binary(max_size=200),
    places=st.binary(max_size=200),
    shared=st.binary(max_size=40),
    entry=st.integers(0, 50),
)
def test_any_bytes_are_loaded_or_refused(code: bytes, places: bytes, shared: bytes, entry: int) -> None:
    try:
        CORE.vm_load(code, places, shared, entry, 0)
    except ValueError:
        return
    check(code, len(places) // PLACE.size, entry=entry)


PLACES = {
    "fine": ((MapType.ARRAY, 4, 8, 3, 0, 0, 0, 24, 8, 0), True),
    "hash": ((MapType.HASH, 5, 8, 3, 0, 8, 8, 32 + 32 + 72, 24, 0), True),
    "ring": ((MapType.RINGBUF, 0, 0, 0, 0, 0, 0, 0, 0, 0), True),
    "type": ((4, 4, 8, 3, 0, 0, 0, 24, 8, 0), False),
    "key of an array": ((MapType.ARRAY, 8, 8, 3, 0, 0, 0, 24, 8, 0), False),
    "too small": ((MapType.ARRAY, 4, 8, 3, 0, 0, 0, 23, 8, 0), False),
    "stride": ((MapType.ARRAY, 4, 8, 3, 0, 0, 0, 240, 80, 0), False),
    "not aligned": ((MapType.ARRAY, 4, 8, 3, 0, 0, 4, 24, 8, 0), False),
    "beyond the region": ((MapType.ARRAY, 4, 8, 3, 0, 0, (1 << 28) - 8, 24, 8, 0), False),
    "wraps": ((MapType.ARRAY, 4, 8, 3, 0, 0, (1 << 64) - 8, 24, 8, 0), False),
    "entries that wrap": ((MapType.ARRAY, 4, 65536, 0xFFFFFFFF, 0, 0, 0, 24, 65536, 0), False),
    "beyond shared": ((MapType.ARRAY, 4, 8, 3, 0x80, 0, 0, 24, 8, 0), False),
    "capacity": ((MapType.HASH, 5, 8, 3, 0, 6, 8, 400, 24, 0), False),
    "few words": ((MapType.HASH, 5, 8, 3, 0, 4, 8, 400, 24, 0), False),
    "no capacity": ((MapType.HASH, 5, 8, 0, 0, 0, 8, 400, 24, 0), False),
    "long key": ((MapType.HASH, 513, 8, 3, 0, 8, 8, 4000, 8 + 520 + 8, 0), False),
    "long value": ((MapType.ARRAY, 4, 65537, 1, 0, 0, 0, 65544, 65544, 0), False),
}


@built
@pytest.mark.parametrize("name", PLACES)
def test_places(name: str) -> None:
    place, fine = PLACES[name]
    if fine:
        CORE.vm_load(EXIT, PLACE.pack(*place), b"", 0, 0)
    else:
        with pytest.raises(ValueError, match=r"."):
            CORE.vm_load(EXIT, PLACE.pack(*place), b"", 0, 0)


@built
def test_bad_arguments() -> None:
    prepared = CORE.vm_load(EXIT, PLACE.pack(*PLACES["fine"][0]), b"", 0, 0)
    good: list[Any] = [
        prepared, bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(64), 0, 1, b"", 0, True, Framing.LINE, 0,
        b"", bytearray(8), PLENTY, PLENTY, 0,
    ]  # fmt: skip
    assert CORE.vm_run(*good)[:3] == (1, 0, 0)
    wrong: dict[int, tuple[Any, ...]] = {
        0: (None, object(), CORE), 1: (bytearray(CONTEXT_BYTES - 1), bytes(CONTEXT_BYTES)),
        2: (bytearray(SPILL_STRIDE - 1), bytes(SPILL_STRIDE)), 3: (bytearray(63), bytes(64)),
        4: (-1, 1, 1 << 62, 1 << 70), 5: (2, -1, 1 << 62, (1 << 63) - 1), 7: (-1, 1 << 70, (1 << 63) + 1, "0"),
        9: (0, 4, -1), 11: (bytes(15),), 12: (bytes(8),), 13: (-1, 1 << 64), 14: (-1, None),
    }  # fmt: skip
    for at, values in wrong.items():
        for value in values:
            with pytest.raises((ValueError, TypeError, OverflowError, BufferError)):
                CORE.vm_run(*good[:at], value, *good[at + 1 :])
    good[9] = Framing.FIXED
    with pytest.raises(ValueError, match="size"):
        CORE.vm_run(*good)


@built
@settings(max_examples=100)
@given(noise=st.binary(min_size=CONTEXT_BYTES, max_size=CONTEXT_BYTES), state=st.integers(0, 5))
def test_any_context_is_run_or_faults(noise: bytes, state: int) -> None:
    """What others can write into shared memory never hurts who runs it."""
    prepared = CORE.vm_load(assemble("call local +1\n exit\n ldxdw r0, [r10-8]\n exit"), b"", b"", 0, 0)
    contexts = bytearray(noise)
    contexts[:4] = struct.pack("<I", state)
    CORE.vm_run(
        prepared, contexts, bytearray(SPILL_STRIDE), bytearray(), 0, 1, bytes(100), 0, True, Framing.FIXED, 7, b"",
        bytearray(8), 100, 100, 0,
    )  # fmt: skip


# what both do since helpers may cost more than their call


COSTS = {
    "emit": ("mov r1, r10\n sub r1, 512\n mov r2, 512\n call 4096\n mov r0, 0\n exit", 6 + 8),
    "small": ("mov r1, r10\n sub r1, 63\n mov r2, 63\n call 4096\n mov r0, 0\n exit", 6),
    "update": (
        (
            "stdw [r10-8], 0\n lddw r1, map 0\n mov r2, r10\n sub r2, 8\n mov r3, r10\n sub r3, 512\n mov r4, 0\n"
            "call 2\n exit"
        ),
        10 + 4,
    ),
    "load bytes": ("mov r2, 0\n mov r3, r10\n sub r3, 64\n mov r4, 64\n call 189\n exit", 6 + 1),
}


@every_machine
@pytest.mark.parametrize("name", COSTS)
def test_helpers_pay_for_what_they_move(machine: Machine, name: str) -> None:
    text, cost = COSTS[name]
    ran = rig(machine, text, array(2, 256)).finish()
    assert ran.context().executed == cost


@every_machine
def test_long_probes_end(machine: Machine) -> None:
    """A program fills the index of its own table with nonsense: looking at it costs fuel."""
    text = """
        lddw r6, map 0
        stdw [r10-8], 1
      again: mov r1, r6
        mov r2, r10
        sub r2, 8
        call 1
        ja again
    """
    ran = rig(machine, text, table(1000), fuel=100_000)
    ran.maps[32 : 32 + 4 * 2048] = b"\xff" * (4 * 2048)
    while ran.run()[1].name != "DONE":
        pass
    assert ran.fault()[0] is Fault.FUEL
    assert ran.context().executed // (256 + 5) < 390


@every_machine
def test_fuel_is_tested_behind_a_long_helper(machine: Machine) -> None:
    text = "mov r1, r10\n sub r1, 512\n mov r2, 512\n call 4096\n exit"
    assert fault(machine, text, fuel=11) == (Fault.FUEL, 4, 0)
    paused = rig(machine, text)
    paused.run(12)
    assert (paused.context().pc, paused.context().fuel) == (4, PLENTY - 12)


def test_hashes_spread() -> None:
    assert len({hash_of(struct.pack(">Q", n)) % 4096 for n in range(1000)}) > 800


# differential


@built
def test_random_programs() -> None:
    fuzzer = Fuzzer()
    found = {seed: said for seed in range(700) if (said := fuzzer.compare(seed))}
    assert not found


# reduce


@built
@settings(max_examples=200)
@given(
    seed=st.integers(0, 1 << 32),
    reducer=st.sampled_from(list(Reducer)),
    width=st.sampled_from([1, 2, 4, 8]),
    elements=st.integers(0, 9),
    count=st.integers(0, 5),
    gap=st.integers(0, 5),
)
def test_reduce(seed: int, reducer: Reducer, width: int, elements: int, count: int, gap: int) -> None:
    size = elements * width
    rng = Random(seed)
    values, before = rng.randbytes(count * (size + gap)), rng.randbytes(size)
    results = []
    for run in (reduce_python, CORE.vm_reduce):
        into = bytearray(before)
        run(memoryview(into), memoryview(values), count, size + gap, reducer, width)
        results.append(into)
    assert results[0] == results[1]


@built
def test_reduce_refuses() -> None:
    run: Callable[..., None] = CORE.vm_reduce
    for arguments in (
        (bytearray(8), bytes(15), 2, 8, 1, 8), (bytearray(9), bytes(90), 1, 9, 1, 8),
        (bytearray(8), bytes(8), -1, 8, 1, 8), (bytearray(8), bytes(8), 1, -8, 1, 8),
        (bytearray(8), bytes(8), 1, 8, 10, 8), (bytearray(8), bytes(8), 1, 8, 1, 3),
        (bytearray(8), bytes(8), 1 << 62, 8, 1, 8), (bytearray(8), bytes(7), 1, 8, 1, 8),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"."):
            run(*arguments)


@built
@settings(max_examples=200)
@given(st.integers(0, 1 << 32), st.integers(0, 300), st.lists(st.integers(0, 64), min_size=1, max_size=4))
def test_words_are_narrowed_and_widened_alike(seed: int, count: int, bits: list[int]) -> None:
    rng = Random(seed)
    numbers = [rng.getrandbits(bits[at * len(bits) // max(count, 1)]) for at in range(count)]
    words = b"".join(number.to_bytes(8, "little") for number in numbers)
    narrowed = narrow_python(words)
    assert CORE.narrow(words) == narrowed
    assert CORE.widen(narrowed, count) == widen_python(narrowed, count) == words


@built
@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(-1, 200), st.booleans())
def test_words_that_are_none_are_refused_alike(data: bytes, count: int, like: bool) -> None:
    if like:  # widths that can be, so that some of it is good
        data = bytes([b"\0\1\2\4\x08"[data[0] % 5], *data[1:]]) if data else data
    results: list[bytes | None] = []
    for widen in (CORE.widen, widen_python):
        try:
            results.append(bytes(widen(data, count)))
        except ValueError:
            results.append(None)
    assert results[0] == results[1]
    assert CORE.is_narrow(data, count) == is_narrow_python(data, count) == (results[0] is not None)


@built
@settings(max_examples=300)
@given(
    st.integers(0, 1 << 32),
    st.integers(0, 300),
    st.integers(-1, 200),
    st.integers(0, 200),
    st.sampled_from(list(Reducer)),
    st.sampled_from([1, 2, 4, 8]),
)
def test_words_are_reduced_as_they_are(
    seed: int, count: int, start: int, size: int, reducer: Reducer, width: int
) -> None:
    rng = Random(seed)
    bits = [rng.choice((0, 0, 3, 8, 9, 32, 64)) for _ in range(5)]
    words = b"".join(rng.getrandbits(bits[at // 64]).to_bytes(8, "little") for at in range(count))
    narrowed, before, results = CORE.narrow(words), rng.randbytes(8 * size), []
    for run in (reduce_narrow_python, CORE.vm_reduce_narrow):
        into = bytearray(before)
        try:
            run(into, narrowed, count, start, reducer, width)
        except ValueError:
            into.clear()
        results.append(into)
    assert results[0] == results[1]
    if 0 <= start <= count - size:
        wanted = bytearray(before)
        reduce_python(memoryview(wanted), memoryview(words)[8 * start : 8 * (start + size)], 1, 0, reducer, width)
        assert results[0] == wanted


@built
@settings(max_examples=300)
@given(
    st.integers(0, 1 << 32),
    st.sampled_from([1, 3, 4, 8, 13]),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(list(Reducer)),
    st.lists(st.integers(0, 300), min_size=2, max_size=2),
)
def test_tables_are_sorted_merged_and_laid_alike(
    seed: int, key: int, width: int, reducer: Reducer, counts: list[int]
) -> None:
    """Entries that are free, and keys that come twice, as a program may have written them."""
    rng = Random(seed)
    few, value = rng.choice((2, 200, 256)), width * rng.choice((1, 1, 2))
    sorted_: list[tuple[bytes, bytes]] = []
    for count in counts:
        rows = [(bytes(rng.randrange(few) for _ in range(key)), rng.randbytes(value)) for _ in range(count)]
        entries = bytearray(lay_python(b"".join(k for k, _ in rows), b"".join(v for _, v in rows), key, value))
        for at in range(0, len(entries), len(entries) // max(count, 1) or 1):
            entries[at] = rng.choice((0, 0, 0, 9))
        found = columns_python(entries, key, value, reducer, width)
        assert CORE.table_columns(entries, key, value, reducer, width) == found
        assert CORE.table_lay(*found, key, value) == lay_python(*found, key, value)
        sorted_.append(found)
        for keys in (found[0], found[0][key:] + found[0][:key], found[0] + found[0][-key:], found[0] + b"1"):
            assert CORE.table_is_rising(keys, key) == is_rising_python(keys, key)
        assert CORE.table_is_rising(found[0], key)
    merged = CORE.table_merge(*sorted_[0], *sorted_[1], key, value, reducer, width)
    assert merged == merge_python(*sorted_[0], *sorted_[1], key, value, reducer, width)


@built
def test_columns_that_do_not_fit_are_refused() -> None:
    for keys, values, key, value in (
        (b"abc", bytes(8), 2, 8),
        (b"ab", bytes(9), 2, 8),
        (b"", b"", 0, 8),
        (b"", b"", 513, 8),
    ):
        with pytest.raises(ValueError, match="columns"):
            CORE.table_lay(keys, values, key, value)
        with pytest.raises(ValueError, match="columns"):
            CORE.table_merge(keys, values, b"", b"", key, value, Reducer.SUM, 8)
    for entries, value, reducer, width in (
        (bytes(23), 8, 1, 8),
        (bytes(24), 8, 99, 8),
        (bytes(24), 8, 1, 3),
        (bytes(24), 4, 1, 8),
    ):
        with pytest.raises(ValueError, match="entries"):
            CORE.table_columns(entries, 4, value, reducer, width)
