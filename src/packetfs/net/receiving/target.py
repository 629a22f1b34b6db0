"""The end that receives, whatever it is: what a receiver asks of a plain directory or of a path in a pool."""

from __future__ import annotations

from packetfs.net.receiving.delivery import Delivery, OldFile
from packetfs.net.wire.messages import State
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry
from packetfs.packet.tree import Store
from packetfs.typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from packetfs.net.receiving.stale import StaleContent
    from packetfs.net.wire.listing import Listed


class Target(Protocol):
    """Where a tree arrives. Paths are relative to it; b"" is its top directory.

    A method that cannot do its work for one file raises OSError or PacketFSError, and the sync goes on with the next;
    Unverified says that the content must come whole.
    """

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing at all."""

    @property
    def deleted(self) -> list[bytes]:
        """What `finish` removed beyond what the sender named."""

    def state(self) -> State:
        """Return what is held."""

    def holds(self, root: Digest) -> bool:
        """Tell whether the last sync from this sender left it `root`, and nobody else changed that."""

    @property
    def mirrors(self) -> bool:
        """Tell whether the tree that is held in the end must be the sender's, to the last name."""

    @property
    def snapshot(self) -> str:
        """Return the name of the snapshot that `finish` took, if it did."""

    def names(self) -> tuple[Store, Digest]:
        """Return the root of what is held, having looked at all of it, and where its programs lie."""

    def expect_listing(self) -> None:
        """All names of the new tree follow through `examine`; what does not come is not in it."""

    def forget(self, path: bytes, leaf: bytes) -> None:
        """Of the names that `names` stands for the new tree lacks this one, or has it otherwise; what it has otherwise,
        or alone, follows through `examine`. A directory may stand for all that is below it."""

    def examine(self, listed: Listed) -> bool:
        """Bring a listed name up to date without content, or want it."""

    def end_listing(self) -> None:
        """All names are listed: let content of files that are not among them be found, too, if it may be of use."""

    def match(self, listed: Listed) -> list[bool]:
        """Say which pieces of a wanted file are held."""

    def stale(self) -> tuple[StaleContent, int]:
        """Return the old content that no listed piece has, and the bytes of pieces that are not held."""

    def has(self, path: bytes) -> bool:
        """Tell whether there is anything at `path`."""

    def put(self, path: bytes, entry: Entry, delivery: Delivery | None) -> None:
        """Make `path` what `entry` says; without a delivery its content stays."""

    def link(self, path: bytes, entry: Entry, leader: bytes) -> None:
        """Make `path` one more name of the file `leader`."""

    def copy(self, path: bytes, entry: Entry, old: bytes) -> None:
        """Make `path` what `entry` says, content and all, which was at `old` before this sync."""

    def remove(self, path: bytes) -> bool:
        """Take a name away that the source no longer has; False where it is gone, or nothing is to be deleted."""

    def fail(self, path: bytes, entry: Entry) -> None:
        """Remember that `path` should be `entry` and is not."""

    def old(self, path: bytes) -> OldFile:
        """Open what `path` was before this sync, or where it was nothing, what this sync brought; Unverified if neither
        is there."""

    def held(self, path: bytes) -> OldFile:
        """Open the new file `path` as far as `match` found its pieces."""

    def finish(self, root: Digest) -> Digest:
        """Commit; return the root that is held now. Nothing is committed before."""

    def take_snapshot(self) -> None:
        """Keep what is held now under a name, where that can be."""

    def close(self) -> None:
        """Release everything; what was not committed is undone or finished by the next sync."""
