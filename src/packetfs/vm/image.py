"""A program ready to run: its code checked, its maps given places, every lddw a plain 64-bit number.

An image holds no host pointers, so what it resolves is the same on every machine: a context that paused on one image of
a program goes on on another.
"""

from __future__ import annotations

from struct import Struct

from packetfs import errors
from packetfs.accel import native
from packetfs.dataclass import dataclass, replace
from packetfs.limits import MAP_MEMORY_MAX
from packetfs.typing import Any, Final
from packetfs.vm.layout import REGION_SHIFT, ContextKind, MapFlag, MapType, Region
from packetfs.vm.program import MapDefinition, Program
from packetfs.vm.slots import FIELDS, LDDW, SLOT, starts

ARRAYS: Final = (MapType.ARRAY, MapType.PERCPU_ARRAY)
HASHES: Final = (MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH)
HASH_HEADER: Final = 32
"""Bytes before the index of a hash table: count, free, high, removed, 16 zero."""
MAPS_ALIGN: Final = 64
"""The maps memory of a microVM is a multiple of it, so that no two microVMs share a cache line."""

_HANDLES: Final = (1, 5)
_VALUES: Final = (2, 6)
_FUNCTION: Final = 4
"""What a lddw names, by its src: a map, a place in its first value, a function. 3, a platform variable, is refused."""

_PLACE: Final = Struct("<IIIIIIQQII")
"""A MapPlace for the C core: type, key_size, value_size, max_entries, flags, capacity, offset, size, stride, zero."""
_core: Any = native


@dataclass(frozen=True, slots=True)
class MapPlace:
    """Where a map lies: bytes [offset, offset + size) of `maps`, or of `shared` when it is READ_ONLY.

    stride: bytes from one entry to the next (values of arrays, entries of hash tables). capacity: words of a hash
    table's index, a power of two; 0 for other types.
    """

    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    offset: int
    size: int
    stride: int
    capacity: int

    @property
    def read_only(self) -> bool:
        return bool(self.flags & MapFlag.READ_ONLY)

    @property
    def region(self) -> Region:
        return Region.SHARED if self.read_only else Region.MAPS

    @property
    def address(self) -> int:
        """The address of the map's first byte."""
        return self.region << REGION_SHIFT | self.offset


@dataclass(frozen=True, slots=True)
class Image:
    """What microVMs of one program share. `initial` is the front of each one's `maps_bytes` of maps memory; the rest
    of it is zero. `shared` holds the read-only maps. `starts` has a 1 for each slot where an instruction begins."""

    code: bytes
    entry: int
    context: ContextKind
    maps: tuple[MapPlace, ...]
    maps_bytes: int
    initial: bytes
    shared: bytes
    definitions: tuple[MapDefinition, ...]
    starts: bytes


def load(program: Program) -> Image:
    """Return the image of `program`; IllegalInstruction or BadProgram when it cannot be run.

    The C core checks code as `check` does, without a table of instructions to load first; what it refuses, and all code
    where there is none, `check` judges, which can say why.
    """
    places = _places(program.maps)
    begins = starts(program.code)
    try:
        code = _resolve(program.code, begins, places)
    except errors.IllegalInstruction:
        _check(program)
        raise
    own = _end(places, read_only=False)
    initial = _contents(program.maps, places, read_only=False)
    shared = _contents(program.maps, places, read_only=True).ljust(_end(places, read_only=True), b"\0")
    bytes_of = -(-own // MAPS_ALIGN) * MAPS_ALIGN
    image = Image(code, program.entry, program.context, places, bytes_of, initial, shared, program.maps, begins)
    if not _accepted(image):
        _check(program)
    return image


def hand_over(image: Image) -> object:
    """Return what the C core makes of an image; ValueError when it refuses it."""
    places = b"".join(
        _PLACE.pack(p.type, p.key_size, p.value_size, p.max_entries, p.flags, p.capacity, p.offset, p.size, p.stride, 0)
        for p in image.maps
    )
    return _core.vm_load(image.code, places, image.shared, image.entry, int(image.context))


def _accepted(image: Image) -> bool:
    """Tell whether there is a C core and it accepts the code."""
    if _core is None or not 0 <= image.entry < len(image.starts):
        return False
    try:
        hand_over(image)
    except ValueError:
        return False
    return True


def _check(program: Program) -> None:
    from packetfs.vm.check import check

    check(program.code, len(program.maps), entry=program.entry)


def up(size: int, to: int = 8) -> int:
    """Return `size` rounded up to a multiple of `to`."""
    return -(-size // to) * to


def entry_value(place: MapPlace) -> int:
    """Return where in an entry of a hash table its value begins."""
    return 8 + up(place.key_size)


def _places(definitions: tuple[MapDefinition, ...]) -> tuple[MapPlace, ...]:
    """Give each map its place: own maps with initial content first, so that `initial` is short; else in their order."""
    order = sorted(range(len(definitions)), key=lambda i: not definitions[i].initial)
    ends = {False: 0, True: 0}
    places: dict[int, MapPlace] = {}
    for i in order:
        place = _sized(definitions[i])
        places[i] = replace(place, offset=ends[place.read_only])
        ends[place.read_only] += place.size
        if ends[place.read_only] > MAP_MEMORY_MAX:
            raise errors.BadProgram(root="with its maps", reason=f"they need more than {MAP_MEMORY_MAX} bytes")
    return tuple(places[i] for i in range(len(definitions)))


def _sized(m: MapDefinition) -> MapPlace:
    """Return the place of a map, at offset 0. All sizes are multiples of 8."""
    stride = size = capacity = 0
    if m.type in ARRAYS:
        stride = up(m.value_size)
        size = m.max_entries * stride
    elif m.type in HASHES:
        stride = 8 + up(m.key_size) + up(m.value_size)
        capacity = 1 << (2 * m.max_entries - 1).bit_length()
        size = HASH_HEADER + up(4 * capacity) + m.max_entries * stride
    return MapPlace(m.type, m.key_size, m.value_size, m.max_entries, m.flags, 0, size, stride, capacity)


def _end(places: tuple[MapPlace, ...], *, read_only: bool) -> int:
    return max((place.offset + place.size for place in places if place.read_only is read_only), default=0)


def _contents(definitions: tuple[MapDefinition, ...], places: tuple[MapPlace, ...], *, read_only: bool) -> bytes:
    memory = bytearray()
    for definition, place in sorted(zip(definitions, places, strict=True), key=lambda pair: pair[1].offset):
        if definition.initial and place.read_only is read_only:
            memory += definition.initial.rjust(place.offset + len(definition.initial) - len(memory), b"\0")
    return bytes(memory)


def _resolve(code: bytes, begins: bytes, places: tuple[MapPlace, ...]) -> bytes:
    """Replace what each lddw names by its number, so that src is 0 everywhere. All else stays, to be checked."""
    resolved = bytearray(code)
    for slot, begin in enumerate(begins):
        if begin and code[slot * SLOT] == LDDW and code[slot * SLOT + 1] >> 4:
            if slot + 1 == len(begins):
                raise errors.IllegalInstruction(slot=slot, reason="the second slot of lddw is missing")
            opcode, registers, offset, imm = FIELDS.unpack_from(code, slot * SLOT)
            behind = FIELDS.unpack_from(code, (slot + 1) * SLOT)
            value = _value(slot, (registers >> 4, imm, behind[3]), begins, places)
            low = value - (1 << 32) if value >> 31 else value
            FIELDS.pack_into(resolved, slot * SLOT, opcode, registers & 15, offset, low)
            FIELDS.pack_into(resolved, (slot + 1) * SLOT, *behind[:3], 0)
    return bytes(resolved)


def _value(slot: int, named: tuple[int, int, int], begins: bytes, places: tuple[MapPlace, ...]) -> int:
    """Return the address (below 2**32) that a lddw with this source, imm and next_imm means."""
    source, imm, next_imm = named
    if source in _VALUES and 0 <= imm < len(places):
        place, offset = places[imm], next_imm & 0xFFFFFFFF
        if place.type not in ARRAYS or offset >= place.size:
            raise errors.IllegalInstruction(slot=slot, reason=f"offset {offset} of map {imm} has no address")
        return place.address + offset
    if source in _HANDLES and 0 <= imm < len(places) and next_imm == 0:
        return Region.MAP << REGION_SHIFT | imm
    target = slot + 1 + imm  # as a local call: relative to the slot behind the first half
    if source == _FUNCTION and 0 <= target < len(begins) and begins[target] and next_imm == 0:
        return Region.CODE << REGION_SHIFT | target
    raise errors.IllegalInstruction(slot=slot, reason="what this lddw names does not exist")
