"""A stream that is held to a rate: what passes it, in both directions together, takes its time.

Each byte has a moment from which on it may pass. Who comes early waits; what nobody used is lost but for a short burst,
so that small messages after a pause pass at once. Several streams may share one pace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from packetfs.net.link.stream import Stream
from packetfs.net.wire.batch import Origin
from packetfs.packet.layout import Buffer
from packetfs.typing import Final

_BURST: Final = 0.25
"""Seconds of the rate that may pass at once after a pause."""
_SLICE: Final = 0.05
"""Seconds of the rate that pass in one call: the peer hears something all the time."""
_SLICE_MIN: Final = 512


class Pace:
    """Bytes a second, for all who take from it."""

    def __init__(
        self, rate: int, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.rate: Final = rate
        self.slice: Final = max(int(rate * _SLICE), _SLICE_MIN)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, count: int) -> None:
        """Wait until `count` bytes may pass."""
        now = self._clock()
        with self._lock:
            self._free_at = max(self._free_at, now - _BURST) + count / self.rate
            early = self._free_at - now
        if early > 0:
            self._sleep(early)


class Paced:
    """The stream: it passes everything on to another one."""

    def __init__(self, stream: Stream, pace: Pace) -> None:
        self._stream = stream
        self._pace = pace

    @property
    def patience(self) -> float:
        return self._stream.patience

    def read_into(self, view: memoryview) -> int:
        count = self._stream.read_into(view[: self._pace.slice])
        self._pace.take(count)
        return count

    def write(self, parts: list[Buffer]) -> None:
        size = self._pace.slice
        for part in parts:
            view = memoryview(part).cast("B")
            for start in range(0, len(view), size):
                piece = view[start : start + size]
                self._pace.take(len(piece))
                self._stream.write([piece])

    def write_from(self, origin: Origin, parts: list[Buffer]) -> None:  # noqa: ARG002 (piece by piece is from memory)
        self.write(parts)

    def hears(self, seconds: float) -> bool:
        return self._stream.hears(seconds)
