"""Words of 8 bytes in as few as they need: what maps hold, counts mostly, is kept in an eighth of its size, at the
speed of memory. zstd makes 40 KB of 512 KiB of small counts, in 2 ms; this 65 KB in 0.1, and reads it back in 0.05.

Words, little-endian, are taken in blocks of 64. Before each block stands the width of its words, 0, 1, 2, 4 or 8, the
least that the largest one fits in.
"""

from __future__ import annotations

from struct import pack, unpack

from packetfs.accel import native
from packetfs.engines.results.elements import reduce_python
from packetfs.packet.layout import Buffer
from packetfs.typing import Final
from packetfs.vm.layout import Reducer

_BLOCK: Final = 64
_WORD: Final = 8
_FORMS: Final = {0: "", 1: "B", 2: "H", 4: "I", 8: "Q"}


def narrow_python(words: Buffer) -> bytes:
    """Return whole words in blocks; ValueError where there is a part of one."""
    data = memoryview(words)
    if len(data) % _WORD:
        raise ValueError("a word has 8 bytes")
    parts: list[bytes] = []
    for at in range(0, len(data), _BLOCK * _WORD):
        block = data[at : at + _BLOCK * _WORD]
        numbers = unpack(f"<{len(block) // _WORD}Q", block)
        width = next(width for width in _FORMS if max(numbers) < 1 << 8 * width)
        parts += (bytes([width]), pack(f"<{len(numbers)}{_FORMS[width]}", *numbers) if width else b"")
    return b"".join(parts)


def widen_python(data: Buffer, count: int) -> bytearray:
    """Return so many words; ValueError for what `narrow` does not make of any such."""
    source, out, at = bytes(data), bytearray(), 0
    while len(out) < count * _WORD:
        here = min(_BLOCK, count - len(out) // _WORD)
        width = source[at] if at < len(source) else -1
        end = at + 1 + here * width
        if width not in _FORMS or end > len(source):
            raise ValueError("these are not words in blocks")
        out += pack(f"<{here}Q", *(unpack(f"<{here}{_FORMS[width]}", source[at + 1 : end]) if width else [0] * here))
        at = end
    if at != len(source) or count < 0:
        raise ValueError("these are not so many words")
    return out


def is_narrow_python(data: Buffer, count: int) -> bool:
    """Tell whether that many words can be had of it."""
    try:
        widen_python(data, count)
    except ValueError:
        return False
    return True


def reduce_narrow_python(into: Buffer, data: Buffer, count: int, start: int, reducer: int, width: int) -> None:
    """Reduce the words from `start` on into as many; ValueError where there are not so many."""
    size, words = len(into), memoryview(widen_python(data, count))
    if size % _WORD or not 0 <= start * _WORD <= len(words) - size:
        raise ValueError("these are not words in blocks, or too few")
    reduce_python(memoryview(into), words[start * _WORD : start * _WORD + size], 1, 0, reducer, width)


narrow: Final = narrow_python if native is None else native.narrow
widen: Final = widen_python if native is None else native.widen
is_narrow: Final = is_narrow_python if native is None else native.is_narrow
reduce_narrow: Final = reduce_narrow_python if native is None else native.vm_reduce_narrow


class Words:
    """Words that stay narrow until somebody needs them: most are only reduced."""

    __slots__ = ("_count", "_data", "_size")

    def __init__(self, data: Buffer, size: int) -> None:
        """`size`: bytes of the words. ValueError for data that is not that."""
        self._data = data
        self._size = size
        self._count = -(-size // _WORD)
        if not is_narrow(data, self._count):
            raise ValueError("these are not words in blocks")

    def __len__(self) -> int:
        return self._size

    def widened(self) -> memoryview:
        """Return the bytes of the words."""
        return memoryview(widen(self._data, self._count))[: self._size]

    def part(self, start: int, size: int) -> bytearray:
        """Return whole words from byte `start` on, where one begins: a few of many."""
        found = bytearray(size)
        self.reduce(found, start, Reducer.OR, _WORD)
        return found

    def reduce(self, into: bytearray, start: int, reducer: int, width: int) -> None:
        """Reduce those from byte `start` on, where a word begins, into as many."""
        reduce_narrow(into, self._data, self._count, start // _WORD, reducer, width)
