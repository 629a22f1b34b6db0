"""Extents that are stored as patches: as good as others to everybody who reads, keeps, checks or mends."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from packetfs.errors import BadPacket, CorruptExtent, MissingExtent, PoolFailed, UnknownFeature
from packetfs.fs.budget import _Room
from packetfs.limits import EXTENT_MAX, PATCH_DEPTH
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.file import copy_leaf
from packetfs.packet.head import PATCHES, Head, Kind
from packetfs.packet.layout import PACKET, Encoding, Mark
from packetfs.pages import pages
from packetfs.pool.check import check
from packetfs.pool.extent import flags_of, header_maker, parse_header
from packetfs.pool.gc import LiveSet, collect, discard_content, evict
from packetfs.pool.lookup import Like
from packetfs.pool.pool import Pool
from packetfs.pool.recording import RecordingStorage
from packetfs.pool.superblock import FIRST
from tests.pool.live import live

SIZE = 60_000


@pytest.fixture
def pool(place: Path) -> Iterator[Pool]:
    with Pool.create(str(place / "pool")) as pool:
        yield pool


def edited(data: bytes, *places: int) -> bytes:
    new = bytearray(data)
    for at in places:
        new[at : at + 200] = random.Random(at).randbytes(200)
    return bytes(new)


def put(pool: Pool, data: bytes, *like: tuple[bytes, int]) -> Digest:
    return pool.put(data, like=[Like(digest_of(old), memoryview(old), at) for old, at in like])


def encoding(pool: Pool, digest: Digest) -> Encoding:
    return pool.lookup.require(digest).encoding


def damage(pool: Pool, digest: Digest) -> None:
    """Change a byte of a payload behind the pool's back, as a disk does."""
    pool.flush()
    extent = pool.lookup.require(digest)
    with Path(pool.arena.segment_path(0)).open("r+b") as file:
        file.seek(extent.payload + extent.length // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    pool.doubt(extent)


def test_a_patch_is_read_like_any_extent_and_takes_what_changed(pool: Pool) -> None:
    old = random.Random(0).randbytes(SIZE)
    new = edited(old, 5000, 40_000)
    pool.put(old)
    before = pool.arena.end
    digest = put(pool, new, (old, 0))
    assert encoding(pool, digest) is Encoding.PATCH
    assert pool.arena.end - before < 1000
    assert pool.content_bytes < SIZE + 1000
    out = memoryview(bytearray(300))
    pool.read_into(digest, 4900, out)
    assert out == new[4900:5200]
    assert pool.read(digest) == pool.read_on_trust(digest, SIZE) == pool.view(digest) == new
    assert pool.read_range(digest, 39_990, 100) == new[39_990:40_090]
    assert list(check(pool)) == []


def test_versions_of_versions_are_patches_until_they_lead_too_far(pool: Pool) -> None:
    last = random.Random(0).randbytes(SIZE)
    pool.put(last)
    depths, contents = [], []
    for number in range(10):
        new = edited(last, number * 1400 + 99)
        depths.append(pool.lookup.require(put(pool, new, (last, 0))).depth)
        contents.append(new)
        last = new
    assert depths == [1, 2, 3, 0, 1, 2, 3, 0, 1, 2]
    pool.flush()
    for new in contents:
        pool.doubt(pool.lookup.require(digest_of(new)))
        assert pool.read_on_trust(digest_of(new), SIZE) == pool.read(digest_of(new)) == new
    assert list(check(pool)) == []
    kept = live(pool, [digest_of(contents[2])])
    collect(pool, kept)
    assert pool.read(digest_of(contents[2])) == contents[2]
    assert len(list(pool.scan())) == 4


def test_where_cuts_moved_a_patch_is_over_both_extents(pool: Pool) -> None:
    first, second = (random.Random(seed).randbytes(SIZE) for seed in (1, 2))
    changed = edited(first, 700)
    put(pool, first)
    put(pool, second)
    put(pool, changed, (first, 0))
    new = edited(changed[20_000:] + second[:30_000], 50_000)
    digest = put(pool, new, (changed, -20_000), (second, SIZE - 20_000))
    assert encoding(pool, digest) is Encoding.PATCH
    assert pool.lookup.bases_of(pool.lookup.require(digest)) == {digest_of(changed), digest_of(second)}
    assert pool.read(digest) == new


def test_no_patch_is_made_of_programs_of_little_or_of_what_is_not_alike(pool: Pool) -> None:
    old, other = (random.Random(seed).randbytes(SIZE) for seed in (1, 2))
    pool.put(old)
    assert encoding(pool, put(pool, other, (old, 0))) is Encoding.RAW
    small = old[:4000]
    pool.put(small)
    assert encoding(pool, put(pool, edited(small, 100)[:4000], (small, 0))) is Encoding.RAW
    program = pool.put(edited(old, 9), mark=Mark.PROGRAM, like=[Like(digest_of(old), memoryview(old))])
    assert encoding(pool, program) is Encoding.RAW
    unknown = random.Random(3).randbytes(SIZE)
    assert encoding(pool, put(pool, edited(unknown, 9), (unknown, 0))) is Encoding.RAW


def test_a_collection_keeps_what_live_patches_are_over_and_nothing_else(pool: Pool) -> None:
    old, gone = (random.Random(seed).randbytes(SIZE) for seed in (1, 2))
    for data in (old, gone):
        pool.put(data)
    new = edited(old, 100)
    kept, dead = put(pool, new, (old, 0)), put(pool, edited(gone, 100), (gone, 0))
    assert collect(pool, live(pool, [kept])) > SIZE - 8192
    assert pool.read(kept) == new
    assert pool.holds(digest_of(old))
    assert not pool.holds(dead)
    assert not pool.holds(digest_of(gone))
    assert list(check(pool)) == []


def test_damage_of_a_base_is_damage_of_what_is_over_it_until_it_is_mended(pool: Pool) -> None:
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    pool.put(old)
    digest = put(pool, new, (old, 0))
    damage(pool, digest_of(old))
    pool.doubt(pool.lookup.require(digest))
    assert {finding.digest for finding in check(pool)} == {digest, digest_of(old)}
    with pytest.raises(CorruptExtent):
        pool.read(digest)
    put(pool, old, (new, 0))  # what mends is stored whole, however alike it is
    assert encoding(pool, digest_of(old)) is Encoding.RAW
    assert pool.read(digest) == new
    assert list(check(pool)) == []


def test_nothing_is_made_over_damage_of_the_disk(pool: Pool) -> None:
    old = random.Random(1).randbytes(SIZE)
    pool.put(old)
    damage(pool, digest_of(old))
    there = pool.read_each([(digest_of(old), SIZE)], [pages(2 * SIZE)])[0]
    assert there.position >= 0
    assert bytes(there.content) != old
    for edit, like in enumerate((there, Like(digest_of(old), there.content))):
        digest = pool.put(edited(bytes(there.content), 100, 500 * edit), like=[like])
        assert encoding(pool, digest) is Encoding.RAW


def test_nothing_is_made_over_what_is_gone_since_it_was_read(pool: Pool) -> None:
    old = random.Random(1).randbytes(SIZE)
    pool.put(old)
    like = pool.read_each([(digest_of(old), SIZE)], [pages(2 * SIZE)])[0]
    pool.flush()
    assert evict(pool, digest_of(old)) > 0
    digest = pool.put(edited(old, 100), like=[like])
    assert encoding(pool, digest) is Encoding.RAW
    assert list(check(pool)) == []


def test_a_patch_is_shown_at_once_where_all_that_it_is_over_is_in_memory(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = random.Random(1).randbytes(SIZE)
    first, second = edited(old, 100), edited(old, 100, 5000)
    base = pool.lookup.require(pool.put(old))
    put(pool, first, (old, 0))
    digest = put(pool, second, (first, 0))
    assert pool.lookup.require(digest).depth == 2
    assert bytes(pool.peek(digest) or b"") == second
    for away in (base.position, base.payload + base.length - 1):
        monkeypatch.setattr(pool.arena, "is_near", away.__ne__)
        assert pool.peek(digest) is None
        monkeypatch.undo()
    assert bytes(pool.peek(digest) or b"") == second


def recovered(pool: Pool, path: Path) -> Pool:
    """Return the pool as it is found after a crash: the index leads to every copy again."""
    pool.flush()
    shutil.copytree(pool.path, path)
    return Pool.open(str(path), writable=True)


def test_a_patch_is_good_whichever_copy_of_its_base_is(pool: Pool, place: Path) -> None:
    """Each time that it is read."""
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    pool.put(old)
    digest = put(pool, new, (old, 0))
    damage(pool, digest_of(old))
    pool.put(old)
    with recovered(pool, place / "copy") as again:
        assert len(again.lookup.positions(digest_of(old))) == 2
        for _ in range(2):
            assert again.read(digest) == new
            again.flush()


def test_a_patch_that_was_verified_over_one_copy_is_not_read_over_another(place: Path) -> None:
    """A crash brings the damaged one back into the index, and what was verified since the machine started stays so."""
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    storage = RecordingStorage(str(place))
    pool = Pool.create(str(place / "pool"), storage=storage)
    pool.put(old)
    digest = put(pool, new, (old, 0))
    damage(pool, digest_of(old))
    pool.put(old)
    pool.flush()
    assert pool.read(digest) == new
    storage.fail_at, storage.sticky = storage.calls, True
    with pytest.raises(PoolFailed):
        pool.flush()
    pool.close()
    with Pool.open(str(place / "pool"), writable=True) as pool:
        assert len(pool.lookup.positions(digest_of(old))) == 2
        assert pool.lookup.require(digest).position in pool.verified
        assert pool.read(digest) == new


def test_a_damaged_copy_is_not_trusted_for_the_other_one(pool: Pool, place: Path) -> None:
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    pool.put(old)
    digest = put(pool, new, (old, 0))
    damage(pool, digest)
    pool.put(new)
    with recovered(pool, place / "copy") as again:
        assert [extent.depth for extent in again.lookup.extents(digest)] == [1, 0]
        assert encoding(again, put(again, edited(new, 5000), (new, 0))) is Encoding.PATCH
        assert again.read(digest) == new


def test_a_patch_is_compared_where_it_was_run(pool: Pool, place: Path) -> None:
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    pool.put(old)
    digest = put(pool, new, (old, 0))
    pool.put(b"behind" * SIZE)
    pool.flush()
    extent, out = pool.lookup.require(digest), bytearray(SIZE)
    pool.read_into(digest, 0, memoryview(out))
    assert out == new
    assert extent.position in pool.verified
    damage(pool, digest)
    with pytest.raises(CorruptExtent):
        pool.read_into(digest, 0, memoryview(out))
    assert extent.position not in pool.verified
    pool.put(new)
    with recovered(pool, place / "copy") as again:
        assert len(again.lookup.positions(digest)) == 2
        again.read_into(digest, 0, memoryview(out))
        assert out == new


def test_a_base_whose_patch_is_no_program_any_more_has_another_copy(pool: Pool, place: Path) -> None:
    old = random.Random(1).randbytes(SIZE)
    first, second = edited(old, 100), edited(old, 100, 5000)
    pool.put(old)
    base = put(pool, first, (old, 0))
    digest = put(pool, second, (first, 0))
    pool.flush()
    with Path(pool.arena.segment_path(0)).open("r+b") as file:
        file.seek(pool.lookup.require(base).payload)
        file.write(bytes(PACKET))
    pool.doubt(pool.lookup.require(base))
    pool.put(first)
    with recovered(pool, place / "copy") as again:
        assert [extent.depth for extent in again.lookup.extents(base)] == [1, 0]
        assert again.read(digest) == second


@pytest.mark.usefixtures("small_segments")
def test_what_patches_are_over_is_kept_though_the_first_segment_says_nothing(place: Path) -> None:
    """The second one was begun before there were patches."""
    path, old = place / "pool", random.Random(1).randbytes(8000)
    new = edited(old, 100)
    with Pool.create(str(path)) as pool:
        pool.put(edited(old, 4000))
        pool.put(old)
        assert pool.arena.last == 1
        digest = put(pool, new, (old, 0))
    with (path / "arena" / "00000000").open("r+b") as file:
        file.write(bytes(FIRST))
    with Pool.open(str(path), writable=True) as pool:
        collect(pool, live(pool, [digest]))
        assert pool.read(digest) == new


def test_a_lost_index_and_a_patch_without_its_base(place: Path) -> None:
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    with Pool.create(str(place / "pool")) as pool:
        pool.put(old)
        digest = put(pool, new, (old, 0))
    (place / "pool" / "index").unlink()
    with Pool.open(str(place / "pool"), writable=True) as pool:
        assert pool.read(digest) == new
        evict(pool, digest_of(old))
        with pytest.raises(CorruptExtent):
            pool.read(digest)
        assert [finding.digest for finding in check(pool)] == [digest]


def test_a_base_that_goes_while_it_is_read_is_no_content(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of what nothing leads to any more, beside a collector: the patch is verified, so nothing is hashed."""
    old = random.Random(1).randbytes(SIZE)
    with Pool.create(str(place / "pool")) as pool:
        base = pool.put(old)
        digest = put(pool, edited(old, 100), (old, 0))
        pool.flush()
        pool.read(digest)
        with Pool.open(str(place / "pool")) as reader:
            where, read = reader.lookup.require(base).payload, reader.arena.read

            def collected(position: int, length: int) -> bytes:
                if position == where:
                    collect(pool, LiveSet(pool))
                return read(position, length)

            monkeypatch.setattr(reader.arena, "read", collected)
            with pytest.raises(MissingExtent):
                reader.read(digest)


@pytest.mark.parametrize("let_go", [lambda pool: collect(pool, LiveSet(pool)), discard_content])
def test_a_collection_that_is_killed_leaves_no_patch_without_its_base(
    place: Path, let_go: Callable[[Pool], int]
) -> None:
    """What is found and was verified is not stored again when it comes again."""
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    for calls in count():
        storage = RecordingStorage(str(place))
        pool = Pool.create(str(place / "pool"), storage=storage)
        pool.put(old)
        digest = put(pool, new, (old, 0))
        pool.flush()
        pool.read(digest)
        storage.fail_at, storage.sticky = storage.calls + calls, True
        with suppress(PoolFailed):
            let_go(pool)
        ended, storage.fail_at = storage.calls <= storage.fail_at, -1
        pool.close()
        with Pool.open(str(place / "pool"), writable=True) as pool:
            assert pool.read(pool.put(new)) == new
        if ended:
            break
        shutil.rmtree(place / "pool")
    assert calls > 5


def test_a_full_disk_leaves_no_patch_in_memory_over_what_has_gone_from_it(place: Path) -> None:
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    with Pool.create(str(place / "pool"), durable=False) as pool:
        pool.put(old)
        pool.flush()
        pool.put(b"before")
        digest = put(pool, new, (old, 0))
        behind = pool.put(b"behind")
        assert discard_content(pool) >= SIZE - 8192
        assert not pool.holds(digest)
        assert (pool.read(digest_of(b"before")), pool.read(behind)) == (b"before", b"behind")
        assert pool.content_bytes == len(b"before") + len(b"behind")
        assert pool.read(pool.put(new)) == new
        assert list(check(pool)) == []


@pytest.mark.parametrize("writable", [False, True])
def test_a_base_that_was_stored_again_is_found_behind_its_patch(place: Path, writable: bool) -> None:
    old = random.Random(1).randbytes(SIZE)
    new = edited(old, 100)
    with Pool.create(str(place / "pool")) as pool:
        pool.put(old)
        digest = put(pool, new, (old, 0))
        damage(pool, digest_of(old))
        pool.put(old)
    (place / "pool" / "index").unlink()
    with Pool.open(str(place / "pool"), writable=writable) as pool:
        assert pool.read(digest) == new
        assert pool.read(digest_of(old)) == old


def test_who_knows_no_patches_is_refused_from_the_first_one_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take them for garbage between extents."""
    path, old = str(place / "pool"), random.Random(1).randbytes(SIZE)
    monkeypatch.setattr("packetfs.packet.head.KNOWN_FEATURES", 1)
    with Pool.create(path) as pool:
        pool.put(old)
    with Pool.open(path, writable=True) as pool:
        put(pool, edited(old, 100), (old, 0))
    for writable in (False, True):
        with pytest.raises(UnknownFeature):
            Pool.open(path, writable=writable)
    monkeypatch.undo()
    with Pool.open(path, writable=True) as pool:
        assert list(check(pool)) == []


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.SEGMENT])
def test_no_program_says_that_there_are_patches(kind: Kind) -> None:
    with pytest.raises(BadPacket, match="no segment"):
        Head.parse(Head(kind, 1, required=PATCHES).packet())


@pytest.mark.parametrize(
    ("size", "depth"), [(EXTENT_MAX, PATCH_DEPTH), (EXTENT_MAX + 1, 1), (0, PATCH_DEPTH + 1), (0, 0)]
)
def test_no_header_claims_a_patch_that_takes_more_than_a_chunk(size: int, depth: int) -> None:
    """It is run into memory, and so are those that it is over."""
    header = header_maker(bytes(32))(0, bytes(32), 0, size, flags_of(Mark.DATA, Encoding.PATCH, depth))
    found = parse_header(header, 0, 0)
    assert (found is not None) == (size <= EXTENT_MAX and 0 < depth <= PATCH_DEPTH)


def test_patches_over_each_other_end_everywhere(pool: Pool) -> None:
    """No PacketFS makes them: a pool may come from anybody."""
    held = pool.put(random.Random(1).randbytes(SIZE))
    digests = [digest_of(b"first"), digest_of(b"second")]
    for digest, other in (digests, digests[::-1]):
        position = pool.arena.append(digest, copy_leaf(other, 100), 100, flags_of(Mark.DATA, Encoding.PATCH, 2))
        pool.lookup.index.put(digest, position // PACKET)
    pool.flush()
    for read in (pool.read, pool.view, pool.peek):
        with pytest.raises(CorruptExtent):
            read(digests[0])
    assert {finding.digest for finding in check(pool)} == set(digests)
    kept = live(pool, [held])
    _Room(pool, kept, SIZE).take(copy_leaf(digests[0], 100))
    collect(pool, kept)
    assert {extent.digest for extent in pool.scan()} == {held, digests[0]}
