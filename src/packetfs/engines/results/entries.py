"""Entries of a map as a job gives them back, in the order of their keys: pairs that are made when somebody asks for
them. Who shows the greatest ten of 65,536 asks for few: a pair takes 0.5 us, a number of a column a twentieth of that.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from struct import Struct

from packetfs.engines.results.elements import SIGNED, UNSIGNED
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, TypeAlias, overload

Pair: TypeAlias = tuple[bytes, bytes]
_INDEX: Final = Struct("<I")
_PART: Final = 256
"""Numbers of which the greatest is found first."""


class Entries(Sequence[Pair]):
    """(key, value) by key. Of arrays, whose keys are indices, those are left out whose values are zeros."""

    def __init__(
        self,
        everything: Callable[[], Iterable[Pair]],
        values: Buffer,
        size: int,
        stride: int,
        keys: Buffer | None = None,
        key_size: int = _INDEX.size,
    ) -> None:
        """`everything`: makes all pairs; from `values`, each `size` bytes long, `stride` bytes apart. `keys`: all of
        them, None for indices."""
        self._everything = everything
        self._values = memoryview(values)
        self._size = size
        self._stride = stride
        self._keys = None if keys is None else memoryview(keys)
        self._key_size = key_size
        self._pairs: tuple[Pair, ...] | None = None
        self._listed: dict[str, list[int]] = {}

    def _all(self) -> tuple[Pair, ...]:
        if self._pairs is None:
            self._pairs = tuple(self._everything())
        return self._pairs

    def __len__(self) -> int:
        if self._keys is not None:
            return len(self._keys) // self._key_size
        if self._pairs is None and self._size == self._stride == 8:
            numbers = self._listed.get("q") or self._numbers("Q", 8)
            return len(numbers) - numbers.count(0)
        return len(self._all())

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
        numbers = self._numbers((SIGNED if signed else UNSIGNED)[width], width)
        least = _least(numbers, count)
        if self._keys is None and least <= 0:  # zeros, which are left out, may have displaced others
            return self._all()
        return [self._pair(index) for index, number in enumerate(numbers) if number >= least]

    def _numbers(self, form: str, width: int) -> list[int]:
        """Return the first elements of all values."""
        if form not in self._listed:
            self._listed[form] = array(form, self._values.tobytes())[:: self._stride // width].tolist()
        return self._listed[form]

    def _pair(self, index: int) -> Pair:
        at, size = index * self._key_size, self._key_size
        key = _INDEX.pack(index) if self._keys is None else bytes(self._keys[at : at + size])
        return key, bytes(self._values[index * self._stride : index * self._stride + self._size])


def _least(numbers: list[int], count: int) -> int:
    """Return the least of the `count` greatest numbers, or of all where there are no more."""
    parts = [numbers[at : at + _PART] for at in range(0, len(numbers), _PART)]
    tops = [max(part) for part in parts]
    if len(parts) > count:  # what is less than so many numbers, each of another part, is not among the greatest
        bound = heapq.nlargest(count, tops)[-1]
        parts = [part for part, top in zip(parts, tops, strict=True) if top >= bound]
    return min(heapq.nlargest(count, (number for part in parts for number in part)), default=0)
