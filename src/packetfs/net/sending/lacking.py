"""What a receiver lacks that shares no root with this side: names and ids tell, signatures find, the rest is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from packetfs.errors import BadMessage
from packetfs.limits import BATCH_CONTROL, BATCH_LITERALS, PIECES_MAX
from packetfs.net.finding.names import walk
from packetfs.net.finding.sketching import Differing, find_difference
from packetfs.net.link.channel import Channel
from packetfs.net.sending.outlet import Outlet
from packetfs.net.sending.seeking import Cover, Finds, Part, Seeker
from packetfs.net.sending.source import UNREADABLE, file_leaves
from packetfs.net.wire.batch import Content
from packetfs.net.wire.listing import Bits, ListingWriter, Piece, pieces_of
from packetfs.net.wire.messages import Listed, Listing, Matched, Signatures, Want
from packetfs.net.wire.packed import Packer
from packetfs.net.wire.signatures import Run, check_signatures, read_runs
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry, decode_entry
from packetfs.packet.layout import Op
from packetfs.packet.tree import produces


class Lacking:
    """One sync without a known base."""

    def __init__(self, channel: Channel, outlet: Outlet) -> None:
        self._channel = channel
        self._source = outlet.source
        self._outlet = outlet
        self._held = Bits()
        self._differing = Differing()

    def send(self, *, sketch: bool) -> None:
        """Learn what is lacking, and send it; with `sketch`, of many names only those that differ are listed."""
        if sketch:
            self._differing = self._find_difference()
        want = self._list()
        self._held = Bits(want.held)
        wanted = Bits(want.wanted)
        finds = self._find_stale(wanted)
        for path, entry, place in self._wanted(wanted):
            if self._outlet.is_further_name(path, entry):
                self._outlet.send_link(path, entry)
            elif entry.is_file:
                self._send_wanted(path, entry, place, finds.cover(path))
            else:
                self._outlet.send_metadata(path, entry, None)
                self._note_below(path, entry)

    def _list(self) -> Want:
        writer = ListingWriter(lambda records: self._channel.send(Listing(records)))
        for path, entry in self._names():
            writer.add(path, entry, self._pieces(entry) if entry.is_file else (), whole=self._is_whole(entry))
        writer.flush()
        self._channel.send(Listed(writer.count))
        want = self._channel.expect(Want)
        self._outlet.report.signature += want.signature_bytes
        return want

    def _find_difference(self) -> Differing:
        before = self._channel.received
        found = find_difference(self._channel, self._source.store, self._source.root)
        self._outlet.report.signature += self._channel.received - before
        return found

    def _names(self) -> Iterator[tuple[bytes, Entry]]:
        """Yield the names that are listed: all, or those that the receiver lacks."""
        for number, (path, leaf) in enumerate(walk(self._source.store, self._source.root, self._differing.held)):
            if self._differing.selected(number):
                yield path, decode_entry(leaf)

    def _is_whole(self, entry: Entry) -> bool:
        """Tell whether an entry stands for what is below it."""
        return entry.is_dir and entry.root in self._differing.held

    def _note_below(self, path: bytes, entry: Entry) -> None:
        """Note what the receiver itself brings into a directory that it has elsewhere."""
        below = walk(self._source.store, Digest(entry.root), above=path + b"/") if self._is_whole(entry) else ()
        for path, leaf in below:
            found = decode_entry(leaf)
            self._outlet.note(path, "new", found)
            self._outlet.report.copied += found.size if found.is_file else 0

    def _wanted(self, wanted: Bits) -> Iterator[tuple[bytes, Entry, int]]:
        """Yield the names that are wanted, and the number of their first piece among those of wanted files."""
        place = 0
        for number, (path, entry) in enumerate(self._names()):
            if wanted[number]:
                yield path, entry, place
                if entry.is_file:
                    place += sum(1 for _ in self._pieces(entry))

    def _pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the whole extents of a file, of a damaged program as far as it can be read."""
        with suppress(*UNREADABLE):  # it is told where the content is sent
            yield from pieces_of(file_leaves(self._source.store, entry))

    def _find_stale(self, wanted: Bits) -> Finds:
        """Look for the receiver's stale content in what it lacks, in as many rounds as it takes."""
        finds, again = Finds(), False
        runs: list[Run] | None = None
        while True:
            before = self._channel.received
            said = self._channel.expect(Signatures)
            self._outlet.report.signature += self._channel.received - before
            if runs is None:
                runs = read_runs(said.runs)
            layout = check_signatures(said, runs if said.sums or not again else [])
            seeker = Seeker(said, layout, finds)
            lacking = self._seek(wanted, seeker, finds) if layout.count else 0
            if said.last:
                return finds
            if again:
                raise BadMessage(reason="a third round of signatures")
            again = True
            runs = layout.unmatched(seeker.matched)
            self._channel.send(Matched(bytes(seeker.matched.data), lacking - finds.bytes))

    def _seek(self, wanted: Bits, seeker: Seeker, finds: Finds) -> int:
        """Feed a round all bytes that are lacking and not found yet; return how many are lacking."""
        lacking = 0
        for path, entry, place in self._wanted(wanted):
            if not entry.is_file or self._outlet.is_further_name(path, entry):
                continue
            cover = finds.cover(path)
            with suppress(*UNREADABLE):  # it is told where the content is sent
                for offset, leaf, held in self._leaves(entry, place):
                    if not held and leaf[0] != Op.FILL:
                        lacking += produces(leaf)
                        self._feed(seeker, cover, path, offset, leaf)
            seeker.close(path)
        return lacking

    def _feed(self, seeker: Seeker, cover: Cover, path: bytes, offset: int, leaf: bytes) -> None:
        parts = [part for part in cover.parts(offset, offset + produces(leaf)) if part.stale < 0]
        if parts:
            data = memoryview(self._source.read(path, offset, leaf))
            for part in parts:
                seeker.feed(part.start, data[part.start - offset : part.end - offset])

    def _leaves(self, entry: Entry, place: int) -> Iterator[tuple[int, bytes, bool]]:
        """Yield a wanted file's leaves, and whether the receiver holds them."""
        last = place + PIECES_MAX
        for offset, leaf in file_leaves(self._source.store, entry):
            is_piece = leaf[0] == Op.COPY
            yield offset, leaf, is_piece and place < last and self._held[place]
            place += is_piece

    def _send_wanted(self, path: bytes, entry: Entry, place: int, cover: Cover) -> None:
        self._outlet.note(path, "content", entry)
        if self._outlet.dry_run:
            self._outlet.items.entry(path, entry, Content.NONE)
            return
        self._outlet.items.entry(path, entry, Content.LISTED)
        packer = Packer()
        try:
            for offset, leaf, held in self._leaves(entry, place):
                self._pack_wanted(packer, path, offset, leaf, cover if not held else None)
                if packer.literal_bytes >= BATCH_LITERALS or packer.size >= BATCH_CONTROL:
                    self._outlet.items.block(packer)
            self._outlet.items.block(packer)
        except UNREADABLE as error:
            self._outlet.trouble(path, error.message)
        self._outlet.items.end()

    def _pack_wanted(self, packer: Packer, path: bytes, offset: int, leaf: bytes, cover: Cover | None) -> None:
        """Copy what the receiver holds from where the new file has it, and what it has elsewhere; send the rest."""
        size = produces(leaf)
        if leaf[0] == Op.FILL:
            packer.fill(leaf[16], size)
        elif cover is None:
            packer.copy(offset, size)
            self._outlet.report.copied += size
        else:
            self._pack_lacking(packer, path, offset, leaf, list(cover.parts(offset, offset + size)))

    def _pack_lacking(self, packer: Packer, path: bytes, offset: int, leaf: bytes, parts: list[Part]) -> None:
        data = b""
        if any(part.stale < 0 for part in parts):
            data = self._source.read(path, offset, leaf)
        for start, end, stale in parts:
            if stale < 0:
                packer.literal(data[start - offset : end - offset])
                self._outlet.report.literal += end - start
            else:
                packer.copy_stale(stale, end - start)
                self._outlet.report.copied += end - start
