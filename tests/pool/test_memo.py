"""What a pool remembers is a cache: bounded, refused while there is another writer, begun anew where it is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from packetfs.limits import MEMO_LOG, MEMO_OUTPUT_MIN, MEMO_WAITING
from packetfs.packet.digest import digest_of
from packetfs.packet.layout import Buffer
from packetfs.pool.check import check
from packetfs.pool.memo import MemoStatus, MemoStore, clear_memo, memo_status
from packetfs.pool.outputs import Place
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


def recall(pool: Pool, *keys: bytes) -> list[Buffer | None]:
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
        remember(pool, {b"%d" % day: random.randbytes(15_000)}, limit=limit)
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
    remember(pool, {b"b%d" % number: random.randbytes(10_000) for number in range(MEMO_LOG // 10_000 + 1)})
    assert log.stat().st_size > MEMO_LOG
    reader.close()
    remember(pool, {b"c": b"two"})
    assert log.stat().st_size == 0
    assert recall(pool, b"a", b"c") == [b"one", b"two"]


# output


def keep(pool: Pool, *outputs: bytes, **limit: int) -> list[Place]:
    store = MemoStore(pool, **limit)
    places = [store.keep(output) for output in outputs]
    store.close()
    return places


def find(pool: Pool, *places: Place) -> list[bytes | None]:
    store = MemoStore(pool)
    try:
        found = [store.find(place) for place in places]
        return [None if each is None else bytes(each) for each in found]
    finally:
        store.close()


def only_file(path: Path) -> Path:
    (file,) = (path / "memo").iterdir()
    return file


def test_output_is_there_for_the_next_one_until_it_is_forgotten(path: Path, pool: Pool) -> None:
    outputs = [Random(number).randbytes(3000) for number in range(1200)]
    store = MemoStore(pool)
    places = [store.keep(output) for output in outputs]
    assert bytes(store.find(places[7]) or b"") == outputs[7]
    store.close()
    assert find(pool, *places) == outputs
    assert memo_status(pool).size > 1200 * 3000
    assert find(pool, Place(places[0].file, 0, 1200 * 3000 + 1), Place(-1, 0, 1)) == [None, None]
    assert clear_memo(pool) > 1200 * 3000
    assert find(pool, places[0]) == [None]
    assert not list((path / "memo").iterdir())


def test_a_long_value_lies_there_too(path: Path, pool: Pool) -> None:
    value = Random(1).randbytes(100_000)
    store = MemoStore(pool)
    store.remember(digest_of(b"a"), value)
    assert store.recall(digest_of(b"a")) == value
    store.close()
    assert only_file(path).read_bytes() == value
    assert recall(pool, b"a") == [value]
    only_file(path).unlink()
    assert recall(pool, b"a") == [None]


def test_much_output_is_written_on_the_way(path: Path, pool: Pool) -> None:
    store = MemoStore(pool)
    place = store.keep(bytes(MEMO_WAITING + 1))
    assert only_file(path).stat().st_size == place.length
    store.close()


@pytest.mark.parametrize("kind", ["cut", "longer", "flipped", "gone", "rebooted"])
def test_output_that_changed_since_it_was_written_is_not_there(
    path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A file that only looks as if it had changed is compared once, and then is as before."""
    first, second = keep(pool, b"first" * 1000, b"second" * 1000)
    file = only_file(path)
    data = file.read_bytes()
    if kind == "rebooted":
        monkeypatch.setattr("packetfs.pool.outputs.boot_id", lambda: bytes(16))
    elif kind == "gone":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if kind == "cut" else data + b"." if kind == "longer" else b"F" + data[1:])
    assert find(pool, first, second) == ([b"first" * 1000, b"second" * 1000] if kind == "rebooted" else [None, None])
    file.write_bytes(data)
    assert find(pool, first, second) == [b"first" * 1000, b"second" * 1000]
    monkeypatch.setattr("packetfs.pool.outputs.digest_of", lambda _: b"")
    assert find(pool, first, second) == [b"first" * 1000, b"second" * 1000]


def test_what_was_found_stays_where_its_file_goes(pool: Pool) -> None:
    (place,) = keep(pool, b"output" * 1000)
    store = MemoStore(pool)
    found = store.find(place)
    clear_memo(pool)
    assert found is not None
    assert bytes(found) == b"output" * 1000
    store.close()


def test_output_stays_within_its_bound_and_what_is_used_stays(
    path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file counts as a larger one, so there are few; files that a killed process left go too."""
    (used,) = keep(pool, b"used" * 1000)
    (path / "memo" / "left").write_bytes(b"half of it")
    places: list[Place] = []
    for day in range(1, 30):
        monkeypatch.setattr("time.time", lambda day=day: 86_400.0 * (30_000 + day))
        assert find(pool, used) == [b"used" * 1000]
        places += keep(pool, b"%d" % day * 1000, outputs=8 * MEMO_OUTPUT_MIN)
        assert len(list((path / "memo").iterdir())) <= 8
    assert find(pool, places[0], places[-1]) == [None, b"29" * 1000]


def test_output_is_forgotten_where_it_cannot_be_written(path: Path, pool: Pool) -> None:
    with Pool.open(os.fspath(path), writable=True):
        (place,) = keep(pool, b"output" * 1000)
    assert not (path / "memo").exists()
    assert find(pool, place) == [None]
