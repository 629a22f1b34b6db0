"""The leaves of a new program along an old one: nothing is left out, and what is said to be shared is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from packetfs.fs.leaves import Leaves
from packetfs.fs.streams.ingest import ingest
from packetfs.net.sending.shared import Shared, along
from packetfs.packet.digest import Digest
from packetfs.packet.layout import Op
from packetfs.packet.tree import leaves, produces
from packetfs.pool.pool import Pool


def store(pool: Pool, data: bytes) -> Digest:
    def read_into(offset: int, into: memoryview) -> int:
        piece = data[offset : offset + len(into)]
        into[: len(piece)] = piece
        return len(piece)

    return ingest(pool, read_into).root


def edited(data: bytes, rng: Random) -> bytes:
    new = bytearray(data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(new) + 1)
        kind, piece = rng.randrange(4), rng.randbytes(rng.choice((1, 5000, 90_000)))
        if kind == 0:
            new[at : at + len(piece)] = piece
        elif kind == 1:
            new[at:at] = piece
        elif kind == 2:
            del new[at : at + len(piece)]
        else:
            new[at : at + 60_000] = bytes(60_000)
    return bytes(new)


@pytest.mark.parametrize("seed", range(30))
def test_all_leaves_come_in_order_and_what_is_shared_is_where_it_was(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    with Pool.create(str(tmp_path / "pool"), mean=4096, durable=False) as pool:
        before = rng.randbytes(rng.choice((0, 100, 300_000, 3_000_000))) + bytes(rng.choice((0, 100_000)))
        old, new = store(pool, before), store(pool, edited(before, rng))
        held, found = dict(leaves(pool, old)), []
        for part in along(Leaves(pool), new, old):
            if isinstance(part, Shared):
                assert all(held[at] == leaf and leaf[0] == Op.COPY for at, leaf in part.leaves)
                assert part.offset == part.leaves[0][0]
                found += part.leaves
            else:
                assert held.get(part[0]) != part[1] or part[1][0] != Op.COPY
                found.append(part)
        assert found == list(leaves(pool, new))


def test_a_stretch_is_as_long_as_its_leaves(tmp_path: Path) -> None:
    with Pool.create(str(tmp_path / "pool"), mean=4096, durable=False) as pool:
        data = Random(1).randbytes(1_000_000)
        root = store(pool, data)
        parts = list(along(Leaves(pool), root, root))
        shared = [part for part in parts if isinstance(part, Shared)]
        assert sum(part.size if isinstance(part, Shared) else produces(part[1]) for part in parts) == len(data)
        assert 1 < len(shared) < len(list(leaves(pool, root))) // 10
