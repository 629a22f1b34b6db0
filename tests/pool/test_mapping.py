"""What is remembered of extents that were shown: true while their segment stays mapped, and no longer."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from packetfs.errors import CorruptExtent, MissingExtent
from packetfs.limits import SEGMENT
from packetfs.packet.digest import Digest
from packetfs.packet.layout import Encoding
from packetfs.pool import mapping
from packetfs.pool.check import check
from packetfs.pool.gc import evict
from packetfs.pool.pool import Pool

DATA = Random(1).randbytes(5000)


def peeked(pool: Pool, digest: Digest, *, look: bool = True) -> bytes | None:
    found = pool.peek(digest, look)
    return None if found is None else bytes(found)


def test_what_was_shown_is_found_without_asking_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.create(str(place / "pool"), durable=False) as pool:
        digest = pool.put(DATA)
        assert pool.lookup.known(digest) is None
        assert pool.view(digest) == DATA
        for name in ("require", "header_at", "payload_of"):
            monkeypatch.setattr(pool.lookup, name, None)
        assert bytes(pool.view(digest)) == peeked(pool, digest) == DATA
        monkeypatch.setattr(pool.arena, "is_near", lambda _position: False)
        assert pool.lookup.known(digest, look=True) is None
        assert peeked(pool, digest, look=False) == DATA


def test_an_extent_that_is_gone_is_not_known(place: Path) -> None:
    with Pool.create(str(place / "pool"), durable=False) as pool:
        digest = pool.put(DATA)
        other = pool.put(DATA[:3000])
        assert pool.view(digest) == DATA
        assert pool.view(other) == DATA[:3000]
        evict(pool, digest)
        with pytest.raises(MissingExtent):
            pool.view(digest)
        assert pool.peek(digest) is None
        assert pool.view(other) == DATA[:3000]


def test_a_check_that_finds_damage_lets_nobody_go_by_what_was_known(place: Path) -> None:
    with Pool.create(str(place / "pool"), durable=False) as pool:
        digest = pool.put(DATA)
        assert pool.view(digest) == DATA
        where = pool.locate(digest)
        with Path(pool.arena.segment_path(where.segment)).open("r+b") as file:
            file.seek(where.offset + 100)
            file.write(bytes([DATA[100] ^ 1]))
        assert [finding.digest for finding in check(pool)] == [digest]
        with pytest.raises(CorruptExtent):
            pool.view(digest)


def test_a_mapping_that_goes_takes_along_what_is_known(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.create(str(place / "pool"), durable=False) as pool:
        digest = pool.put(DATA)
        assert pool.view(digest) == DATA
        pool.mappings.release(0)
        assert pool.lookup.known(digest) is None
        assert pool.view(digest) == DATA
        monkeypatch.setattr(mapping, "SEGMENTS_MAPPED", 0)
        pool.mappings.hold(0)
        pool.mappings._newest = None
        assert pool.lookup.known(digest) is None


def test_what_is_known_is_bounded(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "EXTENTS_KNOWN", 3)
    with Pool.create(str(place / "pool"), durable=False) as pool:
        digests = [pool.put(DATA[:size]) for size in range(100, 110)]
        assert [pool.view(digest) for digest in digests] == [DATA[:size] for size in range(100, 110)]
        assert [pool.view(digest) for digest in digests] == [DATA[:size] for size in range(100, 110)]
        assert len(pool.mappings.hold(0).known) <= 3


def test_what_must_be_decoded_is_not_shown_as_it_lies(place: Path) -> None:
    with Pool.create(str(place / "pool"), durable=False) as pool:
        data = bytes(range(256)) * 100
        digest = pool.put(data, encoding=Encoding.ZSTD)
        empty = pool.put(b"")
        for _ in range(2):
            assert bytes(pool.view(digest)) == peeked(pool, digest) == data
            assert bytes(pool.view(empty)) == peeked(pool, empty) == b""


def test_places_fit_what_keeps_them() -> None:
    assert SEGMENT < 1 << 32
