"""Programs as packets: what is encoded decodes to itself, and nothing else decodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadPacket, BadProgram, UnknownFeature
from packetfs.packet.codec import decode
from packetfs.packet.digest import digest_of
from packetfs.packet.layout import PACKET, Op
from packetfs.vm.layout import ContextKind, MapFlag, MapType, Reducer, Show
from packetfs.vm.program import (
    MapDefinition,
    Program,
    decode_program,
    encode_program,
    is_program,
    program_digest,
)

MOVE, EXIT = bytes.fromhex("b700000005000000"), bytes.fromhex("9500000000000000")
WIDE = bytes.fromhex("1801000007000000" + "00" * 8)
HITS = MapDefinition(b"hits", MapType.HASH, 4, 8, 1000, reducer=Reducer.SUM, show=Show.IPV4)
TABLE = MapDefinition(b".rodata", MapType.ARRAY, 4, 100, 1, int(MapFlag.READ_ONLY), initial=bytes(range(1, 100)))
RING = MapDefinition(b"a name as long ", MapType.RINGBUF, 0, 0, 4096)
SMALL = Program(MOVE + EXIT, (HITS,), ContextKind.XDP, 1)

definitions = st.builds(
    MapDefinition,
    st.binary(min_size=1, max_size=16).filter(lambda name: b"\0" not in name),
    st.sampled_from([MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH]),
    st.integers(1, 512),
    st.integers(1, 8192).map(lambda n: n * 8),
    st.integers(1, 1 << 24),
    st.integers(0, 2**32 - 1),
    st.sampled_from([*Reducer]),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([*Show]),
)
contents = st.binary(min_size=1, max_size=300).map(
    lambda data: MapDefinition(b".data", MapType.ARRAY, 4, len(data) + 4, 1, initial=data)
)
programs = st.builds(
    lambda slots, maps, context: Program(MOVE * slots + EXIT, tuple(maps), context, slots),
    st.integers(0, 40),
    st.lists(st.one_of(definitions, contents, st.sampled_from([HITS, TABLE, RING])), max_size=4),
    st.sampled_from([*ContextKind]),
)


@given(programs)
def test_programs_survive_their_packets(program: Program) -> None:
    packets = encode_program(program)
    assert decode_program(packets) == program
    assert is_program(packets)
    assert encode_program(decode_program(packets)) == packets


def test_the_packets_of_a_program_never_change() -> None:
    packets = encode_program(SMALL)
    assert packets.hex() == (
        "01000000000001000200000000000000504b465301000601010100000000000000000000000000000000000000000000"
        "01040000010000000000000000000000"
        "08" + "00" * 15 + "b700000005000000" + "9500000000000000" + "00" * 32 + "09" + "00" * 15
        + "01000000040000000800000" + "0e803000000000000010804" + "00" * 9 + "68697473" + "00" * 12
    )  # fmt: skip
    assert program_digest(packets) == digest_of(packets)


def test_slots_have_fixed_packets() -> None:
    packets = encode_program(Program(MOVE * 13 + EXIT, (TABLE,)))
    ops = [decode(packets, at).op for at in range(0, len(packets), PACKET)]
    assert ops == [Op.HEAD, Op.CODE, Op.CODE, Op.CODE, Op.MAP, Op.DATA, Op.DATA, Op.DATA]
    assert decode(packets, 3 * PACKET).body[:16] == MOVE + EXIT  # slots 12 and 13: packet 3, slots 0 and 1


def patched(at: int, value: bytes, program: Program = SMALL) -> bytes:
    packets = encode_program(program)
    return packets[:at] + value + packets[at + len(value) :]


WITH_DATA = Program(MOVE + EXIT, (TABLE,))
BROKEN = {
    "empty": b"",
    "half a packet": encode_program(SMALL)[:100],
    "only a head": encode_program(SMALL)[:PACKET],
    "no code": encode_program(SMALL)[:PACKET] + encode_program(SMALL)[2 * PACKET :],
    "content cut": encode_program(WITH_DATA)[:-PACKET],
    "content too much": encode_program(WITH_DATA) + encode_program(WITH_DATA)[-PACKET:],
    "no slots": patched(8, bytes(8)),
    "2**64 - 1 slots": patched(8, b"\xff" * 8),
    "fewer slots than code": patched(8, b"\1"),
    "a file": patched(22, b"\1"),
    "another mean": patched(6, b"\2"),
    "isa 5": patched(49, b"\5"),
    "context 9": patched(48, b"\x09"),
    "identity": patched(63, b"\1"),
    "required features": patched(32, b"\1"),
    "entry behind the code": patched(52, b"\2"),
    "code of a microVM": patched(66, b"\1"),
    "map of type 3": patched(144, b"\3"),
    "key of 0": patched(148, b"\0"),
    "key of 2**32 - 1": patched(148, b"\xff" * 4),
    "value of 0": patched(152, bytes(4)),
    "value of 2**32 - 1": patched(152, b"\xff" * 4),
    "no entries": patched(156, bytes(4)),
    "2**32 - 1 entries": patched(156, b"\xff" * 4),
    "reducer 10": patched(164, b"\x0a"),
    "width 3": patched(165, b"\3"),
    "show 5": patched(166, b"\5"),
    "reserved": patched(167, b"\1"),
    "name": patched(191, b"x"),
    "content without packets": patched(132, b"\5"),
    "content of 2**32 - 1": patched(132, b"\xff" * 4),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_program_is_refused(name: str) -> None:
    with pytest.raises((BadProgram, BadPacket, UnknownFeature)):
        decode_program(BROKEN[name])


@given(programs, st.data())
def test_a_changed_byte_is_another_program_or_none(program: Program, data: st.DataObject) -> None:
    packets = bytearray(encode_program(program))
    at = data.draw(st.integers(0, len(packets) - 1))
    packets[at] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_program(packets)
    except (BadProgram, BadPacket, UnknownFeature):
        return
    assert other != program
    assert encode_program(other) == packets


BAD = {
    "code of 7 bytes": Program(bytes(7)),
    "no code": Program(b""),
    "65,537 slots": Program(MOVE * 65536 + EXIT),
    "entry": Program(EXIT, entry=1),
    "wide across packets": Program(MOVE * 5 + WIDE + EXIT),
    "65 maps": Program(EXIT, (HITS,) * 65),
    "long name": Program(EXIT, (MapDefinition(b"x" * 17, MapType.HASH, 4, 8, 1),)),
    "array with long keys": Program(EXIT, (MapDefinition(b"a", MapType.ARRAY, 8, 8, 1),)),
    "content of a hash": Program(EXIT, (MapDefinition(b"a", MapType.HASH, 4, 8, 1, initial=b"x"),)),
    "content of two": Program(EXIT, (MapDefinition(b"a", MapType.ARRAY, 4, 8, 2, initial=b"x"),)),
    "content longer than a value": Program(EXIT, (MapDefinition(b"a", MapType.ARRAY, 4, 8, 1, initial=bytes(9)),)),
    "ring with values": Program(EXIT, (MapDefinition(b"a", MapType.RINGBUF, 0, 8, 1),)),
    "sum of 12 bytes by 8": Program(EXIT, (MapDefinition(b"a", MapType.HASH, 4, 12, 1, reducer=Reducer.SUM),)),
}


@pytest.mark.parametrize("name", BAD)
def test_what_packets_cannot_say_is_not_written(name: str) -> None:
    with pytest.raises(BadProgram):
        encode_program(BAD[name])
