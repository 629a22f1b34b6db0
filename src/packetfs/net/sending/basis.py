"""What the receiver holds, as the sender knows it: old versions of what changed, numbered, by extent and by root."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice

from packetfs.errors import MissingExtent
from packetfs.fs.diff import Change
from packetfs.fs.leaves import Leaves
from packetfs.limits import PLACES_MAX, SOURCES_MAX
from packetfs.net.finding.names import walk
from packetfs.net.sending.delta import Basis, ExtentMap, Gathered
from packetfs.net.sending.shared import Leaf, Shared, along
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.entry import Entry, decode_entry
from packetfs.packet.layout import HEADER
from packetfs.pool.pool import Pool
from packetfs.typing import Final

_WORTH_A_NAME: Final = 1024
"""Bytes of new content that are worth a look at one name: both take some microseconds on a fast line."""


class KnownBase:
    """The old files that a sync changes or removes: each may serve as the base of a new one, wherever that lies.

    Of those that stay as they are, the ones that new files are copies of, as far as a look at their names is worth it.
    """

    def __init__(self, store: Pool, base: Digest, changes: Iterable[Change], excluded: Container[bytes]) -> None:
        self._store = store
        self._files: list[tuple[bytes, Entry]] = []
        self._numbers: dict[bytes, int] = {}
        self._by_root: dict[bytes, int] = {}
        newcomers: dict[bytes, int] = {}
        for change in changes:
            if change.old is not None and _is_basis(change.old) and change.path not in excluded:
                self._add(change.path, change.old)
            elif change.new is not None and change.new.is_file:
                newcomers[change.new.root] = change.new.size
        self._window = Gathered()
        self._leaves = Leaves(store, store.read_on_trust)  # the root of what is made of it is compared
        self._changed = len(self._files)
        self._places: ExtentMap | None = None
        self._find_copied(base, newcomers, excluded)

    def _add(self, path: bytes, old: Entry) -> None:
        if len(self._files) < SOURCES_MAX:
            self._files.append((path, old))
            self._numbers[path] = len(self._files)
            self._by_root[old.root] = len(self._files)

    @property
    def places(self) -> ExtentMap:
        """Where the extents are of the old files that the sync changes or removes; made when it is asked for."""
        if self._places is None:
            self._places = self._map_extents(self._files[: self._changed])
        return self._places

    def _map_extents(self, files: Sequence[tuple[bytes, Entry]]) -> ExtentMap:
        expected = sum(old.size * 2 // self._store.mean + 2 for _, old in files)
        places = ExtentMap(min(expected, PLACES_MAX))
        for number, (_, old) in enumerate(files, 1):
            for base, starts, leaves in self._leaves.packed(Digest(old.root), 0, old.size):
                places.add(number, base + starts[0], leaves)
        return places

    def _find_copied(self, base: Digest, newcomers: dict[bytes, int], excluded: Container[bytes]) -> None:
        """Add the files that new ones are copies of. Only whole files: of all extents there may be too many."""
        wanted = {root: size for root, size in newcomers.items() if size and root not in self._by_root}
        for path, leaf in islice(walk(self._store, base), sum(wanted.values()) // _WORTH_A_NAME):
            if leaf[HEADER : HEADER + DIGEST] in wanted and path not in excluded:
                entry = decode_entry(leaf)
                if entry.is_file and wanted.pop(entry.root, 0):
                    self._add(path, entry)
            if not wanted:
                break

    @property
    def count(self) -> int:
        """Files that may be declared as sources."""
        return len(self._files)

    def number(self, path: bytes) -> int:
        """Return the source number of the old version at `path`, 0 if there is none."""
        return self._numbers.get(path, 0)

    def path(self, source: int) -> bytes:
        return self._files[source - 1][0]

    def root(self, source: int) -> Digest:
        """Return the root of an old file."""
        return Digest(self._files[source - 1][1].root)

    def same_content(self, new: Entry) -> int:
        """Return the source that is the new file byte for byte (it was renamed or copied), else 0."""
        return self._by_root.get(new.root, 0)

    def leaves(self, source: int, new: Entry) -> Iterator[Leaf | Shared]:
        """Yield the leaves of a new file, along those of a source."""
        return along(self._leaves, Digest(new.root), Digest(self._files[source - 1][1].root))

    def read(self, source: int, offset: int, length: int) -> memoryview:
        root = Digest(self._files[source - 1][1].root)
        return self._window.fill(length, self._leaves.pieces(root, offset, offset + length))

    def size(self, source: int) -> int:
        return self._files[source - 1][1].size


class _Nothing:
    """A receiver of which nothing is known."""

    def read(self, source: int, offset: int, length: int) -> memoryview:
        raise MissingExtent(digest=f"of source {source} at {offset}, {length} bytes")

    def size(self, source: int) -> int:  # noqa: ARG002 (there is no source)
        return 0


NO_BASIS: Final = Basis(None, _Nothing())


def _is_basis(old: Entry) -> bool:
    return old.is_file and old.size > 0
