"""A program of any size as a tree: leaves are cut into nodes by content, so that an insert shifts nothing.

A *leaf* is what a node never splits: one packet of a file's program, or an ENTRY with its tail. A node ends after a
leaf whose key is 0 modulo NODE_FANOUT (the key of a COPY or TREE is its digest, that of an ENTRY the digest of its
name: so a changed file moves no boundary), or when it has NODE_LEAVES_MAX leaves, or NODE_BYTES. Every level is cut by
the same rule; the first level that needs no cut, behind a HEAD, is the root program.
"""

from __future__ import annotations

from struct import Struct

from packetfs import errors
from packetfs.limits import NODE_BYTES, NODE_FANOUT, NODE_LEAVES_MAX, TREE_DEPTH_MAX
from packetfs.packet.codec import Packet, decode, encode
from packetfs.packet.digest import Digest, digest_of, short
from packetfs.packet.entry import leaf_size
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import HEADER, PACKET, Mark, Op
from packetfs.typing import Final, Iterator, Protocol, Sequence

NODE_MAX: Final = 64 * 1024 * 1024
"""Bytes of a node at the most: NODE_BYTES and one entry with the longest tail stay far below; more is damage."""

_BY_LENGTH: Final = bytes((Op.COPY, Op.DATA))
_BY_OPERAND: Final = bytes((Op.FILL, Op.TREE))
_MAY_END: Final = bytes(byte % NODE_FANOUT == 0 for byte in range(256))
"""Of the first byte of a key: whether a node ends there. NODE_FANOUT is a power of two, and at most 256."""
_LENGTHS: Final = Struct("<4xI56x")
_OPERANDS: Final = Struct("<8xQ48x")


class Store(Protocol):
    """Where payloads lie, by digest."""

    def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = 0) -> Digest:
        """Keep `payload` and return its digest."""

    def read(self, digest: Digest) -> bytes:
        """Return the payload, verified."""

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        """Return part of the payload, verified."""


class TreeWriter:
    """Build a canonical program from its leaves, in order, holding one open node a level."""

    __slots__ = ("_head_kind", "_length", "_levels", "_mean", "_store")

    def __init__(self, store: Store, kind: Kind, mean: int) -> None:
        self._store = store
        self._head_kind = kind
        self._mean = mean
        self._length = 0
        self._levels: list[_Level] = [_Level()]

    def add(self, leaf: bytes, size: int, key: bytes = b"") -> None:
        """Append a leaf that produces `size` bytes (or 1 entry); an empty `key` never ends a node."""
        self._length += size
        self._add(0, leaf, size, key)

    def add_extents(self, leaves: bytes, starts: Sequence[int]) -> None:
        """Append leaves that copy extents, one behind the other. `starts`: where what each produces begins, and where
        that of the last one ends."""
        self._length += starts[-1] - starts[0]
        ends = leaves[HEADER::PACKET].translate(_MAY_END)
        first, count = 0, len(ends)
        while first < count:
            level = self._levels[0]
            stop = min(ends.find(1, first) + 1 or count, first + level.room)
            level.take(leaves[first * PACKET : stop * PACKET], stop - first, starts[stop] - starts[first])
            if ends[stop - 1] or not level.room:
                self._flush(0)
            first = stop

    def _add(self, number: int, leaf: bytes, size: int, key: bytes) -> None:
        level = self._levels[number]
        level.take(leaf, 1, size)
        if not level.room or level.bytes >= NODE_BYTES or (key and is_boundary(key)):
            self._flush(number)

    def _flush(self, number: int) -> None:
        level = self._levels[number]
        if number + 1 == len(self._levels):
            self._levels.append(_Level())
        node = b"".join(level.leaves)
        digest = self._store.put(node, mark=Mark.PROGRAM)
        packet = tree_packet(digest, level.size, number + 1)
        self._levels[number] = _Level()
        self._add(number + 1, packet, level.size, digest)

    def close(self) -> Digest:
        """Store what is open and return the root."""
        number = 0
        while number + 1 < len(self._levels):
            if self._levels[number].leaves:
                self._flush(number)
            number += 1
        head = encode(Head(self._head_kind, self._length, self._mean).packet())
        return self._store.put(head + b"".join(self._levels[number].leaves), mark=Mark.PROGRAM)


class _Level:
    __slots__ = ("bytes", "leaves", "room", "size")

    def __init__(self) -> None:
        self.leaves: list[bytes] = []
        """One or several in each."""
        self.room = NODE_LEAVES_MAX
        """Leaves that there is room for."""
        self.size = 0
        self.bytes = 0

    def take(self, leaves: bytes, count: int, size: int) -> None:
        """Take so many leaves, which produce so much together."""
        self.leaves.append(leaves)
        self.room -= count
        self.size += size
        self.bytes += len(leaves)


def is_boundary(key: bytes) -> bool:
    """Tell whether a node ends after the leaf with this key (a digest)."""
    return key[0] % NODE_FANOUT == 0


def name_key(name: bytes) -> bytes:
    """Return the key of an ENTRY."""
    return digest_of(name)


def tree_packet(digest: Digest, length: int, level: int) -> bytes:
    """Return the TREE packet of a node that produces `length`."""
    return encode(Packet(Op.TREE, operand=length, body=digest + bytes([level]) + bytes(15)))


def read_head(store: Store, root: Digest) -> Head:
    """Return the HEAD of a stored program."""
    return Head.parse(decode(store.read(root)))


def leaves(store: Store, root: Digest, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield (output offset, leaf) for the leaves that produce any of [start, end); nodes outside are not read."""
    program = store.read(root)
    head = Head.parse(decode(program))
    stop = head.length if end is None else min(end, head.length)
    produced = 0
    for offset, size, leaf in _walk(store, root, program[PACKET:], 0, None, start, stop):
        if leaf:
            yield offset, leaf
        produced = offset + size
    if end is None and produced != head.length:
        raise errors.BadProgram(root=short(root), reason=f"it produces {produced} instead of {head.length}")


def _walk(
    store: Store, root: Digest, node: bytes, offset: int, level: int | None, start: int, stop: int
) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, size, leaf) in order; what lies outside [start, stop) comes with an empty leaf."""
    for leaf, size in zip(parts_of(node), sizes_of(node), strict=True):
        outside = offset + size <= start or offset >= stop
        if leaf[0] != Op.TREE:
            if level not in (None, 0):
                raise errors.BadProgram(root=short(root), reason="a leaf stands where a node belongs")
            yield offset, size, b"" if outside and size else leaf
        elif outside:
            yield offset, size, b""
        else:
            inner = _descend(root, decode(leaf), level)
            child = store.read(Digest(leaf[16:48]))
            begin = offset
            last = offset
            for at, length, below in _walk(store, root, child, begin, inner, start, stop):
                last = at + length
                yield at, length, below
            if last - begin != size:
                raise errors.BadProgram(root=short(root), reason=f"a node produces {last - begin} instead of {size}")
        offset += size


def _descend(root: Digest, packet: Packet, level: int | None) -> int:
    """Return the level inside a node; levels fall by one, so no chain of nodes is endless."""
    inner = packet.body[32] - 1
    if inner >= TREE_DEPTH_MAX or (level is not None and inner != level - 1):
        raise errors.BadProgram(root=short(root), reason="the levels of its tree do not fall by one")
    return inner


def split(node: bytes) -> Iterator[bytes]:
    """Yield the leaves (or TREE packets) of a node."""
    if len(node) % PACKET or len(node) > NODE_MAX:
        raise errors.BadProgram(root="of a node", reason=f"{len(node)} bytes are not whole packets")
    offset = 0
    while offset < len(node):
        end = offset + leaf_size(node, offset)
        yield node[offset:end]
        offset = end


def is_even(node: bytes) -> bool:
    """Tell whether each part of a node is one packet."""
    return not len(node) % PACKET and len(node) <= NODE_MAX and Op.ENTRY not in node[::PACKET]


def parts_of(node: bytes) -> list[bytes]:
    """Return the parts of a node: all at once, where each is one packet."""
    if not is_even(node):
        return list(split(node))
    return [node[at : at + PACKET] for at in range(0, len(node), PACKET)]


def sizes_of(node: bytes) -> list[int]:
    """Return how many bytes each part of a node makes."""
    if not is_even(node):
        return list(map(produces, split(node)))
    ops = node[::PACKET]
    if not ops.strip(_BY_LENGTH):
        return [length for (length,) in _LENGTHS.iter_unpack(node)]
    operands = [operand for (operand,) in _OPERANDS.iter_unpack(node)]
    if not ops.strip(_BY_OPERAND):
        return operands
    lengths = [length for (length,) in _LENGTHS.iter_unpack(node)]
    return [
        length if op in _BY_LENGTH else operand if op in _BY_OPERAND else 0
        for op, length, operand in zip(ops, lengths, operands, strict=True)
    ]


def produces(leaf: bytes) -> int:
    """Return how many bytes (of a directory: entries) a leaf produces."""
    op = leaf[0]
    if op in (Op.COPY, Op.DATA):
        return int.from_bytes(leaf[4:8], "little")
    if op in (Op.FILL, Op.TREE):
        return int.from_bytes(leaf[8:16], "little")
    return 1 if op == Op.ENTRY else 0
