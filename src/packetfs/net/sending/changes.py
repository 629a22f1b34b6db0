"""What differs between the sender's tree and one that the receiver holds, or nothing, change by change."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from packetfs.fs.diff import Change, diff
from packetfs.limits import SOURCES_MAX
from packetfs.net.sending.basis import KnownBase
from packetfs.net.sending.contents import Contents
from packetfs.net.sending.delta import choose_base
from packetfs.net.sending.early import Early
from packetfs.net.sending.outlet import Outlet
from packetfs.net.sending.source import UNREADABLE, file_leaves
from packetfs.net.wire.messages import Drift
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry


class Changes:
    """Sends the names of one tree that are new, gone or different, each in the way that suits it."""

    def __init__(self, outlet: Outlet, contents: Contents, early: Early, drift: Iterable[Drift] = ()) -> None:
        """`drift` is what somebody changed at the destination since the base was brought there."""
        self._outlet = outlet
        self._contents = contents
        self._early = early
        self._drift = {item[0]: item for item in drift}
        self._known: KnownBase | None = None
        self.unsure: set[bytes] = set()
        """Drifted files of which the metadata was sent: whether their content is right the receiver finds out."""

    def send(self, base: Digest | None) -> None:
        """Send all changes since `base`; None: the receiver has nothing."""
        store, root = self._outlet.source.store, self._outlet.source.root
        if base is not None and base != root:
            self._known = KnownBase(store, base, diff(store, base, root), self._drift)
            self._early.brought.room = SOURCES_MAX - self._known.count
        for change in diff(store, base, root):
            if change.new is None:
                self._drift.pop(change.path, None)
            self._send(change)
        for path in list(self._drift):
            self._send_drifted(path, self._find(path))
        self._known = None  # its memory is free while the history is tidied
        self._outlet.report.literal -= self._early.copied
        self._outlet.report.copied += self._early.copied

    def _send(self, change: Change) -> None:
        path, new, old = change.path, change.new, change.old
        if new is None:
            if not self._comes_again(path):
                self._outlet.send_removal(path)
        elif path in self._drift:
            self._send_drifted(path, new)
        elif self._outlet.is_further_name(path, new):
            self._outlet.send_link(path, new)
        elif not new.is_file or (old is not None and old.is_file and old.root == new.root):
            self._outlet.send_metadata(path, new, old)
        else:
            self._send_content(path, new)

    def _comes_again(self, path: bytes) -> bool:
        """Tell whether something of another kind follows under a name, which then replaces it in one step."""
        found = self._find(path)
        return found is not None and not found.is_dir

    def _find(self, path: bytes) -> Entry | None:
        return self._outlet.source.entry(path)

    def _send_drifted(self, path: bytes, entry: Entry | None) -> None:
        """Restore what somebody changed at the destination; nothing there may serve as a base."""
        _, size, mtime_ns = self._drift.pop(path)
        is_there = (size, mtime_ns) != (0, 0)
        if entry is None:
            return
        if self._outlet.is_further_name(path, entry):
            self._outlet.send_link(path, entry)
        elif not entry.is_file or (size, mtime_ns) == (entry.size, entry.mtime_ns):
            self.unsure.add(path)
            self._outlet.send_metadata(path, entry, entry if is_there else None)
        else:
            self._outlet.note(path, "content" if is_there else "new", entry)
            self._contents.send_whole(path, entry)

    def _send_content(self, path: bytes, new: Entry) -> None:
        """Send a file whose content changed, or that is new, unless it went early."""
        known = self._known
        if self._early.has_sent(path, new):
            self._outlet.note(path, "new", new)
            self._outlet.report.literal += new.size
        elif self._early.roots.get(path) == new.root:
            self._outlet.send_metadata(path, new, None)
            self._count_early(new)
        elif known is None:
            self._send_new(path, new)
        elif same := known.same_content(new):
            declared = self._outlet.items.source(known.path(same)) if same != known.number(path) else 0
            self._outlet.note(path, "content", new)
            self._contents.send_copy(path, new, declared)
        elif base := self._choose_base(known, path, new):
            self._outlet.note(path, "content", new)
            self._contents.send_delta(path, new, known, base)
        else:
            self._send_new(path, new)

    def _choose_base(self, known: KnownBase, path: bytes, new: Entry) -> int:
        before = known.number(path)
        spans = self._contents.edits(known, before, new) if before else None
        if spans is not None and 2 * sum(end - start for start, end in spans) <= new.size:
            return before  # to look what the others have would take longer than the delta
        with suppress(*UNREADABLE):  # it is told where the content is sent
            return choose_base(known.places, file_leaves(self._outlet.source.store, new), before)
        return 0

    def _send_new(self, path: bytes, new: Entry) -> None:
        self._outlet.note(path, "new", new)
        self._contents.send_whole(path, new)

    def _count_early(self, new: Entry) -> None:
        if self._early.handing is None:
            self._outlet.report.literal += new.size
        else:
            self._outlet.report.copied += new.size
