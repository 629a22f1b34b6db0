"""The leaves of programs, by offset: what every reader of settled files goes through.

A program is a tree of nodes. The nodes used last are kept with the offsets of their parts, so that one small read among
many costs a search in a few lists and not a walk over the node: 40 us instead of 880 in a file of 256 MB (measured).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from packetfs.errors import BadProgram
from packetfs.limits import NODES_KEPT, TREE_DEPTH_MAX
from packetfs.packet.codec import decode
from packetfs.packet.digest import NO_DIGEST, Digest, short
from packetfs.packet.execute import run_leaf
from packetfs.packet.head import Head
from packetfs.packet.layout import HEADER, PACKET, Buffer, Op
from packetfs.packet.tree import Store, is_even, parts_of, produces, sizes_of
from packetfs.typing import TypeAlias

_LEVEL_AT = HEADER + 32
_TREE = int(Op.TREE)
_COPY = bytes([Op.COPY, 0])
_WHOLE_COPY = bytes(8)
"""The operand of a COPY that begins where its extent does."""
_EXTENTS = 2
"""Extents that are kept: a stretch often ends in one, and the next one begins there."""


class _Node:
    """Where each part's output begins (and, last, where the node's ends), the first byte of each part, and the parts:
    leaves or TREE packets, one behind the other in `packets`."""

    __slots__ = ("_parts", "ops", "packets", "starts")

    def __init__(self, packets: bytes) -> None:
        self.packets = packets
        self.starts = list(accumulate(sizes_of(packets), initial=0))
        self._parts = None if is_even(packets) else parts_of(packets)
        self.ops = packets[::PACKET] if self._parts is None else bytes(part[0] for part in self._parts)

    @property
    def parts(self) -> list[bytes]:
        """The parts; of a node that is only walked over nobody asks for them."""
        if self._parts is None:
            self._parts = parts_of(self.packets)
        return self._parts

    def between(self, first: int, end: int) -> bytes:
        """Return parts `first` to `end - 1`, one behind the other."""
        if len(self.packets) == PACKET * len(self.ops):
            return self.packets[PACKET * first : PACKET * end]
        return b"".join(self.parts[first:end])


Run: TypeAlias = tuple[int, list[int], list[bytes]]
"""(base, starts, leaves) of one node: leaf i makes the bytes from `base + starts[i]` to `base + starts[i + 1]`."""
Packed: TypeAlias = tuple[int, list[int], bytes]
"""The same, the leaves one behind the other."""

_Span: TypeAlias = tuple[int, _Node, int, int]
"""Where a node begins, the node, and which of its leaves: from the first number to before the second."""


class Leaves:
    """Finds the leaves of programs in one store. Several threads may ask."""

    def __init__(
        self,
        store: Store,
        read: Callable[[Digest, int], Buffer] | None = None,
        expect: Callable[[Iterable[tuple[Digest, int]]], None] | None = None,
    ) -> None:
        """`read` returns whole extents, of as many bytes as it is told, to `pieces`; if it is not given, the store
        does. `expect` is told before which of them are asked for next; then each is good until the next one."""
        self._store = store
        self._expect = expect
        self._read = read or (lambda digest, _: store.read(digest))
        self._nodes: dict[bytes, _Node] = {}
        self._last = NO_DIGEST, 0, _Node(b"")
        self._extents: tuple[tuple[Digest, memoryview], ...] = ()

    def size(self, root: Digest) -> int:
        """Return how many bytes a program makes."""
        return self._root(root).starts[-1]

    def between(self, root: Digest, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield (output offset, leaf) for what produces any of [start, stop)."""
        return self._walk(self._root(root), 0, TREE_DEPTH_MAX + 1, start, stop) if start < stop else iter(())

    def pieces(self, root: Digest, start: int, stop: int) -> Iterator[Buffer]:
        """Yield the bytes [start, stop) of what a program makes.

        Extents are read whole, and the last ones are kept: who asks for parts of one asks for what is beside them, and
        the calls that find an extent take longer than to read it.
        """
        for base, starts, leaves in self.runs(root, start, stop):
            if self._expect is not None:
                self._expect((_named(leaf), produces(leaf)) for leaf in leaves if _is_whole(leaf))
            for at, leaf in zip(starts, leaves, strict=False):
                skip, end = max(start - base - at, 0), stop - base - at
                data = self._extent(leaf) if _is_whole(leaf) else None
                if data is not None and len(data) == produces(leaf):
                    yield data[skip:end] if skip or end < len(data) else data
                else:
                    yield from run_leaf(self._store, leaf, skip, end)

    def _extent(self, leaf: bytes) -> memoryview:
        """Return the extent that a leaf names."""
        digest = _named(leaf)
        if self._expect is not None:
            return memoryview(self._read(digest, produces(leaf)))
        for known, data in self._extents:
            if known == digest:
                return data
        data = memoryview(self._read(digest, produces(leaf)))
        self._extents = *self._extents[1 - _EXTENTS :], (digest, data)
        return data

    def runs(self, root: Digest, start: int, stop: int) -> Iterator[Run]:
        """Yield the same, as many leaves at a time as lie side by side in one node."""
        for base, node, first, end in self._spans(root, start, stop):
            yield base, node.starts[first : end + 1], node.parts[first:end]

    def packed(self, root: Digest, start: int, stop: int) -> Iterator[Packed]:
        """Yield the same, without taking the leaves of a node apart."""
        for base, node, first, end in self._spans(root, start, stop):
            yield base, node.starts[first : end + 1], node.between(first, end)

    def nodes(self, root: Digest, start: int, stop: int) -> Iterator[Packed]:
        """Yield the TREE packets of the nodes whose leaves these are, which are not read; of a program without nodes
        the leaves."""
        for base, node, first, end in self._span(root, self._root(root), 0, TREE_DEPTH_MAX + 1, start, stop, floor=1):
            yield base, node.starts[first : end + 1], node.between(first, end)

    def _spans(self, root: Digest, start: int, stop: int) -> Iterator[_Span]:
        last, base, node = self._last
        if last == root and base <= start < stop <= base + node.starts[-1]:  # who goes on where he was finds it here
            first, end = bisect_right(node.starts, start - base) - 1, bisect_left(node.starts, stop - base)
            return iter(((base, node, first, end),))
        return self._span(root, self._root(root), 0, TREE_DEPTH_MAX + 1, start, stop) if start < stop else iter(())

    def _span(
        self, root: Digest, node: _Node, base: int, level: int, start: int, stop: int, *, floor: int = 0
    ) -> Iterator[_Span]:
        """`floor`: the level of nodes that are not descended into."""
        starts, ops = node.starts, node.ops
        index = max(bisect_right(starts, start - base) - 1, 0)
        end = min(bisect_left(starts, stop - base, index), len(ops))
        if index < end and ops[index] != _TREE:
            self._last = root, base, node
            yield base, node, index, end
            return
        if index < end and node.parts[index][_LEVEL_AT] == floor:
            yield base, node, index, end
            return
        for place in range(index, end):
            part, inner = node.parts[place], node.parts[place][_LEVEL_AT]
            if part[0] != _TREE or not 0 < inner < level:
                digest = Digest(part[HEADER:_LEVEL_AT])
                raise BadProgram(root=short(digest), reason="the levels of its tree do not fall")
            below = self._inner(part, starts[place + 1] - starts[place])
            yield from self._span(root, below, base + starts[place], inner, start, stop, floor=floor)

    def _walk(self, node: _Node, base: int, level: int, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        starts, parts = node.starts, node.parts
        index = max(bisect_right(starts, start - base) - 1, 0)
        while index < len(parts) and base + starts[index] < stop:
            part, at = parts[index], base + starts[index]
            if part[0] == _TREE:
                inner = part[_LEVEL_AT]
                if not 0 < inner < level:
                    digest = Digest(part[HEADER:_LEVEL_AT])
                    raise BadProgram(root=short(digest), reason="the levels of its tree do not fall")
                yield from self._walk(self._inner(part, starts[index + 1] - starts[index]), at, inner, start, stop)
            else:
                yield at, part
            index += 1

    def _inner(self, part: bytes, size: int) -> _Node:
        digest = Digest(part[HEADER:_LEVEL_AT])
        node = self._known(digest)
        if node is None:
            node = self._keep(digest, self._store.read(digest), size)
        if node.starts[-1] != size:
            raise BadProgram(root=short(digest), reason=f"a node produces {node.starts[-1]} instead of {size}")
        return node

    def _root(self, root: Digest) -> _Node:
        node = self._known(root)
        if node is None:
            program = self._store.read(root)
            node = self._keep(root, program[PACKET:], Head.parse(decode(program)).length)
        return node

    def _known(self, digest: Digest) -> _Node | None:
        node = self._nodes.pop(digest, None)
        if node is not None:
            self._nodes[digest] = node
        return node

    def _keep(self, digest: Digest, packets: bytes, size: int) -> _Node:
        node = _Node(packets)
        if node.starts[-1] != size:
            raise BadProgram(root=short(digest), reason=f"it produces {node.starts[-1]} instead of {size}")
        self._nodes[digest] = node
        while len(self._nodes) > NODES_KEPT:
            try:
                del self._nodes[next(iter(self._nodes))]
            except (KeyError, StopIteration, RuntimeError):  # another thread made room
                break
        return node


def _is_whole(leaf: bytes) -> bool:
    """Tell whether a leaf copies an extent from its beginning on."""
    return leaf.startswith(_WHOLE_COPY, 8) and leaf.startswith(_COPY)


def _named(leaf: bytes) -> Digest:
    return Digest(leaf[HEADER:_LEVEL_AT])
