"""The side that is brought up to date: it says what it holds, runs what arrives, and commits what verifies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial

from packetfs.errors import Abandoned, BadMessage, BaseMoved, DestinationFull, PacketFSError, Unverified
from packetfs.events import Changed, Listener, Progress, Trouble
from packetfs.limits import FAILURES_MAX, SOURCES_MAX
from packetfs.net.access.rights import UNLIMITED, Quota
from packetfs.net.handing import HandedFiles
from packetfs.net.link.channel import Channel
from packetfs.net.receiving.delivery import Delivery, OldFile
from packetfs.net.receiving.target import Target
from packetfs.net.wire.batch import WHOLE, Batch, Content
from packetfs.net.wire.items import (
    AbandonItem,
    AnyItem,
    BlockItem,
    EndItem,
    EntryItem,
    ItemReader,
    LinkItem,
    OfferItem,
    RemoveItem,
    SourceItem,
)
from packetfs.net.wire.messages import Begin, Commit, Done, Failure, Listing, Mode, Ready, Want
from packetfs.net.wire.messages import Listed as ListedMessage
from packetfs.net.wire.packed import STALE
from packetfs.packet.entry import Entry
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.net.finding.comparing import OwnNames
    from packetfs.net.receiving.stale import StaleContent
    from packetfs.net.wire.listing import Listed

_UNVERIFIED: Final = b""
"""The reason of a failure that asks for the whole content."""


class Receiver:
    """One sync, from STATE to DONE."""

    def __init__(
        self,
        channel: Channel,
        target: Target,
        listener: Listener,
        *,
        dry_run: bool = False,
        quota: Quota = UNLIMITED,
    ) -> None:
        self._quota = quota
        self._channel = channel
        self._target = target
        self._listener = listener
        self._dry_run = dry_run
        self._was_empty = target.empty
        self._reader = ItemReader()
        self._sources: list[bytes] = []
        self._failures: dict[bytes, bytes] = {}
        self._named: set[bytes] = set()
        """Files that the sender said something of: it knows better why they are not here."""
        self._rounds = 0
        self._own: OwnNames | None = None
        self._stale: StaleContent | None = None
        self._handed = HandedFiles()
        self.changed = self.removed = 0
        self.logical = 0
        self.literal = 0
        self.signature = 0
        self.files = self.total = 0

    def run(self) -> Done:
        """Receive until everything is committed; return what was answered."""
        with closing(self._handed):
            return self._run()

    def _run(self) -> Done:
        self._channel.send(Ready(self._target.empty and not self._dry_run))
        self._channel.send(self._target.state())
        items = self._stream()
        begin = self._early(items)
        if begin.mode in (Mode.LIST, Mode.SKETCH):
            self._answer_listing(begin.mode)
        return self._run_to_the_end(begin, items)

    def follow(self, begin: Begin) -> Done:
        """Take one change on a connection that stands; BaseMoved where what it starts from is no longer here."""
        if begin.mode != Mode.DELTA or not self._target.holds(begin.base):
            raise BaseMoved
        with closing(self._handed):
            return self._run_to_the_end(begin, self._stream())

    def _run_to_the_end(self, begin: Begin, items: Iterator[AnyItem | Commit | Begin]) -> Done:
        while True:
            for item in items:
                if isinstance(item, Commit):
                    break
                self._item(item, items)
            done = self._finish(item if isinstance(item, Commit) else Commit(begin.root))
            self._channel.send(done)
            unverified = [path for path, reason in done.failures if reason == _UNVERIFIED]
            if self._rounds == 1 and unverified:
                continue
            for path in unverified:
                if path not in self._named:
                    self._listener(Trouble(path, "what arrived is not what was sent"))
            return done

    def _early(self, items: Iterator[AnyItem | Commit | Begin]) -> Begin:
        """Take what comes before BEGIN."""
        for item in items:
            if isinstance(item, Begin):
                if item.mode not in set(Mode):
                    raise BadMessage(reason=f"mode {item.mode} is unknown")
                self.files, self.total = item.files, item.bytes
                return item
            self._item(item, items)
        raise BadMessage(reason="it ended before it began")

    def _stream(self) -> Iterator[AnyItem | Commit | Begin]:
        while True:
            message = self._channel.receive()
            if isinstance(message, Batch):
                self.literal += len(message.literals[0])
                yield from self._reader.read(message)
            elif isinstance(message, Commit | Begin):
                yield message
            else:
                raise BadMessage(reason=f"{type(message).__name__} among the items")

    # names and ids first

    def _expect_names(self, mode: int) -> None:
        """Tell the target what the listing will be: all names, or what differs from its own."""
        if mode == Mode.LIST:
            self._target.expect_listing()
            return
        from packetfs.net.finding.sketching import offer_sketch

        self._own = offer_sketch(self._channel, *self._target.names())
        self._own.begin(self._target)

    def _answer_listing(self, mode: int) -> None:
        """Take the names of the new tree; say what of it is wanted and held, and what of the old content is stale."""
        from packetfs.net.receiving.answer import ListingAnswer, sign  # rare, and a start costs what it loads
        from packetfs.net.wire.listing import ListingReader
        from packetfs.net.wire.signatures import NOTHING

        start = self._channel.received
        self._expect_names(mode)
        answer = ListingAnswer(self._target, self._own, self._fail_listed)
        reader = ListingReader()
        while not isinstance(message := self._channel.receive(), ListedMessage):
            if not isinstance(message, Listing):
                raise BadMessage(reason="the listing is interrupted")
            for listed in reader.read(message.records):
                self._quota.take(0)
                answer.add(listed)
        answer.end()
        self.signature = self._channel.received - start
        self._channel.send(Want(bytes(answer.wanted.data), bytes(answer.held.data), self.signature))
        if self._dry_run:
            self._channel.send(NOTHING)
        else:
            self._stale = sign(self._channel, self._target)

    def _fail_listed(self, listed: Listed, error: OSError | PacketFSError) -> None:
        self._fail(listed.path, error)
        self._give_up(listed.path, listed.entry)

    # items

    def _item(self, item: AnyItem | Commit | Begin, items: Iterator[AnyItem | Commit | Begin]) -> None:
        if isinstance(item, EntryItem):
            self._entry(item, items)
        elif isinstance(item, LinkItem):
            self._quota.take(0)
            self._attempt(item.path, item.entry, lambda: self._target.link(item.path, item.entry, item.leader))
            self._note(item.path, "link", item.entry)
        elif isinstance(item, RemoveItem):
            self._remove(item.path)
        elif isinstance(item, SourceItem):
            self._add_source(item.path)
        elif isinstance(item, OfferItem):
            self._handed.take(self._channel.take())
        else:
            raise BadMessage(reason=f"{type(item).__name__} without an entry")

    def _entry(self, item: EntryItem, items: Iterator[AnyItem | Commit | Begin]) -> None:
        path, entry = item.path, item.entry
        self._failures.pop(path, None)
        self._quota.take(entry.size if item.content is not Content.NONE else 0)
        is_new = self._is_new(path)
        if item.content is Content.NONE:
            self._attempt(path, entry, lambda: self._target.put(path, entry, None))
            if path:
                self._note(path, "new" if is_new else "metadata", entry)
            self._copy_below(path)
            return
        blocks = self._blocks(items)
        delivery = Delivery(path, entry.size, item.content, blocks, lambda source: self._open(item, source))
        try:
            self._attempt(path, entry, lambda: self._target.put(path, entry, delivery))
        finally:
            delivery.drain()
        if delivery.early:
            return
        self._note(path, "new" if is_new else "content", entry)

    def _copy_below(self, path: bytes) -> None:
        """Bring what is in a directory from where this side has it."""
        for below, entry, old in self._own.below(path) if self._own is not None else ():
            self._quota.take(entry.size if entry.is_file else 0)
            self._attempt(below, entry, partial(self._target.copy, below, entry, old))
            self._note(below, "new", entry)

    def _is_new(self, path: bytes) -> bool:
        """Tell whether a path is nothing so far."""
        try:
            return self._was_empty or not self._target.has(path)
        except (OSError, PacketFSError):  # whoever writes there says what is wrong with it
            return False

    def _blocks(self, items: Iterator[AnyItem | Commit | Begin]) -> Iterator[BlockItem | EndItem | AbandonItem]:
        """Yield the blocks of the current entry; sources may be declared between them."""
        for item in items:
            if isinstance(item, SourceItem):
                self._add_source(item.path)
            elif isinstance(item, OfferItem):
                self._handed.take(self._channel.take())
            elif isinstance(item, BlockItem | EndItem | AbandonItem):
                yield item
            else:
                break
        raise BadMessage(reason="the content of a file has no end")

    def _open(self, item: EntryItem, source: int) -> OldFile:
        if source == STALE:
            if item.content is not Content.LISTED or self._stale is None:
                raise BadMessage(reason="a copy of stale content that was not signed")
            return self._stale
        if item.content is Content.LISTED and not source:
            return self._target.held(item.path)
        if item.content in WHOLE and not source:
            return self._handed
        number = source or item.base
        if number > len(self._sources):
            raise BadMessage(reason=f"source {number} was not declared")
        return self._target.old(self._sources[number - 1] if number else item.path)

    def _add_source(self, path: bytes) -> None:
        if len(self._sources) >= SOURCES_MAX:
            raise BadMessage(reason="too many sources")
        self._sources.append(path)

    def _remove(self, path: bytes) -> None:
        try:
            removed = self._target.remove(path)
        except (OSError, PacketFSError) as error:
            self._fail(path, error)
            return
        if removed:
            self.removed += 1
            self._listener(Changed(path, "delete"))

    def _attempt(self, path: bytes, entry: Entry, action: Callable[[], None]) -> None:
        """Do something for one file; what fails is remembered and the sync goes on."""
        try:
            action()
        except (BadMessage, DestinationFull):
            raise  # neither is about this file alone
        except Abandoned:
            return  # the sender names it, or sends it again
        except Unverified:
            if len(self._failures) < FAILURES_MAX:
                self._failures[path] = _UNVERIFIED
            self._give_up(path, entry)
        except (OSError, PacketFSError) as error:
            self._fail(path, error)
            self._give_up(path, entry)

    def _give_up(self, path: bytes, entry: Entry) -> None:
        with suppress(OSError, PacketFSError):  # the reason is known already
            self._target.fail(path, entry)

    def _fail(self, path: bytes, error: OSError | PacketFSError) -> None:
        self._name(path, error.message if isinstance(error, PacketFSError) else error.strerror or str(error))

    def _name(self, path: bytes, reason: str) -> None:
        """Name what could not be handled, here and to the other side."""
        if len(self._failures) < FAILURES_MAX:
            self._failures[path] = reason.encode()
        self._listener(Trouble(path, reason))

    def _note(self, path: bytes, action: str, entry: Entry) -> None:
        self.changed += 1
        if entry.is_file and action in ("content", "new"):
            self.logical += entry.size
        self._listener(Changed(path, action, entry.size))
        self._listener(Progress(self.changed, self.logical, 0))

    # the end

    def _finish(self, commit: Commit) -> Done:
        self._rounds += 1
        for path, reason in commit.troubles:
            self._named.add(path)
            self._listener(Trouble(path, reason.decode("utf-8", "replace")))
        held = self._target.finish(commit.root)
        if held != commit.root and not self._failures and self._target.mirrors and not self._dry_run:
            self._name(b"", "what is here now is not the tree that was sent; run it again with --checksum")
        for path in self._target.deleted:
            self._listener(Changed(path, "delete"))
        failures: list[Failure] = sorted(self._failures.items())
        return Done(held, tuple(failures), tuple(self._target.deleted[:FAILURES_MAX]), self._target.snapshot.encode())
