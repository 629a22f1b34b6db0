"""A delta of what is stored as a patch is what is stored: neither old nor new content is read for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from packetfs.fs.streams.ingest import ingest
from packetfs.net.sending.delta import Basis, Difference, ExtentMap
from packetfs.net.wire.packed import COPY, FILL, LITERAL, Expected, Packer, read_instructions
from packetfs.packet.digest import Digest
from packetfs.packet.tree import leaves
from packetfs.pool.pool import Pool

SIZE = 3_000_000


class Unread:
    """Old files whose content nobody may ask for."""

    def read(self, source: int, offset: int, length: int) -> NoReturn:
        raise AssertionError(f"{length} bytes at {offset} of source {source} are read")

    def size(self, source: int) -> int:  # noqa: ARG002 - there is one
        return SIZE


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with Pool.create(str(tmp_path / "p"), durable=False) as pool:
        yield pool


def store(pool: Pool, data: bytes, old: Digest | None = None) -> Digest:
    def read_into(offset: int, view: memoryview) -> int:
        part = data[offset : offset + len(view)]
        view[: len(part)] = part
        return len(part)

    return ingest(pool, read_into, old).root


def delta(pool: Pool, old: Digest, new: Digest) -> tuple[bytes, bytes]:
    """Return the instructions and the literals that make `new` of `old`."""
    places = ExtentMap(1000)
    places.add(1, 0, b"".join(leaf for _, leaf in leaves(pool, old)))
    packer = Packer()

    def unread(offset: int, leaf: bytes) -> NoReturn:
        raise AssertionError(f"new bytes at {offset} are read, of leaf {leaf[0]}")

    difference = Difference(Basis(places, Unread(), pool.patch_of), 1, unread, packer)
    for _ in difference.run(leaves(pool, new)):
        raise AssertionError("more than one block")
    instructions, literals = packer.take()
    return instructions, b"".join(literals)


def applied(old: bytes, instructions: bytes, literals: bytes) -> bytes:
    out, at = bytearray(), 0
    for item in read_instructions(instructions, Expected()):
        if item.kind == LITERAL:
            out += literals[at : at + item.length]
            at += item.length
        elif item.kind == FILL:
            out += bytes([item.byte]) * item.length
        else:
            assert item.kind == COPY
            out += old[item.offset : item.offset + item.length]
    return bytes(out)


@pytest.mark.parametrize("seed", range(3))
def test_a_delta_is_what_is_stored(pool: Pool, seed: int) -> None:
    rng = random.Random(seed)
    old = rng.randbytes(SIZE)
    first = store(pool, old)
    new = bytearray(old)
    for at in range(90_000, SIZE, 150_000):
        new[at : at + 500] = rng.choice((rng.randbytes(500), bytes(500)))
    second = store(pool, bytes(new), first)
    instructions, literals = delta(pool, first, second)
    assert applied(old, instructions, literals) == new
    assert len(literals) <= 20 * 500


def test_what_the_receiver_has_no_base_of_is_matched(pool: Pool) -> None:
    """It has the first version and is to get the third, which is stored as a patch over the second."""
    old = random.Random(4).randbytes(SIZE)
    contents, versions = [old], [store(pool, old)]
    for value in (b"second", b"third"):
        contents.append(old[:1_000_000] + value + old[1_000_000 + len(value) :])
        versions.append(store(pool, contents[-1], versions[-1]))
    for before in (0, 1):
        assert applied(contents[before], *delta(pool, *versions[before : before + 2])) == contents[before + 1]
    with pytest.raises(AssertionError, match="are read"):
        delta(pool, versions[0], versions[2])
