"""Fingerprints: whether bytes are as somebody saw them before, for a fifth of what hashing takes (by hand).

The two levels of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway, CRYPTO '99). Each block of 4 KiB, padded with zeros
to words of 64 bits, is hashed by NH: to each half of a word the key's is added mod 2**32, and the products of the
halves are summed mod 2**64; then again with the key 16 bytes further on (Toeplitz). The halves of the first sums of all
blocks are the coefficients of a polynomial mod 2**61 - 1, those of the second sums of another one, and their values at
two points, the last words of the key, are the fingerprint. The key is as short as a block, as a longer one leaves the
first-level cache: a gigabyte took 0.12 instead of 0.07 s (by hand).

Two contents of one length have the same fingerprint with a chance of 2**-64, whoever chose them, as long as he does not
know the key: NH twice has that, and two polynomials add 2**-110. Of contents of two lengths it says nothing.
"""

from __future__ import annotations

from struct import Struct, iter_unpack

from packetfs.accel import native
from packetfs.packet.blocks import PRIME
from packetfs.packet.digest import keyed_tag
from packetfs.packet.layout import PACKET, Buffer
from packetfs.packet.tree import produces
from packetfs.typing import Final, Iterator

FINGERPRINT: Final = 16
OTHERS: Final = 4
"""Extents, one after the other, that are not there, until no more are looked for."""
_WORD: Final = 8
_BLOCK: Final = 4096
_SHIFT: Final = 16
_HALF: Final = (1 << 32) - 1
_SUM: Final = (1 << 64) - 1
_POINT: Final = Struct("<Q")
KEY: Final = _BLOCK + _SHIFT + 2 * _WORD
"""Bytes of a key."""
IS_FAST: Final = native is not None
"""Whether it takes less than hashing."""


def fingerprint_key(secret: bytes) -> bytes:
    """Return the key of all content, from a secret of 32 bytes."""
    return keyed_tag(secret, b"packetfs fingerprints", KEY)


def fingerprint_python(data: Buffer, key: Buffer, /) -> bytes:
    """Return the 16 bytes of some content."""
    view, words = memoryview(data).cast("B"), memoryview(key).cast("B")
    if len(words) != KEY:
        raise ValueError("the key has another length")
    padded = bytes(view) + bytes(-len(view) % _WORD)
    blocks = [padded[at : at + _BLOCK] for at in range(0, len(padded), _BLOCK)]
    return b"".join(_value(blocks, words, number) for number in range(2))


def _value(blocks: list[bytes], key: memoryview, number: int) -> bytes:
    """Return the value of the first or second polynomial."""
    (point,) = _POINT.unpack_from(key, _BLOCK + _SHIFT + number * _WORD)
    value = 0
    for block in blocks:
        total = _sum(block, key[number * _SHIFT :][: len(block)])
        value = ((value * (point & PRIME) + (total >> 32)) * (point & PRIME) + (total & _HALF)) % PRIME
    return value.to_bytes(_WORD, "little")


def _sum(data: bytes, key: memoryview) -> int:
    words: Iterator[tuple[int, int]] = iter_unpack("<2I", data)
    keys: Iterator[tuple[int, int]] = iter_unpack("<2I", key)
    return sum(((a + j) & _HALF) * ((b + k) & _HALF) for (a, b), (j, k) in zip(words, keys, strict=True)) & _SUM


def same_fingerprints_python(leaves: Buffer, known: Buffer, key: Buffer, stream: Buffer, /) -> bytes:
    """Return 1 for each of the extents that `leaves` are copies of where the stream has it, else 0, by what is known of
    each; not for those behind `OTHERS` that it has not, or that its end cuts off.

    The native one survives a stream that is a mapped file whose pages are gone: it has nothing to say of that.
    """
    named, prints, comes = (memoryview(each).cast("B") for each in (leaves, known, stream))
    same = bytearray()
    done = 0
    for number in range(min(len(named) // PACKET, len(prints) // FINGERPRINT)):
        length = produces(bytes(named[number * PACKET : (number + 1) * PACKET]))
        if length > len(comes) - done or same.endswith(bytes(OTHERS)):
            break
        found = fingerprint_python(comes[done : done + length], key)
        same.append(found == prints[number * FINGERPRINT : (number + 1) * FINGERPRINT])
        done += length
    return bytes(same)


if native is None:
    fingerprint, same_fingerprints = fingerprint_python, same_fingerprints_python
else:
    fingerprint, same_fingerprints = native.fingerprint, native.same_fingerprints
