"""Where everything goes that is sent of one tree: the items themselves, the report, and what is told meanwhile."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.events import Changed, Listener, Trouble
from packetfs.net.sending.source import Source
from packetfs.net.wire.batch import Content
from packetfs.net.wire.items import ItemWriter
from packetfs.net.wire.messages import NO_ROOT
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


class Outlet:
    """Sends what needs no content, for whoever decides what to send."""

    def __init__(
        self, items: ItemWriter, source: Source, listener: Listener, report: SendReport, *, dry_run: bool, delete: bool
    ) -> None:
        self.items = items
        self.source = source
        self.report = report
        self.dry_run = dry_run
        self._listener = listener
        self._delete = delete
        self._named: set[bytes] = set()

    def send_removal(self, path: bytes) -> None:
        """Say that a name is gone; where nothing is to be deleted it stays, and the receiver only remembers that."""
        self.items.remove(path)
        if self._delete:
            self.tell_removal(path)

    def send_metadata(self, path: bytes, new: Entry, old: Entry | None) -> None:
        self.items.entry(path, new, Content.NONE)
        self.note(path, "metadata" if old is not None else "new", new)

    def is_further_name(self, path: bytes, entry: Entry) -> bool:
        """Tell whether an earlier name of the same inode brought, or has, the content."""
        if not entry.group or entry.is_dir:
            return False
        return self.source.leader(path) != path

    def send_link(self, path: bytes, entry: Entry) -> None:
        """Send a further name, after `is_further_name` has said that it is one."""
        self.items.link(path, entry, self.source.leader(path))
        self.note(path, "link", entry)

    # what is told

    def note(self, path: bytes, action: str, entry: Entry) -> None:
        """Count and tell one name that is sent; `action` is that of events.Changed."""
        self.report.changed += 1
        if entry.is_file and action in ("content", "new"):
            self.report.logical += entry.size
        self._listener(Changed(path, action, entry.size if entry.is_file else 0))

    def note_content(self, path: bytes, entry: Entry) -> None:
        """Tell that content is sent of a file that was counted already, when only its metadata was told of."""
        self.report.logical += entry.size
        self._listener(Changed(path, "content", entry.size))

    def tell_removal(self, path: bytes) -> None:
        self.report.deleted += 1
        self._listener(Changed(path, "delete"))

    def trouble(self, path: bytes, reason: str) -> None:
        """Name what could not be sent, once: what the receiver then says of it is no news."""
        if path not in self._named:
            self._named.add(path)
            self._listener(Trouble(path, reason))
