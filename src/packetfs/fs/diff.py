"""What changed between two directories, found from their programs: equal subtrees and nodes are passed over unread.

Both programs are walked in lockstep. Nodes are cut by content, so after an insert both sides soon stand before the same
TREE packet again; only nodes that differ are read, only entries that differ are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.dataclass import dataclass
from packetfs.errors import BadProgram
from packetfs.fs.directory import level_of, name_of, node_of, split_node, top_of, trim_equal
from packetfs.limits import PATH_MAX
from packetfs.packet.digest import Digest, short
from packetfs.packet.entry import Entry, decode_entry
from packetfs.packet.tree import Store
from packetfs.typing import Final

_NO_LEAVES: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Change:
    """One path that is new (`old` is None), gone with all below it (`new` is None), or different."""

    path: bytes
    old: Entry | None
    new: Entry | None


@dataclass(slots=True)
class _Level:
    """A directory whose differing entries are being walked."""

    path: bytes
    pairs: Iterator[tuple[bytes | None, bytes | None]]


def diff(store: Store, old_root: Digest | None, new_root: Digest) -> Iterator[Change]:
    """Yield the changes from one directory to another, a directory before what is in it, names in order.

    What is in a new directory is new too; a removed one comes alone. Another kind of file is a removal and an addition.
    A directory that only differs in what is below it is no change of its own.
    """
    levels = [_Level(b"", _differing(store, old_root, new_root))]
    while levels:
        level = levels[-1]
        pair = next(level.pairs, None)
        if pair is None:
            levels.pop()
            continue
        old, new = (None if leaf is None else decode_entry(leaf) for leaf in pair)
        path = _join(level.path, old, new)
        yield from _changes(path, old, new)
        if new is not None and new.is_dir:
            before = Digest(old.root) if old is not None and old.is_dir else None
            levels.append(_Level(path, _differing(store, before, Digest(new.root))))


def diff_whole(store: Store, old_root: Digest | None, new_root: Digest | None) -> Iterator[Change]:
    """Yield the same, with all that was in a directory that is gone behind it; either side may have nothing."""
    if new_root is None:
        yield from _gone(store, b"", old_root)
        return
    for change in diff(store, old_root, new_root):
        yield change
        if change.new is None and change.old is not None and change.old.is_dir:
            yield from _gone(store, change.path + b"/", Digest(change.old.root))


def _gone(store: Store, above: bytes, root: Digest | None) -> Iterator[Change]:
    for change in diff(store, None, root) if root is not None else ():
        yield Change(above + change.path, change.new, None)


def _join(above: bytes, old: Entry | None, new: Entry | None) -> bytes:
    entry = new or old
    name = entry.name if entry else b""
    path = above + b"/" + name if above else name
    if len(path) > PATH_MAX:
        raise BadProgram(root="of a directory", reason=f"a path of {len(path)} bytes")
    return path


def _changes(path: bytes, old: Entry | None, new: Entry | None) -> Iterator[Change]:
    if old is None or new is None:
        yield Change(path, old, new)
    elif (old.mode ^ new.mode) >> 12:
        yield Change(path, old, None)
        yield Change(path, None, new)
    elif not old.is_dir or _own_fields(old) != _own_fields(new):
        yield Change(path, old, new)


def _own_fields(entry: Entry) -> tuple[object, ...]:
    """Return what belongs to a directory itself, not to what is in it."""
    return entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.group, entry.xattrs


def _differing(store: Store, old: Digest | None, new: Digest) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield the encoded entries that differ between two directories, in pairs of one name."""
    if old == new:
        return
    left, right = _Cursor(store, old), _Cursor(store, new)
    while left.parts or right.parts:
        a = left.parts[-1] if left.parts else None
        b = right.parts[-1] if right.parts else None
        if a == b:
            del left.parts[-1], right.parts[-1]
            continue
        levels = level_of(a) if a else 0, level_of(b) if b else 0
        if levels == (0, 0):
            yield _take(left, right, a, b)
        elif levels == (1, 1):
            _enter_both(left, right)
        elif levels[0] > levels[1]:
            left.enter()
        else:
            right.enter()


def _enter_both(left: _Cursor, right: _Cursor) -> None:
    """Enter two nodes of entries, passing over what they share at both ends."""
    old, new = trim_equal(left.take_node(), right.take_node())
    left.push_leaves(old)
    right.push_leaves(new)


def _take(left: _Cursor, right: _Cursor, a: bytes | None, b: bytes | None) -> tuple[bytes | None, bytes | None]:
    """Take the entry with the lower name, or both where the names are one."""
    first = name_of(a) if a is not None else None
    second = name_of(b) if b is not None else None
    if first is not None and (second is None or first <= second):
        left.take(first)
    else:
        a = None
    if second is not None and (first is None or second <= first):
        right.take(second)
    else:
        b = None
    return a, b


class _Cursor:
    """A place in a directory's program: the parts still to come, the next one last."""

    def __init__(self, store: Store, root: Digest | None) -> None:
        self._store = store
        self._root = root
        self._before = b""
        self._floor = _NO_LEAVES
        self.parts = split_node(top_of(store, root)) if root is not None else []
        self.parts.reverse()

    def enter(self) -> None:
        """Put the parts of the next node in its place."""
        level = level_of(self.parts[-1])
        node = self.take_node()
        if level == 1:
            self.push_leaves(node)
            return
        parts = split_node(node)
        if any(level_of(part) != level - 1 for part in parts):
            self._refuse("the levels of its tree do not fall by one")
        parts.reverse()
        self.parts += parts
        self._floor = _NO_LEAVES

    def take_node(self) -> bytes:
        """Take the next TREE packet and return its node."""
        if len(self.parts) > self._floor:
            self._refuse("a node stands where an entry belongs")
        node = self._store.read(node_of(self.parts.pop()))
        if not node:
            self._refuse("a node is empty")
        return node

    def push_leaves(self, node: bytes) -> None:
        """Put the entries of a node before what is to come."""
        self._floor = len(self.parts)
        parts = split_node(node)
        parts.reverse()
        self.parts += parts

    def take(self, name: bytes) -> None:
        """Pass over the next part, an entry."""
        if name <= self._before:
            self._refuse("its names are not in order")
        self._before = name
        self.parts.pop()

    def _refuse(self, reason: str) -> None:
        raise BadProgram(root=short(self._root or b""), reason=reason)
