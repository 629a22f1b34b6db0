"""Programs of any size: they read back, equal content has one root, a change moves few nodes, damage is named."""

from __future__ import annotations

import random
from itertools import accumulate
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import BadPacket, BadProgram
from packetfs.limits import NODE_LEAVES_MAX
from packetfs.packet import tree
from packetfs.packet.codec import Packet, encode
from packetfs.packet.digest import Digest
from packetfs.packet.execute import execute, read_program
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import Op
from packetfs.packet.tree import TreeWriter, leaves, read_head, tree_packet
from tests.packet.store import MemoryStore

Part = tuple[bytes, int]


def write(store: MemoryStore, parts: list[Part]) -> Digest:
    """Return the root of a file made of (data, run length or 0)."""
    writer = TreeWriter(store, Kind.FILE, 4096)
    for data, run in parts:
        if run:
            writer.add(fill_leaf(data[0], run), run)
        elif len(data) <= 48:
            writer.add(data_leaf(data), len(data))
        else:
            digest = store.put(data)
            writer.add(copy_leaf(digest, len(data)), len(data), digest)
    return writer.close()


def content(parts: list[Part]) -> bytes:
    return b"".join(data[:1] * run if run else data for data, run in parts)


def random_parts(seed: int, count: int) -> list[Part]:
    rng = random.Random(seed)
    return [(rng.randbytes(rng.randint(1, 90)), rng.choice((0, 0, 0, 5000))) for _ in range(count)]


PARTS = st.lists(st.tuples(st.binary(min_size=1, max_size=80), st.sampled_from([0, 0, 0, 1, 300])), max_size=40)


@given(PARTS, st.integers(0, 4000), st.integers(0, 4000))
@settings(max_examples=200)
def test_a_program_produces_its_content_and_every_range_of_it(parts: list[Part], offset: int, length: int) -> None:
    store = MemoryStore()
    root = write(store, parts)
    whole = content(parts)
    assert read_program(store, root) == whole
    assert read_program(store, root, offset, length) == whole[offset : offset + length]
    assert read_head(store, root).length == len(whole)


def test_a_large_program_is_a_tree_that_reads_back() -> None:
    store = MemoryStore()
    parts = random_parts(1, 20_000)
    root = write(store, parts)
    whole = content(parts)
    assert store.payloads[root][64] == Op.TREE
    assert read_program(store, root) == whole
    store.reads = 0
    assert read_program(store, root, 1_000_000, 10) == whole[1_000_000:1_000_010]
    assert store.reads <= 4, "a range reads only the nodes on its path"


def test_an_insert_changes_few_nodes() -> None:
    store = MemoryStore()
    parts = random_parts(2, 20_000)
    write(store, parts)
    before = set(store.payloads)
    write(store, [*parts[:7000], (b"x" * 60, 0), *parts[7000:]])
    assert len(set(store.payloads) - before) <= 8


def test_leaves_without_a_key_are_cut_after_the_limit() -> None:
    store = MemoryStore()
    root = write(store, [(b"ab", 0)] * (3 * NODE_LEAVES_MAX))
    assert read_program(store, root) == b"ab" * (3 * NODE_LEAVES_MAX)
    assert len(store.payloads[root]) == 64 * 4


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 99)), max_size=60),
    st.lists(st.integers(1, 9), min_size=60, max_size=60),
    st.sampled_from((2, 5, NODE_LEAVES_MAX)),
)
def test_extents_that_are_added_together_make_the_tree_of_each_alone(
    drawn: list[tuple[bool, int]], groups: list[int], most: int
) -> None:
    """A drawn one ends a node or does not; between groups of extents stands other data now and then."""
    alone, together = MemoryStore(), MemoryStore()
    digests = [Digest(bytes([0 if ends else 1, at]) + bytes(30)) for at, (ends, _) in enumerate(drawn)]
    parts = [(copy_leaf(digest, size), size, digest) for digest, (_, size) in zip(digests, drawn, strict=True)]
    with patch.object(tree, "NODE_LEAVES_MAX", most):
        one, other = TreeWriter(alone, Kind.FILE, 4096), TreeWriter(together, Kind.FILE, 4096)
        at = 0
        for count in groups:
            some = parts[at : at + count]
            at += count
            for leaf, size, digest in some:
                one.add(leaf, size, digest)
            starts = list(accumulate((size for _, size, _ in some), initial=7))
            if some:
                other.add_extents(b"".join(leaf for leaf, _, _ in some), starts)
            if count > 7:
                one.add(data_leaf(b"ab"), 2)
                other.add(data_leaf(b"ab"), 2)
        assert one.close() == other.close()
    assert alone.payloads == together.payloads


def test_a_run_of_2_to_the_60_costs_no_memory() -> None:
    store = MemoryStore()
    root = write(store, [(b"\0", 1 << 60)])
    assert read_program(store, root, 1 << 59, 100) == bytes(100)
    assert sum(1 for _ in leaves(store, root)) == 1
    assert len(next(iter(execute(store, root)))) <= 1 << 20


def forged(store: MemoryStore, *packets: bytes, length: int) -> Digest:
    return store.put(encode(Head(Kind.FILE, length, 4096).packet()) + b"".join(packets))


def test_a_program_that_lies_about_its_length_is_refused() -> None:
    store = MemoryStore()
    with pytest.raises(BadProgram, match="produces 3 instead of 4"):
        read_program(store, forged(store, data_leaf(b"abc"), length=4))


def test_a_node_that_lies_about_its_length_is_refused() -> None:
    store = MemoryStore()
    node = store.put(data_leaf(b"abc"))
    with pytest.raises(BadProgram, match="a node produces 3 instead of 9"):
        read_program(store, forged(store, tree_packet(node, 9, 1), length=9))


def test_levels_must_fall_by_one() -> None:
    store = MemoryStore()
    node = store.put(data_leaf(b"abc"))
    middle = store.put(tree_packet(node, 3, 1))
    for level in (1, 3, 13):
        with pytest.raises(BadProgram):
            read_program(store, forged(store, tree_packet(middle, 3, level), length=3))
    assert read_program(store, forged(store, tree_packet(middle, 3, 2), length=3)) == b"abc"


def test_what_is_no_program_is_refused() -> None:
    store = MemoryStore()
    with pytest.raises(BadPacket):
        read_program(store, store.put(data_leaf(b"abc")))
    later = encode(Packet(Op.ON))
    with pytest.raises(BadProgram, match="ON does not belong"):
        read_program(store, forged(store, later, data_leaf(b"abc"), length=3))
