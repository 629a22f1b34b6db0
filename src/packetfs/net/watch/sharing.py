"""A channel that lets others have what its sender holds while the line is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from packetfs.net.link.channel import FrameChannel, M
from packetfs.net.wire.batch import Batch
from packetfs.net.wire.messages import Message


class SharingChannel:
    """A channel whose caller holds `lock`: it is free for as long as a call waits."""

    def __init__(self, channel: FrameChannel, lock: threading.Lock) -> None:
        self._channel = channel
        self._lock = lock

    @property
    def hands(self) -> bool:
        return self._channel.hands

    def take(self) -> int:
        return self._channel.take()

    @property
    def sent(self) -> int:
        return self._channel.sent

    @property
    def received(self) -> int:
        return self._channel.received

    @property
    def turns(self) -> int:
        return self._channel.turns

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    def send(self, message: Message) -> None:
        with self._waiting():
            self._channel.send(message)

    def send_batch(self, batch: Batch) -> None:
        with self._waiting():
            self._channel.send_batch(batch)

    def expect(self, kind: type[M]) -> M:
        with self._waiting():
            return self._channel.expect(kind)

    def receive(self) -> Message | Batch:
        with self._waiting():
            return self._channel.receive()
