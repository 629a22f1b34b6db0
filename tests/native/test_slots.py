"""The index: native and twin leave the same bytes and answer the same, also on damaged buffers."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.packet.digest import digest_of
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.slots import CANDIDATES, PROBES, SLOT, SlotIndexPython, slots_bytes

CORE: Any = native
KINDS: list[Any] = [SlotIndexPython, *([CORE.Index] if CORE is not None else [])]
ONE, OTHER = digest_of(b"one"), digest_of(b"other")
built = pytest.mark.skipif(native is None, reason="the native core is not built")
keys = st.sampled_from([bytes(8), b"\1" + bytes(7), b"\xff" * 8, b"\xff" * 7 + b"\x80", b"12345678"]) | st.binary(
    min_size=8, max_size=8
)
values = st.integers(0, 5) | st.integers(0, 2**64 - 2)
scripts = st.lists(st.tuples(st.sampled_from(["put", "put", "put", "get", "remove"]), keys, values), max_size=40)


@pytest.mark.parametrize("kind", KINDS)
def test_put_get_remove(kind: Any) -> None:
    index = kind(bytearray(slots_bytes(10)))
    assert index.put(b"digest one, longer than 8 bytes", 7)
    assert not index.put(b"digest one", 7)
    assert index.put(b"digest one", 9)
    assert index.get(b"digest one") == [7, 9]
    assert index.get(b"digest one", 1) == [9]
    assert index.get(b"another one") == []
    assert index.count == 2
    assert index.remove(b"digest one", 7)
    assert not index.remove(b"digest one", 7)
    assert index.get(b"digest one") == [9]
    assert index.count == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_removed_slot_is_used_again(kind: Any) -> None:
    index = kind(bytearray(2 * SLOT))
    for value in range(100):
        assert index.put(b"somewhat", value)
        assert index.remove(b"somewhat", value)
    assert index.put(b"somewhat", 2**64 - 2)
    assert index.get(b"somewhat") == [2**64 - 2]


@pytest.mark.parametrize("kind", KINDS)
def test_full(kind: Any) -> None:
    index = kind(bytearray(4 * SLOT))
    for value in range(4):
        index.put(b"somewhat", value)
    with pytest.raises(ValueError, match="full"):
        index.put(b"somewhat", 4)
    assert sorted(index.get(b"somewhat")) == [0, 1, 2, 3]
    assert index.count == 4


@pytest.mark.parametrize("kind", KINDS)
def test_many(kind: Any) -> None:
    rng = Random(1)
    index = kind(bytearray(slots_bytes(1000)))
    digests = [rng.randbytes(32) for _ in range(1000)]
    assert all(index.put(digest, value) for value, digest in enumerate(digests))
    assert not any(index.put(digest, value) for value, digest in enumerate(digests))
    assert index.count == 1000
    assert [index.get(digest) for digest in digests] == [[value] for value in range(1000)]
    assert index.get(b"absent!!") == []


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_are_paged(kind: Any) -> None:
    index = kind(bytearray(slots_bytes(200)))
    for value in range(150):
        index.put(b"somewhat", value)
    pages = [index.get(b"somewhat", start) for start in (0, CANDIDATES, 2 * CANDIDATES, 150)]
    assert [n for page in pages for n in page] == [*range(150)]
    assert [*map(len, pages)] == [64, 64, 22, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_buffers_end(kind: Any) -> None:
    size = (PROBES + 100) * SLOT
    for buffer in (
        bytearray(b"\xff" * size),
        bytearray(Random(2).randbytes(size)),
        bytearray(b"\0\0\1\0" * (size // 4)),
    ):
        index = kind(buffer)
        assert index.get(b"somewhat") == []
        assert not index.remove(b"somewhat", 5)
        assert 0 <= index.count <= index.capacity


@pytest.mark.parametrize("kind", KINDS)
def test_bad_arguments(kind: Any) -> None:
    for buffer in (bytearray(), bytearray(17)):
        with pytest.raises(ValueError, match="16 bytes"):
            kind(buffer)
    with pytest.raises((ValueError, TypeError, BufferError)):
        kind(bytes(64))
    index = kind(bytearray(64))
    calls: list[Callable[[], object]] = [
        lambda: index.put(b"short", 1),
        lambda: index.put(b"12345678", -1),
        lambda: index.put(b"12345678", 2**64 - 1),
        lambda: index.get(b"12345678", -1),
    ]
    for wrong in calls:
        with pytest.raises(ValueError, match=r"key|value|start"):
            wrong()
    index.close()
    with pytest.raises(ValueError, match=r".*"):
        index.get(b"12345678")


@pytest.mark.parametrize("kind", KINDS)
def test_mapped_and_shared(kind: Any) -> None:
    with mmap.mmap(-1, 4096) as mapping:
        writer, reader = kind(mapping), kind(memoryview(mapping))
        writer.put(b"somewhat", 3)
        assert reader.get(b"somewhat") == [3]
        writer.close()
        reader.close()


@built
@settings(max_examples=200)
@given(scripts, st.integers(1, 40), st.binary(max_size=200))
def test_both_agree(script: list[tuple[str, bytes, int]], slots: int, damage: bytes) -> None:
    """The same calls, from the same possibly damaged buffer, give the same answers and the same bytes."""
    start = (damage + bytes(slots * SLOT))[: slots * SLOT]
    buffers = bytearray(start), bytearray(start)
    indexes: tuple[Any, Any] = SlotIndexPython(buffers[0]), CORE.Index(buffers[1])
    for call in script:
        assert answer(indexes[0], call) == answer(indexes[1], call)
        assert buffers[0] == buffers[1]
    assert indexes[0].count == indexes[1].count


def answer(index: Any, call: tuple[str, bytes, int]) -> object:
    name, key, value = call
    try:
        return index.get(key, value % 3) if name == "get" else getattr(index, name)(key, value)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_extents_are_put_with_where_they_stand_as_often_as_is_asked_for(kind: Any) -> None:
    index = kind(bytearray(slots_bytes(10)))
    leaves = copy_leaf(ONE, 10) + fill_leaf(0, 1000) + copy_leaf(OTHER, 5) + data_leaf(b"abc") + copy_leaf(ONE, 10) * 3
    assert index.put_extents(leaves, 1 << 40, 2 << 40, 2) == 3
    assert index.get(ONE) == [1 << 40, (1 << 40) + 1018]
    assert index.get(OTHER) == [(1 << 40) + 1010]
    assert index.put_extents(leaves, 0, 11, 64) == 1
    assert index.get(ONE)[-1] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_extent_is_put_at_the_limit_or_behind(kind: Any) -> None:
    index = kind(bytearray(slots_bytes(10)))
    huge = fill_leaf(7, 2**64 - 1)
    assert index.put_extents(huge + copy_leaf(ONE, 10), 5, 2**64 - 2, 4) == 0
    assert index.put_extents(fill_leaf(7, 10) + copy_leaf(ONE, 10), 0, 10, 4) == 0
    assert index.put_extents(copy_leaf(ONE, 10), 10, 10, 4) == 0
    with pytest.raises(ValueError, match="whole packets"):
        index.put_extents(bytes(63), 0, 1, 1)
    with pytest.raises(ValueError, match="64 values"):
        index.put_extents(b"", 0, 1, 65)


@pytest.mark.parametrize("kind", KINDS)
def test_what_copies_an_extent_that_nothing_leads_to_is_found(kind: Any) -> None:
    index = kind(bytearray(slots_bytes(10)))
    index.put(ONE, 7)
    leaves = copy_leaf(ONE, 10) + fill_leaf(0, 5) + data_leaf(OTHER) + copy_leaf(OTHER, 5) + copy_leaf(ONE, 1) * 2
    assert index.lacking(leaves) == index.lacking(leaves, 3) == 3
    assert index.lacking(leaves, 4) == 6
    assert index.lacking(leaves, 60) == index.lacking(leaves, 6) == 6
    index.put(OTHER, 0)
    assert index.lacking(leaves) == 6
    index.remove(ONE, 7)
    assert index.lacking(leaves) == 0
    with pytest.raises(ValueError, match="whole packets"):
        index.lacking(bytes(63))
    with pytest.raises(ValueError, match="from 0"):
        index.lacking(b"", -1)


@pytest.mark.parametrize("kind", KINDS)
def test_extents_that_find_no_room_are_left_out(kind: Any) -> None:
    index = kind(bytearray(2 * SLOT))
    leaves = b"".join(copy_leaf(digest_of(bytes([n])), 1) for n in range(5))
    assert index.put_extents(leaves, 0, 100, 1) == 2
    assert index.count == 2
