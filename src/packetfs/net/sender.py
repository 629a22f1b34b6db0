"""The side that has the new tree: it learns what the other holds, and sends what makes the difference."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from packetfs.dataclass import dataclass
from packetfs.errors import Vanished
from packetfs.events import Changed, Listener, Progress, Trouble
from packetfs.fs.diff import Change, diff
from packetfs.fs.mirror import Offer
from packetfs.limits import SKETCH_NAMES, SOURCES_MAX
from packetfs.net.basis import NO_BASIS, KnownBase
from packetfs.net.batch import Batch, Content
from packetfs.net.brought import Brought, WholeContent
from packetfs.net.channel import Channel
from packetfs.net.delta import Basis, Difference, choose_base
from packetfs.net.early import Early
from packetfs.net.handing import HandedContent, Handing
from packetfs.net.items import ItemWriter
from packetfs.net.packed import Packer
from packetfs.net.source import Source, file_leaves
from packetfs.net.wire import (
    NO_ROOT,
    Begin,
    Commit,
    Done,
    Drift,
    Mode,
    Ready,
    State,
)
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry


@dataclass(slots=True)
class SendReport:
    """What was sent, in the words of job.Traffic."""

    root: Digest = NO_ROOT
    files: int = 0
    total: int = 0
    changed: int = 0
    deleted: int = 0
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
        self.dry_run = dry_run
        self.items = ItemWriter(self._send_batch)
        self._leaders: dict[int, bytes] = {}
        self._known: KnownBase | None = None
        self._drift: dict[bytes, Drift] = {}
        self._unsure: set[bytes] = set()
        self._handing = Handing(self.items) if channel.hands else None
        self._early = Early(self.items, self._handing)
        self._brought: Brought | None = self._early.brought
        self.report = SendReport()

    def start(self) -> Offer | None:
        """Wait until the receiver is ready; return what takes files early, if it has nothing to compare them with."""
        ready = self._channel.expect(Ready)
        return self._early.offer if ready.empty and not self.dry_run else None

    def run(self, source: Source) -> SendReport:
        """Bring the receiver to the source's root."""
        self._source = source
        self.report.root = source.root
        if self._early.error is not None:
            raise self._early.error  # with the far side's own words, which a further write would not bring
        self.items.flush()
        state = self._channel.expect(State)
        mode, base = self._choose(state)
        self._drift = {item[0]: item for item in state.drift} if mode is Mode.DELTA else {}
        self.report.files, self.report.total = self._source.totals()
        if mode is Mode.LIST and self.report.files >= SKETCH_NAMES:
            mode = Mode.SKETCH
        self._begin(mode, base)
        if mode in (Mode.LIST, Mode.SKETCH):
            from packetfs.net.lacking import Lacking  # rare, and a start costs what it loads

            Lacking(self._channel, source, self).send(sketch=mode is Mode.SKETCH)
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
            self.items.entry(b"", self._source.top, Content.NONE)

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
            self._known = KnownBase(store, base, diff(store, base, root), self._drift)
            if self._brought is not None:
                self._brought.room = SOURCES_MAX - self._known.count
        for change in diff(store, base, root):
            self._drift.pop(change.path, None) if change.new is None else None
            self._send_change(change)
        for path in list(self._drift):
            self._send_drifted(path)
        self._known = None  # its memory is free while the history is tidied
        self.report.literal -= self._early.copied
        self.report.copied += self._early.copied

    def _send_change(self, change: Change) -> None:
        path, new, old = change.path, change.new, change.old
        if new is None and old is not None and self._comes_again(path, old):
            return
        if new is None:
            self.items.remove(path)
            self.report.deleted += 1
            self._listener(Changed(path, "delete"))
        elif path in self._drift:
            self._send_drifted(path, new)
        elif self.is_further_name(path, new):
            self.send_link(path, new)
        elif not new.is_file or (old is not None and old.is_file and old.root == new.root):
            self.send_metadata(path, new, old)
        else:
            self._send_content(path, new)

    def _comes_again(self, path: bytes, old: Entry) -> bool:
        """Tell whether something of another kind follows under a name, which then replaces it in one step."""
        found = None if old.is_dir else self._find(path)
        return found is not None and not found.is_dir

    def _send_drifted(self, path: bytes, entry: Entry | None = None) -> None:
        """Restore what somebody changed at the destination; nothing there may serve as a base."""
        _, size, mtime_ns = self._drift.pop(path)
        is_there = (size, mtime_ns) != (0, 0)
        entry = self._find(path) if entry is None else entry
        if entry is None:
            return
        if self.is_further_name(path, entry):
            self.send_link(path, entry)
        elif not entry.is_file or (size, mtime_ns) == (entry.size, entry.mtime_ns):
            self._unsure.add(path)
            self.send_metadata(path, entry, entry if is_there else None)
        else:
            self.note(path, "content" if is_there else "new", entry)
            self._send_file(path, entry, Content.LITERAL, 0, NO_BASIS)

    def _find(self, path: bytes) -> Entry | None:
        return self._source.entry(path)

    def send_metadata(self, path: bytes, new: Entry, old: Entry | None) -> None:
        self.items.entry(path, new, Content.NONE)
        self.note(path, "metadata" if old is not None else "new", new)

    def is_further_name(self, path: bytes, entry: Entry) -> bool:
        """Tell whether an earlier name of the same inode brought, or has, the content."""
        if not entry.group or entry.is_dir:
            return False
        leader = self._leaders.get(entry.group) or self._source.leader(entry.group) or path
        self._leaders[entry.group] = leader
        return leader != path

    def send_link(self, path: bytes, entry: Entry) -> None:
        self.items.link(path, entry, self._leaders[entry.group])
        self.note(path, "link", entry)

    def _send_content(self, path: bytes, new: Entry) -> None:
        known = self._known
        if self._early.has_sent(path, new):
            self.note(path, "new", new)
            self.report.literal += new.size
            return
        if self._early.roots.get(path) == new.root:
            self.items.entry(path, new, Content.NONE)
            self.note(path, "new", new)
            if self._handing is None:
                self.report.literal += new.size
            else:
                self.report.copied += new.size
            return
        if known is None:
            self.note(path, "new", new)
            self._send_file(path, new, Content.LITERAL, 0, NO_BASIS)
            return
        own = known.number(path)
        if same := known.same_content(new):
            self._send_copy(path, new, self.items.source(known.path(same)) if same != own else 0)
            return
        base = choose_base(known.places, file_leaves(self._source.store, new), own)
        if not base:
            self.note(path, "new", new)
            self._send_file(path, new, Content.LITERAL, 0, NO_BASIS)
            return
        declared = self.items.source(known.path(base)) if base != own else 0
        self.note(path, "content", new)
        self._send_file(path, new, Content.DELTA, declared, Basis(known.places, known), base)

    def _send_copy(self, path: bytes, entry: Entry, declared: int) -> None:
        """Send a file that the receiver has byte for byte, under another name."""
        self.note(path, "content", entry)
        self.items.entry(path, entry, Content.NONE if self.dry_run else Content.DELTA, declared)
        if self.dry_run:
            return
        packer = Packer()
        if entry.size:
            packer.copy(0, entry.size)
        self.items.block(packer)
        self.items.end()
        self.report.copied += entry.size

    def _send_file(
        self, path: bytes, entry: Entry, content: Content, declared: int, basis: Basis, base: int = 0
    ) -> None:
        if self.dry_run:
            self.items.entry(path, entry, Content.NONE)
            return
        self.items.entry(path, entry, content, declared)
        packer = Packer(merging=content is not Content.LITERAL)
        writing: Difference | HandedContent | WholeContent
        leaves = file_leaves(self._source.store, entry)
        if content is Content.LITERAL and self._handing is not None:
            writing = HandedContent(self._handing, self._source, path, packer)
            steps = writing.run(leaves)
        elif content is Content.LITERAL and self._brought is not None:
            writing = WholeContent(self._brought.start(path), partial(self._source.read, path), packer)
            steps = writing.run(leaves)
        else:
            writing = Difference(basis, base, partial(self._source.read, path), packer, self._source_of)
            steps = writing.run(self._known.leaves(base, entry) if base and self._known is not None else leaves)
        self._blocks(path, steps, packer)
        self.report.copied += writing.copied
        self.report.literal += entry.size - writing.copied

    def _source_of(self, number: int) -> int:
        """Return the number under which the receiver knows an old file, telling it first where needed."""
        return self.items.source(self._known.path(number)) if self._known is not None else 0

    def _blocks(self, path: bytes, steps: Iterator[None], packer: Packer) -> None:
        try:
            for _ in steps:
                self.items.block(packer)
            self.items.block(packer)
        except Vanished as error:
            self.trouble(path, error.message)  # the receiver finds the content unfinished and drops it
        self.items.end()

    # the end

    def _finish(self) -> SendReport:
        done = self._commit()
        again = [path for path, reason in done.failures if not reason]
        if again:
            self._handing = self._brought = None  # the bytes themselves, this time
            for path in dict.fromkeys(again):
                entry = self._find(path)
                if entry is not None and entry.is_file:
                    self._note_again(path, entry)
                    self._send_file(path, entry, Content.LITERAL, 0, NO_BASIS)
            done = self._commit()
        self.report.snapshot = done.snapshot.decode("utf-8", "replace")
        for path, reason in done.failures:
            self.trouble(path, (reason or b"what arrived is not what was sent").decode("utf-8", "replace"))
        for path in done.deleted:
            self.report.deleted += 1
            self._listener(Changed(path, "delete"))
        return self.report

    def _commit(self) -> Done:
        self.items.flush()
        self._channel.send(Commit(self._source.root))
        return self._channel.expect(Done)

    def _send_batch(self, batch: Batch) -> None:
        self._channel.send_batch(batch)
        self._listener(Progress(self.report.changed, self.report.logical, 0))

    def note(self, path: bytes, action: str, entry: Entry) -> None:
        self.report.changed += 1
        if entry.is_file and action in ("content", "new"):
            self.report.logical += entry.size
        self._listener(Changed(path, action, entry.size if entry.is_file else 0))

    def _note_again(self, path: bytes, entry: Entry) -> None:
        """Tell that content is sent of a file that was counted already, if only its metadata was told of."""
        if path in self._unsure:
            self.report.logical += entry.size
            self._listener(Changed(path, "content", entry.size))

    def trouble(self, path: bytes, reason: str) -> None:
        self._listener(Trouble(path, reason))
