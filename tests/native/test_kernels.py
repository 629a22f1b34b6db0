"""common_prefix, expand and match: the native kernels do what the twins do, and hostile input ends in ValueError."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from struct import calcsize, pack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.packet.digest import DIGEST
from packetfs.packet.kernels import common_prefix_python, expand_python
from packetfs.packet.layout import BODY, PACKET, STRUCT, Op
from packetfs.packet.match import match_python
from tests.native.content import edit, kinds, make, seeds

CORE: Any = native
Expand = Callable[[bytes, Sequence[bytes], bytearray], int]
Match = Callable[[bytes, int, bytes, int], tuple[bytes, bytes, int]]
SIZES = (0, 1, 7, 8, 9, 63, 64, 65, 1023, 1024, 1025, 1100, 5000)
built = pytest.mark.skipif(native is None, reason="the native core is not built")


def both(name: str, twin: object) -> list[object]:
    return [twin, *([getattr(CORE, name)] if CORE is not None else [])]


def test_header_says_what_the_layout_says() -> None:
    header = (Path(__file__).parents[2] / "native" / "packet.h").read_text()
    assert {(name, int(number)) for name, number in re.findall(r"PFS_OP_(\w+) = (\d+)", header)} <= {
        (op.name, op.value) for op in Op
    }
    assert [int(size) for size in re.findall(r"#define PFS_\w+ (\d+)", header)] == [PACKET, BODY, DIGEST]
    assert [int(at) for at in re.findall(r"PFS_AT_\w+ = (\d+)", header)] == [0, 1, 4, 8, 16]
    assert calcsize(STRUCT) == PACKET


@pytest.mark.parametrize("prefix", both("common_prefix", common_prefix_python))
@pytest.mark.parametrize("size", SIZES)
def test_common_prefix(prefix: Callable[[bytes, bytes], int], size: int) -> None:
    data = Random(size).randbytes(size)
    assert prefix(data, data) == prefix(data, data + b"x") == size
    for at in {0, 1, 8, 63, 64, size // 2, size - 1} & {*range(size)}:
        assert prefix(data, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) == at


def packet(op: int, length: int, operand: int = 0, body: bytes = b"", flags: int = 0) -> bytes:
    return pack(STRUCT, op, flags, 0, length, operand, body)


@pytest.mark.parametrize("expand", both("expand", expand_python))
def test_expand(expand: Expand) -> None:
    program = (
        packet(Op.DATA, 3, body=b"abcdef")
        + packet(Op.COPY, 4, 2)
        + packet(Op.FILL, 3, 10, b"xyz")
        + packet(Op.FILL, 1, 5, b"-")
        + packet(Op.FILL, 48, 2, b"0123")
        + packet(Op.FILL, 2, 0, b"no")
        + packet(Op.COPY, 0, 3)
    )
    out = bytearray(30)
    assert expand(program, [b"0123456789", b"abc"], out) == 24
    assert bytes(out) == b"abc2345xyzxyzxyzx-----01" + bytes(6)
    assert expand(b"", [], bytearray()) == 0


WRONG = {
    "DATA is longer": (packet(Op.DATA, BODY + 1), 0),
    "more than the output": (packet(Op.DATA, 48) * 3, 0),
    "FILL has no pattern": (packet(Op.FILL, 0, 5), 0),
    "FILL has no pattern of": (packet(Op.FILL, 49, 5), 0),
    "produces more": (packet(Op.FILL, 1, 2**64 - 1), 0),
    "past its source": (packet(Op.COPY, 1, 10), 1),
    "past its": (packet(Op.COPY, 2, 2**64 - 1), 1),
    "produces": (packet(Op.COPY, 10) * 11, 11),
    "more COPY": (packet(Op.COPY, 1), 0),
    "more sources": (packet(Op.DATA, 1), 1),
    "only DATA": (packet(Op.TREE, 1), 0),
    "only": (packet(255, 1), 0),
    "flags": (packet(Op.DATA, 1, flags=1), 0),
    "whole packets": (bytes(63), 0),
}


@pytest.mark.parametrize("expand", both("expand", expand_python))
@pytest.mark.parametrize("reason", WRONG)
def test_expand_refuses(expand: Expand, reason: str) -> None:
    program, sources = WRONG[reason]
    with pytest.raises(ValueError, match=reason):
        expand(program, [b"0123456789"] * sources, bytearray(100))


packets = st.builds(
    packet,
    st.sampled_from([0, 2, 2, 3, 3, 4, 4, 5]),
    st.integers(0, 60) | st.integers(0, 2**32 - 1),
    st.integers(0, 60) | st.integers(0, 2**64 - 1),
    st.binary(max_size=48),
    st.sampled_from([0, 0, 0, 0, 0, 0, 0, 128]),
)


@built
@settings(max_examples=300)
@given(st.lists(packets, max_size=6), st.lists(st.binary(max_size=40), max_size=3), st.integers(0, 200))
def test_expand_agrees(program: list[bytes], sources: list[bytes], room: int) -> None:
    assert outcome(CORE.expand, program, sources, room) == outcome(expand_python, program, sources, room)


def outcome(expand: Expand, program: list[bytes], sources: list[bytes], room: int) -> tuple[object, bytes]:
    out = bytearray(room)
    try:
        return expand(b"".join(program), sources, out), bytes(out)
    except ValueError as error:
        return str(error), bytes(out)


def apply(old: bytes, old_base: int, expected: int, delta: tuple[bytes, bytes, int]) -> bytes:
    """Run a packed delta as the other side does; no instruction may be empty or reach past the window."""
    stream, literals, out = iter(delta[0]), delta[1], bytearray()
    for first in stream:
        head = read_varint(first, stream)
        length = head >> 2
        assert length
        if head & 3 == 0:
            out += literals[:length]
            literals = literals[length:]
        elif head & 3 == 1:
            shift = read_varint(next(stream), stream)
            start = expected + (shift >> 1 ^ -(shift & 1)) - old_base
            assert 0 <= start <= len(old) - length
            out += old[start : start + length]
            expected = start + old_base
        else:
            out += bytes([next(stream)]) * length
        expected += length
    assert not literals
    assert expected == delta[2]
    return bytes(out)


def read_varint(byte: int, stream: Any) -> int:
    value, shift = byte & 0x7F, 7
    while byte & 0x80:
        byte = next(stream)
        value |= (byte & 0x7F) << shift
        shift += 7
    return value


@settings(max_examples=150)
@given(kinds, st.integers(0, 12_000), seeds, st.sampled_from([0, 5, 1 << 40]), st.sampled_from([0, 0, 3, -70, 9999]))
def test_match(kind: int, size: int, seed: int, base: int, off: int) -> None:
    """Any delta makes the new bytes, and the native kernel emits the twin's."""
    rng = Random(seed)
    old = make(kind, size, rng)
    new = edit(old, rng)
    expected = max(0, base + off)
    delta = match_python(old, base, new, expected)
    assert apply(old, base, expected, delta) == new
    if native is not None:
        assert CORE.match(old, base, new, expected) == delta


@built
@settings(max_examples=30)
@given(kinds, kinds, seeds)
def test_match_of_strangers(kind: int, other: int, seed: int) -> None:
    rng = Random(seed)
    old, new = make(kind, 20_000, rng), make(other, 20_000, rng)
    delta = CORE.match(old, 0, new, 0)
    assert delta == match_python(old, 0, new, 0)
    assert apply(old, 0, 0, delta) == new


@pytest.mark.parametrize("match", both("match", match_python))
def test_match_costs(match: Match) -> None:
    """What an edit costs on the wire; a change of these numbers is a change for the worse or the better."""
    rng = Random(7)
    old = rng.randbytes(200_000)
    changed = bytearray(old)
    changed[1000] ^= 1
    assert match(old, 0, old, 0) == (b"\x81\xea\x30\x00", b"", 200_000)
    assert len(match(old, 0, bytes(changed), 0)[0]) == 8
    assert match(old, 0, bytes(changed), 0)[1] == changed[1000:1001]
    inserted = old[:90_000] + b"!" + old[90_000:]
    assert sum(map(len, match(old, 0, inserted, 0)[:2])) == 10
    moved = old[:50_000] + old[150_000:160_000] + old[50_000:]
    assert sum(map(len, match(old, 0, moved, 0)[:2])) < 25
    assert len(match(old, 0, rng.randbytes(100_000), 0)[0]) == 3
    assert match(old, 0, bytes(5000), 0)[1] == b""
    assert match(b"", 7, b"abc", 9) == (b"\x0c", b"abc", 12)
    assert match(old, 0, b"", 9) == (b"", b"", 9)


@pytest.mark.parametrize("match", both("match", match_python))
@pytest.mark.parametrize(("base", "expected"), [(-1, 0), (0, -1), (2**62 + 1, 0), (0, 2**64), (2**80, 0)])
def test_match_refuses_offsets(match: Match, base: int, expected: int) -> None:
    with pytest.raises(ValueError, match="offsets"):
        match(b"abc", base, b"abc", expected)


@built
def test_match_is_not_slow_on_periods() -> None:
    """Periodic and constant windows have as many candidates as bytes; each must be looked at a few times at most."""
    for period in (1, 2, 7, 100, 4096):
        old = Random(period).randbytes(period) * (1_000_000 // period)
        new = bytearray(old)
        new[::9973] = bytes(len(new[::9973]))
        assert apply(old, 0, 50_000, CORE.match(old, 0, bytes(new), 50_000)) == new
