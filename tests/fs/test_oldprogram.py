"""An old program shows its segments, alone and together, as a list of all would; old content is read once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.fs.nodes import lowest_nodes
from packetfs.fs.streams.oldcontent import OldContent
from packetfs.fs.streams.oldprogram import OldProgram, Segment, Stretch
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.fingerprint import FINGERPRINT
from packetfs.packet.head import Kind
from packetfs.packet.tree import TreeWriter
from packetfs.pool.lookup import Like
from packetfs.pool.pool import Pool
from tests.packet.store import MemoryStore

LONGEST = 90


def program(kinds: Sequence[str], known: int) -> tuple[MemoryStore, Digest, bytes, list[Segment]]:
    """Return a program of extents, of data in the leaf and of runs, the fingerprints of its first extents, and its
    segments."""
    store, segments, prints, at = MemoryStore(), list[Segment](), b"", 0
    writer = TreeWriter(store, Kind.FILE, 4096)
    for number, kind in enumerate(kinds):
        if kind == "extent":
            digest, size = digest_of(number.to_bytes(4, "big")), 50 + number % 50
            if len(prints) < known * FINGERPRINT:
                mine = number.to_bytes(FINGERPRINT, "little")
                prints += mine
            else:
                mine = b""
            leaf = copy_leaf(digest, size)
            segments.append(Segment(at, size, leaf, digest, print=mine))
            writer.add(leaf, size, digest)
        elif kind == "data":
            leaf, size = data_leaf(b"abc"), 3
            segments.append(Segment(at, size, leaf, data=b"abc"))
            writer.add(leaf, size)
        else:
            leaf, size = fill_leaf(7, 500), 500
            segments.append(Segment(at, size, leaf, byte=7))
            writer.add(leaf, size)
        at += size
    return store, writer.close(), prints, segments


def alone(some: Stretch) -> list[Segment]:
    return [some.segment(number) for number in range(some.extents)]


KINDS = st.lists(st.sampled_from(["extent"] * 8 + ["data", "run"]), min_size=1, max_size=400)


@settings(max_examples=150, deadline=None)
@given(KINDS, st.integers(0, 400), st.data())
def test_it_is_a_list_of_segments_and_a_place(kinds: list[str], known: int, data: st.DataObject) -> None:
    store, root, prints, segments = program(kinds, known)
    old = OldProgram(store, root, prints)
    end = segments[-1].start + segments[-1].length
    nodes = [start for start, _ in lowest_nodes(store, root)]
    place = 0
    for _ in range(12):
        assert old.current() == (segments[place] if place < len(segments) else None)
        if place == len(segments):
            break
        assert old.is_at(segments[place].start)
        assert not old.is_at(segments[place].start + 1)
        most = data.draw(st.integers(1, 80))
        coming = segments[place : place + most]
        for printed in False, True:
            some = alone(old.extents(most, printed=printed))
            ends = (one.digest is None or (printed and not one.print) for one in coming)
            first = next((number for number, end in enumerate(ends) if end), len(coming))
            assert [one.leaf for one in some] == [one.leaf for one in coming[: len(some)]]
            assert min(first, 1) <= len(some) <= first, "as far as they are held: the rest of a node"
            assert not printed or some == coming[: len(some)]
        behind = next((node for node in nodes if node > segments[place].start), end)
        held = [one for one in segments[place:] if one.start < behind]  # the rest of a node, at the least
        start = data.draw(st.integers(segments[place].start, coming[-1].start))
        wanted = [one for one in segments[place:] if one.start <= start]
        good = next((n for n, one in enumerate(wanted) if one.digest is None or one.length > LONGEST), len(wanted))
        found = alone(old.until(start, LONGEST))
        assert [one.leaf for one in found] == [one.leaf for one in wanted[: len(found)]]
        assert min(good, len(held)) <= len(found) <= good
        low = data.draw(st.integers(segments[place].start, end - 1))
        high = data.draw(st.integers(low + 1, end))
        assert old.spanning(low, high) == [one for one in segments if one.start < high and one.start + one.length > low]
        step = data.draw(st.integers(1, len(held)))
        old.advance(step)
        place += step
        if data.draw(st.booleans()):
            back = data.draw(st.integers(0, min(step, 60)))
            old.go_back(back)
            place -= back
    later = data.draw(st.integers(min(place, len(segments) - 1), len(segments) - 1))
    if segments[later].start >= (segments[place].start if place < len(segments) else end):
        assert old.align(segments[later].start)
        assert old.current() == segments[later]
    digest = segments[later].digest
    if digest is not None:
        assert old.find(digest)
        assert old.passed == segments[later].start


def test_a_stretch_has_parts() -> None:
    store, root, prints, segments = program(["extent"] * 20, 20)
    old = OldProgram(store, root, prints)
    assert old.current() == segments[0]
    some = old.extents(20, printed=True)
    assert alone(some.part(3, 7)) == segments[3:7]
    assert some.part(4, 4).extents == 0


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with Pool.create(str(tmp_path / "p"), mean=4096, durable=False) as made:
        yield made


def test_old_content_that_several_ask_for_is_read_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    contents = [rng.randbytes(4000 + number) for number in range(60)]
    writer = TreeWriter(pool, Kind.FILE, pool.mean)
    for one in contents:
        digest = pool.put(one)
        writer.add(copy_leaf(digest, len(one)), len(one), digest)
    old, whole = OldProgram(pool, writer.close()), b"".join(contents)
    asked: list[int] = []
    real = Pool.read_each

    def read_each(
        self: Pool, wanted: list[tuple[Digest, int]], rooms: list[memoryview], *, on_trust: bool
    ) -> list[Like]:
        asked.append(len(wanted))
        return real(self, wanted, rooms, on_trust=on_trust)

    monkeypatch.setattr(Pool, "read_each", read_each)
    content = OldContent(pool)
    memory = memoryview(bytearray(12_000))
    assert content.fill(old, 1000, memory, 7000) == 7000
    assert bytes(memory[:7000]) == whole[1000:8000]
    assert asked == [4], "as much as there is memory for is asked for next"
    assert [bytes(like.content) for like in content.beside(old, 4000, 12_100)] == contents[1:4]
    assert content.fill(old, 8000, memory, 3000) == 3000
    assert bytes(memory[:3000]) == whole[8000:11_000]
    assert sum(asked) == 5, "the one that begins behind those is new"
    for at in range(0, len(whole) - 12_000, 3000):
        assert content.fill(old, at, memory, 12_000) == 12_000
        assert bytes(memory) == whole[at : at + 12_000]
    assert sum(asked) <= len(contents) + 6


def test_old_content_ends_where_an_extent_is_not_held(pool: Pool) -> None:
    held, lost = b"h" * 500 + bytes(range(256)), b"l" * 500 + bytes(range(256))
    writer = TreeWriter(pool, Kind.FILE, pool.mean)
    for part, digest in ((held, pool.put(held)), (lost, digest_of(lost)), (held, digest_of(held))):
        writer.add(copy_leaf(digest, len(part)), len(part), digest)
    old, memory = OldProgram(pool, writer.close()), memoryview(bytearray(3000))
    content = OldContent(pool)
    assert content.fill(old, 6, memory, 2000) == 750
    assert bytes(memory[:750]) == held[6:]
    assert content.fill(old, 800, memory, 500) == 0
    assert [like.at for like in content.beside(old, 100, 2000)] == [-100, 1412]


def test_what_was_read_stays_while_others_are_read(pool: Pool) -> None:
    """A patch is made over it after what is beside it was asked for."""
    rng = random.Random(4)
    contents = [rng.randbytes(4000) for _ in range(60)]
    writer = TreeWriter(pool, Kind.FILE, pool.mean)
    digests = [pool.put(one) for one in contents]
    for digest in digests:
        writer.add(copy_leaf(digest, 4000), 4000, digest)
    old, memory = OldProgram(pool, writer.close()), memoryview(bytearray(16_000))
    content = OldContent(pool)
    for number in range(4, 50):
        like = content.read(digests[number], 4000)
        assert like is not None
        for at in (number - 4, number + 4):
            assert content.fill(old, 4000 * at, memory, 16_000) == 16_000
        assert bytes(like.content) == contents[number]
