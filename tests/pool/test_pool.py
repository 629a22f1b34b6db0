from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import (
    CorruptExtent,
    ExtentRange,
    ExtentTooLong,
    MissingExtent,
    NotAPool,
    PoolAccess,
    PoolBusy,
    PoolClosed,
    PoolExists,
    PoolReadOnly,
)
from packetfs.limits import PAYLOAD_MAX
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.layout import Encoding, Mark
from packetfs.pool.check import check
from packetfs.pool.gc import evict
from packetfs.pool.pool import Pool
from packetfs.pool.storage import DiskStorage

SIZES = (0, 1, 47, 48, 63, 64, 65, 1000, 65536, 200_000, 1 << 20)


def payload(size: int, seed: int = 1) -> bytes:
    return (seed.to_bytes(8, "little") + b"packet") * (size // 14) + bytes(size % 14)


@pytest.fixture
def pool(place: Path) -> Pool:
    return Pool.create(str(place / "pool"))


def test_everything_put_is_read_at_once_after_a_flush_and_after_a_restart(place: Path) -> None:
    with Pool.create(str(place / "pool"), mean=4096) as pool:
        digests = {pool.put(payload(size)): size for size in SIZES}
        check_all(pool, digests)
        pool.flush()
        check_all(pool, digests)
    with Pool.open(str(place / "pool")) as pool:
        check_all(pool, digests)
        assert pool.mean == 4096
        assert pool.content_bytes == sum(SIZES)
        assert list(check(pool)) == []


def check_all(pool: Pool, digests: dict[Digest, int]) -> None:
    for digest, size in digests.items():
        expected = payload(size)
        assert pool.holds(digest)
        assert pool.find(digest[:8]) == digest
        assert pool.read(digest) == expected
        assert pool.view(digest) == expected
        assert pool.read_range(digest, size // 3, size // 2) == expected[size // 3 : size // 3 + size // 2]
        for start, length in ((size // 3, size // 2), (0, size), (0, size // 2)):
            assert filled(pool, digest, start, length) == expected[start : start + length]


def filled(pool: Pool, digest: Digest, start: int, length: int) -> bytes:
    out = bytearray(length)
    pool.read_into(digest, start, memoryview(out))
    return bytes(out)


def test_a_payload_is_stored_once(pool: Pool) -> None:
    first = pool.put(payload(1000))
    pool.flush()
    end = pool.arena.end
    assert pool.put(memoryview(payload(1000)), first) == first
    assert pool.arena.end == end
    assert [extent.digest for extent in pool.scan()] == [first]


def test_marks_and_encodings_are_kept_and_count_as_they_should(pool: Pool) -> None:
    program = pool.put(payload(640), mark=Mark.PROGRAM)
    packed = pool.put(payload(50_000), encoding=Encoding.ZSTD)
    noise = pool.put(random.randbytes(1000), encoding=Encoding.ZSTD)
    found = {extent.digest: extent for extent in pool.scan()}
    assert found[program].mark is Mark.PROGRAM
    assert found[packed].length < 1000
    assert found[noise].encoding is Encoding.RAW
    assert pool.content_bytes == found[packed].length + 1000
    assert pool.read(packed) == pool.view(packed) == payload(50_000)
    assert pool.read_range(packed, 49_000, 500) == payload(50_000)[49_000:49_500]


def test_what_is_not_there_or_too_long_is_one_clear_error(pool: Pool) -> None:
    digest = pool.put(payload(100))
    unknown = digest_of(b"unknown")
    for ask in (pool.read, pool.view, pool.locate):
        with pytest.raises(MissingExtent):
            ask(unknown)
    assert pool.find(unknown[:8]) is None
    assert not pool.holds(unknown)
    for offset, length in ((0, 101), (101, 0), (-1, 1), (1, -1)):
        with pytest.raises(ExtentRange):
            pool.read_range(digest, offset, length)
    with pytest.raises(ExtentTooLong):
        pool.read(digest, limit=99)
    with pytest.raises(ExtentTooLong):
        pool.put(bytes(PAYLOAD_MAX + 1))


def test_a_wrong_digest_is_found_at_the_first_read(pool: Pool) -> None:
    digest = pool.put(b"something else", digest_of(b"this"))
    with pytest.raises(CorruptExtent):
        pool.read(digest)


def test_damage_is_found_named_and_mended_by_the_next_put(place: Path) -> None:
    with Pool.create(str(place / "pool")) as pool:
        digest = pool.put(payload(1000))
        where = pool.locate(digest)
    damage(place / "pool/arena/00000000", where.offset + 500)
    os.unlink(place / "pool/verified")
    with Pool.open(str(place / "pool"), writable=True) as pool:
        for size in (1000, 400):
            with pytest.raises(CorruptExtent, match="00000000"):
                filled(pool, digest, 0, size)
        with pytest.raises(CorruptExtent, match="00000000"):
            pool.read(digest)
        assert [finding.digest for finding in check(pool)] == [digest]
        pool.put(payload(1000))
        assert pool.read(digest) == payload(1000)
        assert pool.content_bytes == 1000


def test_a_second_copy_is_read_where_the_first_is_damaged(place: Path) -> None:
    """After a rebuild the index leads to the damaged copy and to the one that mended it."""
    test_damage_is_found_named_and_mended_by_the_next_put(place)
    os.unlink(place / "pool/index")
    os.unlink(place / "pool/verified")
    with Pool.open(str(place / "pool"), writable=True) as pool:
        digest = digest_of(payload(1000))
        assert filled(pool, digest, 0, 1000) == pool.read(digest) == pool.view(digest) == payload(1000)


@pytest.mark.parametrize("size", [1000, 400])
def test_what_is_punched_while_it_is_read_is_not_taken_for_content(
    place: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A collector in another process counts, then punches, when the header was seen and the payload was not."""
    with Pool.create(str(place / "pool")) as pool:
        digest = pool.put(payload(1000))
    with Pool.open(str(place / "pool"), writable=True) as collector, Pool.open(str(place / "pool")) as pool:
        assert pool.read(digest) == payload(1000)  # it is verified
        read_into = pool.arena.read_into

        def read_late(position: int, *out: memoryview) -> int:
            count = read_into(position, *out)
            collector.leases.count_punch()
            out[-1][:] = bytes(len(out[-1]))
            return count

        monkeypatch.setattr(pool.arena, "read_into", read_late)
        assert filled(pool, digest, 0, size) == payload(1000)[:size]


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_a_disk_that_gives_less_than_was_asked_for_is_asked_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    preadv = os.preadv
    (place / "file").write_bytes(payload(2000))
    monkeypatch.setattr(os, "preadv", lambda fd, rooms, at: preadv(fd, [rooms[0][:most]], at))
    storage, header, rest = DiskStorage(), bytearray(64), bytearray(2000)
    fd = storage.open(str(place / "file"), os.O_RDONLY)
    assert storage.read_into(fd, [memoryview(header), memoryview(rest)], 10) == 1990
    storage.close(fd)
    assert (header + rest)[:1990] == payload(2000)[10:]


def damage(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_segments_follow_one_another_and_none_is_straddled(place: Path, small_segments: int) -> None:
    payloads = [random.randbytes(size) for size in (100, 5000, 3000) * 20]
    with Pool.create(str(place / "pool")) as pool:
        digests = [pool.put(data) for data in payloads]
        pool.flush()
        assert len(pool.arena.segments()) > 2
        for extent in pool.scan():
            assert extent.position // small_segments == (extent.end - 1) // small_segments
    with Pool.open(str(place / "pool")) as pool:
        assert [pool.read(digest) for digest in digests] == payloads
        assert [extent.digest for extent in pool.scan()] == digests
        assert list(check(pool)) == []


def test_the_index_grows_and_is_rebuilt_to_the_same(place: Path) -> None:
    payloads = [number.to_bytes(8, "little") for number in range(6000)]
    with Pool.create(str(place / "pool")) as pool:
        digests = [pool.put(data) for data in payloads]
        assert pool.lookup.index.capacity == 16384
    for lost in ("index", None):
        if lost:
            os.unlink(place / "pool" / lost)
        with Pool.open(str(place / "pool"), writable=True) as pool:
            assert [pool.read(digest) for digest in digests[::10]] == payloads[::10]
            assert pool.content_bytes == 48000


def test_a_reader_follows_the_writer_to_new_extents_and_a_new_index(place: Path) -> None:
    writer = Pool.create(str(place / "pool"))
    early = writer.put(b"early")
    writer.flush()
    reader = Pool.open(str(place / "pool"))
    assert reader.read(early) == b"early"
    late = [writer.put(number.to_bytes(8, "little")) for number in range(6000)]
    assert not reader.holds(late[-1])  # gathered, not in the file yet
    writer.flush()
    assert all(reader.holds(digest) for digest in late)
    assert reader.content_bytes == writer.content_bytes
    writer.close()
    assert reader.read(late[77]) == (77).to_bytes(8, "little")


def test_a_reader_without_any_right_to_write_reads_all_the_same(place: Path) -> None:
    with Pool.create(str(place / "pool")) as pool:
        digest = pool.put(b"text")
    os.unlink(place / "pool/index")
    reader = Pool.open(str(place / "pool"))
    assert reader.read(digest) == b"text"
    assert not (place / "pool/index").exists()
    with pytest.raises(PoolReadOnly):
        reader.put(b"other")
    with pytest.raises(PoolReadOnly):
        evict(reader, digest)


def test_opening_and_creating_say_what_is_wrong(place: Path) -> None:
    with pytest.raises(NotAPool):
        Pool.open(str(place / "none"))
    (place / "dir").mkdir()
    with pytest.raises(NotAPool):
        Pool.open(str(place / "dir"))
    (place / "dir/file").write_text("mine")
    with pytest.raises(PoolAccess, match="not empty"):
        Pool.create(str(place / "dir"))
    assert sorted(os.listdir(place / "dir")) == ["file"]
    pool = Pool.create(os.fsencode(place / "pool"))
    with pytest.raises((PoolExists, PoolBusy)):
        Pool.create(str(place / "pool"))
    with pytest.raises(PoolBusy, match=f"process {os.getpid()} "):
        Pool.open(str(place / "pool"), writable=True)
    pool.close()
    with pytest.raises(PoolExists):
        Pool.create(str(place / "pool"))
    with pytest.raises(PoolClosed):
        pool.put(b"")
    with pytest.raises(PoolClosed):
        pool.read(digest_of(b""))
    pool.close()


def test_a_new_boot_or_a_copy_trusts_nothing(place: Path) -> None:
    """A copy has other inodes, and after a boot the id differs: both compare with the digest again."""
    with Pool.create(str(place / "pool")) as pool:
        digest = pool.put(payload(1000))
        pool.flush()
        pool.read(digest)
        where = pool.locate(digest)
        assert next(pool.scan()).position in pool.verified
    damage(place / "pool/arena/00000000", where.offset)
    os.rename(place / "pool/verified", place / "old")
    (place / "pool/verified").write_bytes((place / "old").read_bytes())
    with Pool.open(str(place / "pool")) as pool, pytest.raises(CorruptExtent):
        pool.read(digest)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=300)), max_size=40))
def test_a_pool_is_a_dictionary(steps: list[tuple[int, bytes]]) -> None:
    """Puts, evictions, flushes and restarts in any order against a dict."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        pool = Pool.create(directory, durable=False)
        model: dict[Digest, bytes] = {}
        for step, data in steps:
            digest = digest_of(data)
            if step <= 1:
                model[pool.put(data)] = data
            elif step == 2:
                evict(pool, digest)
                model.pop(digest, None)
            else:
                pool.close()
                pool = Pool.open(directory, writable=True)
        assert {extent.digest: pool.read(extent.digest) for extent in pool.scan()} == model
        assert pool.content_bytes == sum(map(len, model.values()))
        pool.close()


def test_an_index_that_knows_of_too_little_content_counts_from_nothing(place: Path) -> None:
    """What it says is a hint: whoever takes content out of it later is not the one to fail."""
    path, data = str(place / "pool"), random.randbytes(50_000)
    with Pool.create(path) as pool:
        pool.put(data)
        pool._content = 7
    with Pool.open(path, writable=True) as pool:
        assert pool.content_bytes == 7
        evict(pool, digest_of(data))
        pool.flush()
        assert not pool.content_bytes
