"""Heartbeats: a side that computes for long says that it lives, so that one which stalls can be told from it."""

from __future__ import annotations

import threading
from types import TracebackType

from packetfs.errors import PacketFSError
from packetfs.limits import HEARTBEAT
from packetfs.net.link.channel import FrameChannel
from packetfs.typing import Final, Self

_GOODBYE: Final = 1.0
"""Seconds that a beat under way may take: it stays behind only where the peer takes nothing any more."""


class Pulse:
    """Beats on a channel while it is open, in a thread of its own."""

    def __init__(self, channel: FrameChannel, seconds: float = HEARTBEAT) -> None:
        self._channel = channel
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._seconds):
                self._channel.beat()
        except (PacketFSError, OSError):
            return  # whoever speaks next meets the same

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(_GOODBYE)
