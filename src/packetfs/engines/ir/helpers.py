"""Helpers that need no host, as IR: `@helperNUMBER.N(vm, r1 to r5, unpaid)` returns r0.

What is not here formats text, moves records, sums them as Linux does, or works on hash tables: `missing` names it, so
that such a program is refused before anything is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from packetfs.engines.ir import reserve
from packetfs.engines.ir.memory import filled
from packetfs.engines.ir.search import SEARCHES
from packetfs.vm.image import ARRAYS, HASHES, Image, MapPlace
from packetfs.vm.instruction import iterate_rows
from packetfs.vm.layout import HELPERS, MapType
from packetfs.vm.maps import EXISTS, HELD, INVALID, NEW, TOO_BIG
from packetfs.vm.microvm import BYTES_A_SLOT

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


def _reserve(image: Image) -> str:
    rings = [i for i, place in enumerate(image.maps) if place.type == MapType.RINGBUF]
    inner = "  br label %ring\n"
    return _by_map(image, "%r1", dict.fromkeys(rings, inner)) + f"ring:{reserve.RESERVE}"


def _ring_output(image: Image) -> str:
    rings = [i for i, place in enumerate(image.maps) if place.type == MapType.RINGBUF]
    return _by_map(
        image, "%r1", {i: f"  %z{i} = call i64 @emit$N(ptr %vm, i64 %r2, i64 %r3)\n  ret i64 0\n" for i in rings}
    )


def _lookup(image: Image) -> str:
    return _by_map(image, "%r1", {i: _lookup_in(i, place) for i, place in enumerate(image.maps)})


def _lookup_in(i: int, place: MapPlace) -> str:
    if place.type not in ARRAYS:
        return "  ret i64 0\n"
    return f"""{_key(i)}
in{i}:
  %at{i} = mul i64 %k{i}, {place.stride}
  %to{i} = add i64 %at{i}, {place.address}
  %beyond{i} = icmp uge i64 %k{i}, {place.max_entries}
  %value{i} = select i1 %beyond{i}, i64 0, i64 %to{i}
  ret i64 %value{i}
"""


def _key(i: int) -> str:
    """Read the index that r2 points to into %k; a fault returns."""
    return f"""  %key{i} = call ptr @find$N(ptr %vm, i64 %r2, i64 4, i1 false)
  %bad{i} = icmp eq ptr %key{i}, null
  br i1 %bad{i}, label %faulted, label %read{i}
read{i}:
  %word{i} = call i32 @load32(ptr %key{i})
  %k{i} = zext i32 %word{i} to i64
  br label %in{i}"""


def _update(image: Image) -> str:
    return _by_map(image, "%r1", {i: _update_in(i, place) for i, place in enumerate(image.maps)})


def _update_in(i: int, place: MapPlace) -> str:
    if place.type not in ARRAYS or place.read_only:
        return f"  ret i64 {INVALID}\n"
    return f"""  %odd{i} = icmp ugt i64 %r4, {HELD}
  br i1 %odd{i}, label %invalid, label %asked{i}
asked{i}:
{_key(i)}
in{i}:
  %data{i} = call ptr @find$N(ptr %vm, i64 %r3, i64 {place.value_size}, i1 false)
  %none{i} = icmp eq ptr %data{i}, null
  br i1 %none{i}, label %faulted, label %both{i}
both{i}:
  set extra {(place.key_size + place.value_size) // BYTES_A_SLOT}
  %beyond{i} = icmp uge i64 %k{i}, {place.max_entries}
  br i1 %beyond{i}, label %big, label %held{i}
held{i}:
  %new{i} = icmp eq i64 %r4, {NEW}
  br i1 %new{i}, label %exists, label %put{i}
put{i}:
  %own{i} = get maps
  %scaled{i} = mul i64 %k{i}, {place.stride}
  %at{i} = add i64 %scaled{i}, {place.offset}
  %to{i} = getelementptr i8, ptr %own{i}, i64 %at{i}
  call void @llvm.memmove.p0.p0.i64(ptr %to{i}, ptr %data{i}, i64 {place.value_size}, i1 false)
  ret i64 0
"""


def _delete(image: Image) -> str:
    return _by_map(image, "%r1", dict.fromkeys(range(len(image.maps)), f"  ret i64 {INVALID}\n"))


def _by_map(image: Image, handle: str, bodies: dict[int, str]) -> str:
    """Return a body that goes by the map that a handle names; MAP for what is none, or has no body."""
    first = "$MAP_BEGIN"
    cases = " ".join(f"i64 {i}, label %map{i}" for i in bodies)
    del image
    blocks = "".join(f"map{i}:\n{body}" for i, body in bodies.items())
    return f"""  %index = sub i64 {handle}, {first}
  switch i64 %index, label %none [ {cases} ]
{blocks}none:
  %null = call ptr @fail(ptr %vm, i64 $FAULT_MAP, i64 {handle})
  br label %faulted
faulted:
  ret i64 0
invalid:
  ret i64 {INVALID}
big:
  ret i64 {TOO_BIG}
exists:
  ret i64 {EXISTS}
"""


_BODIES: Final[dict[int, str | Callable[[Image], str]]] = {
    1: _lookup, 2: _update, 3: _delete, 5: _CLOCK, 7: _RANDOM, 8: "  ret i64 0\n", 51: _REDIRECT, 130: _ring_output,
    131: _reserve, 132: reserve.SUBMIT, 133: reserve.DISCARD,
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


def helpers(number: int, image: Image, called: frozenset[int]) -> str:
    """Return the IR of those helpers for one image."""
    return "".join(_function(number, image, helper) for helper in sorted(called))


def _function(number: int, image: Image, helper: int) -> str:
    body = _BODIES[helper]
    written = body if isinstance(body, str) else body(image)
    return filled(f"define internal i64 @helper{helper}.$N{_ARGUMENTS} {{\nentry:\n{written}}}\n", number, image)
