"""Loads and stores of programs, which need no alignment: as they are, or for processors that insist on it.

For those, what is aligned is one access, and all else is left to a function of bytes that is not inlined: LLVM would
make one access of bytes of the two otherwise.
"""

from __future__ import annotations

from packetfs.typing import Final

_SIZES: Final = (16, 32, 64)

_PLAIN: Final = """
define internal i$B @load$B(ptr %at) alwaysinline {
  %value = load i$B, ptr %at, align 1
  ret i$B %value
}
define internal void @store$B(ptr %at, i$B %value) alwaysinline {
  store i$B %value, ptr %at, align 1
  ret void
}
"""
_ALIGNED: Final = """
define internal i$B @load_bytes$B(ptr %at) noinline {
  %value = load i$B, ptr %at, align 1
  ret i$B %value
}
define internal void @store_bytes$B(ptr %at, i$B %value) noinline {
  store i$B %value, ptr %at, align 1
  ret void
}
define internal i$B @load$B(ptr %at) alwaysinline {
  %number = ptrtoint ptr %at to i64
  %low = and i64 %number, $MASK
  %even = icmp eq i64 %low, 0
  br i1 %even, label %whole, label %bytes
whole:
  %value = load i$B, ptr %at, align $SIZE
  ret i$B %value
bytes:
  %joined = call i$B @load_bytes$B(ptr %at)
  ret i$B %joined
}
define internal void @store$B(ptr %at, i$B %value) alwaysinline {
  %number = ptrtoint ptr %at to i64
  %low = and i64 %number, $MASK
  %even = icmp eq i64 %low, 0
  br i1 %even, label %whole, label %bytes
whole:
  store i$B %value, ptr %at, align $SIZE
  ret void
bytes:
  call void @store_bytes$B(ptr %at, i$B %value)
  ret void
}
"""
_BYTE: Final = _PLAIN.replace("$B", "8")


def access(*, aligned: bool) -> str:
    """Return `@loadBITS(ptr)` and `@storeBITS(ptr, value)`. aligned: the processor faults on all other accesses."""
    written = _ALIGNED if aligned else _PLAIN
    return _BYTE + "".join(
        written.replace("$B", str(bits)).replace("$MASK", str(bits // 8 - 1)).replace("$SIZE", str(bits // 8))
        for bits in _SIZES
    )
