"""The side that has the new tree: it learns what the other holds, and sends what makes the difference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from packetfs.dataclass import dataclass
from packetfs.errors import BadMessage, Vanished
from packetfs.events import Changed, Listener, Progress, Trouble
from packetfs.fs.diff import Change, diff
from packetfs.fs.mirror import Offer
from packetfs.limits import BATCH_CONTROL, BATCH_LITERALS, PIECES_MAX, SKETCH_NAMES
from packetfs.net.basis import NO_BASIS, KnownBase
from packetfs.net.batch import Batch, Content
from packetfs.net.channel import Channel
from packetfs.net.delta import Basis, Difference, choose_base
from packetfs.net.early import Early
from packetfs.net.finding import Cover, Finds, Part, Seeker
from packetfs.net.items import ItemWriter
from packetfs.net.listing import Bits, ListingWriter, pieces_of
from packetfs.net.names import Selection, walk
from packetfs.net.packed import Packer
from packetfs.net.signatures import Run, check_signatures, read_runs
from packetfs.net.sketching import find_difference
from packetfs.net.source import Source, file_leaves
from packetfs.net.wire import (
    NO_ROOT,
    Begin,
    Commit,
    Done,
    Drift,
    Listing,
    Matched,
    Mode,
    Ready,
    Signatures,
    State,
    Want,
)
from packetfs.net.wire import Listed as ListedMessage
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry, decode_entry
from packetfs.packet.layout import Op
from packetfs.packet.tree import produces


@dataclass(slots=True)
class SendReport:
    """What was sent, in the words of job.Traffic."""

    root: Digest = NO_ROOT
    files: int = 0
    total: int = 0
    changed: int = 0
    deleted: int = 0
    troubles: int = 0
    logical: int = 0
    literal: int = 0
    copied: int = 0
    signature: int = 0
    turns: int = 0
    snapshot: str = ""


class Sender:
    """One sync, from the receiver's STATE to its DONE."""

    def __init__(self, channel: Channel, listener: Listener, *, dry_run: bool = False) -> None:
        self._channel = channel
        self._source: Source
        self._listener = listener
        self._dry_run = dry_run
        self._items = ItemWriter(self._send_batch)
        self._leaders: dict[int, bytes] = {}
        self._known: KnownBase | None = None
        self._declared: dict[int, int] = {}
        self._drift: dict[bytes, Drift] = {}
        self._held = Bits()
        self._differing: Selection | None = None
        self._early = Early(self._items)
        self.report = SendReport()

    def start(self) -> Offer | None:
        """Wait until the receiver is ready; return what takes files early, if it has nothing to compare them with."""
        ready = self._channel.expect(Ready)
        return self._early.offer if ready.empty and not self._dry_run else None

    def run(self, source: Source) -> SendReport:
        """Bring the receiver to the source's root."""
        self._source = source
        self.report.root = source.root
        if self._early.error is not None:
            raise self._early.error  # with the far side's own words, which a further write would not bring
        self._items.flush()
        state = self._channel.expect(State)
        mode, base = self._choose(state)
        self._drift = {item[0]: item for item in state.drift} if mode is Mode.DELTA else {}
        self.report.files, self.report.total = self._source.totals()
        if mode is Mode.LIST and self.report.files >= SKETCH_NAMES:
            mode = Mode.SKETCH
        self._begin(mode, base)
        if mode is Mode.SKETCH:
            self._differing = self._find_difference()
        if mode in (Mode.LIST, Mode.SKETCH):
            self._send_listed()
        else:
            self._send_changes(base if mode is Mode.DELTA else None)
        return self._finish()

    def advance(self, source: Source, base: Digest) -> SendReport:
        """On a connection that stands, bring a receiver that holds `base` to the source's root."""
        self._source = source
        self.report.root = source.root
        self._begin(Mode.DELTA, base)
        self._send_changes(base)
        return self._finish()

    def _begin(self, mode: Mode, base: Digest) -> None:
        self._channel.send(Begin(mode, base, self._source.root, self.report.files, self.report.total))
        if self._source.top is not None:
            self._items.entry(b"", self._source.top, Content.NONE)

    def _choose(self, state: State) -> tuple[Mode, Digest]:
        if state.empty:
            return Mode.FULL, NO_ROOT
        for root in state.roots:
            if root == self._source.root or self._source.knows(root):
                return Mode.DELTA, root
        return Mode.LIST, NO_ROOT

    # a known base, or none

    def _send_changes(self, base: Digest | None) -> None:
        store, root = self._source.store, self._source.root
        if base is not None and base != root:
            self._known = KnownBase(store, diff(store, base, root), self._drift)
        for change in diff(store, base, root):
            self._drift.pop(change.path, None) if change.new is None else None
            self._send_change(change)
        for path in list(self._drift):
            self._send_drifted(path)
        self._known = None  # its memory is free while the history is tidied

    def _send_change(self, change: Change) -> None:
        path, new, old = change.path, change.new, change.old
        if new is None:
            self._items.remove(path)
            self.report.deleted += 1
            self._listener(Changed(path, "delete"))
        elif path in self._drift:
            self._send_drifted(path, new)
        elif self._is_further_name(path, new):
            self._send_link(path, new)
        elif not new.is_file or (old is not None and old.is_file and old.root == new.root):
            self._send_metadata(path, new, old)
        else:
            self._send_content(path, new, None)

    def _send_drifted(self, path: bytes, entry: Entry | None = None) -> None:
        """Restore what somebody changed at the destination; nothing there may serve as a base."""
        _, size, mtime_ns = self._drift.pop(path)
        entry = self._find(path) if entry is None else entry
        if entry is None:
            return
        if self._is_further_name(path, entry):
            self._send_link(path, entry)
        elif not entry.is_file or (size, mtime_ns) == (entry.size, entry.mtime_ns):
            self._send_metadata(path, entry, None)
        else:
            self._send_file(path, entry, Content.LITERAL, 0, NO_BASIS)

    def _find(self, path: bytes) -> Entry | None:
        return self._source.entry(path)

    def _send_metadata(self, path: bytes, new: Entry, old: Entry | None) -> None:
        self._items.entry(path, new, Content.NONE)
        self._note(path, "metadata" if old is not None else "new", new)

    def _is_further_name(self, path: bytes, entry: Entry) -> bool:
        """Tell whether an earlier name of the same inode brought, or has, the content."""
        if not entry.group or entry.is_dir:
            return False
        leader = self._leaders.get(entry.group) or self._source.leader(entry.group) or path
        self._leaders[entry.group] = leader
        return leader != path

    def _send_link(self, path: bytes, entry: Entry) -> None:
        self._items.link(path, entry, self._leaders[entry.group])
        self._note(path, "link", entry)

    def _send_content(self, path: bytes, new: Entry, content: Content | None) -> None:
        known = self._known
        if self._early.has_sent(path, new):
            self._note(path, "new", new)
            self.report.literal += new.size
            return
        if self._early.roots.get(path) == new.root:
            self._items.entry(path, new, Content.NONE)
            self._note(path, "new", new)
            self.report.literal += new.size
            return
        if known is None:
            self._send_file(path, new, content or Content.LITERAL, 0, NO_BASIS)
            return
        own = known.number(path)
        base = known.same_content(new) or choose_base(known.places, file_leaves(self._source.store, new), own)
        declared = self._declare(base) if base not in (0, own) else 0
        kind = Content.DELTA if base else Content.LITERAL
        self._send_file(path, new, kind, declared, Basis(known.places, known), base)

    def _declare(self, source: int) -> int:
        """Return the number under which the receiver knows a source, telling it first where needed."""
        if source not in self._declared and self._known is not None:
            self._items.source(self._known.path(source))
            self._declared[source] = len(self._declared) + 1
        return self._declared[source]

    def _send_file(
        self, path: bytes, entry: Entry, content: Content, declared: int, basis: Basis, base: int = 0
    ) -> None:
        self._note(path, "content" if content is Content.DELTA else "new", entry)
        if self._dry_run:
            self._items.entry(path, entry, Content.NONE)
            return
        self._items.entry(path, entry, content, declared)
        packer = Packer(merging=content is not Content.LITERAL)
        read = partial(self._source.read, path)
        difference = Difference(basis, base, read, packer, self._declare)
        self._blocks(path, difference, packer, entry)
        self.report.copied += difference.copied
        self.report.literal += entry.size - difference.copied

    def _blocks(self, path: bytes, difference: Difference, packer: Packer, entry: Entry) -> None:
        try:
            for _ in difference.run(file_leaves(self._source.store, entry)):
                self._items.block(packer)
            self._items.block(packer)
        except Vanished as error:
            self._trouble(path, error.message)  # the receiver finds the content unfinished and drops it
        self._items.end()

    # nothing known: names and ids first

    def _send_listed(self) -> None:
        want = self._list()
        self._held = Bits(want.held)
        wanted = Bits(want.wanted)
        finds = self._find_stale(wanted)
        for path, entry, place in self._wanted(wanted):
            if self._is_further_name(path, entry):
                self._send_link(path, entry)
            elif entry.is_file:
                self._send_wanted(path, entry, place, finds.cover(path))
            else:
                self._send_metadata(path, entry, None)

    def _list(self) -> Want:
        writer = ListingWriter(lambda records: self._channel.send(Listing(records)))
        store = self._source.store
        for path, entry in self._names():
            writer.add(path, entry, pieces_of(file_leaves(store, entry)) if entry.is_file else ())
        writer.flush()
        self._channel.send(ListedMessage(writer.count))
        want = self._channel.expect(Want)
        self.report.signature += want.signature_bytes
        return want

    def _find_difference(self) -> Selection | None:
        before = self._channel.received
        found = find_difference(self._channel, self._source.store, self._source.root)
        self.report.signature += self._channel.received - before
        return found

    def _names(self) -> Iterator[tuple[bytes, Entry]]:
        """Yield the names that are listed: all, or those that the receiver lacks."""
        differing = self._differing
        for number, (path, leaf) in enumerate(walk(self._source.store, self._source.root)):
            if differing is None or differing(number):
                yield path, decode_entry(leaf)

    def _wanted(self, wanted: Bits) -> Iterator[tuple[bytes, Entry, int]]:
        """Yield the names that are wanted, and the number of their first piece among those of wanted files."""
        place = 0
        for number, (path, entry) in enumerate(self._names()):
            if wanted[number]:
                yield path, entry, place
                if entry.is_file:
                    place += sum(1 for _ in pieces_of(file_leaves(self._source.store, entry)))

    def _find_stale(self, wanted: Bits) -> Finds:
        """Look for the receiver's stale content in what it lacks, in as many rounds as it takes."""
        finds, again = Finds(), False
        runs: list[Run] | None = None
        while True:
            before = self._channel.received
            said = self._channel.expect(Signatures)
            self.report.signature += self._channel.received - before
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
        lacking, leaders = 0, set[int]()
        for path, entry, place in self._wanted(wanted):
            if not entry.is_file or (entry.group and entry.group in leaders):
                continue
            leaders.add(entry.group)
            cover = finds.cover(path)
            with suppress(Vanished):  # it is told where the content is sent
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
        self._note(path, "content", entry)
        if self._dry_run:
            self._items.entry(path, entry, Content.NONE)
            return
        self._items.entry(path, entry, Content.LISTED)
        packer = Packer()
        try:
            for offset, leaf, held in self._leaves(entry, place):
                self._pack_wanted(packer, path, offset, leaf, cover if not held else None)
                if packer.literal_bytes >= BATCH_LITERALS or packer.size >= BATCH_CONTROL:
                    self._items.block(packer)
            self._items.block(packer)
        except Vanished as error:
            self._trouble(path, error.message)
        self._items.end()

    def _pack_wanted(self, packer: Packer, path: bytes, offset: int, leaf: bytes, cover: Cover | None) -> None:
        """Copy what the receiver holds from where the new file has it, and what it has elsewhere; send the rest."""
        size = produces(leaf)
        if leaf[0] == Op.FILL:
            packer.fill(leaf[16], size)
        elif cover is None:
            packer.copy(offset, size)
            self.report.copied += size
        else:
            self._pack_lacking(packer, path, offset, leaf, list(cover.parts(offset, offset + size)))

    def _pack_lacking(self, packer: Packer, path: bytes, offset: int, leaf: bytes, parts: list[Part]) -> None:
        data = b""
        if any(part.stale < 0 for part in parts):
            data = self._source.read(path, offset, leaf)
        for start, end, stale in parts:
            if stale < 0:
                packer.literal(data[start - offset : end - offset])
                self.report.literal += end - start
            else:
                packer.copy_stale(stale, end - start)
                self.report.copied += end - start

    # the end

    def _finish(self) -> SendReport:
        done = self._commit()
        again = [path for path, reason in done.failures if not reason]
        if again:
            for path in dict.fromkeys(again):
                entry = self._find(path)
                if entry is not None and entry.is_file:
                    self._send_file(path, entry, Content.LITERAL, 0, NO_BASIS)
            done = self._commit()
        self.report.snapshot = done.snapshot.decode("utf-8", "replace")
        for path, reason in done.failures:
            self._trouble(path, (reason or b"what arrived is not what was sent").decode("utf-8", "replace"))
        for path in done.deleted:
            self.report.deleted += 1
            self._listener(Changed(path, "delete"))
        return self.report

    def _commit(self) -> Done:
        self._items.flush()
        self._channel.send(Commit(self._source.root))
        return self._channel.expect(Done)

    def _send_batch(self, batch: Batch) -> None:
        self._channel.send_batch(batch)
        self._listener(Progress(self.report.changed, self.report.logical, 0))

    def _note(self, path: bytes, action: str, entry: Entry) -> None:
        self.report.changed += 1
        if entry.is_file and action in ("content", "new"):
            self.report.logical += entry.size
        self._listener(Changed(path, action, entry.size))

    def _trouble(self, path: bytes, reason: str) -> None:
        self.report.troubles += 1
        self._listener(Trouble(path, reason))
