"""Signatures of blocks: what one side says of old bytes in few bytes, so that the other finds them in its new ones.

The sum of a block is a polynomial in a secret key modulo 2**61 - 1, so it rolls: from one place of the new bytes to
the next it costs one product, and no content made beforehand has equal sums. Its low `width` bytes travel. A sum finds;
what is made of the finds is compared by digest. The functions here are the definition, the native twins do the same.
"""

from __future__ import annotations

from packetfs.accel import native
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Buffer

PRIME: Final = (1 << 61) - 1
BLOCK_MIN: Final = 64
BLOCK_MAX: Final = 1 << 20
WIDTH_MAX: Final = 7
"""Bytes of a sum that travel at the most: it has 61 bits."""

Find = tuple[int, int, int]
"""From a place of the new bytes on: the number of a block, and how many blocks from it on stand there in a row."""


def block_sums_python(data: Buffer, block: int, width: int, key: int, /) -> bytes:
    """Return the sums of all whole blocks, `width` bytes each, little-endian."""
    _check(block, width, key)
    view = bytes(data)
    starts = range(0, len(view) // block * block, block)
    return b"".join(_cut(_sum(view[at : at + block], key), width).to_bytes(width, "little") for at in starts)


def block_index_python(sums: Buffer, width: int, /) -> bytes:
    """Return a table for `block_find`; the twin needs none."""
    if not 1 <= width <= WIDTH_MAX or len(bytes(sums)) % width:
        raise ValueError("sums have 1 to 7 bytes each")
    return b""


def block_find_python(
    table: Buffer,  # noqa: ARG001 (the native twin's)
    sums: Buffer,
    block: int,
    width: int,
    key: int,
    data: Buffer,
    expected: int,
    /,
) -> list[Find]:
    """Return blocks that stand in `data`, from the left: where the block that is expected next fits, it is taken, else
    the first with that sum."""
    _check(block, width, key)
    said = bytes(sums)
    if len(said) % width:
        raise ValueError("the table is not that of the sums")
    if expected < 0:
        raise ValueError("blocks are counted from 0")
    known = [int.from_bytes(said[at : at + width], "little") for at in range(0, len(said), width)]
    numbers = {value: number for number, value in reversed(list(enumerate(known)))}
    view, found, at = bytes(data), list[Find](), 0
    leaving = pow(key, block, PRIME)
    while at + block <= len(view):
        value = _sum(view[at : at + block], key)
        while (number := _choose(known, numbers, _cut(value, width), expected)) is None and at + block < len(view):
            value = (value * key + view[at + block] - view[at] * leaving) % PRIME
            at += 1
        if number is None:
            break
        _append(found, at, number, block)
        at, expected = at + block, number + 1
    return found


def _choose(known: list[int], numbers: dict[int, int], value: int, expected: int) -> int | None:
    return expected if expected < len(known) and known[expected] == value else numbers.get(value)


def _append(found: list[Find], at: int, number: int, block: int) -> None:
    if found:
        start, first, count = found[-1]
        if first + count == number and start + count * block == at:
            found[-1] = start, first, count + 1
            return
    found.append((at, number, 1))


def _sum(data: bytes, key: int) -> int:
    total = 0
    for byte in data:
        total = (total * key + byte) % PRIME
    return total


def _cut(total: int, width: int) -> int:
    return total & (1 << 8 * width) - 1


def _check(block: int, width: int, key: int) -> None:
    if not BLOCK_MIN <= block <= BLOCK_MAX or block & (block - 1):
        raise ValueError("a block is a power of two from 64 bytes to 1 MiB")
    if not 1 <= width <= WIDTH_MAX:
        raise ValueError("a sum has 1 to 7 bytes")
    if not 0 <= key < PRIME:
        raise ValueError("a key is below 2**61 - 1")


if native is None:
    block_sums, block_index, block_find = block_sums_python, block_index_python, block_find_python
else:
    block_sums, block_index, block_find = native.block_sums, native.block_index, native.block_find
