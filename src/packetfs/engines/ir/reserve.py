"""Helpers 131 to 133, which reserve room for output in the microVM's own memory, as IR."""

from __future__ import annotations

from packetfs.typing import Final
from packetfs.vm.helpers import CLOSED, OPEN
from packetfs.vm.layout import RESERVE_BYTES

NEEDS: Final = frozenset((131, 132, 133))
"""Helpers that need the reserve."""

RESERVE: Final = f"""
  %much = icmp ugt i64 %r2, {RESERVE_BYTES - 8}
  br i1 %much, label %refused, label %asked
asked:
  %plus = add i64 %r2, 15
  %needed = and i64 %plus, -8
  %at = get reserved
  %end = add i64 %at, %needed
  %full = icmp ugt i64 %end, {RESERVE_BYTES}
  br i1 %full, label %refused, label %there
refused:
  ret i64 0
there:
  %memory = get reserve
  call void @clear(ptr %memory, i64 %at, i64 %end)
  %begin = getelementptr i8, ptr %memory, i64 %at
  %head = or i64 %r2, {OPEN << 32}
  store i64 %head, ptr %begin, align 8
  set reserved %end
  %slots = udiv i64 %r2, $BYTES_A_SLOT
  set extra %slots
  %first = add i64 %at, 8
  %address = add i64 %first, $RESERVE_BEGIN
  ret i64 %address
"""

_OPEN: Final = f"""
  %at = sub i64 %r1, $RESERVE_BEGIN
  %reserved = get reserved
  %low = and i64 %at, 7
  %even = icmp eq i64 %low, 0
  %less = sub i64 %at, 8
  %before = icmp ult i64 %less, %reserved
  %within = icmp ule i64 %at, %reserved
  %place = and i1 %even, %before
  %inside = and i1 %place, %within
  br i1 %inside, label %there, label %bad
there:
  %memory = get reserve
  %begin = getelementptr i8, ptr %memory, i64 %less
  %head = load i64, ptr %begin, align 8
  %size = and i64 %head, 4294967295
  %state = lshr i64 %head, 32
  %open = icmp eq i64 %state, {OPEN}
  %end = add i64 %at, %size
  %fits = icmp ule i64 %end, %reserved
  %held = and i1 %open, %fits
  br i1 %held, label %found, label %bad
bad:
  %null = call ptr @fail(ptr %vm, i64 $FAULT_ADDRESS, i64 %r1)
  ret i64 0
found:
  %closed = or i64 %size, {CLOSED << 32}
"""
"""Finds the open reservation that r1 is the address of: %begin of its head, %size."""

SUBMIT: Final = (
    _OPEN
    + """
  %zero = call i64 @emit$N(ptr %vm, i64 %r1, i64 %size)
  store i64 %closed, ptr %begin, align 8
  ret i64 0
"""
)
DISCARD: Final = (
    _OPEN
    + """
  store i64 %closed, ptr %begin, align 8
  ret i64 0
"""
)
