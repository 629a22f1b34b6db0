"""Packets: every 64 bytes decode or raise, what is encoded decodes to itself, reserved bytes are refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadPacket, UnknownFeature
from packetfs.packet.codec import Packet, decode, encode, iterate
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.fields import FIELDS, HEADER_FIELDS
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import PACKET, Op

GOLDEN = {
    "head": (
        encode(Head(Kind.FILE, 70_000).packet()).hex(),
        "01000000000001007011010000000000504b465301000101010100000000000000000000000000000000000000000000" + "00" * 16,
    ),
    "copy": (
        copy_leaf(Digest(bytes(range(32))), 65_536).hex(),
        "04000000000001000000000000000000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" + "00" * 16,
    ),
    "fill": (
        fill_leaf(7, 1 << 40).hex(),
        "0300000001000000000000000001000007" + "00" * 47,
    ),
    "data": (data_leaf(b"hello").hex(), "0200000005000000" + "00" * 8 + "68656c6c6f" + "00" * 43),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_packets_never_change(name: str) -> None:
    made, expected = GOLDEN[name]
    assert made == expected
    assert encode(decode(bytes.fromhex(expected))).hex() == expected


@given(st.binary(min_size=PACKET, max_size=PACKET))
def test_decoding_is_total(raw: bytes) -> None:
    try:
        packet = decode(raw)
    except BadPacket:
        return
    assert encode(packet) == raw


@given(st.sampled_from(list(Op)), st.integers(0, 59), st.integers(0, 255))
def test_one_byte_on_top_of_a_valid_packet_is_read_or_refused(op: Op, at: int, value: int) -> None:
    raw = bytearray(copy_leaf(NO_DIGEST, 5) if op is Op.COPY else data_leaf(b"abc"))
    raw[4 + at] = value
    with suppress(BadPacket):
        assert encode(decode(raw)) == bytes(raw)


@pytest.mark.parametrize("size", [0, 1, 63])
def test_fewer_than_64_bytes_are_refused(size: int) -> None:
    with pytest.raises(BadPacket, match="fewer than 64"):
        decode(bytes(size))


def test_a_program_is_whole_packets() -> None:
    with pytest.raises(BadPacket, match="whole packets"):
        list(iterate(bytes(65)))


@pytest.mark.parametrize(
    "packet",
    [
        Packet(Op.DATA, length=49),
        Packet(Op.DATA, length=0),
        Packet(Op.FILL, length=1, operand=0),
        Packet(Op.FILL, length=0, operand=9),
        Packet(Op.COPY, length=0),
        Packet(Op.COPY, length=1, operand=2**64 - 1),
        Packet(Op.COPY, flags=2, length=1),
        Packet(Op.CODE, length=1),
        Packet(Op.CODE, operand=1),
        Packet(Op.MAP, operand=1),
        Packet(Op.MAP, body=bytes(23) + b"\1" + bytes(24)),
        Packet(Op.MAP, body=bytes(32) + b"a\0b" + bytes(13)),
        Packet(Op.TREE, operand=0, body=bytes(32) + b"\1" + bytes(15)),
        Packet(Op.TREE, operand=1, body=bytes(48)),
        Packet(Op.NOP, operand=1),
        Packet(Op.ENTRY, flags=32),
        Packet(Op.EXTENT, flags=2),
    ],
)
def test_what_no_packet_may_say_is_refused(packet: Packet) -> None:
    with pytest.raises(BadPacket):
        encode(packet)


def test_a_head_of_a_newer_version_names_what_it_needs() -> None:
    newer = Head(Kind.FILE, 1).packet()
    body = bytearray(newer.body)
    body[4] = 2
    with pytest.raises(UnknownFeature, match="format version 2"):
        Head.parse(Packet(Op.HEAD, length=newer.length, operand=1, body=bytes(body)))
    with pytest.raises(UnknownFeature, match="0x10"):
        Head.parse(Head(Kind.FILE, 1, required=16).packet())
    assert Head.parse(Head(Kind.FILE, 1, ignorable=16).packet()).ignorable == 16


@pytest.mark.parametrize("mean", [0, 4095, 5000, 1 << 23])
def test_a_head_with_an_impossible_mean_is_refused(mean: int) -> None:
    with pytest.raises(BadPacket, match="power of two"):
        Head.parse(Head(Kind.FILE, 1, mean).packet())


@pytest.mark.parametrize("op", list(FIELDS))
def test_the_layout_tables_do_not_overlap(op: Op) -> None:
    taken: set[int] = set()
    for field in FIELDS[op]:
        span = set(range(field.offset, field.offset + field.size))
        assert not span & taken, field
        taken |= span
    assert max(taken) < PACKET
    assert sum(field.size for field in HEADER_FIELDS) == PACKET
