"""Packets as they travel: runs merged, numbers as varints, digests left out where both sides know them.

A delta is a program: COPY from the base (a program that the receiver holds), DATA, FILL. Packed, it is two streams:
instructions, and the literal bytes beside them. An instruction begins with `length << 2 | kind`:

    0 LITERAL  the next `length` bytes of the literal stream
    1 COPY     from the base; a zigzag varint follows: source offset minus the expected one, which is where the
               last COPY from the base ended plus what was produced since (so an edit in place costs 1 byte)
    2 FILL     one byte follows: the run's
    3 SOURCE   from another program; its number and the offset follow as varints. Number 0 stands for the receiver's
               stale content; its offset is relative as a COPY's, to where the last copy from there ended

`unpack` returns the 64-byte packets that a packed delta stands for, `pack` turns them back.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence

from packetfs.dataclass import dataclass
from packetfs.errors import BadMessage
from packetfs.limits import COPIED_MAX, ENTRY_TAIL_MAX, RUNS_MAX
from packetfs.net.wire.varint import Cursor, write_bytes, write_varint, zigzag
from packetfs.packet.codec import Packet, iterate
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.entry import Entry, tail_size
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.layout import BODY, Buffer, CopyFlag, EntryFlag, Op
from packetfs.typing import Final, NamedTuple

LITERAL: Final = 0
COPY: Final = 1
FILL: Final = 2
SOURCE: Final = 3

STALE: Final = -1
"""The source of instructions that copy from the receiver's stale content (signatures.py)."""

LENGTH_MAX: Final = (1 << 32) - 1
"""Bytes that one COPY packet produces at the most (its length is 32 bits)."""


class Instruction(NamedTuple):
    """One instruction. `offset` is absolute in its source; `source` 0 is the base, or STALE; `byte` is a FILL's."""

    kind: int
    length: int
    offset: int = 0
    source: int = 0
    byte: int = 0


@dataclass(slots=True)
class Expected:
    """Where the next copy costs least, in the base and in the stale content: behind the last and what came since."""

    base: int = 0
    stale: int = 0

    def pass_over(self, item: Instruction) -> None:
        """Go behind an instruction."""
        if item.kind == COPY:
            self.base = item.offset + item.length
            return
        self.base += item.length
        if item.source == STALE:
            self.stale = item.offset + item.length
        elif item.kind != SOURCE:
            self.stale += item.length


class Packer:
    """Collects instructions and their literals; neighbours that continue each other are merged.

    `expected` is where the next COPY from the base costs least; it runs on over blocks of the same file.
    """

    __slots__ = ("_block", "_held", "_merging", "_origin", "expected", "literal_bytes", "literals")

    def __init__(self, *, merging: bool = True) -> None:
        """Without `merging` each instruction stays as it came: one for each leaf of a program."""
        self._merging = merging
        self._block = bytearray()
        self._held: Instruction | None = None
        self._origin = Expected()  # what the reader expects after what is in the block
        self.expected = 0
        self.literals: list[Buffer] = []
        self.literal_bytes = 0

    def literal(self, data: Buffer) -> None:
        """Produce `data`, which travels; the buffer is kept until the block is taken."""
        size = len(data)
        self.literals.append(data)
        self.literal_bytes += size
        self.expected += size
        if self._merging:
            self._append(Instruction(LITERAL, size))
            return
        self._release()
        write_varint(self._block, size << 2 | LITERAL)
        self._origin.base += size
        self._origin.stale += size

    def literals_each(self, data: Sequence[Buffer]) -> None:
        """Produce some buffers, each as `literal` does."""
        if self._merging:
            for one in data:
                self.literal(one)
            return
        self._release()
        self.literals += data
        for size in map(len, data):
            write_varint(self._block, size << 2 | LITERAL)
        size = sum(map(len, data))
        self.literal_bytes += size
        self.expected += size
        self._origin.base += size
        self._origin.stale += size

    def copy(self, offset: int, length: int) -> None:
        """Produce `length` bytes of the base from `offset` on."""
        self.expected = offset + length
        self._append(Instruction(COPY, length, offset))

    def copy_from(self, source: int, offset: int, length: int) -> None:
        """Produce bytes of another program, by its number."""
        self.expected += length
        self._append(Instruction(SOURCE, length, offset, source))

    def copy_stale(self, offset: int, length: int) -> None:
        """Produce bytes of the receiver's stale content."""
        self.copy_from(STALE, offset, length)

    def fill(self, byte: int, length: int) -> None:
        """Produce a run."""
        self.expected += length
        self._append(Instruction(FILL, length, byte=byte))

    def splice(self, instructions: bytes, literals: bytes, expected: int) -> None:
        """Append what the match kernel packed from `self.expected` on; it ended at `expected`."""
        self._release()
        self._block += instructions
        if literals:
            self.literals.append(literals)
            self.literal_bytes += len(literals)
        self._origin.base = self.expected = expected

    @property
    def size(self) -> int:
        """Bytes of the instructions so far."""
        return len(self._block)

    def take(self) -> tuple[bytes, list[Buffer]]:
        """Return the block so far, and begin the next one of the same file."""
        self._release()
        block, literals = bytes(self._block), self.literals
        self._block = bytearray()
        self.literals, self.literal_bytes = [], 0
        return block, literals

    def _append(self, item: Instruction) -> None:
        held = self._held
        if held is not None and self._merging:
            merged = _merge(held, item)
            if merged is not None:
                self._held = merged
                return
        self._release()
        self._held = item

    def _release(self) -> None:
        item, self._held = self._held, None
        if item is not None:
            write_instruction(self._block, item, self._origin)


def _merge(a: Instruction, b: Instruction) -> Instruction | None:
    """Return the one instruction that does what `a` and then `b` do, if there is one."""
    if a.kind != b.kind or a.source != b.source or a.byte != b.byte:
        return None
    if a.kind in (COPY, SOURCE) and a.offset + a.length != b.offset:
        return None
    return Instruction(a.kind, a.length + b.length, a.offset, a.source, a.byte)


def write_instruction(out: bytearray, item: Instruction, expected: Expected) -> None:
    """Append one instruction, and let `expected` pass over it."""
    write_varint(out, item.length << 2 | item.kind)
    if item.kind == COPY:
        write_varint(out, zigzag(item.offset - expected.base))
    elif item.kind == FILL:
        out.append(item.byte)
    elif item.source == STALE:
        out.append(0)
        write_varint(out, zigzag(item.offset - expected.stale))
    elif item.kind == SOURCE:
        write_varint(out, item.source)
        write_varint(out, item.offset)
    expected.pass_over(item)


def read_instructions(block: Buffer, expected: Expected) -> Iterator[Instruction]:
    """Yield the instructions of a block, `expected` passing over each; BadMessage when it is not one."""
    cursor = Cursor(block)
    while not cursor.done:
        head = cursor.varint()
        item = _read_instruction(cursor, head & 3, head >> 2, expected)
        if not item.length:
            raise BadMessage(reason="an instruction that produces nothing")
        if item.offset < 0:
            raise BadMessage(reason="a copy from before the beginning")
        expected.pass_over(item)
        yield item


def _read_instruction(cursor: Cursor, kind: int, length: int, expected: Expected) -> Instruction:
    if kind == COPY:
        return Instruction(COPY, length, expected.base + cursor.signed())
    if kind == FILL:
        return Instruction(FILL, length, byte=cursor.byte())
    if kind == LITERAL:
        return Instruction(LITERAL, length)
    source = cursor.varint()
    if not source:
        return Instruction(SOURCE, length, expected.stale + cursor.signed(), STALE)
    return Instruction(SOURCE, length, cursor.varint(), source)


def unpack(block: Buffer, literals: Buffer, sources: Sequence[Digest]) -> bytes:
    """Return the packets that a packed delta stands for; `sources[0]` is the root of the base."""
    out = []
    cursor = Cursor(literals)
    for item in read_instructions(block, Expected()):
        if item.kind == LITERAL:
            data = cursor.take(item.length)
            out += [data_leaf(data[i : i + BODY]) for i in range(0, len(data), BODY)]
        elif item.kind == FILL:
            out.append(fill_leaf(item.byte, item.length))
        elif not 0 <= item.source < len(sources) or item.offset + item.length > COPIED_MAX or item.length > RUNS_MAX:
            raise BadMessage(reason=f"a copy of {item.length} bytes from {item.offset} of source {item.source}")
        else:
            out += _copies(sources[item.source], item.offset, item.length)
    cursor.finish()
    return b"".join(out)


def _copies(root: Digest, offset: int, length: int) -> Iterator[bytes]:
    while length:
        part = min(length, LENGTH_MAX)
        yield copy_leaf(root, part, offset, CopyFlag.PROGRAM)
        offset, length = offset + part, length - part


def pack(packets: bytes, sources: Sequence[Digest]) -> tuple[bytes, bytes]:
    """Return the packed form of a delta's packets: (instructions, literals)."""
    packer = Packer()
    for packet in iterate(packets):
        _pack_one(packer, packet, sources)
    block, literals = packer.take()
    return block, b"".join(literals)


def _pack_one(packer: Packer, packet: Packet, sources: Sequence[Digest]) -> None:
    if packet.op is Op.DATA:
        packer.literal(packet.body[: packet.length])
    elif packet.op is Op.FILL and packet.length == 1:
        packer.fill(packet.body[0], packet.operand)
    elif packet.op is Op.COPY and packet.flags & CopyFlag.PROGRAM:
        root = Digest(packet.body[:DIGEST])
        if root not in sources:
            raise BadMessage(reason="a copy from a program that is no source")
        number = sources.index(root)
        if number:
            packer.copy_from(number, packet.operand, packet.length)
        else:
            packer.copy(packet.operand, packet.length)
    else:
        raise BadMessage(reason=f"{packet.op.name} cannot stand in a delta")


def pack_entry(out: bytearray, entry: Entry, *, whole: bool = False) -> None:
    """Append an entry without its name: what ENTRY and its tail hold, as varints, absent fields left out.

    `whole`: a directory stands for all that is below it, and has its root too.
    """
    flags = _entry_flags(entry, rooted=entry.is_file or whole)
    out.append(flags)
    for number in (entry.mode, entry.uid, entry.gid, zigzag(entry.mtime_ns), entry.size):
        write_varint(out, number)
    if flags & _ROOT:
        out += entry.root
    if flags & _GROUP:
        out += entry.group.to_bytes(8, "little")
    if flags & _RDEV:
        write_varint(out, entry.rdev)
    if flags & _TARGET:
        write_bytes(out, entry.target)
    if flags & _XATTRS:
        write_varint(out, len(entry.xattrs))
        for name, value in entry.xattrs:
            write_bytes(out, name)
            write_bytes(out, value)


_SPARSE, _GROUP, _RDEV, _TARGET, _XATTRS = (int(flag) for flag in EntryFlag)  # an IntFlag costs a microsecond a test
_ROOT: Final = 32
"""Flag of a packed entry: a root follows (files; a directory's root is known when its entries are, unless they are
known by it)."""


def _entry_flags(entry: Entry, *, rooted: bool) -> int:
    flags = _ROOT if rooted else 0
    if entry.sparse:
        flags |= _SPARSE
    if entry.group:
        flags |= _GROUP
    if entry.rdev:
        flags |= _RDEV
    if entry.target:
        flags |= _TARGET
    if entry.xattrs:
        flags |= _XATTRS
    return flags


def unpack_entry(cursor: Cursor, name: bytes, *, whole: bool = False) -> Entry:
    """Return the entry that `pack_entry` wrote; every length is checked. `whole`: a directory may have a root."""
    flags = cursor.byte()
    entry = Entry(
        name,
        cursor.varint(1 << 16),
        cursor.varint(1 << 32),
        cursor.varint(1 << 32),
        cursor.signed(),
        cursor.varint(),
        cursor.take(DIGEST) if flags & _ROOT else bytes(DIGEST),
        sparse=flags & _SPARSE != 0,
        group=int.from_bytes(cursor.take(8), "little") if flags & _GROUP else 0,
        rdev=cursor.varint() if flags & _RDEV else 0,
        target=cursor.bytes(ENTRY_TAIL_MAX) if flags & _TARGET else b"",
        xattrs=_unpack_xattrs(cursor) if flags & _XATTRS else (),
    )
    rooted = entry.is_file or (whole and entry.is_dir and flags & _ROOT != 0)
    if _entry_flags(entry, rooted=rooted) != flags or tail_size(entry) > ENTRY_TAIL_MAX:
        raise BadMessage(reason="an entry that is too large, or whose flags do not fit it")
    return entry


def read_entry(cursor: Cursor, name: bytes, *, whole: bool = False) -> Entry:
    """Return an entry that a peer sent, and refuse what no file can be: system calls would stop at it in odd ways."""
    entry = unpack_entry(cursor, name, whole=whole)
    if stat.S_IFMT(entry.mode) not in _KINDS or entry.size > COPIED_MAX:
        raise BadMessage(reason=f"an entry of mode {entry.mode:o} and size {entry.size}")
    if entry.is_link != bool(entry.target) or b"\0" in entry.target:
        raise BadMessage(reason="a symbolic link without a proper target, or a target without a link")
    names = [name for name, _ in entry.xattrs]
    if names and (not names[0] or any(b"\0" in name for name in names) or names != sorted(set(names))):
        raise BadMessage(reason="extended attributes without proper names, or out of order")
    return entry


_KINDS: Final = frozenset(
    (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
)


def _unpack_xattrs(cursor: Cursor) -> tuple[tuple[bytes, bytes], ...]:
    count = cursor.varint(1 << 16)
    return tuple((cursor.bytes(255), cursor.bytes(1 << 16)) for _ in range(count))
