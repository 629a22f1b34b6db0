"""The content of one file after another, each the way that moves the fewest bytes.

What the receiver has byte for byte is a copy, what is like an old file of its is a delta. The rest is sent whole: by
offset into an open file where both sides are on one machine, else extents that this sync has brought already as copies,
and the bytes of those that it has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from packetfs.net.handing import HandedContent, Handing
from packetfs.net.sending.basis import NO_BASIS, KnownBase
from packetfs.net.sending.brought import Brought, WholeContent
from packetfs.net.sending.delta import Basis, Difference
from packetfs.net.sending.outlet import Outlet
from packetfs.net.sending.source import UNREADABLE, file_leaves
from packetfs.net.wire.batch import Content
from packetfs.net.wire.packed import Packer
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry
from packetfs.packet.rivals import Span
from packetfs.typing import Protocol


class _Writing(Protocol):
    """What packs one file, step by step."""

    @property
    def copied(self) -> int:
        """Bytes so far that the receiver has."""


class Contents:
    """Sends entries of files together with their content."""

    def __init__(self, outlet: Outlet, handing: Handing | None, brought: Brought) -> None:
        self._outlet = outlet
        self._items = outlet.items
        self._source = outlet.source
        self._handing = handing
        self._brought = brought

    def send_copy(self, path: bytes, entry: Entry, declared: int) -> None:
        """Send a file that the receiver has byte for byte: as source `declared`, or 0 for its own old version."""
        self._items.entry(path, entry, Content.NONE if self._outlet.dry_run else Content.DELTA, declared)
        if self._outlet.dry_run:
            return
        packer = Packer()
        if entry.size:
            packer.copy(0, entry.size)
        self._items.block(packer)
        self._items.end()
        self._outlet.report.copied += entry.size

    def send_delta(self, path: bytes, entry: Entry, known: KnownBase, base: int) -> None:
        """Send a file as what it is different in from old file `base`, and from the others that are known."""

        def declare(number: int) -> int:
            return self._items.source(known.path(number))

        declared = declare(base) if base != known.number(path) else 0
        if self._begin(path, entry, Content.DELTA, declared):
            packer, new = Packer(), partial(self._source.read_on_trust, path)
            spans = self.edits(known, base, entry)
            places = known.places if spans is None else None
            delta = Difference(Basis(places, known, self._source.store.patch_of), base, new, packer, declare)
            if spans is None:
                steps = delta.run(known.leaves(base, entry))
            else:
                steps = delta.run_edits(spans, entry.size, partial(self._source.read_span, path, Digest(entry.root)))
            self._send(path, entry, delta, steps, packer)

    def edits(self, known: KnownBase, base: int, entry: Entry) -> Sequence[Span] | None:
        """Return where a file differs from old file `base`, if its import found that out."""
        return self._source.edits(known.root(base), Digest(entry.root))

    def send_whole(self, path: bytes, entry: Entry) -> None:
        """Send a file of which the receiver has nothing that it could be compared with."""
        if self._begin(path, entry, Content.LITERAL):
            packer = Packer(merging=False)
            whole: HandedContent | WholeContent
            if self._handing is not None:
                whole = HandedContent(self._handing, self._source, path, packer)
            else:
                whole = WholeContent(self._brought.start(path), partial(self._source.read, path), packer)
            self._send(path, entry, whole, whole.run(file_leaves(self._source.store, entry)), packer)

    def send_bytes(self, path: bytes, entry: Entry) -> None:
        """Send all bytes of a file: what should have spared some of them did not make it whole."""
        if self._begin(path, entry, Content.LITERAL):
            packer = Packer(merging=False)
            plain = Difference(NO_BASIS, 0, partial(self._source.read, path), packer)
            self._send(path, entry, plain, plain.run(file_leaves(self._source.store, entry)), packer)

    def _begin(self, path: bytes, entry: Entry, content: Content, declared: int = 0) -> bool:
        """Send the entry; False when its content is not to follow."""
        if self._outlet.dry_run:
            content, declared = Content.NONE, 0
        self._items.entry(path, entry, content, declared)
        return not self._outlet.dry_run

    def _send(self, path: bytes, entry: Entry, writing: _Writing, steps: Iterator[None], packer: Packer) -> None:
        try:
            for _ in steps:
                self._items.block(packer)
            self._items.block(packer)
        except UNREADABLE as error:
            self._outlet.trouble(path, error.message)  # the receiver finds the content unfinished and drops it
        self._items.end()
        self._outlet.report.copied += writing.copied
        self._outlet.report.literal += entry.size - writing.copied
