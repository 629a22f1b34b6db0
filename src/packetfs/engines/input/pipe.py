"""A source that can be read once: a pipe. What microVMs that have not ended may still need is held, no more.

Its bytes flow: when nothing has come for a while, the records that are complete are handed on, so that what a program
writes about them is seen while the pipe is open. A pipe that is never quiet is cut into shards as a file is.
"""

from __future__ import annotations

import os
import select
import time

from packetfs.engines.input.records import RecordKind, Records
from packetfs.engines.input.source import Origin, Source
from packetfs.errors import JobCancelled, SourceUnavailable
from packetfs.errors.system import source_error
from packetfs.limits import MIB, RUN_WINDOW, WINDOW_TAIL
from packetfs.threading import Lock

CHUNK = RUN_WINDOW
LOOK_MS = 100
"""Milliseconds between two looks whether the job was cancelled, while nothing comes."""
FLOW_SECONDS = 0.5
"""Seconds of quiet after which complete records are handed on. Also where it is never quiet, but slow: less than
FLOW_BYTES since the first of them came."""
FLOW_BYTES = MIB
NEWLINE = b"\n"


class Pipe(Source):
    """Bytes of a descriptor, in chunks of a fixed size by offset. Any thread may read what is held, or further.

    records: what lines or records of a fixed size it has; those flow. Packets of a capture do not.
    """

    is_pipe = True

    def __init__(self, fd: int, name: str = "-", records: Records | None = None) -> None:
        self.name = name
        self.size: int | None = None
        self._fd = fd
        self._step = records.size if records is not None and records.kind is RecordKind.FIXED else 0
        self._flows = records is not None and (records.by_lines or records.kind is RecordKind.FIXED)
        self._chunks: dict[int, bytearray] = {}
        self._low = 0
        self._end = 0
        self._given = 0
        self._since = self._heard = 0.0
        self._lock = Lock()
        self._interrupted = False

    @property
    def held(self) -> int:  # type: ignore[override]
        return self._end - self._low

    def ensure(self, stop: int) -> int:
        """Wait until the bytes before `stop` are there; what flows is given earlier, up to the end of a record."""
        with self._lock:
            while (given := self._ready(stop)) is None:
                self._read_more()
            if given > self._given:
                self._given, self._since = given, time.monotonic()
            return given

    def read_into(self, start: int, room: memoryview) -> int:
        """As Source says; of what flows at least one byte, if any will come: what is there need not wait."""
        wanted = start + 1 if self._flows else start + len(room)
        if self._end < wanted:
            with self._lock:
                while self._end < wanted and self.size is None:
                    self._read_more()
        if start < self._low:
            raise SourceUnavailable(path=self.name, reason=f"byte {start} of this pipe was given up already")
        at, stop = start, min(start + len(room), self._end)
        while at < stop:
            number, skip = divmod(at, CHUNK)
            take = min(CHUNK - skip, stop - at)
            room[at - start : at - start + take] = memoryview(self._chunks[number])[skip : skip + take]
            at += take
        return max(0, stop - start)

    def release(self, start: int) -> None:
        with self._lock:
            for number in range(self._low // CHUNK, start // CHUNK):
                self._chunks.pop(number, None)
            self._low = max(self._low, start)

    def interrupt(self) -> None:
        self._interrupted = True

    def origin(self) -> Origin:
        return Origin("pipe", "", self.name, self.size or 0)

    def _ready(self, stop: int) -> int | None:
        """Return how far the pipe may be given; None where that is to be waited for."""
        if self.size is not None:
            return min(stop, self.size)
        if self._end >= stop and (not self._flows or self._has_whole(stop)):
            return stop
        if not self._flows or not self._is_quiet():
            return None
        whole = min(stop, self._whole())
        return whole if whole > self._given else None

    def _is_quiet(self) -> bool:
        now, waiting = time.monotonic(), self._end - self._given
        slow = waiting < FLOW_BYTES and now - self._since >= FLOW_SECONDS
        return bool(waiting) and (slow or now - self._heard >= FLOW_SECONDS)

    def _has_whole(self, stop: int) -> bool:
        """Tell whether the record across `stop` is here, so that nobody waits for its end in the middle of a turn; a
        long one is not waited for."""
        if self._end - stop >= WINDOW_TAIL:
            return True
        if self._step:
            return -(-stop // self._step) * self._step <= self._end
        return self._find_last(stop - 1) >= 0

    def _whole(self) -> int:
        """Return where the last record that is complete ends."""
        if self._step:
            return self._end // self._step * self._step
        return self._find_last(self._given) + 1

    def _find_last(self, start: int) -> int:
        """Return where the last newline from `start` on is, -1 if there is none."""
        for number in range((self._end - 1) // CHUNK, start // CHUNK - 1, -1):
            first = number * CHUNK
            found = self._chunks[number].rfind(NEWLINE, max(0, start - first), min(CHUNK, self._end - first))
            if found >= 0:
                return first + found
        return -1

    def _read_more(self) -> None:
        """Read what is there, at most to the end of a chunk, or wait a moment; a chunk that grows is not seen beyond
        `_end`."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(LOOK_MS):
            if self._interrupted:
                raise JobCancelled
            return
        number, held = divmod(self._end, CHUNK)
        try:
            data = os.read(self._fd, CHUNK - held)
        except OSError as error:
            raise source_error(self.name, error) from None
        if not data:
            self.size = self._end
            return
        self._heard = time.monotonic()
        if self._end == self._given:
            self._since = self._heard
        chunk = self._chunks.setdefault(number, bytearray(CHUNK))
        chunk[held : held + len(data)] = data
        self._end += len(data)
