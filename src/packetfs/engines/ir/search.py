"""Helpers 4097 to 4101 and 4104, which search and count bytes, as IR: what vm/search.py defines, byte after byte."""

from __future__ import annotations

from packetfs.typing import Final

WORD_MAX: Final = 64
"""Bytes of a word that is searched for here, each against each; longer ones are left to the host."""

_SPAN: Final = """
  %none = icmp eq i64 %r2, 0
  br i1 %none, label %begin, label %some
some:
  %there = call ptr @find$N(ptr %vm, i64 %r1, i64 %r2, i1 false)
  %bad = icmp eq ptr %there, null
  br i1 %bad, label %faulted, label %begin
faulted:
  ret i64 0
begin:
  %data = phi ptr [ null, %entry ], [ %there, %some ]
  %wanted = trunc i64 %r3 to i8
"""
"""r1 and r2 as %data; %wanted: the byte that r3 is."""

_FOUND: Final = """
nowhere:
  br label %answer
answer:
  %result = phi i64 [ -1, %nowhere ], [ %at, %found ]
  %looked = phi i64 [ %r2, %nowhere ], [ %behind, %found ]
  %slots = udiv i64 %looked, $BYTES_A_SLOT
  set extra %slots
  ret i64 %result
"""

_FIND_BYTE: Final = (
    _SPAN
    + """
  br label %more
more:
  %at = phi i64 [ 0, %begin ], [ %behind, %on ]
  %left = phi i64 [ %r4, %begin ], [ %less, %on ]
  %end = icmp uge i64 %at, %r2
  br i1 %end, label %nowhere, label %look
look:
  %p = getelementptr i8, ptr %data, i64 %at
  %byte = load i8, ptr %p
  %same = icmp eq i8 %byte, %wanted
  %one = zext i1 %same to i64
  %less = sub i64 %left, %one
  %behind = add i64 %at, 1
  %last = icmp eq i64 %left, 1
  %hit = and i1 %same, %last
  br i1 %hit, label %found, label %on
on:
  br label %more
found:
  br label %answer
"""
    + _FOUND
)

_FIND_LAST: Final = (
    _SPAN
    + """
  br label %more
more:
  %end = phi i64 [ %r2, %begin ], [ %at, %look ]
  %out = icmp eq i64 %end, 0
  br i1 %out, label %nowhere, label %look
look:
  %at = sub i64 %end, 1
  %p = getelementptr i8, ptr %data, i64 %at
  %byte = load i8, ptr %p
  %same = icmp eq i8 %byte, %wanted
  br i1 %same, label %found, label %more
found:
  %behind = sub i64 %r2, %at
  br label %answer
"""
    + _FOUND
)

_TEXT: Final = f"""
  %empty = icmp eq i64 {{length}}, 0
  br i1 %empty, label %begun, label %word
word:
  %pattern = call ptr @find$N(ptr %vm, i64 {{word}}, i64 {{length}}, i1 false)
  %bad2 = icmp eq ptr %pattern, null
  br i1 %bad2, label %faulted, label %long
long:
  %much = icmp ugt i64 {{length}}, {WORD_MAX}
  br i1 %much, label %host, label %begun
host:
  %null = call ptr @fail(ptr %vm, i64 $HOST, i64 {{number}})
  ret i64 0
begun:
  %searched = phi ptr [ null, %begin ], [ %pattern, %long ]
"""
"""A word as %searched."""

_FIND: Final = (
    _SPAN
    + _TEXT.format(word="%r3", length="%r4", number=4097)
    + """
  br label %more
more:
  %at = phi i64 [ 0, %begun ], [ %next, %differs ]
  %behind = add i64 %at, %r4
  %beyond = icmp ugt i64 %behind, %r2
  br i1 %beyond, label %nowhere, label %compare
compare:
  %i = phi i64 [ 0, %more ], [ %i1, %look ]
  %whole = icmp eq i64 %i, %r4
  br i1 %whole, label %found, label %look
look:
  %q = getelementptr i8, ptr %searched, i64 %i
  %there_at = add i64 %at, %i
  %p = getelementptr i8, ptr %data, i64 %there_at
  %a = load i8, ptr %p
  %b = load i8, ptr %q
  %i1 = add i64 %i, 1
  %same = icmp eq i8 %a, %b
  br i1 %same, label %compare, label %differs
differs:
  %next = add i64 %at, 1
  br label %more
found:
  br label %answer
"""
    + _FOUND
)

_COUNT: Final = (
    _SPAN
    + """
  br label %more
more:
  %at = phi i64 [ 0, %begin ], [ %behind, %look ]
  %before = phi i1 [ true, %begin ], [ %now, %look ]
  %total = phi i64 [ 0, %begin ], [ %sum, %look ]
  %end = icmp uge i64 %at, %r2
  br i1 %end, label %done, label %look
look:
  %p = getelementptr i8, ptr %data, i64 %at
  %byte = load i8, ptr %p
{holds}
  %one = zext i1 %counts to i64
  %sum = add i64 %total, %one
  %behind = add i64 %at, 1
  br label %more
done:
  %slots = udiv i64 %r2, $BYTES_A_SLOT
  set extra %slots
  ret i64 %total
"""
)
"""%now, of a byte, is %before of the next; %counts: whether it counts."""

_BYTE: Final = """
  %now = icmp eq i8 %byte, %wanted
  %counts = and i1 %now, true"""
_WORD: Final = """
  %from = sub i8 %byte, 9
  %control = icmp ult i8 %from, 5
  %space = icmp eq i8 %byte, 32
  %now = or i1 %control, %space
  %letter = xor i1 %now, true
  %counts = and i1 %letter, %before"""

_COUNT_PARTS: Final = (
    _SPAN
    + _TEXT.format(word="%r4", length="%r5", number=4104)
    + """
  br label %more
more:
  %at = phi i64 [ 0, %begun ], [ %behind, %on ]
  %total = phi i64 [ 0, %begun ], [ %sum, %on ]
  %known = phi i1 [ false, %begun ], [ %kept, %on ]
  %end = icmp uge i64 %at, %r2
  br i1 %end, label %done, label %look
look:
  %p = getelementptr i8, ptr %data, i64 %at
  %byte = load i8, ptr %p
  br i1 %known, label %on, label %compare
compare:
  %i = phi i64 [ 0, %look ], [ %i1, %same ]
  %whole = icmp eq i64 %i, %r5
  br i1 %whole, label %on, label %ahead
ahead:
  %there_at = add i64 %at, %i
  %beyond = icmp uge i64 %there_at, %r2
  br i1 %beyond, label %on, label %letter
letter:
  %q = getelementptr i8, ptr %data, i64 %there_at
  %s = getelementptr i8, ptr %searched, i64 %i
  %a = load i8, ptr %q
  %b = load i8, ptr %s
  %differs = icmp ne i8 %a, %b
  br i1 %differs, label %on, label %same
same:
  %i1 = add i64 %i, 1
  %last = icmp eq i8 %a, %wanted
  br i1 %last, label %on, label %compare
on:
  %one = phi i64 [ 0, %look ], [ 1, %compare ], [ 0, %ahead ], [ 0, %letter ], [ 0, %same ]
  %now = phi i1 [ true, %look ], [ true, %compare ], [ false, %ahead ], [ false, %letter ], [ false, %same ]
  %sum = add i64 %total, %one
  %behind = add i64 %at, 1
  %inside = icmp ne i8 %byte, %wanted
  %kept = and i1 %now, %inside
  br label %more
done:
  %slots = udiv i64 %r2, $BYTES_A_SLOT
  set extra %slots
  ret i64 %total
"""
)
"""%known: whether the part was counted; a word that goes on behind the end of its part is none of its own."""

SEARCHES: Final = {
    4097: _FIND,
    4098: _FIND_BYTE,
    4099: _FIND_LAST,
    4100: _COUNT.replace("{holds}", _BYTE),
    4101: _COUNT.replace("{holds}", _WORD),
    4104: _COUNT_PARTS,
}
"""Bodies by number, as those of helpers.py."""
