"""Shards of a file in a pool end where its content says: within bounds, and again where they did behind an edit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.engines.input.cuts import stretches
from packetfs.fs.leaves import Leaves
from packetfs.fs.streams.ingest import ingest
from packetfs.packet.digest import Digest
from packetfs.pool.pool import Pool

MEAN = 4096
DATA = Random(5).randbytes(600_000)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool.create(os.fspath(tmp_path_factory.mktemp("cuts") / "pool"), mean=MEAN) as opened:
        yield opened


def stored(pool: Pool, data: bytes) -> Digest:
    def read(at: int, room: memoryview) -> int:
        part = data[at : at + len(room)]
        room[: len(part)] = part
        return len(part)

    return ingest(pool, read).root


def parts(pool: Pool, data: bytes, shard: int) -> list[bytes]:
    ends = [end for found in stretches(Leaves(pool), stored(pool, data), shard) for end in found]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(("noise", "zeros", "short")), st.integers(0, 60_000)), max_size=6),
    st.sampled_from((512, 1000, 5001, 40_000, 1 << 20)),
)
def test_shards_are_all_of_a_file_and_within_bounds(pool: Pool, pieces: list[tuple[str, int]], shard: int) -> None:
    kinds = {"noise": DATA, "zeros": bytes(60_000), "short": b"x" * 30}
    found = parts(pool, data := b"".join(kinds[kind][:size] for kind, size in pieces), shard)
    assert b"".join(found) == data
    assert all(part and len(part) <= shard + shard // 2 for part in found)
    assert all(len(part) >= shard - shard // 2 for part in found[:-1])


@pytest.mark.parametrize("shard", [512, 16_384, 65_536])
def test_an_insertion_moves_the_shards_around_it_alone(pool: Pool, shard: int) -> None:
    before, at = set(parts(pool, DATA, shard)), 200_000
    after = parts(pool, DATA[:at] + b"something new" + DATA[at:], shard)
    new = sum(len(part) for part in after if part not in before)
    assert new <= 6 * shard + 4 * MEAN


def test_a_long_run_is_cut_from_its_beginning(pool: Pool) -> None:
    assert [len(part) for part in parts(pool, bytes(100_000), 30_000)] == [30_000, 30_000, 30_000, 10_000]
