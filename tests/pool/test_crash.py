"""A crash at any point, a disk that fails at any call: what was promised is there, and nothing wrong is served."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from packetfs.errors import NotAPool, PacketFSError, PoolFailed, PoolFull
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.layout import Mark
from packetfs.pool import database, vfs
from packetfs.pool.check import check
from packetfs.pool.gc import collect, evict
from packetfs.pool.lookup import Like
from packetfs.pool.past import BLOCK, open_past
from packetfs.pool.pool import Pool
from packetfs.pool.recording import Act, Loss, Operation, RecordingStorage, materialise
from packetfs.pool.superblock import FIRST
from tests.pool.live import live

SEEDS = 2
PATCHED = [bytes(range(250)) * (20 - gone) + bytes(250 * gone) for gone in range(3)]
"""Content, a version of it that is stored as a patch, and one that is a patch over that."""


def payloads(first: int, count: int) -> list[bytes]:
    """Sizes on both sides of what is gathered and what is written at once."""
    return [digest_of(bytes([number])) * (1, 20, 90, 3)[number % 4] for number in range(first, first + count)]


def work(path: Path, storage: RecordingStorage, with_database: bool) -> None:
    """Create, fill, restart, roll over, evict, collect; a note says what is promised from there on."""
    with Pool.create(str(path), storage=storage) as pool:
        storage.note("created")
        names = pool.database("names") if with_database else None
        if names:
            names.execute("CREATE TABLE names (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        put(pool, storage, names, payloads(0, 6))
        put(pool, storage, names, payloads(6, 6))
    with Pool.open(str(path), writable=True, storage=storage) as pool:
        names = pool.database("names") if with_database else None
        put(pool, storage, names, payloads(12, 24))
        if not names:
            let_go(pool, storage)


def put(pool: Pool, storage: RecordingStorage, names: database.Connection | None, data: list[bytes]) -> None:
    digests = [pool.put(item, mark=Mark.DATA) for item in data]
    pool.flush()
    storage.note("kept " + " ".join(digest.hex() for digest in digests))
    if names:
        with database.explained(pool.path), names:
            names.executemany("INSERT INTO names VALUES (?)", [(digest,) for digest in digests])
        storage.note("named " + " ".join(digest.hex() for digest in digests))


def let_go(pool: Pool, storage: RecordingStorage) -> None:
    gone = [digest_of(item) for item in payloads(0, 3)]
    storage.note("gone " + " ".join(digest.hex() for digest in gone))
    evict(pool, gone[0])
    collect(pool, live(pool, {extent.digest for extent in pool.scan()} - set(gone)))
    for item in payloads(36, 3):
        pool.put(item)
    pool.flush()
    storage.note("kept " + " ".join(digest_of(item).hex() for item in payloads(36, 3)))
    amend(pool, storage)


def amend(pool: Pool, storage: RecordingStorage) -> None:
    """Keep patches, then what they are over no longer for itself, then none of them: which may not go first."""
    digests = [pool.put(PATCHED[0])]
    for old, new in pairwise(PATCHED):
        digests.append(pool.put(new, like=[Like(digests[-1], memoryview(old))]))
    assert [pool.lookup.require(digest).depth for digest in digests] == [0, 1, 2]
    pool.flush()
    storage.note(f"kept {digests[-1].hex()}")
    collect(pool, live(pool, {extent.digest for extent in pool.scan()} - set(digests[:-1])))
    storage.note("gone " + " ".join(digest.hex() for digest in digests))
    collect(pool, live(pool, {extent.digest for extent in pool.scan()} - set(digests)))


def promises(log: list[Operation], word: str) -> set[Digest]:
    notes = [operation.path.split() for operation in log if operation.act is Act.NOTE]
    return {Digest(bytes.fromhex(text)) for note in notes if note[0] == word for text in note[1:]}


def recorded(place: Path, with_database: bool) -> list[Operation]:
    storage = RecordingStorage(str(place))
    if with_database:
        storage.vfs = vfs.install(str(place), storage)
    try:
        work(place / "pool", storage, with_database)
    finally:
        vfs.remove(str(place))
    shutil.rmtree(place / "pool")
    return storage.log


def crashes(log: list[Operation], seeds: int) -> Iterator[tuple[list[Operation], Loss, int]]:
    for stop in range(len(log) + 1):
        if stop and log[stop - 1].act is Act.NOTE:
            continue
        yield log[:stop], Loss.NOTHING, 0
        yield log[:stop], Loss.EVERYTHING, 0
        for seed in range(seeds):
            yield log[:stop], Loss.RANDOM, seed * 100_000 + stop


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("with_database", [False, True])
def test_every_crash_keeps_what_was_promised(place: Path, with_database: bool, way: str) -> None:
    log = recorded(place, with_database)
    blocks = [op for op in log if op.act is Act.WRITE and op.offset >= FIRST and not (op.offset | len(op.data)) % BLOCK]
    assert bool(blocks) == (way == "past it" and not knows_no_way(place))
    states = 0
    for before, loss, seed in crashes(log, SEEDS):
        target = place / "crashed"
        target.mkdir()
        materialise(before, str(target), loss, seed)
        check_crashed(target / "pool", before)
        shutil.rmtree(target)
        states += 1
    assert states > 400
    assert any(operation.path.endswith("00000001") for operation in log), "no second segment was begun"


def knows_no_way(place: Path) -> bool:
    """Tell whether files here cannot be written past the page cache."""
    with (place / "tried").open("w+b") as file:
        past = open_past(file.fileno(), os.O_RDWR)
    (place / "tried").unlink()
    if past >= 0:
        os.close(past)
    return past < 0


def check_crashed(path: Path, log: list[Operation]) -> None:
    """Read as a reader, recover as a writer, put everything again, and find all of it after a clean restart."""
    is_created = any(operation.act is Act.NOTE for operation in log)
    try:
        with Pool.open(str(path)) as pool:
            check_promises(pool, log)
        with Pool.open(str(path), writable=True) as pool:
            check_promises(pool, log)
            check_names(pool, log)
            assert list(check(pool)) == []
            for item in (*payloads(0, 39), *PATCHED):
                assert pool.read(pool.put(item)) == item
    except NotAPool:
        assert not is_created
        return
    os.unlink(path / "verified")
    with Pool.open(str(path)) as pool:
        assert [pool.read(digest_of(item)) for item in payloads(0, 39)] == payloads(0, 39)
        assert list(check(pool)) == []


def check_promises(pool: Pool, log: list[Operation]) -> None:
    known = {digest_of(item): item for item in (*payloads(0, 39), *PATCHED)}
    promised = promises(log, "kept") - promises(log, "gone")
    for digest in promised:
        assert pool.read(digest) == known[digest]
    for extent in pool.scan():
        if pool.holds(extent.digest):
            assert pool.read(extent.digest) == known[extent.digest]


def check_names(pool: Pool, log: list[Operation]) -> None:
    """Every commit that was promised is there, whole commits only, and what they name can be read."""
    if not promises(log, "named"):
        return
    with database.explained(pool.path):
        named = {row[0] for row in pool.database("names").execute("SELECT digest FROM names")}
    assert promises(log, "named") <= named
    assert len(named) in (6, 12, 36)
    assert all(pool.read(Digest(digest)) for digest in named)


@pytest.mark.usefixtures("small_segments", "way")
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("with_database", [False, True])
def test_a_disk_that_fails_at_any_call_loses_nothing_promised(place: Path, error: int, with_database: bool) -> None:
    calls = count_calls(place, with_database)
    failed = 0
    for number in range(calls):
        storage = RecordingStorage(str(place), fail_at=number, error=error)
        if with_database:
            storage.vfs = vfs.install(str(place), storage)
        try:
            work(place / "pool", storage, with_database)
        except (PacketFSError, database.Error):
            failed += 1
        vfs.remove(str(place))
        if (place / "pool").exists():
            (place / "pool/verified").unlink(missing_ok=True)
            check_crashed(place / "pool", storage.log)
            shutil.rmtree(place / "pool")
    assert failed > calls * 0.8


def count_calls(place: Path, with_database: bool) -> int:
    storage = RecordingStorage(str(place))
    if with_database:
        storage.vfs = vfs.install(str(place), storage)
    work(place / "pool", storage, with_database)
    vfs.remove(str(place))
    shutil.rmtree(place / "pool")
    return storage.calls


def test_a_full_disk_is_named_and_the_same_call_succeeds_once_there_is_space(place: Path) -> None:
    storage = RecordingStorage(str(place))
    pool = Pool.create(str(place / "pool"), storage=storage)
    first = pool.put(b"gathered")
    storage.fail_at, storage.error, storage.sticky = storage.calls, errno.ENOSPC, True
    with pytest.raises(PoolFull):
        pool.put(bytes(300_000))
    with pytest.raises(PoolFull):
        pool.flush()
    assert pool.read(first) == b"gathered"
    storage.fail_at = -1
    second = pool.put(bytes(300_000))
    pool.close()
    with Pool.open(str(place / "pool")) as reopened:
        assert (reopened.read(first), reopened.read(second)) == (b"gathered", bytes(300_000))


def test_a_sync_that_failed_is_final_until_the_pool_is_opened_again(place: Path) -> None:
    storage = RecordingStorage(str(place))
    pool = Pool.create(str(place / "pool"), storage=storage)
    kept = pool.put(b"kept")
    pool.flush()
    pool.put(b"lost")
    storage.fail_at = storage.calls + 1  # the write succeeds, the sync fails
    for attempt in (pool.flush, pool.flush, lambda: pool.put(b"more")):
        with pytest.raises(PoolFailed):
            attempt()
    assert pool.read(kept) == b"kept"
    pool.close()
    with Pool.open(str(place / "pool"), writable=True) as reopened:
        assert reopened.read(kept) == b"kept"
        reopened.put(b"lost")
        reopened.flush()


def test_file_content_that_looks_like_this_arena_is_never_taken_for_it(place: Path) -> None:
    with Pool.create(str(place / "pool")) as pool:
        honest = pool.put(b"honest" * 100)
        pool.flush()
        copy = (place / "pool/arena/00000000").read_bytes()
        pool.put(copy)
    for name in ("index", "verified"):
        with suppress(FileNotFoundError):
            os.unlink(place / "pool" / name)
    raw = bytearray((place / "pool/arena/00000000").read_bytes())
    raw[9000 : 9000 + 64] = bytes(64)  # the header of the copy is lost: the scan has to look inside it
    (place / "pool/arena/00000000").write_bytes(raw)
    with Pool.open(str(place / "pool"), writable=True) as pool:
        assert [extent.digest for extent in pool.scan()][:1] == [honest]
        assert len(list(pool.scan())) <= 2
