"""Programs as text: every program survives, lines can be written by hand, mistakes name their line."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadPacket
from packetfs.packet.codec import Packet, decode, encode
from packetfs.packet.entry import encode_entry
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.layout import PACKET, Op
from packetfs.packet.text import assemble, disassemble
from tests.packet.test_entry import ENTRIES

LEAVES = st.one_of(
    st.builds(data_leaf, st.binary(min_size=1, max_size=48)),
    st.builds(fill_leaf, st.integers(0, 255), st.integers(1, 2**64 - 1)),
    st.builds(copy_leaf, st.binary(min_size=32, max_size=32), st.integers(1, 2**32 - 1), st.integers(0, 2**60)),
    ENTRIES.map(encode_entry),
    st.binary(min_size=48, max_size=48).map(lambda body: encode(Packet(Op.CODE, vm=3, body=body))),
)


@given(st.lists(LEAVES, max_size=8))
def test_programs_survive_text(parts: list[bytes]) -> None:
    program = b"".join(parts)
    assert assemble(disassemble(program)) == program


@given(st.binary(min_size=PACKET, max_size=PACKET))
def test_every_packet_that_decodes_survives_text(raw: bytes) -> None:
    raw = bytes([raw[0] % 12]) + raw[1:]
    try:
        decode(raw)
    except BadPacket:
        return
    assert assemble(disassemble(raw)) == raw


def test_comments_and_empty_lines_are_passed_over() -> None:
    assert assemble(["; nothing", "", 'DATA "a;b" ; a semicolon']) == data_leaf(b"a;b")


def test_code_and_maps_have_lines_that_people_can_read() -> None:
    body = struct.pack("<IIIIIBBBxQ16s", 1, 4, 8, 1000, 0x80, 1, 8, 0, 0, b"hits")
    packets = encode(Packet(Op.CODE, body=bytes.fromhex("b7000000050000009500000000000000").ljust(48, b"\0")))
    packets += encode(Packet(Op.MAP, body=body))
    assert list(disassemble(packets)) == [
        "CODE b700000005000000 9500000000000000",
        'MAP type 1 key 4 value 8 entries 1000 flags 128 reducer 1 width 8 show 0 content 0 name "hits"',
    ]


MISTAKES = ["DATE 5", 'DATA "x', "COPY 5 of zz at 0", "FILL x", "HEAD FILE", 'DATA "' + "x" * 49 + '"']


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_names_its_line(line: str) -> None:
    with pytest.raises(BadPacket, match="line 2"):
        assemble(['DATA "fine"', line])
