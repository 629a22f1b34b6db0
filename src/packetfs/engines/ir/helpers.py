"""Helpers that need no host, as IR: `@helperNUMBER.N(vm, r1 to r5, unpaid)` returns r0.

What is not here formats text, moves records, sums them as Linux does, or works on hash tables: `missing` names it, so
that such a program is refused before anything is compiled.
"""

from __future__ import annotations

from packetfs.engines.ir import maps, reserve
from packetfs.engines.ir.search import SEARCHES
from packetfs.engines.ir.written import filled
from packetfs.typing import Callable, Final
from packetfs.vm.image import HASHES, Image
from packetfs.vm.instruction import iterate_rows
from packetfs.vm.layout import HELPERS

_ARGUMENTS: Final = "(ptr %vm, i64 %r1, i64 %r2, i64 %r3, i64 %r4, i64 %r5, i64 %unpaid)"
_MAP_HELPERS: Final = frozenset((1, 2, 3))

_CLOCK: Final = """
  %granted = get granted
  %left = get fuel
  %before = sub i64 %granted, %left
  %now = add i64 %before, %unpaid
  ret i64 %now
"""
"""unpaid: slots of the straight run before the call, which are not paid for yet."""

_RANDOM: Final = """
  %before = get random
  %state = add i64 %before, $GOLDEN
  set random %state
  %s30 = lshr i64 %state, 30
  %x30 = xor i64 %state, %s30
  %m1 = mul i64 %x30, $MIX1
  %s27 = lshr i64 %m1, 27
  %x27 = xor i64 %m1, %s27
  %m2 = mul i64 %x27, $MIX2
  %s31 = lshr i64 %m2, 31
  %x31 = xor i64 %m2, %s31
  %low = and i64 %x31, 4294967295
  ret i64 %low
""".replace("$MIX1", str(0xBF58476D1CE4E5B9)).replace("$MIX2", str(0x94D049BB133111EB))

_REDIRECT: Final = """
  %above = icmp ugt i64 %r3, 3
  %verdict = select i1 %above, i64 0, i64 %r3
  ret i64 %verdict
"""

_EMIT: Final = """
  %zero = call i64 @emit$N(ptr %vm, i64 %r1, i64 %r2)
  ret i64 0
"""

_PART: Final = """
  %length = get length
  %none = icmp eq i64 %r4, 0
  br i1 %none, label %out, label %some
some:
  %before = icmp ule i64 %r2, %length
  %room = sub i64 %length, %r2
  %fits = icmp ule i64 %r4, %room
  %inside = and i1 %before, %fits
  br i1 %inside, label %there, label %bad
there:
  %begin = add i64 %r2, $RECORD_BEGIN
  %zero = call i64 @move$N(ptr %vm, {order})
  br label %out
bad:
  ret i64 $INVALID
out:
  ret i64 0
"""
_LOAD_BYTES: Final = _PART.replace("{order}", "i64 %r3, i64 %begin, i64 %r4, i1 true")
_STORE_BYTES: Final = _PART.replace("{order}", "i64 %begin, i64 %r3, i64 %r4, i1 false")


_BODIES: Final[dict[int, str | Callable[[Image], str]]] = {
    1: maps.lookup, 2: maps.update, 3: maps.delete, 5: _CLOCK, 7: _RANDOM, 8: "  ret i64 0\n",
    51: _REDIRECT, 130: maps.output, 131: maps.reserve, 132: reserve.SUBMIT, 133: reserve.DISCARD,
    189: _LOAD_BYTES, 190: _STORE_BYTES, 4096: _EMIT, **SEARCHES,
}  # fmt: skip


ANSWERED: Final = frozenset(_BODIES)
"""Numbers of these helpers."""


def answered(image: Image) -> frozenset[int]:
    """Return the numbers of the helpers that a kernel of this image answers."""
    hashes = any(place.type in HASHES for place in image.maps)
    return ANSWERED - (_MAP_HELPERS if hashes else frozenset())


def missing(image: Image) -> list[str]:
    """Return the names of helpers that the program calls and a kernel does not answer."""
    names, has = {helper.number: helper.name for helper in HELPERS}, answered(image)
    called = {i.imm for _, i, row in iterate_rows(image.code) if row.mnemonic == "call"}
    return [f"{names[number]} ({number})" for number in sorted(called - has)]


def write_helpers(number: int, image: Image, called: frozenset[int]) -> str:
    """Return the IR of those helpers for one image."""
    return "".join(_function(number, image, helper) for helper in sorted(called))


def _function(number: int, image: Image, helper: int) -> str:
    body = _BODIES[helper]
    written = body if isinstance(body, str) else body(image)
    return filled(f"define internal i64 @helper{helper}.$N{_ARGUMENTS} {{\nentry:\n{written}}}\n", number, image)
