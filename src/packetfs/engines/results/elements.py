"""Values of maps, reduced element by element as a map's definition says."""

from __future__ import annotations

from _operator import and_, or_, xor  # `operator` takes 0.2 ms to say the same

from packetfs.accel import native
from packetfs.typing import Callable, Final
from packetfs.vm.layout import Reducer

Elements = Callable[[int, int], int]

UNSIGNED: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
SIGNED: Final = {1: "b", 2: "h", 4: "i", 8: "q"}
BITWISE: Final[dict[Reducer, Elements]] = {Reducer.OR: or_, Reducer.AND: and_, Reducer.XOR: xor}
ORDERED: Final[dict[Reducer, tuple[dict[int, str], Elements]]] = {
    Reducer.MIN: (UNSIGNED, min),
    Reducer.MAX: (UNSIGNED, max),
    Reducer.SIGNED_MIN: (SIGNED, min),
    Reducer.SIGNED_MAX: (SIGNED, max),
}


def reduce_python(into: memoryview, values: memoryview, count: int, stride: int, reducer: int, width: int) -> None:
    """Reduce `count` times len(into) bytes, every `stride` bytes of `values`, into `into`, in order.

    Elements are little-endian and `width` bytes long; sums wrap. ValueError when a buffer does not fit.
    """
    size = len(into)
    if size % width or stride < 0 or (count and (count - 1) * stride + size > len(values)):
        raise ValueError(f"{count} values of {size} bytes, {stride} apart, in {len(values)} bytes")
    for at in range(0, count * stride, stride) if stride else [0] * count:
        into[:] = combine(bytes(into), bytes(values[at : at + size]), Reducer(reducer), width)


def combine(before: bytes, after: bytes, reducer: Reducer, width: int) -> bytes:
    """Return the reduction of two values of one length."""
    if reducer in (Reducer.LAST, Reducer.FIRST):
        return after if reducer is Reducer.LAST else before
    if reducer in ORDERED:
        from array import array  # it brings `collections`

        codes, choose = ORDERED[reducer]
        pairs = array(codes[width], before), array(codes[width], after)
        return array(codes[width], map(choose, *pairs)).tobytes()
    left, right = int.from_bytes(before, "little"), int.from_bytes(after, "little")
    whole = _sum(left, right, len(before), width) if reducer is Reducer.SUM else BITWISE[reducer](left, right)
    return whole.to_bytes(len(before), "little")


def _sum(left: int, right: int, size: int, width: int) -> int:
    """Add all elements at once: the top bit of each is added without its carry, so that none reaches the next."""
    if size == width:
        return left + right & (1 << 8 * size) - 1
    tops = int.from_bytes((bytes(width - 1) + b"\x80") * (size // width), "little")
    rest = ~tops & ((1 << 8 * size) - 1)
    return ((left & rest) + (right & rest)) ^ ((left ^ right) & tops)


reduce_array: Final = reduce_python if native is None else native.vm_reduce
