"""Directory programs: their nodes, names and entries, without decoding more than a question needs."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator

from packetfs.errors import BadProgram
from packetfs.fs.nodes import NodeWriter
from packetfs.limits import TREE_DEPTH_MAX
from packetfs.packet.codec import decode
from packetfs.packet.digest import Digest, short
from packetfs.packet.entry import Entry, decode_entry, encode_entry
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import HEADER, PACKET, Op
from packetfs.packet.tree import Store, name_key, split
from packetfs.typing import Final

_NAME_LENGTH: Final = struct.Struct("<H")
_NAME_LENGTH_AT: Final = 60
_LEVEL_AT: Final = HEADER + 32
_ENTRY_OP: Final = bytes([Op.ENTRY])


class DirectoryWriter(NodeWriter):
    """A writer of entries."""

    __slots__ = ()

    @property
    def length(self) -> int:
        """How many entries it has been given."""
        return self._length

    def add_entry(self, entry: Entry) -> None:
        """Append an entry."""
        self.add(encode_entry(entry), 1, name_key(entry.name))

    def add_leaf(self, leaf: bytes) -> None:
        """Append an entry, encoded."""
        self.add(leaf, 1, name_key(name_of(leaf)))


def single_tree(store: Store, entry: Entry, mean: int) -> Digest:
    """Return the root of a directory that holds just this entry."""
    writer = DirectoryWriter(store, Kind.DIRECTORY, mean)
    writer.add_entry(entry)
    return writer.close()


def top_of(store: Store, root: Digest) -> bytes:
    """Return the packets behind the HEAD of a directory's program."""
    program = store.read(root)
    if Head.parse(decode(program)).kind is not Kind.DIRECTORY:
        raise BadProgram(root=short(root), reason="it is not a directory")
    return program[PACKET:]


def split_node(node: bytes) -> list[bytes]:
    """Return the leaves or TREE packets of a node. Unlike `split` it looks at ops alone, in a fifth of the time.

    Whether the tail of an entry is as long as it says is checked where the entry is decoded.
    """
    if len(node) % PACKET:
        raise BadProgram(root="of a node", reason=f"{len(node)} bytes are not whole packets")
    ops = node[::PACKET]
    if _ENTRY_OP not in ops:
        return [node[at : at + PACKET] for at in range(0, len(node), PACKET)]
    parts = []
    at = 0
    while at < len(ops):
        end = ops.find(_ENTRY_OP, at + 1)
        if end < 0:
            end = len(ops)
        parts.append(node[at * PACKET : end * PACKET])
        at = end
    return parts


def trim_equal(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """Return two nodes of entries without those at both ends that are equal, but for one of them at the rear.

    That one keeps a walk in lockstep from entering the next node of the side that has nothing else left.
    """
    front = _common(old, new, from_end=False)
    front = max(old[::PACKET].rfind(_ENTRY_OP, 0, front + 1), 0) * PACKET
    old, new = old[front:], new[front:]
    rear = _common(old, new, from_end=True)
    first = old[::PACKET].find(_ENTRY_OP, len(old) // PACKET - rear)
    second = -1 if first < 0 else old[::PACKET].find(_ENTRY_OP, first + 1)
    surplus = len(old) - second * PACKET if second > 0 else 0
    return old[: len(old) - surplus], new[: len(new) - surplus]


def _common(old: bytes, new: bytes, from_end: bool) -> int:
    """Return how many packets two nodes share at an end, by halving: comparing memory costs less than looking."""
    low, high = 0, min(len(old), len(new)) // PACKET
    while low < high:
        middle = (low + high + 1) // 2
        size = middle * PACKET
        same = old[-size:] == new[-size:] if from_end else old[:size] == new[:size]
        low, high = (middle, high) if same else (low, middle - 1)
    return low


def nodes_of(store: Store, root: Digest) -> list[bytes]:
    """Return the TREE packets of the nodes that hold leaves; none where the root itself holds them."""
    found: list[bytes] = []
    stack = [top_of(store, root)]
    while stack:
        parts = split_node(stack.pop())
        if parts and level_of(parts[0]) > 1:
            stack += [store.read(node_of(part)) for part in reversed(parts)]
        elif parts and level_of(parts[0]) == 1:
            found += parts
    return found


def node_of(packet: bytes) -> Digest:
    """Return the digest that a TREE packet holds."""
    return Digest(packet[HEADER : HEADER + 32])


def level_of(part: bytes) -> int:
    """Return the level of a TREE packet, 0 for a leaf."""
    if part[0] != Op.TREE:
        return 0
    level = part[_LEVEL_AT]
    if not 1 <= level <= TREE_DEPTH_MAX:
        raise BadProgram(root=short(node_of(part)), reason=f"a node of level {level}")
    return level


def name_of(leaf: bytes) -> bytes:
    """Return the name in an encoded entry; it opens the tail."""
    if leaf[0] != Op.ENTRY:
        raise BadProgram(root="of a directory", reason="it holds something else than entries")
    size = int(_NAME_LENGTH.unpack_from(leaf, _NAME_LENGTH_AT)[0])
    if size <= PACKET - HEADER:
        return leaf[PACKET + HEADER : PACKET + HEADER + size]
    return b"".join(leaf[at + HEADER : at + PACKET] for at in range(PACKET, len(leaf), PACKET))[:size]


def first_name(store: Store, part: bytes) -> bytes:
    """Return the first name in a leaf or below a TREE packet."""
    level = level_of(part)
    while level:
        inner = next(split(store.read(node_of(part))), b"")
        if not inner or level_of(inner) != level - 1:
            raise BadProgram(root=short(node_of(part)), reason="the levels of its tree do not fall by one")
        part, level = inner, level - 1
    return name_of(part)


def find_entry(store: Store, root: Digest, name: bytes) -> Entry | None:
    """Return one entry of a stored directory, reading the nodes on its path and a few beside them."""
    parts = split_node(top_of(store, root))
    level = TREE_DEPTH_MAX + 1
    while parts and (below := level_of(parts[0])):
        if below >= level:
            raise BadProgram(root=short(root), reason="the levels of its tree do not fall")
        level = below
        index = bisect_right(parts, name, key=lambda part: first_name(store, part)) - 1
        parts = split_node(store.read(node_of(parts[index]))) if index >= 0 else []
    return next((decode_entry(leaf) for leaf in parts if name_of(leaf) == name), None)


def entries_of(store: Store, root: Digest) -> Iterator[Entry]:
    """Yield the entries of a stored directory in order; unordered or repeated names are refused."""
    before = b""
    stack = [split(top_of(store, root))]
    levels = [TREE_DEPTH_MAX + 1]
    while stack:
        part = next(stack[-1], None)
        if part is None:
            stack.pop()
            levels.pop()
        elif level := level_of(part):
            if level >= levels[-1]:
                raise BadProgram(root=short(root), reason="the levels of its tree do not fall")
            stack.append(split(store.read(node_of(part))))
            levels.append(level)
        else:
            entry = decode_entry(part)
            if entry.name <= before:
                raise BadProgram(root=short(root), reason="its names are not in order")
            before = entry.name
            yield entry
