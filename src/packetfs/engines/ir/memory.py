"""The memory of a program, as IR: what an address means, and the bytes that are moved or emitted.

An address becomes a pointer in @find, as in vm/memory.py: regions, bounds, what is read only. A record is stored to in
place: what the state names is a copy of its own. The stack is zeroed from its end down, as far as it is used.
"""

from __future__ import annotations

from packetfs.engines.ir.text import STATE_TYPE
from packetfs.engines.ir.written import filled
from packetfs.typing import Final
from packetfs.vm.image import Image
from packetfs.vm.slots import SLOT

INLINED_MAX: Final = 1024
"""Slots of a program whose accesses may each become a copy of @find, where LLVM likes: checks that it can prove go, but
4,000 copies in a row took it more than two minutes of a busy machine."""

_ONCE: Final = (
    STATE_TYPE
    + """
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)
declare i64 @llvm.bswap.i64(i64)
declare void @llvm.assume(i1)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)

define internal void @clear(ptr %stack, i64 %from, i64 %to) noinline "no-builtins" {
entry:
  br label %more
more:
  %end = phi i64 [ %to, %entry ], [ %next, %more ]
  %next = sub i64 %end, 8
  %at = getelementptr i8, ptr %stack, i64 %next
  store i64 0, ptr %at, align 8
  %done = icmp ule i64 %next, %from
  br i1 %done, label %out, label %more
out:
  ret void
}

define internal void @reach(ptr %vm, i64 %offset) {
entry:
  %low = get stack_low
  %seen = icmp uge i64 %offset, %low
  br i1 %seen, label %out, label %further
further:
  %from = and i64 %offset, -$STACK_STEP
  %stack = get stack
  call void @clear(ptr %stack, i64 %from, i64 %low)
  set stack_low %from
  br label %out
out:
  ret void
}

define internal ptr @fail(ptr %vm, i64 %fault, i64 %address) {
  set fault %fault
  set address %address
  ret ptr null
}
"""
)
"""Of all programs of a module."""

_OWN: Final = """
define internal ptr @find$N(ptr %vm, i64 %address, i64 %size, i1 %store) $INLINE {
entry:
  %region = lshr i64 %address, $REGION_SHIFT
  %offset = and i64 %address, $OFFSET_MASK
  switch i64 %region, label %nowhere [
    i64 $CTX, label %context i64 $STACK, label %stack i64 $DATA, label %data
    i64 $MAPS, label %maps i64 $SHARED, label %shared i64 $RESERVE, label %reserve ]
context:
  %c = get context
  br label %check
stack:
  %s = get stack
  br label %check
data:
  %length = get length
  %end = add i64 %length, $HEADROOM
  %r = get record
  %d = getelementptr i8, ptr %r, i64 -$HEADROOM
  br label %check
maps:
  %m = get maps
  br label %check
shared:
  br label %check
reserve:
  %v = get reserve
  %reserved = get reserved
  br label %check
check:
  %base = phi ptr [ %c, %context ], [ %s, %stack ], [ %d, %data ], [ %m, %maps ], [ @shared$N, %shared ],
    [ %v, %reserve ]
  %low = phi i64 [ 0, %context ], [ 0, %stack ], [ $HEADROOM, %data ], [ 0, %maps ], [ 0, %shared ],
    [ 0, %reserve ]
  %high = phi i64 [ $CTX_BYTES, %context ], [ $STACK_BYTES, %stack ], [ %end, %data ], [ $MAPS_BYTES, %maps ],
    [ $SHARED_BYTES, %shared ], [ %reserved, %reserve ]
  %behind = icmp uge i64 %offset, %low
  %before = icmp ule i64 %offset, %high
  %room = sub i64 %high, %offset
  %fits = icmp ule i64 %size, %room
  %between = and i1 %behind, %before
  %inside = and i1 %between, %fits
  br i1 %inside, label %found, label %nowhere
nowhere:
  %null = call ptr @fail(ptr %vm, i64 $FAULT_ADDRESS, i64 %address)
  ret ptr null
found:
  %pointer = getelementptr i8, ptr %base, i64 %offset
  %somewhere = icmp ne ptr %pointer, null
  call void @llvm.assume(i1 %somewhere)
  %on_stack = icmp eq i64 %region, $STACK
  br i1 %on_stack, label %used, label %other
used:
  call void @reach(ptr %vm, i64 %offset)
  ret ptr %pointer
other:
  br i1 %store, label %change, label %out
change:
  %in_context = icmp eq i64 %region, $CTX
  %in_shared = icmp eq i64 %region, $SHARED
  %fixed = or i1 %in_context, %in_shared
  br i1 %fixed, label %refused, label %own
refused:
  %null2 = call ptr @fail(ptr %vm, i64 $FAULT_READ_ONLY, i64 %address)
  ret ptr null
own:
  %in_record = icmp eq i64 %region, $DATA
  %all = get length
  %long = icmp ugt i64 %all, $RECORD_COPY_MAX
  %kept = and i1 %in_record, %long
  br i1 %kept, label %too_long, label %out
too_long:
  %null3 = call ptr @fail(ptr %vm, i64 $FAULT_RECORD, i64 %address)
  ret ptr null
out:
  ret ptr %pointer
}

define internal i64 @emit$N(ptr %vm, i64 %address, i64 %size) {
entry:
  %none = icmp eq i64 %size, 0
  br i1 %none, label %out, label %some
some:
  %data = call ptr @find$N(ptr %vm, i64 %address, i64 %size, i1 false)
  %bad = icmp eq ptr %data, null
  br i1 %bad, label %out, label %there
there:
  %used = get emitted
  %room = get room
  %left = sub i64 %room, %used
  %full = icmp ugt i64 %size, %left
  br i1 %full, label %stop, label %copy
stop:
  %null = call ptr @fail(ptr %vm, i64 $OUTPUT, i64 %size)
  br label %out
copy:
  %begin = get out
  %to = getelementptr i8, ptr %begin, i64 %used
  call void @llvm.memmove.p0.p0.i64(ptr %to, ptr %data, i64 %size, i1 false)
  %behind = add i64 %used, %size
  set emitted %behind
  %slots = udiv i64 %size, $BYTES_A_SLOT
  set extra %slots
  br label %out
out:
  ret i64 0
}

define internal i64 @move$N(ptr %vm, i64 %to, i64 %from, i64 %size, i1 %store_first) {
entry:
  br i1 %store_first, label %first, label %second
first:
  %early = call ptr @find$N(ptr %vm, i64 %to, i64 %size, i1 true)
  %bad1 = icmp eq ptr %early, null
  br i1 %bad1, label %out, label %second
second:
  %data = call ptr @find$N(ptr %vm, i64 %from, i64 %size, i1 false)
  %bad2 = icmp eq ptr %data, null
  br i1 %bad2, label %out, label %third
third:
  %into = call ptr @find$N(ptr %vm, i64 %to, i64 %size, i1 true)
  %bad3 = icmp eq ptr %into, null
  br i1 %bad3, label %out, label %copy
copy:
  call void @llvm.memmove.p0.p0.i64(ptr %into, ptr %data, i64 %size, i1 false)
  %slots = udiv i64 %size, $BYTES_A_SLOT
  set extra %slots
  br label %out
out:
  ret i64 0
}
"""


def write_shared() -> str:
    """Return what all programs of a module call."""
    return filled(_ONCE)


def write_memory(number: int, image: Image) -> str:
    """Return memory as one image has it: @findN, @emitN, @moveN."""
    content = image.shared or b"\0"
    text = content.hex("\\")
    constant = f'@shared{number} = internal unnamed_addr constant [{len(content)} x i8] c"\\{text}", align 8\n'
    large = len(image.code) // SLOT > INLINED_MAX
    return constant + filled(_OWN.replace("$INLINE", "noinline" if large else ""), number, image)
