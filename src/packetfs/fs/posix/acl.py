"""POSIX access control lists: as Linux packs them into two extended attributes, and what they have to do with modes.

A list is u32 version 2, then entries of u16 tag, u16 permissions and u32 id, in the order of `Tag` and of ids. The
entries of owner, mask (without one: group) and others are the nine bits of the mode; a list that says no more than they
is not kept. The kernel checks access; what a list does to a mode, and what a new inode inherits, is for the filesystem.
"""

from __future__ import annotations

import struct

from packetfs.enum import IntEnum
from packetfs.typing import Final, NamedTuple

ACCESS: Final = b"system.posix_acl_access"
DEFAULT: Final = b"system.posix_acl_default"
NAMES: Final = (ACCESS, DEFAULT)
_VERSION: Final = 2
_HEAD: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<HHI")
_RWX: Final = 7
_NOBODY: Final = 0xFFFFFFFF


class Tag(IntEnum):
    """Whom an entry is about; USER and GROUP name one by id."""

    OWNER = 1
    USER = 2
    OWNING_GROUP = 4
    GROUP = 8
    MASK = 16
    OTHERS = 32


_NAMED: Final = (Tag.USER, Tag.GROUP)


class Rule(NamedTuple):
    """One entry."""

    tag: int
    permissions: int
    id: int = _NOBODY


def unpack(value: bytes) -> list[Rule]:
    """Return the entries of a list; ValueError where it is none that Linux would take."""
    if len(value) < _HEAD.size or (len(value) - _HEAD.size) % _ENTRY.size or _HEAD.unpack_from(value)[0] != _VERSION:
        raise ValueError("not an access control list of version 2")
    rules = [Rule(*fields) for fields in _ENTRY.iter_unpack(value[_HEAD.size :])]
    tags = [rule.tag for rule in rules]
    if any(rule.permissions > _RWX for rule in rules) or not set(tags) <= set(Tag):
        raise ValueError("an entry with unknown permissions, or about nobody known")
    if tags != sorted(tags) or any(tags.count(tag) > 1 for tag in set(Tag) - set(_NAMED)):
        raise ValueError("entries out of order, or twice")
    if not {Tag.OWNER, Tag.OWNING_GROUP, Tag.OTHERS} <= set(tags) or (set(tags) & set(_NAMED) and Tag.MASK not in tags):
        raise ValueError("an entry that every list has is missing")
    return rules


def pack(rules: list[Rule]) -> bytes:
    """Return a list as Linux packs it."""
    return _HEAD.pack(_VERSION) + b"".join(_ENTRY.pack(*rule) for rule in rules)


def is_mode(rules: list[Rule]) -> bool:
    """Say whether a list (one that `unpack` took) says no more than the nine bits of a mode can."""
    return not any(rule.tag in (*_NAMED, Tag.MASK) for rule in rules)


def mode_of(rules: list[Rule]) -> int:
    """Return the nine bits that a list shows as."""
    held = {rule.tag: rule.permissions for rule in rules}
    return held[Tag.OWNER] << 6 | held.get(Tag.MASK, held[Tag.OWNING_GROUP]) << 3 | held[Tag.OTHERS]


def with_mode(rules: list[Rule], mode: int) -> list[Rule]:
    """Return the list after a chmod: the mask, not the group, takes the bits in the middle."""
    return [rule._replace(permissions=_bits(rules, rule, mode, rule.permissions)) for rule in rules]


def inherited(rules: list[Rule], mode: int) -> list[Rule]:
    """Return what a new inode gets of its directory's default list: no more than the mode that it was made with."""
    return [rule._replace(permissions=rule.permissions & _bits(rules, rule, mode, rule.permissions)) for rule in rules]


def _bits(rules: list[Rule], rule: Rule, mode: int, else_: int) -> int:
    """Return the three bits of a mode that an entry stands for; `else_` for one that no mode shows."""
    middle = Tag.MASK if any(each.tag == Tag.MASK for each in rules) else Tag.OWNING_GROUP
    shift = {Tag.OWNER: 6, middle: 3, Tag.OTHERS: 0}.get(Tag(rule.tag))
    return else_ if shift is None else mode >> shift & _RWX
