"""A source that can be read once: a pipe. What microVMs that have not ended may still need is held, no more."""

from __future__ import annotations

import os
import select
import threading

from packetfs.engines.source import Origin, Source
from packetfs.errors import JobCancelled, SourceUnavailable
from packetfs.limits import RUN_WINDOW

CHUNK = RUN_WINDOW
LOOK_MS = 100
"""Milliseconds between two looks whether the job was cancelled, while nothing comes."""


class Pipe(Source):
    """Bytes of a descriptor, in chunks of a fixed size by offset. Any thread may read what is held, or further."""

    is_pipe = True

    def __init__(self, fd: int, name: str = "-") -> None:
        self.name = name
        self.size: int | None = None
        self._fd = fd
        self._chunks: dict[int, bytearray] = {}
        self._low = 0
        self._end = 0
        self._lock = threading.Lock()
        self._interrupted = False

    @property
    def held(self) -> int:  # type: ignore[override]
        return self._end - self._low

    def ensure(self, stop: int) -> int:
        with self._lock:
            while self._end < stop and self.size is None:
                self._read_more()
            return min(stop, self._end)

    def read_into(self, start: int, room: memoryview) -> int:
        stop = self.ensure(start + len(room))
        if start < self._low:
            raise SourceUnavailable(path=self.name, reason=f"byte {start} of this pipe was given up already")
        at = start
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

    def _read_more(self) -> None:
        """Read what is there, at most to the end of a chunk; a chunk that grows is not seen beyond `_end`."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while not poll.poll(LOOK_MS):
            if self._interrupted:
                raise JobCancelled
        number, held = divmod(self._end, CHUNK)
        try:
            data = os.read(self._fd, CHUNK - held)
        except OSError as error:
            raise SourceUnavailable(path=self.name, reason=error.strerror) from None
        if not data:
            self.size = self._end
            return
        chunk = self._chunks.setdefault(number, bytearray(CHUNK))
        chunk[held : held + len(data)] = data
        self._end += len(data)
