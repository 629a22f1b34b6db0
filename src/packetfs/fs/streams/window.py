"""The bytes of a stream that are being looked at: read once, in order, into one buffer that is used again."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from packetfs.pages import pages
from packetfs.typing import Final, TypeAlias

ReadInto: TypeAlias = Callable[[int, memoryview], int]
"""Fill the memory with the stream's bytes from an offset on, and return how many: 0 at the end alone."""

_READ: Final = 256 * 1024
"""Bytes read at a time: they are in the second-level cache still when they are hashed."""
_EVEN: Final = 64
"""What is read begins at a multiple of so many bytes of memory: the kernel copies to odd places at half the speed."""
_spare: Final[list[memoryview]] = []


class Window:
    """A buffer over a stream, by offsets in the stream."""

    def __init__(self, read_into: ReadInto, capacity: int, *, ahead: bool = True) -> None:
        """Without `ahead` nothing is read but what is asked for."""
        self._read_into = read_into
        self._ahead = ahead
        size = capacity + _EVEN
        self._memory = _spare.pop() if _spare and len(_spare[-1]) >= size else pages(size)
        self._origin = self._start = self._end = 0
        """Offsets in the stream: of the memory, of the first byte that is here, and behind the last."""
        self.ended = False

    def __enter__(self) -> Window:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not _spare:
            _spare.append(self._memory)

    @property
    def capacity(self) -> int:
        """The most bytes that can be had at a time."""
        return len(self._memory) - _EVEN

    def have(self, at: int, size: int, keep: int) -> int:
        """Read until `size` bytes from `at` on are here, or the stream ends; return how many are, `size` at the most.

        Bytes before `keep` are given up; those from it on and the new ones must fit the capacity. A `keep` beyond what
        was read jumps over what lies between; one before what is here reads again, which not every stream can.
        """
        if not self._start <= keep <= self._end:
            self._origin = self._start = self._end = keep
            self.ended = False
        while at + size > self._end and not self.ended:
            if at + size - self._origin > len(self._memory):
                self._move(keep)
            wanted = _READ if self._ahead else at + size - self._end
            room = self._memory[self._end - self._origin :][:wanted]
            if not room:
                break
            count = self._read_into(self._end, room)
            self._end += count
            self.ended = not count
        return min(size, self._end - at)

    def _move(self, keep: int) -> None:
        count = self._end - keep
        room = -count % _EVEN
        self._memory[room : room + count] = self._memory[keep - self._origin : keep - self._origin + count]
        self._origin, self._start = keep - room, keep

    def view(self, at: int, size: int) -> memoryview:
        """Return bytes that are here; the memory changes with the next `have`."""
        return self._memory[at - self._origin : at - self._origin + size]

    def fetch(self, at: int, size: int) -> memoryview:
        """Return bytes of the stream; where they are not here they are read apart."""
        if self._start <= at and at + size <= self._end:
            return self.view(at, size)
        memory = memoryview(bytearray(size))
        done = 0
        while done < size and (count := self._read_into(at + done, memory[done:])):
            done += count
        return memory[:done]


def let_go() -> None:
    """Give up the buffer that is kept for the next stream."""
    _spare.clear()
