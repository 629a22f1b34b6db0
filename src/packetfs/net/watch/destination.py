"""One destination of a watched tree: a connection that stands, in a thread of its own, and what its far side holds.

A destination always goes from what it holds to the tree's newest root. So a slow one gets fewer, larger changes, holds
up no other, and needs no memory for what waits. A lost connection is made again after a while; it begins with an
ordinary sync, which finds whatever the far side has by then. What is not permitted (a key that was revoked) ends it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from packetfs.errors import BadMessage, OtherMean, PacketFSError, RevokedKey
from packetfs.events import Changed, Connection, Counted, Delivered, Event, Listener
from packetfs.limits import WATCH_PENDING
from packetfs.net.ends import Shape
from packetfs.net.greeting import below, hello, welcome
from packetfs.net.job import Job, Summary
from packetfs.net.link.carrier import Carrying, reach
from packetfs.net.link.channel import FrameChannel
from packetfs.net.push import Meter, summarise
from packetfs.net.sending.outlet import SendReport
from packetfs.net.sending.sender import Sender
from packetfs.net.sending.source import HostSource
from packetfs.net.watch.backoff import Backoff
from packetfs.net.watch.sharing import SharingChannel
from packetfs.net.watch.tree import WatchedTree
from packetfs.net.wire.messages import NO_ROOT, Option
from packetfs.typing import Final

_LISTEN: Final = 5.0
"""Seconds after which an idle connection is looked at: has it ended?"""
_GOODBYE: Final = 10.0
"""Seconds that a change under way may take when the watch ends."""


class Destination:
    """Brings one far side up to date, again and again. `told`: is called when there is something new to see here."""

    def __init__(
        self,
        job: Job,
        name: str,
        tree: WatchedTree,
        listener: Listener,
        told: Callable[[], None],
        *,
        connect: Callable[[Job], Carrying] | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.held = NO_ROOT
        self.error: BaseException | None = None
        self.summary = Summary()
        self._job = job
        self._tree = tree
        self._listener = Counted(listener)
        self._told = told
        self._connect = connect or (lambda job: reach(job, job.destination))
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._times: dict[bytes, float] = {}
        self._changes: list[Changed] = []
        self._news = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"to {name}", daemon=True)

    @property
    def troubles(self) -> int:
        """Return how many files could not be handled here."""
        return self._listener.troubles

    # from the thread that watches

    def start(self) -> None:
        self._thread.start()

    def announce(self, times: Mapping[bytes, float]) -> None:
        """Say that the tree has changed, with the tree's lock held; `times`: when each path did."""
        if len(self._times) >= WATCH_PENDING:
            self._times.clear()
        for path, moment in times.items():
            self._times.setdefault(path, moment)
        self._news.set()

    @property
    def idle(self) -> bool:
        """Tell whether nothing is on its way, so that what the far side holds is known."""
        return self.held == self._tree.root or not self._thread.is_alive()

    def stop(self) -> None:
        """End the connection, after the change that is under way if it does not take too long."""
        self._ended = True
        self._news.set()

    def join(self) -> None:
        self._thread.join(_GOODBYE)

    # in its own thread

    def _run(self) -> None:
        try:
            while not self._ended:
                self._try()
        except Exception as error:  # the watch raises it
            self.error = error
        finally:
            self._told()

    def _try(self) -> None:
        """Hold one connection for as long as it stands."""
        try:
            with self._connect(self._job) as carrier:
                self._stand(carrier.channel)
        except PacketFSError as error:
            if self._ended:
                return
            if self.held == NO_ROOT or error.exit_code == RevokedKey.exit_code:
                raise  # a mistake, or a refusal that lasts, rather than a line that broke
            delay = self._backoff.next()
            self._tell(Connection(self.name, error.message, delay))
            self._pause(delay)

    def _pause(self, seconds: float) -> None:
        until = self._clock() + seconds
        while not self._ended and (left := until - self._clock()) > 0:
            self._news.wait(left)
            self._news.clear()

    def _stand(self, channel: FrameChannel) -> None:
        """Bring the far side up to date by an ordinary sync, and then with each change."""
        self._greet(channel)
        sender = self._sender(channel)
        with self._tree.lock:
            sender.start()
            self._round(channel, sender.run)
        self._backoff.reset()
        self._tell(Connection(self.name))
        while not self._ended:
            self._news.wait(_LISTEN)
            self._news.clear()
            if channel.hears(0):
                channel.receive()  # raises what it says, or that it is gone
                raise BadMessage(reason="it speaks out of turn")
            self._advance(channel)

    def _greet(self, channel: FrameChannel) -> None:
        job = self._job
        path, name = below(job, Shape.DIRECTORY, job.source.name)
        mean = self._tree.mean
        channel.greet(hello(job, job.destination, path, name, mean, Option.WATCH))
        answer = welcome(channel)
        if answer.mean != mean:
            raise OtherMean(destination=self.name, theirs=answer.mean, ours=mean)

    def _advance(self, channel: FrameChannel) -> None:
        with self._tree.lock:
            while self.held != self._tree.root and not self._ended:
                sender = self._sender(channel)
                self._round(channel, partial(sender.advance, base=self.held))

    def _sender(self, channel: FrameChannel) -> Sender:
        return Sender(SharingChannel(channel, self._tree.lock), self._note, delete=self._job.delete)

    def _round(self, channel: FrameChannel, send: Callable[[HostSource], SendReport]) -> None:
        """Send the tree as it is now, with its lock held."""
        times, self._times, self._changes = self._times, {}, []
        before = Meter.of(channel)
        try:
            with self._tree.source() as source:
                report = send(source)
                self.held = source.root
        except BaseException:
            self._times |= times  # they arrive with the next round
            raise
        passed = Meter.of(channel).since(before)
        self.summary = self.summary.plus(summarise(report, passed))
        self._deliver(times, passed.sent + passed.received)

    def _note(self, event: Event) -> None:
        if isinstance(event, Changed):
            self._changes.append(event)
        else:
            self._tell(event)

    def _deliver(self, times: Mapping[bytes, float], moved: int) -> None:
        now = self._clock()
        for change in self._changes:
            moment = _moment(change.path, times)
            if moment is not None:
                seconds = now - moment
                self._tell(Delivered(change.path, change.action, change.size, self.name, moved, seconds))
            else:
                self._tell(change)

    def _tell(self, event: Event) -> None:
        self._listener(event)
        self._told()


def _moment(path: bytes, times: Mapping[bytes, float]) -> float | None:
    """Return when a path changed, or came with a directory; None for those that changed with the names in them."""
    while path and path not in times:
        path = path.rpartition(b"/")[0]
    return times.get(path)
