"""Watch a directory, and keep one or more destinations equal to it until somebody says that it is enough."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from packetfs.dataclass import replace
from packetfs.events import Counted, Event, Listener
from packetfs.fs.host.watches import Kind, Note, Watches
from packetfs.limits import MEAN, WATCH_LOOK, WATCH_TIDY
from packetfs.net.history import open_history
from packetfs.net.job import Job, Summary
from packetfs.net.sync import refuse_ends
from packetfs.net.watch.destination import Destination
from packetfs.net.watch.pending import Due, Pending
from packetfs.net.watch.tree import WatchedTree
from packetfs.packet.digest import Digest
from packetfs.typing import Final, Protocol

Clock = Callable[[], float]
_GLANCE: Final = 1.0
"""Seconds between two glances whether the end was asked for."""


class Notes(Protocol):
    """Where notes come from: the kernel, or a test."""

    def notes(self) -> Iterator[Note]: ...


class Line(Protocol):
    """A destination, as far as the loop sees it."""

    error: BaseException | None
    held: Digest

    @property
    def idle(self) -> bool: ...
    def announce(self, times: dict[bytes, float]) -> None: ...


class Watch:
    """Imports what is noted when it is due, and tells the destinations. Nothing in here waits."""

    def __init__(self, notes: Notes, tree: WatchedTree, lines: Sequence[Line], clock: Clock = time.monotonic) -> None:
        self.notes = notes
        self.tree = tree
        self.lines = lines
        self.clock = clock
        self.pending = Pending()
        self.looked = self.tidied = clock()
        self.settled = False

    def step(self) -> float:
        """Do what is due now; return the seconds until there is more, unless a note comes before."""
        for line in self.lines:
            if line.error is not None:
                raise line.error
        now = self.clock()
        for note in self.notes.notes():
            self.pending.note(note, now)
        if now - self.looked >= WATCH_LOOK:
            self.pending.note(Note(b"", Kind.ALL), now)
        due = self.pending.take(now)
        if due is not None:
            self._import(due, now)
        elif not self.settled and all(line.idle for line in self.lines):
            self._rest()
        wait = self.pending.wait(now)
        return WATCH_LOOK if wait is None else wait

    def _import(self, due: Due, now: float) -> None:
        with self.tree.lock:
            before = self.tree.root
            unsettled = self.tree.renew(due)
            if due.all:
                self.looked = now
            for path in unsettled:
                self.pending.note(Note(path, Kind.WRITING), now)
            if self.tree.root != before:
                self.settled = False
                for line in self.lines:
                    line.announce(due.times)

    def _rest(self) -> None:
        """All far sides hold what is here: let go of what nobody needs any more."""
        now = self.clock()
        if now - self.tidied >= WATCH_TIDY:
            with self.tree.lock:
                self.tree.settle([line.held for line in self.lines])
            self.tidied = now
        self.settled = True


def watch(jobs: Sequence[tuple[str, Job]], listener: Listener, ended: threading.Event) -> list[Summary]:
    """Keep destinations equal to one local directory; `jobs` differ in their destinations alone, and have names.

    Returns when `ended` is set or on Ctrl-C, with what was done for each.
    """
    for _, job in jobs:
        refuse_ends(job)
    job = jobs[0][1]
    real = os.path.realpath(job.source.path)
    started = time.monotonic()
    with open_history(job.history, "source", real, MEAN) as fs, _waker() as waker, _watches(real) as watches:
        listen = _one_at_a_time(listener)
        imported = Counted(listen)
        tree = WatchedTree(fs, real, job.keep, imported)
        tree.look(checksum=job.checksum)
        lines = [Destination(job, name, tree, listen, waker.wake) for name, job in jobs]
        state = Watch(watches, tree, lines)
        for line in lines:
            line.start()
        try:
            with suppress(KeyboardInterrupt):
                _run(state, watches.fd, waker, ended)
        finally:
            for line in lines:
                line.stop()
            for line in lines:
                line.join()
            with tree.lock:
                tree.settle([line.held for line in lines])
    seconds = time.monotonic() - started
    return [replace(line.summary, troubles=imported.troubles + line.troubles, seconds=seconds) for line in lines]


def _run(state: Watch, fd: int, waker: _Waker, ended: threading.Event) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(waker.reading, select.POLLIN)
    while not ended.is_set():
        wait = state.step()
        poll.poll(min(wait, _GLANCE) * 1000)
        waker.clear()


def _one_at_a_time(listener: Listener) -> Listener:
    """Let several threads have one listener."""
    lock = threading.Lock()

    def listen(event: Event) -> None:
        with lock:
            listener(event)

    return listen


class _Waker:
    """A pipe that ends a poll."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        for descriptor in (self.reading, self._writing):
            os.set_blocking(descriptor, False)

    def wake(self) -> None:
        with suppress(BlockingIOError, OSError):
            os.write(self._writing, b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.reading, 4096)

    def close(self) -> None:
        os.close(self.reading)
        os.close(self._writing)


@contextmanager
def _waker() -> Iterator[_Waker]:
    waker = _Waker()
    try:
        yield waker
    finally:
        waker.close()


@contextmanager
def _watches(path: bytes) -> Iterator[Watches]:
    watches = Watches(path)
    try:
        yield watches
    finally:
        watches.close()
