"""Frames over two file descriptors, counted in both directions. Blocking: the protocol takes turns."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from typing import Final, Protocol, TypeVar

from packetfs.errors import BadMessage, Disconnected, FarSideFailed, OtherSideFailed, PacketFSError
from packetfs.limits import FRAME_MAX
from packetfs.net.batch import Batch, Origin, decode_batch, encode_batch
from packetfs.net.wire import COMPRESSED, FRAME, Failed, Message, Type, decode_message, encode_message
from packetfs.packet.layout import Buffer
from packetfs.packet.zstd import compress, decompress

_PIPE_SIZE: Final = 1 << 20
_BUFFER: Final = 64 * 1024
_WORTH_SPLICING: Final = 64 * 1024
"""Bytes from which a splice is cheaper than a copy."""
_WORTH_COMPRESSING: Final = 200
"""Bytes below which a zstd frame saves nothing."""

_EXIT_CODES: Final = 126
"""Exit codes from here on belong to the shell."""

M = TypeVar("M", bound=Message)


class Channel(Protocol):
    """What a session speaks through."""

    sent: int
    received: int
    turns: int

    def send(self, message: Message) -> None: ...
    def send_batch(self, batch: Batch) -> None: ...
    def expect(self, kind: type[M]) -> M: ...
    def receive(self) -> Message | Batch: ...


class FrameChannel:
    """A channel over a pipe or socket: `peer` names the other side in errors."""

    def __init__(self, reading: int, writing: int, peer: str) -> None:
        self._reading, self._writing, self._peer = reading, writing, peer
        self.sent = self.received = self.turns = 0
        self.literals_sent = self.literals_received = 0
        self._speaking = False
        self._buffer = bytearray(_BUFFER)
        for descriptor in (reading, writing):
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)

    def send(self, message: Message) -> None:
        payload, flags = encode_message(message), 0
        if len(payload) > _WORTH_COMPRESSING:
            packed = len(payload).to_bytes(4, "little") + compress(payload, 6)
            if len(packed) < len(payload):
                payload, flags = packed, COMPRESSED
        self._write(message.TYPE, flags, [payload])

    def send_batch(self, batch: Batch) -> None:
        parts = encode_batch(batch)
        stored = sum(len(part) for part in parts[2:])
        self.literals_sent += stored
        is_plain = stored == sum(len(part) for part in batch.literals)
        self._write(Type.BATCH, 0, parts, batch.origin if is_plain and stored >= _WORTH_SPLICING else None)

    def expect(self, kind: type[M]) -> M:
        """Return the next message, which must be of this kind."""
        message = self.receive()
        if not isinstance(message, kind):
            raise BadMessage(reason=f"{type(message).__name__} where {kind.__name__} belongs")
        return message

    def receive(self) -> Message | Batch:
        """Return the next message or batch; FAILED is raised as the far side's error.

        A batch may share this channel's buffer: it is gone with the next call. One buffer for all frames keeps its
        pages; a new one for each MiB costs as much in page faults as reading the pipe.
        """
        size, kind, flags = FRAME.unpack(self._read(FRAME.size))
        if size > FRAME_MAX or flags & ~COMPRESSED:
            raise BadMessage(reason=f"a frame of {size} bytes with flags {flags}")
        payload = self._read(size)
        if flags & COMPRESSED:
            payload = _inflate(payload)
        if kind == Type.BATCH:
            batch = decode_batch(payload)
            self.literals_received += size - len(batch.control)
            return batch
        message = decode_message(kind, bytes(payload))
        if isinstance(message, Failed):
            raise far_error(self._peer, message)
        return message

    def hears(self, seconds: float) -> bool:
        """Tell whether the other side says something, or has gone away, within some seconds."""
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _write(self, kind: Type, flags: int, parts: list[Buffer], origin: Origin | None = None) -> None:
        size = sum(len(part) for part in parts)
        if size > FRAME_MAX:
            raise BadMessage(reason=f"a frame of {size} bytes")
        self._turn(speaking=True)
        try:
            frame = [FRAME.pack(size, kind, flags), *parts]
            if origin is None:
                write_all(self._writing, frame)
            else:
                write_all(self._writing, frame[:3])
                write_from(origin, self._writing, parts[2:])
        except OSError as error:
            raise self._last_words() or self._gone(str(error.strerror)) from None
        self.sent += FRAME.size + size

    def _gone(self, reason: str) -> Disconnected:
        return Disconnected(peer=self._peer or "the other process", reason=reason)

    def _last_words(self) -> PacketFSError | None:
        """Return the error that the other side sent before it went away, if it did."""
        try:
            while True:
                self.receive()
        except Disconnected:
            return None
        except PacketFSError as error:
            return error

    def _read(self, size: int) -> memoryview:
        self._turn(speaking=False)
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        at = 0
        while at < size:
            try:
                count = os.readv(self._reading, [view[at:]])
            except OSError as error:
                raise self._gone(str(error.strerror)) from None
            if not count:
                raise self._gone("it closed the connection")
            at += count
        self.received += size
        return view

    def _turn(self, *, speaking: bool) -> None:
        if speaking != self._speaking:
            self._speaking = speaking
            self.turns += 1


def _inflate(payload: memoryview) -> memoryview:
    size = int.from_bytes(payload[:4], "little")
    if size > FRAME_MAX:
        raise BadMessage(reason=f"a frame of {size} bytes")
    data = decompress(payload[4:], size)
    if len(data) != size:
        raise BadMessage(reason="a frame has another length than announced")
    return memoryview(data)


def write_all(descriptor: int, parts: list[Buffer]) -> None:
    """Write all parts, in as few calls as the kernel allows."""
    views = [memoryview(part) for part in parts if len(part)]
    while views:
        count = os.writev(descriptor, views[:512])
        while views and count >= len(views[0]):
            count -= len(views.pop(0))
        if count:
            views[0] = views[0][count:]


def write_from(origin: Origin, descriptor: int, parts: list[Buffer]) -> None:
    """Write parts that also lie in a file: out of the page cache, which spares two copies of them.

    What the file cannot give comes from memory: it may have shrunk, and not all of them can be spliced. Should it have
    other bytes by now, the receiver's root tells, as with any file that changes while it is sent.
    """
    at, end = origin.offset, origin.offset + sum(len(part) for part in parts)
    with contextlib.suppress(OSError):
        while at < end and (count := os.splice(origin.descriptor, descriptor, end - at, offset_src=at)):
            at += count
    if at < end:
        write_all(descriptor, [memoryview(b"".join(parts))[at - origin.offset :]])


def far_error(peer: str, failed: Failed) -> PacketFSError:
    """Return the far side's error with its own exit code and hint; the other process of this host needs no name."""
    error: PacketFSError
    error = FarSideFailed(peer=peer, reason=failed.message) if peer else OtherSideFailed(reason=failed.message)
    if 0 < failed.exit_code < _EXIT_CODES:  # 256 would be success to a shell
        error.exit_code = failed.exit_code
    hint = failed.hint.decode("utf-8", "backslashreplace")
    error.hint = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in hint) or error.hint
    return error
