"""The set of what a collection keeps, against a set of Python; letting go of all content of a cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import MissingExtent
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.layout import Mark
from packetfs.pool.gc import LiveSet, collect, discard_content
from packetfs.pool.pool import Pool
from tests.pool.live import live

PARTS = st.sampled_from([bytes(8), b"\1" + bytes(7), b"\xff" * 8, b"12345678", b"1234567\0"])
DIGESTS = st.builds(lambda a, b, c: Digest(a + b + c * 2), PARTS, PARTS, PARTS)


def identify(digest: bytes) -> bytes:
    """Return the 126 bits that count."""
    first = digest[:8] if any(digest[:8]) else b"\1" + bytes(7)
    return first + (int.from_bytes(digest[8:16], "little") >> 2).to_bytes(8, "little")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool.create(str(tmp_path_factory.mktemp("gc") / "pool"), durable=False)


@given(entries=st.lists(st.tuples(DIGESTS, st.booleans()), max_size=300), other=DIGESTS)
def test_live_set_is_a_set(pool: Pool, entries: list[tuple[Digest, bool]], other: Digest) -> None:
    """Digests that share their beginnings included; its room is for 64, so it grows too."""
    live = LiveSet(pool)
    known: set[tuple[bytes, bool]] = set()
    for digest, program in entries:
        assert live.add(digest, program=program) == ((identify(digest), program) not in known)
        known.add((identify(digest), program))
        assert digest in live
    assert (other in live) == any(identity == identify(other) for identity, _ in known)


def test_live_set_takes_more_than_the_pool_has(pool: Pool) -> None:
    live = LiveSet(pool)
    digests = [digest_of(b"%d" % number) for number in range(5000)]
    for digest in digests[::2]:
        assert live.add(digest, program=False)
    assert [digest in live for digest in digests] == [True, False] * 2500


def test_live_set_takes_what_crowds_one_place(pool: Pool) -> None:
    """A hundred digests that all begin alike: more than one look gives, and all beside one another."""
    live = LiveSet(pool)
    digests = [Digest(b"samesame" + (number << 2).to_bytes(8, "little") + bytes(16)) for number in range(200)]
    for digest in digests:
        assert live.add(digest, program=True)
    assert all(digest in live for digest in digests)
    assert Digest(b"samesame" + b"\xff" * 24) not in live


def test_all_content_goes_and_programs_stay(tmp_path: Path) -> None:
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool:
        content = [pool.put(b"%d" % number * 50_000) for number in range(20)]
        programs = [pool.put(b"program %d" % number, mark=Mark.PROGRAM) for number in range(20)]
        pool.flush()
        gathered = pool.put(b"still in memory")
        assert discard_content(pool) >= 20 * 50_000
        for digest in content:
            with pytest.raises(MissingExtent):
                pool.read(digest)
        assert [pool.read(digest) for digest in programs] == [b"program %d" % number for number in range(20)]
        assert pool.content_bytes == len(pool.read(gathered))
        assert collect(pool, live(pool, programs)) >= 0
        assert not pool.content_bytes
