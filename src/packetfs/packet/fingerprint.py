"""Fingerprints: whether bytes are as somebody saw them before, for a fifth of what hashing takes (by hand).

The universal hash NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, CRYPTO '99), twice by the Toeplitz construction:
bytes are padded with zeros to words of 64 bits, to each half of which the key's is added mod 2**32, and the products of
the halves are summed mod 2**64; then again with the key 16 bytes further on. Two contents of one length have the same
fingerprint with a chance of 2**-64, whoever chose them, as long as he does not know the key. Of contents of two lengths
it says nothing.
"""

from __future__ import annotations

from struct import iter_unpack

from packetfs.accel import native
from packetfs.packet.digest import keyed_tag
from packetfs.packet.layout import PACKET, Buffer
from packetfs.packet.tree import produces
from packetfs.typing import Final, Iterator

FINGERPRINT: Final = 16
OTHERS: Final = 4
"""Extents, one after the other, that are not there, until no more are looked for."""
_WORD: Final = 8
_SHIFT: Final = 16
_HALF: Final = (1 << 32) - 1
_SUM: Final = (1 << 64) - 1
IS_FAST: Final = native is not None
"""Whether it takes less than hashing."""


def key_size(length: int) -> int:
    """Return how many bytes of key so many bytes take."""
    return -(-length // _WORD) * _WORD + _SHIFT


def fingerprint_key(secret: bytes, longest: int) -> bytes:
    """Return the key of all content up to a length, from a secret of 32 bytes."""
    return keyed_tag(secret, b"packetfs fingerprints", key_size(longest))


def fingerprint_python(data: Buffer, key: Buffer, /) -> bytes:
    """Return the 16 bytes of some content."""
    view, words = memoryview(data).cast("B"), memoryview(key).cast("B")
    if len(words) < key_size(len(view)):
        raise ValueError("the key is shorter than what it is for")
    padded = bytes(view) + bytes(-len(view) % _WORD)
    sums = (_sum(padded, words[shift : shift + len(padded)]) for shift in (0, _SHIFT))
    return b"".join(each.to_bytes(_WORD, "little") for each in sums)


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
        if length > len(comes) - done or key_size(length) > len(key) or same.endswith(bytes(OTHERS)):
            break
        found = fingerprint_python(comes[done : done + length], key)
        same.append(found == prints[number * FINGERPRINT : (number + 1) * FINGERPRINT])
        done += length
    return bytes(same)


if native is None:
    fingerprint, same_fingerprints = fingerprint_python, same_fingerprints_python
else:
    fingerprint, same_fingerprints = native.fingerprint, native.same_fingerprints
