"""What a pool remembers is a cache: bounded, refused while there is another writer, begun anew where it is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from packetfs.limits import MEMO_LOG
from packetfs.packet.digest import digest_of
from packetfs.pool.check import check
from packetfs.pool.memo import MemoStatus, MemoStore, clear_memo, memo_status
from packetfs.pool.pool import Pool

KEYS = [digest_of(b"%d" % number) for number in range(300)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Pool.create(os.fspath(tmp_path / "pool")).close()
    return tmp_path / "pool"


@pytest.fixture
def pool(path: Path) -> Iterator[Pool]:
    with Pool.open(os.fspath(path)) as opened:
        yield opened


def remember(pool: Pool, values: dict[bytes, bytes], **limit: int) -> MemoStore:
    store = MemoStore(pool, **limit)
    for key, value in values.items():
        store.remember(digest_of(key), value)
    store.close()
    return store


def recall(pool: Pool, *keys: bytes) -> list[bytes | None]:
    store = MemoStore(pool)
    try:
        return [store.recall(digest_of(key)) for key in keys]
    finally:
        store.close()


def test_values_are_there_for_the_next_one(pool: Pool) -> None:
    assert recall(pool, b"a") == [None]
    assert remember(pool, {b"a": b"one", b"b": b""}).refused is None
    assert recall(pool, b"a", b"b", b"c") == [b"one", b"", None]
    store = MemoStore(pool)
    store.count(3, 5)
    store.close()
    status = memo_status(pool)
    assert (status.results, status.recalled, status.run) == (2, 3, 2)
    assert clear_memo(pool) == status.size
    assert memo_status(pool) == MemoStatus()


def test_the_writer_of_the_pool_remembers_too(path: Path) -> None:
    with Pool.open(os.fspath(path), writable=True) as pool:
        remember(pool, {b"a": b"one"})
        assert recall(pool, b"a") == [b"one"]
    with Pool.open(os.fspath(path)) as pool:
        assert not list(check(pool))


def test_beside_another_writer_it_is_read_and_not_written(path: Path, pool: Pool) -> None:
    remember(pool, {b"a": b"one"})
    with Pool.open(os.fspath(path), writable=True):
        refused = remember(pool, {b"b": b"two"}).refused
        assert refused is not None
        assert "is being written by process" in refused.message
        assert recall(pool, b"a", b"b") == [b"one", None]
    assert remember(pool, {b"b": b"two"}).refused is None


def test_it_stays_within_its_bound_and_what_is_used_stays(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    random, limit = Random(1), 400_000
    remember(pool, {b"used": b"!"}, limit=limit)
    for day in range(1, 60):
        monkeypatch.setattr("time.time", lambda day=day: 86_400.0 * (20_000 + day))
        assert recall(pool, b"used") == [b"!"]
        remember(pool, {b"%d" % day: random.randbytes(20_000)}, limit=limit)
        assert memo_status(pool).size <= limit + 60_000
    assert recall(pool, b"1", b"59")[0] is None
    assert recall(pool, b"59") != [None]


@pytest.mark.parametrize("kind", ["cut", "flipped", "other"])
def test_damage_is_forgotten_and_mended(path: Path, pool: Pool, kind: str) -> None:
    values = {b"%d" % number: Random(number).randbytes(500) for number in range(100)}
    remember(pool, values)
    file, random = path / "memo.db", Random(2)
    data = bytearray(file.read_bytes())
    if kind == "flipped":
        for _ in range(40):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    file.write_bytes(data[:5000] if kind == "cut" else data if kind == "flipped" else b"no database at all" * 400)
    found = recall(pool, *values)
    assert all(value in (None, values[key]) for key, value in zip(values, found, strict=True))
    for _ in range(2):  # what is found damaged while it is written is removed
        remember(pool, {b"new": b"value"})
    assert recall(pool, b"new") == [b"value"]


def test_what_is_opened_next_has_no_long_log_before_it(path: Path, pool: Pool) -> None:
    """But a short one stays, as to copy it means to wait for the disk; and so does one that somebody reads."""
    log, random = path / "memo.db-wal", Random(1)
    remember(pool, {b"a": b"one"})
    assert 0 < log.stat().st_size < MEMO_LOG
    reader = MemoStore(pool)
    assert reader.recall(digest_of(b"a")) == b"one"
    remember(pool, {b"b": random.randbytes(MEMO_LOG)})
    assert log.stat().st_size > MEMO_LOG
    reader.close()
    remember(pool, {b"c": b"two"})
    assert log.stat().st_size == 0
    assert recall(pool, b"a", b"c") == [b"one", b"two"]
