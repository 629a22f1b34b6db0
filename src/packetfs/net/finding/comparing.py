"""The receiver's own names beside a listing: which of them the new tree does not have as they are.

Where a sketch told which differ, those are known at once. Where the sender lists all names, both walks go in step: what
is passed over differs or is alone. A directory that is held stands for all that is below it, in the listing and here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from packetfs.net.finding.names import Selection, alone, is_directory, root_of, walk
from packetfs.net.wire.listing import Listed
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry, decode_entry, encode_entry
from packetfs.packet.tree import Store
from packetfs.typing import Protocol


class Forgetful(Protocol):
    """Who is told what differs."""

    def forget(self, path: bytes, leaf: bytes) -> None:
        """The new tree does not have this name, or has it otherwise."""


class OwnNames:
    """The names of a tree, of some directories of which a sender knows that they are here."""

    def __init__(
        self,
        store: Store,
        root: Digest,
        places: dict[Digest, bytes],
        held: Collection[Digest],
        differing: Selection | None,
    ) -> None:
        """`held` directories stand for what is below them, `places` are where these, and perhaps others, lie.
        `differing` None: the sender lists all names."""
        self._store = store
        self._root = root
        self._places = places
        self._held = held
        self._differing = differing
        self._own: Iterator[tuple[bytes, bytes]] = iter(())
        self._next: tuple[bytes, bytes] | None = None
        self._whole: dict[bytes, Digest] = {}
        self._lacking: dict[bytes, Digest] = {}

    def begin(self, target: Forgetful) -> None:
        """Tell what differs, as far as it is known."""
        self._own = walk(self._store, self._root, self._held)
        if self._differing is not None:
            for number, (path, leaf) in enumerate(self._own):
                if self._differing(number):
                    self._forget(target, path, leaf)
        self._next = next(self._own, None)

    def has(self, target: Forgetful, listed: Listed) -> bool:
        """Tell whether a listed name is here as it is, having told what comes before it."""
        place = listed.path.split(b"/")
        while self._next is not None and self._next[0].split(b"/") < place:
            self._pass(target)
        if self._next is not None and self._next[0] == listed.path:
            if alone(self._next[1], self._held) == alone(encode_entry(listed.entry), self._held):
                self._next = next(self._own, None)
                return True
            self._pass(target)
        old = self._whole.get(listed.path)
        if old is not None and old != listed.entry.root and listed.entry.is_dir:
            for path, leaf in walk(self._store, old, above=listed.path + b"/"):
                target.forget(path, leaf)
        return False

    def end(self, target: Forgetful) -> None:
        """All names are listed."""
        while self._next is not None:
            self._pass(target)

    def lacks(self, listed: Listed) -> bool:
        """Tell whether a listed directory stands for what is below it, and this lies elsewhere; remember that."""
        root = Digest(listed.entry.root)
        if not listed.entry.is_dir or root not in self._held or self._whole.get(listed.path) == root:
            return False
        self._lacking[listed.path] = root
        return True

    def below(self, path: bytes) -> Iterator[tuple[bytes, Entry, bytes]]:
        """Yield what is in a directory that is lacking, once: paths in the new tree, entries, where they are now."""
        root = self._lacking.pop(path, None)
        if root is None:
            return
        for place, leaf in walk(self._store, root, above=path + b"/"):
            yield place, decode_entry(leaf), self._places[root] + place[len(path) :]

    def _pass(self, target: Forgetful) -> None:
        if self._next is not None:
            self._forget(target, *self._next)
        self._next = next(self._own, None)

    def _forget(self, target: Forgetful, path: bytes, leaf: bytes) -> None:
        if is_directory(leaf) and root_of(leaf) in self._held:
            self._whole[path] = root_of(leaf)
        target.forget(path, leaf)
