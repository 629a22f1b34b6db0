"""BTF, the types that clang leaves in an object: what maps are, and how their keys and values are made up.

A variable of `.maps` is a struct whose members say it all in types: `type` and `max_entries` are pointers to arrays
whose length is the value, `key` and `value` pointers to the types themselves. Only that is read here, with the tags of
`btf_decl_tag`; types that are damaged, too deep or circular are an error.
"""

from __future__ import annotations

import struct

from packetfs.dataclass import dataclass
from packetfs.enum import IntEnum
from packetfs.errors import BadObject
from packetfs.limits import BTF_DEPTH_MAX, BTF_TYPES_MAX, OBJECT_NAME_MAX
from packetfs.typing import Final, Iterator, Sequence

_MAGIC: Final = 0xEB9F
_HEADER: Final = struct.Struct("<HBBIIIII")
_TYPE: Final = struct.Struct("<III")
_ARRAY: Final = struct.Struct("<III")
_MEMBER: Final = struct.Struct("<III")
_WORD: Final = struct.Struct("<I")


class Kind(IntEnum):
    """BTF_KIND_ numbers."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


_ALIASES: Final = (Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG)
_SIZED: Final = (Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.FLOAT, Kind.ENUM64)
_BEHIND: Final = {
    Kind.INT: (4, 0),
    Kind.ARRAY: (12, 0),
    Kind.STRUCT: (0, 12),
    Kind.UNION: (0, 12),
    Kind.ENUM: (0, 8),
    Kind.FUNC_PROTO: (0, 8),
    Kind.VAR: (4, 0),
    Kind.DATASEC: (0, 12),
    Kind.DECL_TAG: (4, 0),
    Kind.ENUM64: (0, 12),
}
"""Bytes behind a type of each kind: once, and for each of its members."""
_SIGNED: Final = 1
_CHARACTER: Final = 2


@dataclass(frozen=True, slots=True)
class Type:
    """One type. `rest`: size in bytes, or the type it refers to; `more`: what follows it, as its kind defines."""

    name: str
    kind: Kind
    count: int
    rest: int
    more: bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value is made of: bytes of each number in it; whether it is one number; arrays of char; its own name."""

    widths: frozenset[int]
    scalar: bool = False
    signed: bool = False
    text: bool = False
    alias: str = ""


class Types:
    """The types of one object."""

    def __init__(self, data: bytes, file: str) -> None:
        self._file = file
        self._types = [Type("void", Kind.VOID, 0, 0, b""), *self._read(data)]
        self._variables: dict[str, int] = {}
        self._tags: dict[str, list[str]] = {}
        self._index()

    def variable(self, name: str) -> int | None:
        """Return the type of the variable of that name, as its number."""
        return self._variables.get(name)

    def tags(self, name: str) -> Sequence[str]:
        """Return the tags that a variable was declared with."""
        return self._tags.get(name, ())

    def _index(self) -> None:
        """Find variables and tags by name once: an object may have thousands of each, and be asked for all of them."""
        for row in self._types:
            if row.kind is Kind.VAR:
                self._variables.setdefault(row.name, row.rest)
            elif row.kind is Kind.DECL_TAG:
                tagged = self._type(row.rest)
                if tagged.kind is Kind.VAR:
                    self._tags.setdefault(tagged.name, []).append(row.name)

    def members(self, number: int) -> dict[str, int]:
        """Return the members of a struct by name, as the numbers of their types."""
        found = self._plain(number)
        if found.kind is not Kind.STRUCT:
            raise self._bad(f"{found.name or 'a variable of section .maps'} is no struct")
        return {self._text(at): kind for at, kind, _ in _MEMBER.iter_unpack(found.more)}

    def length(self, number: int) -> int:
        """Return the number that a member says: the length of the array that it points to."""
        array = self._plain(self.target(number))
        if array.kind is not Kind.ARRAY:
            raise self._bad("a member of a map's definition says no number")
        return int(_ARRAY.unpack(array.more)[2])

    def target(self, number: int) -> int:
        """Return what a member points to, as the number of that type."""
        pointer = self._plain(number)
        if pointer.kind is not Kind.PTR:
            raise self._bad("a member of a map's definition is no pointer")
        return pointer.rest

    def size(self, number: int) -> int:
        """Return the bytes of a type."""
        times = 1
        for _ in range(BTF_DEPTH_MAX):
            found = self._plain(number)
            if found.kind in _SIZED:
                return found.rest * times
            if found.kind is Kind.PTR:
                return 8 * times
            if found.kind is not Kind.ARRAY:
                break
            number, _, count = _ARRAY.unpack(found.more)
            times *= count
        raise self._bad(f"the size of type {number} is not known")

    def shape(self, number: int) -> Shape:
        """Return what a type is made of."""
        found, alias, widths = self._plain(number), self._type(number).name, self._widths(number)
        if found.kind is Kind.ARRAY:
            element = self._plain(_ARRAY.unpack(found.more)[0])
            letter = element.name == "char" or element.more[3:4] == bytes((_CHARACTER,))
            return Shape(widths, text=element.kind is Kind.INT and element.rest == 1 and letter, alias=alias)
        scalar = found.kind in (Kind.INT, Kind.ENUM, Kind.ENUM64)
        return Shape(widths, scalar, found.kind is Kind.INT and found.more[3] & _SIGNED != 0, alias=alias)

    def _widths(self, number: int) -> frozenset[int]:
        """Return the sizes of the scalars in a type; what is no plain number counts as 0."""
        rest, seen, widths = [number], {number}, set()
        while rest:
            found = self._plain(rest.pop())
            inside: set[int] = set()
            if found.kind is Kind.STRUCT:
                inside = {kind for _, kind, _ in _MEMBER.iter_unpack(found.more)}
            elif found.kind is Kind.ARRAY:
                inside = {_ARRAY.unpack(found.more)[0]}
            else:
                widths.add(found.rest if found.kind in (Kind.INT, Kind.ENUM, Kind.ENUM64) else 0)
            rest += inside - seen
            seen |= inside
        return frozenset(widths)

    def _plain(self, number: int) -> Type:
        """Return a type without typedefs and qualifiers."""
        for _ in range(BTF_DEPTH_MAX):
            found = self._type(number)
            if found.kind not in _ALIASES:
                return found
            number = found.rest
        raise self._bad(f"types refer to each other more than {BTF_DEPTH_MAX} deep")

    def _type(self, number: int) -> Type:
        if number >= len(self._types):
            raise self._bad(f"there is no type {number}")
        return self._types[number]

    def _read(self, data: bytes) -> list[Type]:
        if len(data) < _HEADER.size or _HEADER.unpack_from(data)[:2] != (_MAGIC, 1):
            raise self._bad("it does not begin as BTF version 1")
        *_, size, at, length, strings, room = _HEADER.unpack_from(data)
        if size + max(at + length, strings + room) > len(data):
            raise self._bad("it ends too early")
        self._strings = data[size + strings : size + strings + room]
        return list(self._each(data[size + at : size + at + length]))

    def _each(self, data: bytes) -> Iterator[Type]:
        offset = count = 0
        while offset < len(data):
            count += 1
            if count > BTF_TYPES_MAX or offset + _TYPE.size > len(data):
                raise self._bad(f"it ends inside a type, or has more than {BTF_TYPES_MAX}")
            row, size = self._one(data, offset)
            offset += size
            yield row

    def _one(self, data: bytes, offset: int) -> tuple[Type, int]:
        name, info, rest = _TYPE.unpack_from(data, offset)
        number, members = info >> 24 & 31, info & 0xFFFF
        if number not in Kind.__members__.values() or not number:
            raise self._bad(f"it has types of the unknown kind {number}")
        kind = Kind(number)
        once, each = _BEHIND.get(kind, (0, 0))
        start = offset + _TYPE.size
        stop = start + once + each * members
        if stop > len(data):
            raise self._bad(f"a {kind.name} of {members} members ends behind its end")
        more = data[start:stop] if each == _MEMBER.size or once else b""
        return Type(self._text(name), kind, members, rest, more), stop - offset

    def _text(self, at: int) -> str:
        end = self._strings.find(b"\0", at, at + OBJECT_NAME_MAX)
        if end < 0:
            return ""  # names of types may be longer; none of those is asked for
        return self._strings[at:end].decode("utf-8", "backslashreplace")

    def _bad(self, reason: str) -> BadObject:
        return BadObject(file=self._file, reason=f"section .BTF: {reason}")
