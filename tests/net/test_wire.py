"""The bytes of the wire: what is written is read back, known values stay, and damage ends in one clear error."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import BadMessage, BadPacket, Disconnected, FarSideFailed, PacketFSError
from packetfs.limits import ENTRY_TAIL_MAX, EXTENT_MAX, FRAME_MAX, LEVELS_MAX, PATH_MAX
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.stream import PipeStream
from packetfs.net.wire.batch import Batch, Content, Origin, Trial, decode_batch, encode_batch
from packetfs.net.wire.items import (
    AnyItem,
    BlockItem,
    EndItem,
    EntryItem,
    ItemReader,
    ItemWriter,
    LinkItem,
    PathReader,
    PathWriter,
    RemoveItem,
    SourceItem,
    check_path,
)
from packetfs.net.wire.listing import Bits, Listed, ListingReader, ListingWriter, Piece
from packetfs.net.wire.messages import (
    FRAME,
    MESSAGES,
    Begin,
    Commit,
    Done,
    Drift,
    Failed,
    Faulted,
    Hello,
    Mapped,
    Message,
    Output,
    Ran,
    Run,
    State,
    Told,
    Type,
    Want,
    decode_message,
    encode_message,
)
from packetfs.net.wire.messages import Listed as ListedMessage
from packetfs.net.wire.packed import Expected, Packer, pack, pack_entry, read_instructions, unpack
from packetfs.net.wire.varint import Cursor, unzigzag, write_bytes, write_varint, zigzag
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry, encode_entry
from packetfs.packet.layout import Buffer
from packetfs.packet.zstd import compress, decompress

U64 = st.integers(0, 2**64 - 1)
S64 = st.integers(-(2**63), 2**63 - 1)
U32 = st.integers(0, 2**32 - 1)
NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
DIGESTS = st.binary(min_size=32, max_size=32)
XATTRS = st.dictionaries(NAMES, st.binary(max_size=20), max_size=3).map(lambda found: tuple(sorted(found.items())))
FILES = st.builds(
    Entry,
    name=NAMES,
    mode=st.integers(0, 0o7777).map(lambda mode: 0o100000 | mode),
    uid=U32,
    gid=U32,
    mtime_ns=S64,
    size=st.integers(0, 2**63 - 1),
    root=DIGESTS,
    group=U64,
    xattrs=XATTRS,
    sparse=st.booleans(),
)
OTHERS = st.one_of(
    st.builds(Entry, name=NAMES, mode=st.just(0o40755), mtime_ns=S64, xattrs=XATTRS),
    st.builds(Entry, name=NAMES, mode=st.just(0o120777), target=NAMES),
    st.builds(Entry, name=NAMES, mode=st.sampled_from([0o20600, 0o60600]), rdev=U64),
    st.builds(Entry, name=NAMES, mode=st.sampled_from([0o10600, 0o140600])),
)
ENTRIES = FILES | OTHERS
SOURCES = [Digest(bytes([number]) * 32) for number in range(3)]


def refused(action: Callable[[], object], *, may_pass: bool = False) -> None:
    """Run what reads damaged bytes: it must end in an error of PacketFS, or, where that can be, find them good."""
    try:
        action()
    except PacketFSError:
        return
    assert may_pass, "nothing was refused"


def truncations(data: bytes) -> Iterator[bytes]:
    """Yield every shorter beginning."""
    return (data[:size] for size in range(len(data)))


# numbers and strings


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**32, "8080808010"), (2**64 - 1, "ff" * 9 + "01")],
)
def test_numbers_have_these_bytes(number: int, written: str) -> None:
    out = bytearray()
    write_varint(out, number)
    assert out.hex() == written
    assert Cursor(out).varint() == number


@given(U64, S64, st.binary(max_size=300))
def test_numbers_and_strings_come_back(number: int, signed: int, data: bytes) -> None:
    out = bytearray()
    write_varint(out, number)
    write_varint(out, zigzag(signed))
    write_bytes(out, data)
    cursor = Cursor(out)
    assert (cursor.varint(), cursor.signed(), cursor.bytes(300)) == (number, signed, data)
    cursor.finish()
    assert unzigzag(zigzag(signed)) == signed


@pytest.mark.parametrize("damaged", [b"", b"\x80", b"\xff" * 10, b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00"])
def test_a_number_that_is_none_is_refused(damaged: bytes) -> None:
    with pytest.raises(BadMessage):
        Cursor(damaged).varint()


def test_limits_hold() -> None:
    assert Cursor(b"\x05").varint(6) == 5
    with pytest.raises(BadMessage):
        Cursor(b"\x05").varint(5)
    with pytest.raises(BadMessage):
        Cursor(b"\x05hello").bytes(4)
    with pytest.raises(BadMessage):
        Cursor(b"\x06hello").bytes(9)
    with pytest.raises(BadMessage):
        Cursor(b"\x00\x00").finish()


# packed deltas

_STEPS = st.one_of(
    st.tuples(st.just("literal"), st.binary(min_size=1, max_size=200)),
    st.tuples(st.just("copy"), st.integers(0, 2**40), st.integers(1, 2**34)),
    st.tuples(st.just("copy_from"), st.integers(1, 2), st.integers(0, 2**40), st.integers(1, 2**20)),
    st.tuples(st.just("fill"), st.integers(0, 255), st.integers(1, 2**40)),
)


def packed(steps: list[tuple[object, ...]]) -> tuple[bytes, bytes]:
    packer = Packer()
    for name, *arguments in steps:
        getattr(packer, str(name))(*arguments)
    block, literals = packer.take()
    return block, b"".join(bytes(part) for part in literals)


@given(st.lists(_STEPS, max_size=30))
def test_a_delta_is_its_packets(steps: list[tuple[object, ...]]) -> None:
    block, literals = packed(steps)
    packets = unpack(block, literals, SOURCES)
    assert len(packets) % 64 == 0
    assert pack(packets, SOURCES) == (block, literals)


def test_a_delta_has_these_bytes() -> None:
    steps: list[tuple[object, ...]] = [("copy", 0, 1000), ("literal", b"new"), ("copy", 1003, 50), ("fill", 0, 9)]
    block, literals = packed(steps)
    assert (block.hex(), literals) == ("a11f000cc901002600", b"new")
    packets = unpack(block, literals, SOURCES)
    assert [packets[at] for at in range(0, len(packets), 64)] == [4, 2, 4, 3]
    assert packets[64:83] == bytes([2, 0, 0, 0, 3]) + bytes(11) + b"new"


@given(st.lists(_STEPS, min_size=1, max_size=5))
def test_a_shortened_delta_is_refused_or_shorter(steps: list[tuple[object, ...]]) -> None:
    block, literals = packed(steps)
    for part in truncations(block):
        refused(partial(list, read_instructions(part, Expected())), may_pass=True)
    if literals:
        with pytest.raises(BadMessage):
            unpack(block, literals[:-1], SOURCES)
    with pytest.raises(BadMessage):
        unpack(block, literals + b"x", SOURCES)


@pytest.mark.parametrize(
    "block",
    [
        b"\x00",  # produces nothing
        b"\x05\x01",  # a copy from -1
        b"\x07\x09\x00",  # a source that there is not
        b"\x05" + b"\xfe" + b"\xff" * 8 + b"\x01",  # a copy that ends behind 2**63
        b"\xfd" + b"\xff" * 8 + b"\x01\x00",  # a copy of 2**62 bytes: as packets 64 GB
        b"\x06",  # a run of what?
    ],
)
def test_deltas_that_cannot_be_are_refused(block: bytes) -> None:
    with pytest.raises(BadMessage):
        unpack(block, b"", SOURCES)


def test_packets_that_no_delta_has_are_refused() -> None:
    foreign = unpack(b"\x05\x00", b"", [Digest(bytes([9]) * 32)])
    with pytest.raises(BadMessage):
        pack(foreign, SOURCES)
    with pytest.raises(BadMessage):
        pack(bytes(64), SOURCES)
    with pytest.raises(BadPacket):
        pack(foreign[:-1], SOURCES)


# items


@given(st.lists(PATHS | st.just(b""), max_size=10))
def test_paths_come_back(paths: list[bytes]) -> None:
    writer, reader, out = PathWriter(), PathReader(), bytearray()
    for path in paths:
        writer.write(out, path)
    cursor = Cursor(out)
    assert [reader.read(cursor) for _ in paths] == paths


BAD_PATHS = (
    *(b"..", b"../x", b"a/../b", b"/etc", b"a//b", b"a/", b"/", b".", b"a/./b", b"a\0b"),
    *(b"n" * 256, b"a/" + b"n" * 256),
)


@pytest.mark.parametrize("path", [*BAD_PATHS, b"a/" * LEVELS_MAX + b"a", b"n/" * PATH_MAX])
def test_paths_that_lead_elsewhere_are_refused(path: bytes) -> None:
    with pytest.raises(PacketFSError):
        check_path(path)
    out = bytearray()
    PathWriter().write(out, path)
    with pytest.raises(PacketFSError):
        PathReader().read(Cursor(out))


@pytest.mark.parametrize("split", range(8))
def test_a_path_cannot_be_smuggled_in_two_parts(split: int) -> None:
    """What is shared with the path before is not looked at again, but the name that it cuts is."""
    for before, after in ((b"a/..b/c", b"a/../c"), (b"ab/c/de", b"ab//de"), (b"a/.b", b"a/."), (b"a/b", b"a/")):
        out = bytearray()
        write_varint(out, 0)
        write_bytes(out, before)
        shared = min(split, len(before))
        write_varint(out, shared)
        write_bytes(out, after[shared:])
        cursor, reader = Cursor(out), PathReader()
        reader.read(cursor)
        if before[:shared] == after[:shared]:
            with pytest.raises(PacketFSError):
                reader.read(cursor)


def test_the_deepest_path_is_taken() -> None:
    check_path(b"a/" * (LEVELS_MAX - 1) + b"a")


_ITEMS = st.one_of(
    st.tuples(st.just("entry"), PATHS, FILES, st.sampled_from(list(Content)), U32),
    st.tuples(st.just("entry"), PATHS, OTHERS, st.just(Content.NONE), st.just(0)),
    st.tuples(st.just("source"), PATHS),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("link"), PATHS, FILES, PATHS),
    st.tuples(st.just("end")),
    st.tuples(st.just("block"), st.binary(min_size=1, max_size=90)),
)


def written(steps: list[tuple[object, ...]]) -> list[Batch]:
    sent: list[Batch] = []
    writer = ItemWriter(sent.append)
    for name, *arguments in steps:
        if name == "block":
            packer = Packer()
            packer.literal(arguments[0])  # type: ignore[arg-type]
            arguments = [packer]
        getattr(writer, str(name))(*arguments)
    writer.flush()
    return sent


def taken(batches: list[Batch], reader: ItemReader | None = None) -> list[AnyItem]:
    """Read batches after a trip over the wire; a block's literals are taken as the rule demands."""
    reader = reader or ItemReader()
    found = []
    for batch in batches:
        payload = memoryview(b"".join(bytes(part) for part in encode_batch(batch)))
        for item in reader.read(decode_batch(payload)):
            found.append(item)
            if isinstance(item, BlockItem):
                item.literals.take(sum(step.length for step in read_instructions(item.instructions, Expected())))
    return found


@given(st.lists(_ITEMS, max_size=12))
def test_items_come_back(steps: list[tuple[object, ...]]) -> None:
    steps = [step for at, step in enumerate(steps) if step[0] != "source" or step not in steps[:at]]  # told once
    found = taken(written(steps))
    assert len(found) == len(steps)
    for item, (name, *arguments) in zip(found, steps, strict=True):
        if isinstance(item, EntryItem):
            path, entry, content, base = arguments
            assert isinstance(entry, Entry)
            assert (name, item.path, item.content) == ("entry", path, content)
            assert item.base == (base if content is Content.DELTA else 0)
            assert encode_entry(item.entry)[64:] != b""
            assert (item.entry.root, item.entry.xattrs) == (entry.root, entry.xattrs)
        elif isinstance(item, LinkItem):
            assert [item.path, item.leader] == [arguments[0], arguments[2]]
        elif isinstance(item, RemoveItem | SourceItem):
            assert item.path == arguments[0]
        elif isinstance(item, BlockItem):
            assert bytes(item.literals.data)[item.start : item.literals.at] or item.literals.at
        else:
            assert isinstance(item, EndItem)


@settings(max_examples=50)
@given(st.lists(_ITEMS, min_size=1, max_size=3))
def test_shortened_batches_are_refused(steps: list[tuple[object, ...]]) -> None:
    batch = written(steps)[0]
    whole = b"".join(bytes(part) for part in encode_batch(batch))
    for part in truncations(whole):
        with pytest.raises(PacketFSError):
            decode_batch(memoryview(part))
    control = bytes(batch.control)
    count = len(taken([batch]))
    for part in truncations(control):
        short = Batch(part, batch.literals)
        try:
            assert len(taken([short])) < count
        except PacketFSError:
            continue


def entry_bytes(**changes: object) -> bytes:
    fields: dict[str, object] = {"name": b"n", "mode": 0o100644, "size": 5, "root": bytes(32)}
    out = bytearray()
    pack_entry(out, Entry(**{**fields, **changes}))  # type: ignore[arg-type]
    return bytes(out)


BAD_ENTRIES = {
    "a kind of file that there is not": entry_bytes(mode=0o30644)[:1] + entry_bytes(mode=0o30644)[1:],
    "no kind": entry_bytes(mode=0o644),
    "a mode of more than 16 bits": entry_bytes(mode=0o100644 | 1 << 16),
    "a size beyond 2**63": entry_bytes(size=1 << 63),
    "an attribute with NUL": entry_bytes(xattrs=((b"user.\0", b""),)),
    "an attribute without a name": entry_bytes(xattrs=((b"", b"x"),)),
    "attributes out of order": entry_bytes(xattrs=((b"user.b", b""), (b"user.a", b""))),
    "an attribute twice": entry_bytes(xattrs=((b"user.a", b"1"), (b"user.a", b"2"))),
    "a target with NUL": entry_bytes(mode=0o120777, target=b"a\0b"),
    "a link to nowhere": entry_bytes(mode=0o120777),
    "a file with a target": entry_bytes(target=b"x"),
    "an unknown flag": bytes([entry_bytes()[0] | 64]) + entry_bytes()[1:],
    "a file without a root": bytes([0]) + entry_bytes()[1:],
    "a directory with a root": bytes([32]) + entry_bytes(mode=0o40755)[1:] + bytes(32),
    "a tail that no reader takes": entry_bytes(
        xattrs=tuple((b"user.%03d" % number, bytes(1 << 16)) for number in range(ENTRY_TAIL_MAX // (1 << 16)))
    ),
}


@pytest.mark.parametrize("what", BAD_ENTRIES)
def test_entries_that_no_file_has_are_refused(what: str) -> None:
    control = b"\x01\x00\x01n\x00" + BAD_ENTRIES[what]
    with pytest.raises(BadMessage):
        list(ItemReader().read(Batch(control, [b""])))


def test_content_is_for_files_alone() -> None:
    directory = entry_bytes(mode=0o40755)
    with pytest.raises(BadMessage):
        list(ItemReader().read(Batch(b"\x01\x00\x01n\x01" + directory, [b""])))


def test_an_item_has_these_bytes() -> None:
    writer_entry = Entry(b"b", 0o100644, 1000, 1000, 1, 5, bytes(range(32)))
    batch = written([("entry", b"a/b", writer_entry, Content.LITERAL), ("block", b"hello"), ("end",)])[0]
    assert bytes(batch.control).hex() == ("010003612f620120a48302e807e8070205" + bytes(range(32)).hex() + "02011403")
    assert [bytes(part) for part in batch.literals] == [b"hello"]


def test_literals_that_nobody_takes_are_refused() -> None:
    with pytest.raises(BadMessage):
        list(ItemReader().read(Batch(b"\x03", [b"left"])))


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_control_bytes_end_in_our_errors(data: bytes) -> None:
    refused(lambda: taken([Batch(data, [b"x" * 40])]), may_pass=True)
    refused(lambda: list(ListingReader().read(data)), may_pass=True)
    refused(lambda: decode_batch(memoryview(data)), may_pass=True)
    refused(lambda: unpack(data, b"x" * 40, SOURCES), may_pass=True)


def test_a_batch_that_says_more_than_it_is_is_refused() -> None:
    bomb = compress(bytes(FRAME_MAX + 1))
    for sizes in ((0, 0, 1 << 30, len(bomb)), (0, 0, 100, len(bomb)), (1 << 31, 0, 1 << 31, len(bomb))):
        head = b"".join(size.to_bytes(4, "little") for size in sizes)
        with pytest.raises(PacketFSError):
            decode_batch(memoryview(head + bomb))


def test_a_frame_of_zstd_claims_no_window_beyond_its_content() -> None:
    """A header alone makes a decoder allocate the window that it names, here 128 MiB for one byte."""
    claim = bytes.fromhex("28b52ffd008809000078")
    with pytest.raises(BadPacket):
        decompress(claim, 1000)
    for size in (0, 1, 1000, 1 << 20):
        data = random.Random(size).randbytes(size)
        assert decompress(compress(data, 12), size) == data
        with pytest.raises(PacketFSError):
            decompress(compress(data + b"x", 12), size)


# the listing


def listed(records: list[bytes]) -> list[tuple[bytes, Entry, list[Piece]]]:
    reader = ListingReader()
    return [(item.path, item.entry, list(item.pieces)) for block in records for item in reader.read(block)]


def test_a_listing_comes_back() -> None:
    records: list[bytes] = []
    writer = ListingWriter(records.append)
    pieces = [Piece(0, 100, b"12345678"), Piece(150, EXTENT_MAX, b"abcdefgh")]
    entry = Entry(b"b", 0o100644, size=EXTENT_MAX + 150, root=bytes(32))
    writer.add(b"a/b", entry, pieces)
    writer.add(b"a/c", Entry(b"c", 0o40755), ())
    writer.flush()
    assert listed(records) == [(b"a/b", entry, pieces), (b"a/c", Entry(b"c", 0o40755), [])]
    found: Listed = next(ListingReader().read(records[0]))
    assert len(found.pieces) == 2
    assert list(found.pieces) == list(found.pieces)
    for part in truncations(records[0]):
        refused(partial(listed, [part]), may_pass=not part or len(part) >= len(records[0]) - 20)


@pytest.mark.parametrize(
    ("pieces", "mode"),
    [
        ([Piece(0, 0, bytes(8))], 0o100644),
        ([Piece(0, EXTENT_MAX + 1, bytes(8))], 0o100644),
        ([Piece(2**40, 100, bytes(8))], 0o100644),
        ([Piece(0, 100, bytes(8))], 0o40755),
    ],
)
def test_pieces_that_no_file_has_are_refused(pieces: list[Piece], mode: int) -> None:
    records: list[bytes] = []
    writer = ListingWriter(records.append)
    writer.add(b"n", Entry(b"n", mode, size=2**33), pieces)
    writer.flush()
    with pytest.raises(BadMessage):
        listed(records)


def test_a_count_of_pieces_that_cannot_follow_is_refused_before_memory_is_spent() -> None:
    record = bytearray(b"\x00\x01n" + entry_bytes())
    write_varint(record, 1 << 40)
    with pytest.raises(BadMessage):
        listed([bytes(record)])


def test_bits_beyond_the_end_are_not_set() -> None:
    bits = Bits()
    for number in range(20):
        bits.append(number % 3 == 0)
    again = Bits(bytes(bits.data))
    assert [again[number] for number in range(20)] == [number % 3 == 0 for number in range(20)]
    assert not again[10**9]
    assert not Bits()[0]


# messages

_FIELDS: dict[str, st.SearchStrategy[object]] = {
    "int": U64,
    "bytes": st.binary(max_size=40),
    "Digest": DIGESTS,
    "tuple[Digest, ...]": st.lists(DIGESTS, max_size=3).map(tuple),
    "tuple[Drift, ...]": st.lists(st.tuples(PATHS, U64, S64), max_size=3).map(tuple),
    "tuple[Failure, ...]": st.lists(st.tuples(PATHS, st.binary(max_size=9)), max_size=3).map(tuple),
    "tuple[Pair, ...]": st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=3).map(tuple),
    "tuple[bytes, ...]": st.lists(PATHS, max_size=3).map(tuple),
    "tuple[int, ...]": st.lists(U64, max_size=8).map(tuple),
}


def _messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    return st.builds(kind, *(_FIELDS[str(field.type)] for field in fields(kind)))


MESSAGE = st.one_of(*(_messages(kind) for kind in MESSAGES.values()))


@given(MESSAGE)
def test_messages_come_back_and_no_part_of_one_is_one(message: Message) -> None:
    payload = encode_message(message)
    assert decode_message(message.TYPE, payload) == message
    with pytest.raises(PacketFSError):
        decode_message(message.TYPE, payload + b"\x00")
    for part in truncations(payload):
        with pytest.raises(PacketFSError):
            decode_message(message.TYPE, part)


@settings(max_examples=300)
@given(st.integers(0, 255), st.binary(max_size=200))
def test_random_payloads_end_in_our_errors(kind: int, payload: bytes) -> None:
    refused(lambda: decode_message(kind, payload), may_pass=True)


def test_messages_have_these_bytes() -> None:
    ones, twos = Digest(b"\x01" * 32), Digest(b"\x02" * 32)
    drift: tuple[Drift, ...] = ((b"p", 5, -1),)
    golden: dict[Message, str] = {
        Hello(b"PacketFS", 1, 9, b"", b"/x", b"", 65536, 0): "085061636b65744653010900022f780080800400",
        State(0, (ones,), drift): "0001" + "01" * 32 + "01017005" + "ff" * 9 + "01",
        Begin(1, ones, twos, 3, 300): "01" + "01" * 32 + "02" * 32 + "03ac02",
        ListedMessage(7): "07",
        Want(b"\x05", b"", 1): "01050001",
        Commit(ones): "01" * 32 + "00",
        Commit(ones, ((b"a", b"gone"),)): "01" * 32 + "01016104676f6e65",
        Done(ones, ((b"a", b""),), (b"b",), b"s"): "01" * 32 + "010161000101620173",
        Failed(20, b"no", b""): "14026e6f00",
        Run(b"PacketFS", 1, b"P", b"line", b"", b"", (b"/f",), (0, 1, 300)): (
            "085061636b6574465301" + "0150" + "046c696e65" + "0000" + "01022f66" + "030001ac02"
        ),
        Output(b"out"): "036f7574",
        Told(b"f", 1, b"t"): "0166010174",
        Faulted(1, 2, b"f", 300, 4, 1, 7, 0, b"exit"): "01020166ac0204010700" + "0465786974",
        Mapped(0, ((b"k", b"v"),)): "0001016b0176",
        Ran(1, 2, 3, 4, 5, 6, 7, b"native", (1, 2), (300,), 9, (b"w",), (8,), b"y"): (
            "01020304050607066e6174697665020102" + "01ac02" + "09" + "010177" + "0108" + "0179"
        ),
    }
    for message, written_bytes in golden.items():
        assert encode_message(message).hex() == written_bytes
        assert decode_message(message.TYPE, bytes.fromhex(written_bytes)) == message


@pytest.mark.parametrize(
    ("kind", "before", "item"),
    [
        (Type.STATE, b"\x00\x00", b"\x00\x00\x00"),
        (Type.STATE, b"\x00", bytes(32)),
        (Type.DONE, bytes(32), b"\x00\x00"),
        (Type.MAPPED, b"\x00", b"\x00\x00"),
        (Type.RAN, bytes(8), b"\x00"),
    ],
)
def test_lists_without_end_are_refused(kind: Type, before: bytes, item: bytes) -> None:
    """A frame of 16 MiB would become a gigabyte of objects."""
    out = bytearray(before)
    write_varint(out, 5_000_000 if len(item) < 32 else 100_000)
    out += item * (5_000_000 if len(item) < 32 else 100_000)
    with pytest.raises(BadMessage):
        decode_message(kind, bytes(out))


# the channel


@pytest.fixture
def pipe() -> Iterator[tuple[FrameChannel, int]]:
    """A channel that reads what a test writes to a descriptor."""
    reading, writing = os.pipe()
    channel = FrameChannel(PipeStream(reading, writing), "the peer")
    yield channel, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_frames_come_back_and_a_cut_one_is_a_lost_connection(pipe: tuple[FrameChannel, int]) -> None:
    channel, writing = pipe
    for message in (Commit(Digest(b"\x07" * 32)), Want(bytes(100_000), b"", 3)):
        channel.send(message)
        assert channel.receive() == message
    channel.send_batch(Batch(b"\x03" * 500, [b"abc" * 1000, b"x"]))
    batch = channel.receive()
    assert isinstance(batch, Batch)
    assert bytes(batch.control) == b"\x03" * 500
    os.write(writing, FRAME.pack(100, Type.WANT, 0) + bytes(99))
    os.close(writing)
    with pytest.raises(Disconnected):
        channel.receive()


@pytest.mark.parametrize(
    "frame",
    [
        FRAME.pack(FRAME_MAX + 1, Type.WANT, 0),
        FRAME.pack(0xFFFFFFFF, Type.BATCH, 0),
        FRAME.pack(1, Type.WANT, 2) + b"\0",
        FRAME.pack(0, Type.WANT, 0),
        FRAME.pack(0, Type.BATCH, 0),
        FRAME.pack(0, Type.BATCH, 1),
        FRAME.pack(3, Type.WANT, 1) + b"\0\0\0",
        FRAME.pack(4, Type.WANT, 1) + b"\xff\xff\xff\xff",
        FRAME.pack(4, Type.LISTED, 1) + b"\0\0\0\0",
        FRAME.pack(0, 0, 0),
        FRAME.pack(0, 255, 0),
    ],
)
def test_frames_that_cannot_be_are_refused(pipe: tuple[FrameChannel, int], frame: bytes) -> None:
    channel, writing = pipe
    os.write(writing, frame)
    with pytest.raises((BadMessage, BadPacket)):
        channel.receive()


def test_a_bomb_is_refused_before_it_goes_off(pipe: tuple[FrameChannel, int]) -> None:
    channel, writing = pipe
    bomb = compress(bytes(64 << 20))
    for size in (10, FRAME_MAX):
        payload = size.to_bytes(4, "little") + bomb
        os.write(writing, FRAME.pack(len(payload), Type.LISTING, 1) + payload)
        with pytest.raises(PacketFSError):
            channel.receive()


def test_the_far_sides_words_are_shown_escaped_and_its_failure_is_no_success(pipe: tuple[FrameChannel, int]) -> None:
    channel, _ = pipe
    for code, expected in ((3, 3), (0, 20), (256, 20), (2**63, 20)):
        channel.send(Failed(code, b"bad \x1b[2J", b"hint \x1b]0;x\x07 \xff"))
        with pytest.raises(FarSideFailed) as caught:
            channel.receive()
        assert caught.value.exit_code == expected
        assert caught.value.message.isprintable()
        assert caught.value.hint.isprintable()


def test_many_small_compressible_literals_are_compressed() -> None:
    """A sample of one or two parts would be a few bytes, and say nothing."""
    parts = [b"UPDATE account SET balance = %d;" % number for number in range(4000)]
    stored = encode_batch(Batch(b"", [b"\x07", *parts]))
    assert sum(len(part) for part in stored) < sum(len(part) for part in parts) / 3
    noise = [random.randbytes(65_536) for _ in range(8)]
    assert encode_batch(Batch(b"", noise))[2:] == noise, "and random chunks are not even copied"


def test_noise_is_tried_less_often_and_what_comes_behind_it_is_compressed_soon() -> None:
    """What is sent uncompressed for want of a trial is an eighth of the noise before it at most, and eight batches."""
    noise, text = [random.randbytes(65_536)], [b"UPDATE account SET balance = 1;" * 2000]
    for before in (0, 1, 7, 8, 30, 200):
        trial = Trial()
        for _ in range(before):
            assert encode_batch(Batch(b"", noise), trial)[2:] == noise
        sizes = [sum(map(len, encode_batch(Batch(b"", text), trial))) for _ in range(20)]
        tried = [size < len(text[0]) / 3 for size in sizes].index(True)
        assert tried <= min(before // 8, 8)
        assert max(sizes[tried:]) < len(text[0]) / 3, "each is tried, as long as it pays"


@pytest.mark.parametrize("kept", [300_000, 120_001, 0, -1])
def test_literals_out_of_a_file_are_the_same_frame(pipe: tuple[FrameChannel, int], tmp_path: Path, kept: int) -> None:
    """Also when the file has shrunk meanwhile, or cannot be spliced: the rest comes from memory."""
    channel, _ = pipe
    data = random.randbytes(200_000)
    (tmp_path / "file").write_bytes(bytes(100_000) + data)
    descriptor = os.open(tmp_path / "file" if kept >= 0 else tmp_path, os.O_RDONLY)
    if kept >= 0:
        os.truncate(tmp_path / "file", kept)
    parts: list[Buffer] = [data[:70_000], memoryview(data)[70_000:70_007], data[70_007:]]
    channel.send_batch(Batch(b"\x03" * 500, parts, Origin(descriptor, 100_000)))
    os.close(descriptor)
    batch = channel.receive()
    assert isinstance(batch, Batch)
    assert bytes(batch.literals[0]) == data
    assert channel.sent == channel.received
