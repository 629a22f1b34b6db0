"""Helpers that take a map, as IR: one way for each map of the program, MAP for what is none.

Arrays are all there is: helpers.py refuses 1 to 3 where a program has a hash table.
"""

from __future__ import annotations

from packetfs.engines.ir.reserve import RESERVE
from packetfs.typing import Final
from packetfs.vm.image import ARRAYS, Image, MapPlace
from packetfs.vm.layout import MapType
from packetfs.vm.maps import EXISTS, HELD, INVALID, NEW, TOO_BIG
from packetfs.vm.microvm import BYTES_A_SLOT


def lookup(image: Image) -> str:
    """Return the body of helper 1."""
    return _by_map({i: _lookup_in(i, place) for i, place in enumerate(image.maps)})


def update(image: Image) -> str:
    """Return the body of helper 2."""
    return _by_map({i: _update_in(i, place) for i, place in enumerate(image.maps)})


def delete(image: Image) -> str:
    """Return the body of helper 3."""
    return _by_map(dict.fromkeys(range(len(image.maps)), f"  ret i64 {INVALID}\n"))


def output(image: Image) -> str:
    """Return the body of helper 130."""
    return _by_map(dict.fromkeys(_rings(image), "  br label %ring\n")) + _OUTPUT


def reserve(image: Image) -> str:
    """Return the body of helper 131."""
    return _by_map(dict.fromkeys(_rings(image), "  br label %ring\n")) + f"ring:{RESERVE}"


_OUTPUT: Final = """ring:
  %zero = call i64 @emit$N(ptr %vm, i64 %r2, i64 %r3)
  ret i64 0
"""


def _rings(image: Image) -> list[int]:
    return [i for i, place in enumerate(image.maps) if place.type == MapType.RINGBUF]


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


def _by_map(bodies: dict[int, str]) -> str:
    """Return a body that goes by the map that r1 names."""
    cases = " ".join(f"i64 {i}, label %map{i}" for i in bodies)
    blocks = "".join(f"map{i}:\n{body}" for i, body in bodies.items())
    return f"""  %index = sub i64 %r1, $MAP_BEGIN
  switch i64 %index, label %none [ {cases} ]
{blocks}none:
  %null = call ptr @fail(ptr %vm, i64 $FAULT_MAP, i64 %r1)
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
