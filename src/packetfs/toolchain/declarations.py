"""Maps that an object declares: structs of `.maps` (BTF), rows of `maps` (legacy), and sections of data.

What C cannot say, types do: values of numbers of one size are summed over shards unless a tag says otherwise, keys are
shown as what they are. The tag names a reducer, as in `__attribute__((btf_decl_tag("packetfs: max")))`.
"""

from __future__ import annotations

import re
import struct

from packetfs.dataclass import dataclass, replace
from packetfs.errors import BadObject
from packetfs.limits import MAP_VALUE_MAX
from packetfs.toolchain.arguments import MAP as ARGUMENTS
from packetfs.toolchain.btf import Shape, Types
from packetfs.toolchain.elf import Object, Section, SectionType, Symbol, SymbolType
from packetfs.typing import Final, Iterator
from packetfs.vm.layout import MapFlag, MapType, Reducer, Show
from packetfs.vm.program import NAME, MapDefinition

ARGUMENTS_SECTION: Final = ".rodata.args"
"""Becomes the map that arguments are filled into (c_arguments.py)."""
_LEGACY: Final = struct.Struct("<IIIII")
_DATA: Final = re.compile(r"\.(rodata|data|bss)(\..*)?")
_TAG: Final = "packetfs:"
_WIDTHS: Final = (1, 2, 4, 8)
_OTHERS: Final = {
    3: "PROG_ARRAY", 4: "PERF_EVENT_ARRAY", 7: "STACK_TRACE", 8: "CGROUP_ARRAY", 11: "LPM_TRIE", 12: "ARRAY_OF_MAPS",
    13: "HASH_OF_MAPS", 15: "SOCKMAP", 18: "SOCKHASH", 19: "CGROUP_STORAGE", 21: "PERCPU_CGROUP_STORAGE", 22: "QUEUE",
    23: "STACK", 24: "SK_STORAGE", 29: "TASK_STORAGE", 30: "BLOOM_FILTER", 31: "USER_RINGBUF", 33: "ARENA",
}  # fmt: skip
_LRU_PERCPU_HASH: Final = 10
_EMPTY: Final = {14: "DEVMAP", 16: "CPUMAP", 17: "XSKMAP", 25: "DEVMAP_HASH"}
"""Maps of devices, processors and sockets, of which a microVM has none: they are always empty, and read only."""


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What every form of a declaration says."""

    type: int = 0
    key_size: int = 0
    value_size: int = 0
    max_entries: int = 0
    flags: int = 0


def is_maps(section: Section) -> bool:
    """Tell whether symbols of this section are maps."""
    return section.name in ("maps", ".maps")


def is_data(section: Section) -> bool:
    """Tell whether this section becomes a map of one entry."""
    return bool(_DATA.fullmatch(section.name)) and section.type in (SectionType.PROGBITS, SectionType.NOBITS)


class Declarations:
    """The maps of one object, each read when it is asked for."""

    def __init__(self, object: Object) -> None:  # noqa: A002 (it is one)
        self._object = object
        btf = object.section(".BTF")
        self._types = Types(btf.data, object.file) if btf is not None else None

    def find(self, section: Section, offset: int) -> Symbol:
        """Return the map that is declared at this offset of a section of maps."""
        for symbol in self._symbols(section):
            if symbol.value == offset:
                return symbol
        raise self._bad(section, f"nothing is declared at offset {offset}")

    def map(self, section: Section, symbol: Symbol) -> MapDefinition:
        """Return what a symbol of a section of maps declares."""
        if section.name == "maps":
            return self._define(section, symbol.name, self._legacy(section, symbol))
        if self._types is None:
            raise self._bad(section, "the object has no types (section .BTF); compile it with -g")
        number = self._types.variable(symbol.name)
        if number is None:
            raise self._bad(section, f"{symbol.name} has no type in section .BTF")
        members = self._types.members(number)
        found = self._define(section, symbol.name, self._modern(self._types, members))
        return self._refined(found, self._types, members, symbol.name)

    def data(self, section: Section) -> MapDefinition:
        """Return a section of data as a map of one entry. Its addresses would not be known before it runs."""
        relocations = self._object.relocations.get(section.index, ())
        if relocations:
            raise self._bad(section, f"it holds the address of {relocations[0].symbol.name}; only code can")
        if not 0 < section.size <= MAP_VALUE_MAX:
            raise self._bad(section, f"it has {section.size} bytes; 1 to {MAP_VALUE_MAX} are possible")
        flags = MapFlag.READ_ONLY if section.name.startswith(".rodata") else 0
        initial = section.data.rstrip(b"\0")
        name = ARGUMENTS if section.name == ARGUMENTS_SECTION else _cut(section.name)
        base = MapDefinition(name, MapType.ARRAY, 4, section.size, 1, int(flags), initial=initial)
        if not section.name.startswith(".bss"):
            return base
        widths = frozenset().union(*(self._shape_of(symbol).widths for symbol in self._objects(section)))
        return _summed(base, widths or frozenset((0,)))

    def _objects(self, section: Section) -> Iterator[Symbol]:
        yield from (s for s in self._object.symbols if s.section == section.index and s.type == SymbolType.OBJECT)

    def _shape_of(self, symbol: Symbol) -> Shape:
        number = self._types.variable(symbol.name) if self._types is not None else None
        return self._types.shape(number) if self._types is not None and number is not None else Shape(frozenset((0,)))

    def _symbols(self, section: Section) -> Iterator[Symbol]:
        kinds = (SymbolType.OBJECT, SymbolType.NOTYPE)
        for symbol in self._object.symbols:
            if symbol.section == section.index and symbol.type in kinds and symbol.name:
                yield symbol

    def _legacy(self, section: Section, symbol: Symbol) -> _Numbers:
        if symbol.value + _LEGACY.size > len(section.data):
            raise self._bad(section, f"{symbol.name} ends behind its end")
        return _Numbers(*_LEGACY.unpack_from(section.data, symbol.value))

    def _modern(self, types: Types, members: dict[str, int]) -> _Numbers:
        sizes = {}
        for name in ("key", "value"):
            if f"{name}_size" in members:
                sizes[f"{name}_size"] = types.length(members[f"{name}_size"])
            elif name in members:
                sizes[f"{name}_size"] = types.size(types.target(members[name]))
        numbers = {name: types.length(members[name]) for name in ("type", "max_entries") if name in members}
        flags = types.length(members["map_flags"]) if "map_flags" in members else 0
        return _Numbers(**sizes, **numbers, flags=flags)

    def _define(self, section: Section, name: str, said: _Numbers) -> MapDefinition:
        kind, entries, flags = said.type, said.max_entries, said.flags & int(MapFlag.READ_ONLY)
        if kind in _EMPTY:
            kind, entries, flags = MapType.HASH, 1, int(MapFlag.READ_ONLY)
        if kind == _LRU_PERCPU_HASH:
            kind = MapType.LRU_HASH
        if kind not in MapType.__members__.values():
            known = _OTHERS.get(kind, "unknown")
            raise self._bad(section, f"map {name} has type {kind} ({known}), which microVMs lack")
        ring = kind == MapType.RINGBUF
        sizes = (0, 0) if ring else (said.key_size, said.value_size)
        found = MapDefinition(_cut(name), MapType(kind), *sizes, entries, flags)
        likely = said.value_size if said.value_size in _WIDTHS else 8
        return found if ring or flags else _summed(found, frozenset((likely,)))

    def _refined(self, found: MapDefinition, types: Types, members: dict[str, int], name: str) -> MapDefinition:
        """Let the types of key and value, then tags, say more."""
        if found.type in (MapType.ARRAY, MapType.PERCPU_ARRAY):
            found = replace(found, show=Show.UNSIGNED)
        elif "key" in members and found.key_size:
            found = replace(found, show=_show(types.shape(types.target(members["key"]))))
        if "value" in members and found.value_size and not found.flags:
            found = _summed(found, types.shape(types.target(members["value"])).widths)
        for tag in types.tags(name):
            if tag.startswith(_TAG):
                found = self._tagged(found, tag.removeprefix(_TAG).strip(), name)
        return found

    def _tagged(self, found: MapDefinition, tag: str, name: str) -> MapDefinition:
        reducer = Reducer.__members__.get(tag.upper())
        if reducer is None:
            known = ", ".join(member.lower() for member in Reducer.__members__)
            raise BadObject(file=self._object.file, reason=f"map {name} is tagged {tag!r}; possible are {known}")
        return replace(found, reducer=reducer)

    def _bad(self, section: Section, reason: str) -> BadObject:
        return BadObject(file=self._object.file, reason=f"section {section.name}: {reason}")


def _summed(found: MapDefinition, widths: frozenset[int]) -> MapDefinition:
    """Sum the values of shards where all numbers in a value have one size; what is mixed is taken from the last one."""
    width = next(iter(widths)) if len(widths) == 1 else 0
    if width in _WIDTHS and found.value_size % width == 0:
        return replace(found, reducer=Reducer.SUM, width=width)
    return replace(found, reducer=Reducer.LAST, width=8)


def _show(key: Shape) -> Show:
    if key.text:
        return Show.TEXT
    if key.alias in ("__be32", "be32"):
        return Show.IPV4
    if key.scalar and next(iter(key.widths)) in _WIDTHS:
        return Show.SIGNED if key.signed else Show.UNSIGNED
    return Show.HEX


def _cut(name: str) -> bytes:
    return name.encode()[:NAME].rstrip(b"\0")
