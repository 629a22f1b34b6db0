"""The side that has the new tree: it learns what the other holds, and sends what makes the difference.

Who holds a tree that is known here gets its changes (`changes.py`), who holds another one what it lacks (`lacking.py`).
Both send through one outlet (`outlet.py`); how the content of a file goes is `contents.py`.
"""

from __future__ import annotations

from packetfs.errors import NotRunYet
from packetfs.events import Listener, Progress, Troubles
from packetfs.fs.derived import waits
from packetfs.fs.mirroring.file import Offer
from packetfs.limits import SKETCH_NAMES
from packetfs.net.handing import Handing
from packetfs.net.link.channel import Channel
from packetfs.net.sending.changes import Changes
from packetfs.net.sending.contents import Contents
from packetfs.net.sending.early import Early
from packetfs.net.sending.outlet import Outlet, SendReport
from packetfs.net.sending.source import Source
from packetfs.net.wire.batch import Batch, Content
from packetfs.net.wire.items import ItemWriter
from packetfs.net.wire.messages import NO_ROOT, Begin, Commit, Done, Mode, Ready, State
from packetfs.packet.digest import Digest


class Sender:
    """One sync, from the receiver's STATE to its DONE."""

    def __init__(
        self,
        channel: Channel,
        listener: Listener,
        *,
        dry_run: bool = False,
        delete: bool = False,
        troubles: Troubles | None = None,
    ) -> None:
        """`troubles` are for the receiver to tell: those of this sender, and whatever else its owner puts in."""
        self._channel = channel
        self._troubles = troubles
        self._listener = listener
        self._dry_run = dry_run
        self._delete = delete
        self._items = ItemWriter(self._send_batch)
        self._handing = Handing(self._items) if channel.hands else None
        self._early = Early(self._items, self._handing)
        self.report = SendReport()

    def start(self) -> Offer | None:
        """Wait until the receiver is ready; return what takes files early, if it has nothing to compare them with."""
        ready = self._channel.expect(Ready)
        return self._early.offer if ready.empty and not self._dry_run else None

    def run(self, source: Source) -> SendReport:
        """Bring the receiver to the source's root."""
        if self._early.error is not None:
            raise self._early.error  # with the far side's own words, which a further write would not bring
        self._items.flush()
        state = self._channel.expect(State)
        self.report.files, self.report.total = source.totals()
        mode, base = _choose(state, source, self.report.files)
        if mode in (Mode.LIST, Mode.SKETCH):
            return self._send_lacking(source, mode)
        return self._send_changes(source, mode, base, state)

    def advance(self, source: Source, base: Digest) -> SendReport:
        """On a connection that stands, bring a receiver that holds `base` to the source's root."""
        return self._send_changes(source, Mode.DELTA, base, None)

    def _send_lacking(self, source: Source, mode: Mode) -> SendReport:
        from packetfs.net.sending.lacking import Lacking  # rare, and a start costs what it loads

        outlet = self._begin(source, mode, NO_ROOT)
        Lacking(self._channel, outlet).send(sketch=mode is Mode.SKETCH)
        return self._finish(outlet, set())

    def _send_changes(self, source: Source, mode: Mode, base: Digest, state: State | None) -> SendReport:
        """Send what differs from `base`, and what drifted from it as the receiver's state says."""
        outlet = self._begin(source, mode, base)
        contents = Contents(outlet, self._handing, self._early.brought)
        has_base = mode is Mode.DELTA
        changes = Changes(outlet, contents, self._early, state.drift if has_base and state is not None else ())
        changes.send(base if has_base else None)
        return self._finish(outlet, changes.unsure)

    def _begin(self, source: Source, mode: Mode, base: Digest) -> Outlet:
        self.report.root = source.root
        self._channel.send(Begin(mode, base, source.root, self.report.files, self.report.total))
        if source.top is not None:
            self._items.entry(b"", source.top, Content.NONE)
        return Outlet(self._items, source, self._listener, self.report, dry_run=self._dry_run, delete=self._delete)

    def _finish(self, outlet: Outlet, unsure: set[bytes]) -> SendReport:
        done = self._commit(outlet)
        again = [path for path, reason in done.failures if not reason]
        named: set[bytes] = set()
        if again:
            named = self._send_again(outlet, again, unsure)
            done = self._commit(outlet)
        self.report.snapshot = done.snapshot.decode("utf-8", "replace")
        for path, reason in done.failures:
            if path not in named:
                outlet.trouble(path, (reason or b"what arrived is not what was sent").decode("utf-8", "replace"))
        for path in done.deleted:
            outlet.tell_removal(path)
        return self.report

    def _send_again(self, outlet: Outlet, paths: list[bytes], unsure: set[bytes]) -> set[bytes]:
        """Send the bytes of files that what was sent did not make whole; of the `unsure` no content was told of yet.

        Return those that have no bytes and are named: an import that could not read one to its end did that.
        """
        contents = Contents(outlet, self._handing, self._early.brought)
        named: set[bytes] = set()
        for path in dict.fromkeys(paths):
            entry = outlet.source.entry(path)
            if entry is None:
                named.add(path)
                continue
            if not entry.is_file:
                continue
            if waits(outlet.source.store, entry):
                outlet.trouble(path, NotRunYet().message)
                named.add(path)
                continue
            if path in unsure:
                outlet.note_content(path, entry)
            contents.send_bytes(path, entry)
        return named

    def _commit(self, outlet: Outlet) -> Done:
        self._items.flush()
        troubles = self._troubles.take() if self._troubles is not None else ()
        said = tuple((trouble.path, trouble.reason.encode("utf-8", "replace")) for trouble in troubles)
        self._channel.send(Commit(outlet.source.root, said))
        return self._channel.expect(Done)

    def _send_batch(self, batch: Batch) -> None:
        self._channel.send_batch(batch)
        self._listener(Progress(self.report.changed, self.report.logical, 0))


def _choose(state: State, source: Source, files: int) -> tuple[Mode, Digest]:
    """Return how the receiver is brought up to date, and from which root."""
    if state.empty:
        return Mode.FULL, NO_ROOT
    for root in state.roots:
        if root == source.root or source.knows(root):
            return Mode.DELTA, root
    return Mode.SKETCH if files >= SKETCH_NAMES else Mode.LIST, NO_ROOT
