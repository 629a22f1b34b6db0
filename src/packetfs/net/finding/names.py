"""All names of a tree, from its programs, and the ids by which two sides tell which of them differ."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from stat import S_IFDIR, S_IFMT

from packetfs.errors import BadProgram
from packetfs.fs.directory import level_of, name_of, node_of, split_node, top_of
from packetfs.limits import PATH_MAX
from packetfs.packet.digest import DIGEST, Digest, keyed_tag, short
from packetfs.packet.layout import HEADER
from packetfs.packet.tree import Store
from packetfs.typing import Final

_MODE: Final = struct.Struct("<I")
_MODE_AT: Final = HEADER + DIGEST
_NO_ROOT: Final = bytes(DIGEST)
ID: Final = 8

Selected = Callable[[int], bool]


def walk(
    store: Store, root: Digest, held: Collection[Digest] = (), above: bytes = b""
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the path and the encoded entry of every name below a directory, a directory before what is in it.

    A directory whose root is in `held` stands for all that is below it. Paths begin with `above`.
    """
    stack = [(above, _leaves(store, root))]
    while stack:
        above, leaves = stack[-1]
        leaf = next(leaves, None)
        if leaf is None:
            stack.pop()
            continue
        path = above + name_of(leaf)
        if len(path) > PATH_MAX:
            raise BadProgram(root=short(root), reason=f"a path of {len(path)} bytes")
        yield path, leaf
        if is_directory(leaf) and root_of(leaf) not in held:
            stack.append((path + b"/", _leaves(store, root_of(leaf))))


def directories(store: Store, root: Digest, above: bytes = b"") -> Iterator[tuple[bytes, Digest]]:
    """Yield the path and the root of every directory in a directory, not of those below them."""
    return ((above + name_of(leaf), root_of(leaf)) for leaf in _leaves(store, root) if is_directory(leaf))


def _leaves(store: Store, root: Digest) -> Iterator[bytes]:
    stack = [top_of(store, root)]
    levels = [1 << 8]
    while stack:
        parts, level = split_node(stack.pop()), levels.pop()
        below = level_of(parts[0]) if parts else 0
        if below >= level:
            raise BadProgram(root=short(root), reason="the levels of its tree do not fall")
        if below:
            stack += [store.read(node_of(part)) for part in reversed(parts)]
            levels += [below] * len(parts)
        else:
            yield from parts


def is_directory(leaf: bytes) -> bool:
    return S_IFMT(_MODE.unpack_from(leaf, _MODE_AT)[0]) == S_IFDIR


def root_of(leaf: bytes) -> Digest:
    """Return the root in an encoded entry."""
    return Digest(leaf[HEADER:_MODE_AT])


def alone(leaf: bytes, held: Collection[Digest]) -> bytes:
    """Return an encoded entry without what other names of the same walk stand for: what is in a directory."""
    return leaf if not is_directory(leaf) or root_of(leaf) in held else leaf[:HEADER] + _NO_ROOT + leaf[_MODE_AT:]


def ids_of(store: Store, root: Digest, key: bytes, held: Collection[Digest] = ()) -> bytes:
    """Return an id of 8 bytes for each name of a tree, in the order of `walk`; only who has the key can foresee one.

    An id stands for path, metadata and a file's root; what is in a directory that is not held has ids of its own.
    """
    ids = bytearray()
    for path, leaf in walk(store, root, held):
        ids += keyed_tag(key, path + b"\0" + alone(leaf, held))[:ID]
    return bytes(ids)


class Selection:
    """Some of the names of a tree, by their ids."""

    def __init__(self, ids: bytes, chosen: bytes) -> None:
        self._ids = ids
        self._chosen = {chosen[at : at + ID] for at in range(0, len(chosen), ID)}

    def __call__(self, number: int) -> bool:
        """Tell whether the name with this number in the order of `walk` is one of them."""
        return self._ids[number * ID : (number + 1) * ID] in self._chosen
