"""Blocks on their way past the page cache: a thread waits for the disk, and who writes goes on meanwhile.

Waiting for each MiB took a third of a first copy's time (measured over a daemon, on a disk of 1 GB/s). An interrupt may
come at any step of who writes: so what is on its way is known by the queue alone, and asked there.
"""

from __future__ import annotations

from _queue import SimpleQueue

from packetfs.contextlib import suppress
from packetfs.dataclass import dataclass
from packetfs.pool.segment import SegmentFile
from packetfs.pool.storage import Storage
from packetfs.threading import Lock, Thread
from packetfs.typing import Any


@dataclass(slots=True)
class Flight:
    """The first `size` bytes of some memory, which nobody changes meanwhile; they go to the position `base`.

    `whole`: where the extents end that are all in what comes before, and in these. `done`: bytes that are written, from
    the first on; none where they could not be: who writes them again learns why. `landed`: that has been found out.
    """

    file: SegmentFile
    space: memoryview
    base: int
    size: int
    whole: int
    done: int = 0
    landed: bool = False

    @property
    def end(self) -> int:
        """The position behind them."""
        return self.base + self.size

    def write(self, storage: Storage, offset: int) -> None:
        """Write them at an offset of the file."""
        with suppress(Exception):
            self.done = storage.write_past(self.file.past, self.space[: self.size], offset)
        self.landed = True


class Behind:
    """The thread, which begins with the first flight."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._queue: Any = SimpleQueue()
        """Flights and where they go, locks of who waits for those before, None at the end."""
        self._thread: Thread | None = None

    def begin(self, flight: Flight, offset: int) -> None:
        """Let it be written, at an offset of its file."""
        if self._thread is None:
            thread = Thread(target=_run, args=(self._queue, self._storage), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system lets no more begin
                flight.write(self._storage, offset)
                return
            self._thread = thread
        self._queue.put((flight, offset))

    def wait(self, flight: Flight | None = None) -> None:
        """Wait until none is on its way, or the one given; it mostly landed long ago, and to ask the thread takes two
        changes of who runs."""
        if self._thread is not None and not (flight is not None and flight.landed):
            ended = Lock()
            ended.acquire()
            self._queue.put(ended)
            ended.acquire()

    def close(self) -> None:
        """End the thread, behind all that is on its way."""
        self.wait()
        if self._thread is not None:
            self._queue.put(None)
            self._thread = None


def _run(queue: Any, storage: Storage) -> None:
    while (asked := queue.get()) is not None:
        if isinstance(asked, tuple):
            flight, offset = asked
            flight.write(storage, offset)
        else:
            asked.release()
        del asked
