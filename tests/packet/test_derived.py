"""CALL packets and the programs of derived files: what is not one is refused, whoever wrote it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadPacket, BadProgram, NotRunYet
from packetfs.limits import CALLS_MAX
from packetfs.packet.codec import decode, encode
from packetfs.packet.derived import Call, derive, parse_derived
from packetfs.packet.digest import Digest
from packetfs.packet.file import data_leaf
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import BODY, PACKET, CallRecords, Op
from packetfs.packet.text import assemble, disassemble

CODE = Digest(bytes(range(32)))
CALL = Call(CODE, CallRecords.LINES, 65_536, 1 << 26)
FILE = encode(Head(Kind.FILE, 5).packet()) + data_leaf(b"bytes")


def test_a_call_has_this_layout() -> None:
    packet = derive(FILE, CALL)[-PACKET:]
    assert packet == struct.pack("<BBHIQ32sB15x", 10, 0, 0, 65_536, 1 << 26, CODE, 3)


def test_a_derived_file_has_its_source_and_its_calls() -> None:
    once = derive(FILE, CALL)
    twice = derive(once, Call(CODE, CallRecords.EXTENT, 0, 7))
    found = parse_derived("x", twice)
    assert found.base == FILE
    assert [call.fuel for call in found.calls] == [1 << 26, 7]
    assert assemble(disassemble(twice)) == twice


def test_nobody_takes_one_for_content() -> None:
    with pytest.raises(NotRunYet):
        Head.parse(decode(derive(FILE, CALL)))


def test_calls_are_not_endless() -> None:
    program = FILE
    for _ in range(CALLS_MAX):
        program = derive(program, CALL)
    with pytest.raises(BadProgram, match="1 to 16 calls"):
        derive(program, CALL)


@pytest.mark.parametrize(
    ("length", "operand", "kind", "rest"),
    [(0, 0, 2, 0), (1, 9, 2, 0), (0, 9, 1, 0), (0, 9, 3, 0), (0, 9, 0, 0), (0, 9, 6, 0), (0, 9, 2, 1)],
)
def test_calls_that_cannot_be_are_refused(length: int, operand: int, kind: int, rest: int) -> None:
    body = (CODE + bytes([kind, rest])).ljust(BODY, b"\0")
    with pytest.raises(BadPacket, match="CALL"):
        decode(struct.pack("<BBHIQ48s", Op.CALL, 0, 0, length, operand, body))


def test_what_is_behind_a_call_or_lacks_one_is_refused() -> None:
    made = derive(FILE, CALL)
    for wrong in (made + data_leaf(b"more"), made[:-PACKET], FILE, made[:PACKET]):
        with pytest.raises((BadProgram, BadPacket)):
            parse_derived("x", wrong)
    with pytest.raises(BadProgram, match="DIRECTORY"):
        derive(encode(Head(Kind.DIRECTORY, 0).packet()), CALL)


@given(st.binary(max_size=5 * PACKET))
def test_any_bytes_are_a_derived_file_or_refused(data: bytes) -> None:
    head = encode(Head(Kind.FILE, 0, required=1).packet())
    try:
        found = parse_derived("x", head + data)
    except (BadPacket, BadProgram):
        return
    assert found.calls
