"""Bytes: elements, numbers inside, slices. Outside is a fault, as IndexError is in Python; slices are cut to fit.

Each access is checked against its own span, not only against what the microVM may reach: a slice is a wall. LLVM takes
out the checks that a loop's own condition proves.
"""

from __future__ import annotations

from packetfs.toolchain.python.arithmetic import number
from packetfs.toolchain.python.ir import Builder
from packetfs.toolchain.python.values import Constant, Stretch, Unsupported, Value, Word, literal


def element(b: Builder, span: Stretch, index: Value) -> Value:
    """Return byte `index` of a span."""
    if span.content is not None and isinstance(index, Constant) and index.value < len(span.content) >= -index.value:
        return Constant(span.content[index.value])
    return Word(b.load(place(b, span, index, 1), 1))


def place(b: Builder, span: Stretch, index: Value, size: int) -> str:
    """Return the address of `size` bytes at `index`; a fault where they do not lie inside the span."""
    at = number(b, index)
    if isinstance(at, Constant):
        return _fixed(b, span, at.value, size)
    start = _from_end(b, at.text, span.length) if at.signed else at.text
    b.require(b.new(f"icmp ult i64 {start}, {span.length}"))
    if size > 1:
        b.require(b.new(f"icmp ule i64 {b.add(start, str(size))}, {span.length}"))
    return b.add(span.address, start)


def _fixed(b: Builder, span: Stretch, at: int, size: int) -> str:
    if at < 0 and size > -at:
        raise Unsupported(f"{size} bytes from {at} on reach beyond the end")
    b.require(b.new(f"icmp uge i64 {span.length}, {literal(at + size if at >= 0 else -at)}"))
    if at >= 0:
        return b.add(span.address, literal(at))
    return b.add(b.add(span.address, span.length), literal(at))


def _from_end(b: Builder, index: str, length: str) -> str:
    """Return what Python makes of a signed index: a negative one counts from the end."""
    negative = b.new(f"icmp slt i64 {index}, 0")
    return b.new(f"select i1 {negative}, i64 {b.add(index, length)}, i64 {index}")


def whole(b: Builder, span: Stretch, index: Value, size: int, *, big: bool) -> Word:
    """Return the number in `size` bytes at `index`."""
    loaded = b.load(place(b, span, index, size), size)
    if not big:
        return Word(loaded)
    swapped = b.new(f"call i64 @llvm.bswap.i64(i64 {loaded})")
    return Word(swapped if size == 8 else b.new(f"lshr i64 {swapped}, {64 - 8 * size}"))


def put(b: Builder, span: Stretch, index: Value, value: Value) -> None:
    """Store a byte; the low 8 bits of what is given."""
    if not span.writable:
        raise Unsupported("these bytes are constant")
    given = number(b, value)
    text = literal(given.value) if isinstance(given, Constant) else given.text
    b.store(place(b, span, index, 1), text, 1)


def cut(b: Builder, span: Stretch, start: Value | None, stop: Value | None) -> Stretch:
    """Return a slice, with Python's meaning of bounds that lie outside."""
    if span.content is not None and _is_known(start) and _is_known(stop):
        return span if start is stop is None else _cut_known(b, span, start, stop)
    low = "0" if start is None else _bound(b, start, span.length)
    high = span.length if stop is None else _bound(b, stop, span.length)
    length = high if low == "0" else _less(b, high, low)
    return Stretch(b.add(span.address, low), length, span.writable)


def _is_known(bound: Value | None) -> bool:
    return bound is None or isinstance(bound, Constant)


def _cut_known(b: Builder, span: Stretch, start: Value | None, stop: Value | None) -> Stretch:
    content = span.content or b""
    bounds = [each.value if isinstance(each, Constant) else None for each in (start, stop)]
    low, high, _ = slice(*bounds).indices(len(content))
    return Stretch(b.add(span.address, str(low)), str(max(0, high - low)), False, content[low:high])


def _bound(b: Builder, bound: Value, length: str) -> str:
    at = number(b, bound)
    if isinstance(at, Constant):
        return _smaller(b, literal(at.value), length) if at.value >= 0 else _less(b, length, literal(-at.value))
    if not at.signed:
        return _smaller(b, at.text, length)
    moved = _from_end(b, at.text, length)
    below = b.new(f"icmp slt i64 {moved}, 0")
    return _smaller(b, b.new(f"select i1 {below}, i64 0, i64 {moved}"), length)


def _smaller(b: Builder, left: str, right: str) -> str:
    if left == "0":
        return "0"
    return b.new(f"select i1 {b.new(f'icmp ult i64 {left}, {right}')}, i64 {left}, i64 {right}")


def _less(b: Builder, left: str, right: str) -> str:
    """Return left - right, or 0 where that would be negative."""
    over = b.new(f"icmp ugt i64 {left}, {right}")
    return b.new(f"select i1 {over}, i64 {b.new(f'sub i64 {left}, {right}')}, i64 0")
