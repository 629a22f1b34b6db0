"""Helpers 4097 to 4102 and 4104: their definition against plainer words, both interpreters against the definition."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.vm import search
from packetfs.vm.layout import Fault, MapFlag, Region
from packetfs.vm.machine import MACHINES, Machine
from tests.vm.rig import array, every_machine, fault, result, rig

M64 = (1 << 64) - 1
NONE = search.NO_NUMBER
RECORD = "ldxdw r7, [r1+0]\n ldxdw r8, [r1+8]\n sub r8, r7\n mov r1, r7\n mov r2, r8\n"
"""r1 and r2 are the record, r7 and r8 too."""
CORE: Any = native

PARTS = [b"a", b"ab", b"b", b" ", b"\n", b"\t", b"\x0b", b"\x0e", b"\x1f", b"\0", b"\xff"]
few = st.lists(st.sampled_from(PARTS), max_size=300)
texts = st.one_of(few.map(b"".join), st.binary(max_size=300), st.just(b"a" * 200))
number_like = st.lists(st.sampled_from([*"0012345678999", "-", "+", ".", " ", "\t", "5" * 17, "x"]), max_size=12)


@pytest.fixture(params=["scalar", "avx2", "avx512"])
def unit(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run with one vector unit, where the machine has it."""
    if CORE is None:
        yield "twin"
        return
    best = CORE.simd()
    with suppress(ValueError):  # this machine cannot: its best unit is tried again
        CORE.set_simd(request.param)
    yield request.param
    CORE.set_simd(best)


def asked(machine: Machine, code: str, data: bytes, number: str) -> tuple[int, int]:
    """Return r0 and what the record cost beside the same program with a helper that costs nothing."""
    size = max(len(data), 1)
    texts = [RECORD + code + f"call {call}\n exit" for call in (number, 8)]
    runs = [rig(machine, text, data=data, size=size).finish() for text in texts]
    return runs[0].context().result, runs[0].context().executed - runs[1].context().executed


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def same(code: str, number: str, data: bytes, answer: search.Answer) -> None:
    """Every interpreter returns the answer, and its price."""
    for machine in MACHINES:
        found, cost = asked(machine, code, data, number)
        assert (signed(found), cost) == (answer[0], answer[1] // 64), machine.name


@settings(max_examples=60)
@given(data=texts.filter(bool), at=st.integers(0, 300), length=st.integers(0, 40), change=st.booleans())
def test_find(data: bytes, at: int, length: int, change: bool) -> None:
    """The word is a part of the record itself, changed now and then: it lies on the stack."""
    at = min(at, len(data))
    word = bytearray(data[at : at + length])
    if change and word:
        word[-1] ^= 1
    stack = "".join(f"stb [r10-{64 - i}], {byte}\n" for i, byte in enumerate(word))
    code = stack + f"mov r3, r10\n sub r3, 64\n mov r4, {len(word)}\n"
    same(code, "find", data, search.find(data, bytes(word)))


@settings(max_examples=60)
@given(data=texts.filter(bool), byte=st.sampled_from(b"ab \n\xff"), nth=st.integers(0, 70))
def test_bytes(data: bytes, byte: int, nth: int) -> None:
    same(f"mov r3, {byte | 0x700}\n mov r4, {nth}\n", "find_byte", data, search.find_byte(data, byte, nth))
    same(f"mov r3, {byte | 0x700}\n", "find_last_byte", data, search.find_last_byte(data, byte))
    same(f"mov r3, {byte | 0x700}\n", "count_byte", data, search.count_byte(data, byte))
    same("", "count_words", data, search.count_words(data))


def placed(word: bytes, address: int, length: int) -> str:
    """Return code that puts a word on the stack, and its address and length into registers."""
    assert len(word) <= 400
    stack = "".join(f"stb [r10-{400 - i}], {byte}\n" for i, byte in enumerate(word))
    return stack + f"mov r{address}, r10\n sub r{address}, 400\n mov r{length}, {len(word)}\n"


@settings(max_examples=100)
@given(
    data=texts.filter(bool), at=st.integers(0, 300), length=st.integers(0, 80), byte=st.sampled_from(b"ab \n\xff"),
    change=st.booleans(),
)  # fmt: skip
def test_parts(data: bytes, at: int, length: int, byte: int, change: bool) -> None:
    """The word is a part of the record itself, changed now and then."""
    at = min(at, len(data))
    word = bytearray(data[at : at + length])
    if change and word:
        word[-1] ^= 1
    code = placed(bytes(word), 4, 5) + f"mov r3, {byte | 0x700}\n"
    same(code, "count_parts", data, search.count_parts(data, byte, bytes(word)))


@given(data=texts, byte=st.sampled_from(b"ab \n"), word=st.sampled_from([b"", b"a", b"ab", b"ba", b"a\n", b"\xff"]))
def test_what_a_part_is(data: bytes, byte: int, word: bytes) -> None:
    """What stands before each such byte, and behind the last one if anything does."""
    parts = re.findall(b"([^%c]*)%c|([^%c]+)" % (byte, byte, byte), data)
    assert search.count_parts(data, byte, word) == (sum(word in a + b for a, b in parts), len(data))


@settings(max_examples=80)
@given(text=number_like.map("".join).map(str.encode).filter(bool), decimals=st.integers(0, 20))
def test_decimals(text: bytes, decimals: int) -> None:
    same(f"mov r3, {decimals}\n", "decimal", text, search.decimal(text, decimals))


@given(text=number_like.map("".join), decimals=st.integers(0, 18))
def test_what_a_decimal_number_is(text: str, decimals: int) -> None:
    trimmed = text.strip(" \t")
    wanted = search.NO_NUMBER
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", trimmed):
        exact = abs(Decimal(trimmed)).scaleb(decimals)
        if int(exact) < search.DECIMAL_END:
            wanted = int(exact.quantize(Decimal(1), ROUND_HALF_UP)) * (-1 if trimmed[0] == "-" else 1)
    assert search.decimal(text.encode(), decimals)[0] == wanted


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        (b"12.345", 2, 1235), (b"-12.344", 2, -1234), (b" +7\t", 0, 7), (b".5", 0, 1), (b"5.", 1, 50), (b"-0", 3, 0),
        (b"8" + b"9" * 18, 0, 8999999999999999999), (b"9" + b"0" * 18, 0, NONE), (b"0" * 9000 + b"1", 0, 1),
        (b"8999999999999999999.5", 0, 9 * 10**18), (b"1" * 9000, 0, NONE), (b"1" + b"0" * 40, 18, NONE),
        (b"", 0, NONE), (b"-", 0, NONE), (b".", 0, NONE), (b"1.2.3", 0, NONE),
        (b"1e3", 0, NONE), (b"0x10", 0, NONE), (b"- 1", 0, NONE), (b"1", 19, NONE),
        (b"1\n", 0, NONE), (b"0." + b"0" * 30 + b"5", 18, 0), (b"0", 18, 0), (b"\xb2", 0, NONE),
    ],
)  # fmt: skip
def test_decimals_at_their_edges(text: bytes, decimals: int, value: int) -> None:
    assert search.decimal(text, decimals)[0] == value
    if text:
        same(f"mov r3, {decimals}\n", "decimal", text, search.decimal(text, decimals))


@every_machine
def test_long_data_on_each_unit(machine: Machine, unit: str) -> None:
    """Every distance from the ends of vectors, and words whose guesses are wrong for long."""
    for size in (*range(1, 70), 127, 128, 129, 1000):
        data = bytearray(b"ab" * size)[:size]
        data[-1:] = b"z"
        assert asked(machine, f"mov r3, {ord('z')}\n mov r4, 1\n", bytes(data), "find_byte") == (size - 1, size // 64)
        assert asked(machine, f"mov r3, {ord('z')}\n", bytes(data), "count_byte")[0] == 1
        for word in (b"bz", b"az", b"abz")[: size - 1]:
            code = "".join(f"stb [r10-{8 - i}], {byte}\n" for i, byte in enumerate(word)) + "mov r3, r10\n sub r3, 8\n"
            wanted = bytes(data).find(word) & M64
            assert asked(machine, code + f"mov r4, {len(word)}\n", bytes(data), "find")[0] == wanted
    assert unit


@every_machine
def test_parts_of_long_data_on_each_unit(machine: Machine, unit: str) -> None:
    """Parts of many lengths, with the word at their begin, at their end, twice or not at all."""
    for length in (*range(1, 70), 127, 128, 129):
        for word in (b"x", b"xy", b"xyz", b"xyzxyz" * 12):
            parts = [word.ljust(length, b"-"), word.rjust(length, b"-"), b"-" * length, word + b"." + word, b"", b"xxy"]
            for data in (b"\n".join(parts * 3), b"\n".join(parts * 2) + b"\n"):
                wanted = sum(word in part for part in data.split(b"\n"))
                ran = asked(machine, placed(word, 4, 5) + "mov r3, 10\n", data, "count_parts")
                assert ran == (wanted, len(data) // 64)
    assert unit


@every_machine
def test_parts_with_a_word_that_nearly_occurs_everywhere(machine: Machine, unit: str) -> None:
    """Guesses that are wrong for long, before and behind parts that have the word."""
    for word in (b"a" * 60 + b"b" + b"a" * 60, b"aab", b"ba"):
        data = (b"a" * 3000 + b"\n" + b"a" * 40 + word + b"a" * 700 + b"\n") * 3 + word
        ran = asked(machine, placed(word, 4, 5) + "mov r3, 10\n", data, "count_parts")
        assert ran == (4, len(data) // 64)
    assert unit


@every_machine
def test_a_word_that_nearly_occurs_everywhere(machine: Machine, unit: str) -> None:
    data = b"a" * 5000 + b"b" + b"a" * 600
    code = "mov r3, r7\n add r3, 4500\n mov r4, 1100\n"  # the record's own end, past its b
    assert asked(machine, code, data, "find")[0] == 4500
    code = "mov r3, r7\n add r3, 4999\n mov r4, 2\n"
    assert asked(machine, code, data, "find")[0] == 4999
    assert unit


CALLS = {
    "find": "mov r3, r10\n sub r3, 8\n mov r4, 1\n",
    "find_byte": "mov r3, 0\n mov r4, 1\n",
    "find_last_byte": "mov r3, 0\n",
    "count_byte": "mov r3, 0\n",
    "count_words": "",
    "count_parts": "mov r3, 0\n mov r4, r10\n sub r4, 8\n mov r5, 1\n",
    "decimal": "mov r3, 0\n",
}


@every_machine
@pytest.mark.parametrize("name", CALLS)
def test_spans_are_checked_to_their_last_byte(machine: Machine, name: str) -> None:
    """All of a span must be there, wherever the answer lies; a span of no bytes is never looked at."""
    call = CALLS[name] + f"call {name}\n exit"
    data = Region.DATA << 28
    for at, size in (("add r2, 1", 0), ("add r1, 1", 1), ("lddw r2, 0xffffffffffffffff", 0), ("sub r1, 1", -1)):
        assert fault(machine, RECORD + at + "\n" + call, data=b"0" * 64)[::2] == (Fault.ADDRESS, data + 256 + size)
    assert fault(machine, "mov r1, 5\n mov r2, 1\n" + call)[::2] == (Fault.ADDRESS, 5)
    assert fault(machine, "lddw r1, map 0\n mov r2, 1\n" + call, array())[0] is Fault.ADDRESS
    empty = {"find": M64, "find_byte": M64, "find_last_byte": M64, "decimal": 1 << 63}.get(name, 0)
    assert result(machine, "mov r1, 5\n mov r2, 0\n" + call) == empty


@every_machine
def test_words_of_find_are_checked(machine: Machine) -> None:
    assert fault(machine, RECORD + "mov r3, 1\n mov r4, 1\n call find\n exit")[::2] == (Fault.ADDRESS, 1)
    assert fault(machine, RECORD + "mov r3, r10\n mov r4, 1\n call find\n exit")[0] is Fault.ADDRESS
    assert result(machine, RECORD + "mov r3, 1\n mov r4, 0\n call find\n exit") == 0
    assert result(machine, RECORD + "mov r3, r7\n mov r4, r8\n call find\n exit", data=b"x" * 64) == 0


@every_machine
def test_words_of_parts_are_checked(machine: Machine) -> None:
    """Behind the data, which is checked first; a word of no bytes may be anywhere."""
    call = "mov r3, 10\n call count_parts\n exit"
    assert fault(machine, RECORD + "mov r4, 1\n mov r5, 1\n" + call)[::2] == (Fault.ADDRESS, 1)
    assert fault(machine, RECORD + "mov r4, r10\n mov r5, 1\n" + call)[0] is Fault.ADDRESS
    assert fault(machine, RECORD + "add r2, 1\n mov r4, 1\n mov r5, 1\n" + call)[2] == Region.DATA << 28 | 256
    assert fault(machine, "mov r1, 5\n mov r2, 0\n mov r4, 7\n mov r5, 1\n" + call)[::2] == (Fault.ADDRESS, 7)
    data = b"one\n\nx" + b"y" * 58
    assert result(machine, RECORD + "mov r4, 1\n mov r5, 0\n" + call, data=data) == 3
    assert result(machine, RECORD + "mov r4, r7\n mov r5, r8\n" + call, data=data) == 0  # it holds the byte
    assert result(machine, RECORD + "mov r4, r7\n mov r5, r8\n" + call, data=b"x" * 64) == 1
    assert result(machine, RECORD + "mov r4, r7\n mov r5, r2\n sub r2, 1\n" + call, data=b"x" * 64) == 0  # longer


@every_machine
def test_every_memory_that_can_be_read(machine: Machine) -> None:
    """Stack, maps, read-only maps, the record context, and a record that was changed first."""
    shared = array(1, 16, flags=MapFlag.READ_ONLY, initial=b"read only 7 0000")
    count = "mov r3, 55\n call count_byte\n exit"
    assert result(machine, "mov r1, r10\n sub r1, 9\n stb [r1+4], 55\n mov r2, 9\n" + count) == 1
    assert result(machine, "lddw r1, value 0 + 0\n mov r2, 16\n" + count, shared) == 1
    assert result(machine, "lddw r1, value 0 + 0\n stb [r1+3], 55\n mov r2, 8\n" + count, array()) == 1
    assert result(machine, "mov r2, 8\n mov r3, 1\n call count_byte\n exit") == 1  # 0x30000100: data, of the context
    assert result(machine, RECORD + "stb [r7+2], 55\n stb [r7+63], 55\n" + count, data=bytes(64)) == 2


@every_machine
def test_reading_the_number_of_the_record_waits_for_it(machine: Machine) -> None:
    ran = rig(machine, "mov r2, 64\n call count_words\n exit")
    ran.begin(base=M64)
    assert ran.run()[1].name == "INDEX"
    ran.context().record_base = 3
    assert ran.run()[1].name == "DONE"
    assert ran.context().fields_read == M64


@every_machine
def test_fuel_is_paid_for_bytes(machine: Machine) -> None:
    """A call that looks at 640 bytes costs 10 slots more; what that leaves no fuel for ends behind it."""
    text = RECORD + "mov r3, 0\n call count_byte\n mov r3, 9\n call count_byte\n exit"
    ran = rig(machine, text, data=b"x" * 640, size=640).finish()
    assert ran.context().executed == 10 + 20
    ran = rig(machine, text, data=b"x" * 640, size=640, fuel=15).finish()
    assert (ran.fault()[0], ran.context().executed) == (Fault.FUEL, 17)


@every_machine
def test_it_pauses_behind_a_call_and_goes_on(machine: Machine) -> None:
    text = RECORD + "mov r3, 120\n call count_byte\n mov r9, r0\n call count_byte\n add r0, r9\n exit"
    for slices in ((1,), (8, 1), (1 << 40,)):
        ran = rig(machine, text, data=b"x" * 640, size=640).finish(slices)
        assert (ran.context().result, ran.context().executed) == (1280, 11 + 20)


def test_the_definition_is_what_python_says() -> None:
    data = b"one two\ttwo\n\x0bthree \xff"
    plain: dict[Callable[[], search.Answer], int] = {
        lambda: search.find(data, b"two"): data.find(b"two"),
        lambda: search.find_byte(data, ord("t"), 2): data.find(b"t", 5),
        lambda: search.find_last_byte(data, ord("t")): data.rfind(b"t"),
        lambda: search.count_byte(data, ord("t")): data.count(b"t"),
        lambda: search.count_words(data): 5,
        lambda: search.count_parts(data, ord("\n"), b"t"): 2,
    }
    for call, wanted in plain.items():
        assert call()[0] == wanted
