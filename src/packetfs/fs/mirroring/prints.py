"""Fingerprints of large files that were imported, kept with the names: notes, one for each inode."""

from __future__ import annotations

from packetfs.fs.filesystem import FileSystem
from packetfs.fs.streams.prints import Look, Prints
from packetfs.limits import PRINTED_MEANS, PRINTED_MIN
from packetfs.packet.digest import DIGEST
from packetfs.packet.entry import Entry
from packetfs.packet.fingerprint import IS_FAST
from packetfs.typing import Final

_NOTES: Final = b"prints "


class PrintNotes:
    """Gives an import the fingerprints of the last one, and keeps those that it makes: a root stands before them."""

    def __init__(self, fs: FileSystem, *, active: bool, trusting: bool) -> None:
        """Without `trusting` they are made alone, for the next time."""
        self._fs = fs
        self._active = active and IS_FAST
        self._trusting = trusting
        self._key = b""

    def load(self, path: bytes, known: Entry | None, size: int, look: Look) -> Prints | None:
        """Return what a file of this size is followed by; None where it is not worth it, or takes too much memory."""
        if not self._active or not PRINTED_MIN <= size <= PRINTED_MEANS * self._fs.pool.mean:
            return None
        self._key = self._key or self._fs.pool.fingerprint_key()  # which a tree of small files does not pay for
        if known is None or not known.is_file or not self._trusting:
            return Prints(self._key)
        found = self._fs.note(self._note(path)) or b""
        return Prints(self._key, found[DIGEST:] if found[:DIGEST] == known.root else b"", look)

    def keep(self, path: bytes, entry: Entry, prints: Prints | None) -> None:
        """Keep what the import of a file has made, unless it is what was kept; its name is there."""
        if prints is not None and prints.made != prints.known:
            self._fs.set_note(self._note(path), entry.root + prints.made)

    def tidy(self) -> None:
        """Drop the notes of what is gone."""
        if self._active:
            self._fs.drop_notes(_NOTES)

    def _note(self, path: bytes) -> bytes:
        return _NOTES + b"%d" % self._fs.paths.need(path).ino
