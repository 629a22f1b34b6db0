"""Entries of a map as a job gives them back, in the order of their keys: pairs that are made when somebody asks for
them. Who shows the greatest ten of 65,536 asks for few: a pair takes 0.5 us, a number of a column a twentieth of that.
"""

from __future__ import annotations

from struct import Struct

from packetfs.engines.results.elements import SIGNED, UNSIGNED, reduce_array
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, Iterable, Iterator, Sequence, TypeAlias, overload
from packetfs.vm.layout import Reducer

Pair: TypeAlias = tuple[bytes, bytes]
_INDEX: Final = Struct("<I")
_LANES: Final = 1024
"""Entries that are looked at together: more than anybody asks for of the greatest, mostly."""


class Entries(Sequence[Pair]):
    """(key, value) by key. Of arrays, whose keys are indices, those are left out whose values are zeros."""

    def __init__(
        self, values: Buffer, size: int, stride: int, keys: Buffer | None = None, key_size: int = _INDEX.size
    ) -> None:
        """`values`: all of them, each `size` bytes long, `stride` bytes apart. `keys`: likewise, None for indices."""
        self._values = memoryview(values)
        self._size = size
        self._stride = stride
        self._keys = None if keys is None else memoryview(keys)
        self._key_size = key_size
        self._pairs: tuple[Pair, ...] | None = None
        self._count: int | None = None

    def _all(self) -> tuple[Pair, ...]:
        if self._pairs is None:
            self._pairs = tuple(self._made())
        return self._pairs

    def _made(self) -> Iterable[Pair]:
        values = Struct(f"{self._size}s{self._stride - self._size}x").iter_unpack(self._values)
        if self._keys is not None:
            keys = Struct(f"{self._key_size}s").iter_unpack(self._keys)
            return [(key, value) for (key,), (value,) in zip(keys, values, strict=True)]
        zeros = bytes(self._size)
        return [(_INDEX.pack(index), value) for index, (value,) in enumerate(values) if value != zeros]

    def __len__(self) -> int:
        if self._keys is not None:
            return len(self._keys) // self._key_size
        if self._pairs is None and self._size == self._stride == 8:
            if self._count is None:
                self._count = self._not_zero()
            return self._count
        return len(self._all())

    def _not_zero(self) -> int:
        """How many values there are, each a number of 8 bytes."""
        numbers = memoryview(self._values.tobytes()).cast("Q").tolist()
        return len(numbers) - numbers.count(0)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Pair, ...]: ...
    def __getitem__(self, index: int | slice) -> Pair | tuple[Pair, ...]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())

    def greatest(self, count: int, width: int, *, signed: bool) -> Sequence[Pair]:
        """Return the entries with the `count` greatest first elements, of `width` bytes, and maybe more of them."""
        if self._stride % width or self._size < width:
            return self._all()
        from heapq import nlargest

        found = self._tops(count, width, signed=signed)
        least = min(nlargest(count, (number for number, _ in found)), default=0)
        if self._keys is None and least <= 0:  # zeros, which are left out, may have displaced others
            return self._all()
        return [self._pair(index) for index in sorted(index for number, index in found if number >= least)]

    def _tops(self, count: int, width: int, *, signed: bool) -> list[tuple[int, int]]:
        """Return numbers and their indices: the `count` greatest are among them. Of each lane, entries `_LANES` apart,
        the greatest is found first, all lanes at once; what is less than `count` of these, each of another lane, is not
        asked for."""
        from array import array  # few ask for the greatest: this brings `collections`
        from heapq import nlargest

        form, step = (SIGNED if signed else UNSIGNED)[width], self._stride // width
        tops = bytearray(self._values[: _LANES * self._stride])
        for at in range(len(tops), len(self._values), len(tops) or 1):
            more = self._values[at : at + len(tops)]
            reduce_array(
                memoryview(tops)[: len(more)], more, 1, 0, Reducer.SIGNED_MAX if signed else Reducer.MAX, width
            )
        greatest = array(form, bytes(tops))[::step].tolist()
        bound = nlargest(count, greatest)[-1] if len(greatest) > count > 0 else None
        numbers = array(form, self._values.tobytes())
        lanes = [lane for lane, top in enumerate(greatest) if bound is None or top >= bound]
        return [
            (number, lane + _LANES * i)
            for lane in lanes
            for i, number in enumerate(numbers[lane * step :: _LANES * step])
        ]

    def _pair(self, index: int) -> Pair:
        at, size = index * self._key_size, self._key_size
        key = _INDEX.pack(index) if self._keys is None else bytes(self._keys[at : at + size])
        return key, bytes(self._values[index * self._stride : index * self._stride + self._size])
