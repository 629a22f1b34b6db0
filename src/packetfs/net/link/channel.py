"""Frames over a stream, counted in both directions. Blocking: the protocol takes turns."""

from __future__ import annotations

import os
import threading
import time

from packetfs.errors import BadMessage, Disconnected, FarSideFailed, OtherSideFailed, PacketFSError, Stalled
from packetfs.limits import FRAME_MAX, HEARTBEAT
from packetfs.net.link.paced import Pace, Paced
from packetfs.net.link.stream import HandingStream, Stream
from packetfs.net.wire.batch import Batch, Origin, Trial, decode_batch, encode_batch
from packetfs.net.wire.messages import (
    COMPRESSED,
    FRAME,
    Failed,
    Heartbeat,
    Hello,
    Message,
    Type,
    decode_message,
    encode_message,
)
from packetfs.packet.layout import Buffer
from packetfs.packet.zstd import compress, decompress
from packetfs.typing import Final, Protocol, TypeVar, cast

_BUFFER: Final = 64 * 1024
_WORTH_SPLICING: Final = 64 * 1024
"""Bytes from which a splice is cheaper than a copy."""
_WORTH_COMPRESSING: Final = 200
"""Bytes below which a zstd frame saves nothing."""

_EXIT_CODES: Final = 126
"""Exit codes from here on belong to the shell."""

_HEARTBEAT: Final = FRAME.pack(0, Type.HEARTBEAT, 0)

M = TypeVar("M", bound=Message)


class Channel(Protocol):
    """What a session speaks through: bytes in both directions, and how often the other side's turn came."""

    @property
    def hands(self) -> bool:
        """Tell whether open files pass too: batches may have a descriptor."""

    @property
    def sent(self) -> int: ...
    @property
    def received(self) -> int: ...
    @property
    def turns(self) -> int: ...

    def send(self, message: Message) -> None: ...
    def send_batch(self, batch: Batch) -> None: ...
    def expect(self, kind: type[M]) -> M: ...
    def receive(self) -> Message | Batch: ...
    def take(self) -> int:
        """Return the open file that came with the last batch, for the caller to close; BadMessage if none did."""


class FrameChannel:
    """A channel over a stream: `peer` names the other side in errors."""

    def __init__(self, stream: Stream, peer: str) -> None:
        self._stream, self._peer = stream, peer
        self._handing = cast("HandingStream", stream) if hasattr(stream, "hand") else None
        self.hands = False
        self.sent = self.received = self.turns = 0
        self.literals_sent = self.literals_received = 0
        self._speaking = False
        self._spoke = time.monotonic()
        self._writing = threading.Lock()
        self._head: memoryview | None = None
        self._ended: PacketFSError | None = None
        self._buffer = bytearray(_BUFFER)
        self._trial = Trial()

    def keep_to(self, pace: Pace) -> None:
        """From now on let bytes pass at this pace alone; files that are handed over take no part in it."""
        self._stream = Paced(self._stream, pace)

    def send(self, message: Message) -> None:
        payload, flags = encode_message(message), 0
        if len(payload) > _WORTH_COMPRESSING:
            packed = len(payload).to_bytes(4, "little") + compress(payload, 6)
            if len(packed) < len(payload):
                payload, flags = packed, COMPRESSED
        self._write(message.TYPE, flags, [payload])

    def greet(self, hello: Hello) -> None:
        """Send the first message, where the stream may hand files over with one: whoever gets it knows that they do."""
        if self._handing is None:
            self.send(hello)
            return
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            self._write(hello.TYPE, 0, [encode_message(hello)], descriptor=nothing)
        finally:
            os.close(nothing)

    def greeted(self) -> bool:
        """Tell, behind the first message, whether a file came with it; then files pass in both directions."""
        found = self._handing.handed() if self._handing is not None else None
        if found is not None:
            os.close(found)
        self.hands = found is not None
        return self.hands

    def take(self) -> int:
        found = self._handing.handed() if self._handing is not None else None
        if found is None:
            raise BadMessage(reason="a file is offered that did not come along")
        return found

    def send_batch(self, batch: Batch) -> None:
        parts = encode_batch(batch, self._trial)
        if batch.descriptor >= 0:
            self._write(Type.BATCH, 0, parts, descriptor=batch.descriptor)
            return
        stored = sum(map(len, parts[2:]))
        self.literals_sent += stored
        is_plain = stored == sum(map(len, batch.literals))
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
        while True:
            kind, size, payload = self._frame()
            if kind == Type.BATCH:
                batch = decode_batch(payload)
                self.literals_received += size - len(batch.control)
                return batch
            message = decode_message(kind, bytes(payload))
            if isinstance(message, Failed):
                raise far_error(self._peer, message)
            if not isinstance(message, Heartbeat):
                return message

    def _frame(self) -> tuple[int, int, memoryview]:
        """Return the type, the bytes on the wire and the payload of the next frame."""
        self._turn(speaking=False)
        if self._ended is not None:
            raise self._ended
        head, self._head = self._head or self._read(FRAME.size), None
        size, kind, flags = FRAME.unpack(head)
        if size > FRAME_MAX or flags & ~COMPRESSED:
            raise BadMessage(reason=f"a frame of {size} bytes with flags {flags}")
        payload = self._read(size)
        return kind, size, _inflate(payload) if flags & COMPRESSED else payload

    def hears(self, seconds: float) -> bool:
        """Tell whether the other side says something, or has gone away, within some seconds. Heartbeats are nothing."""
        until = time.monotonic() + seconds
        while self._head is None and self._stream.hears(max(0.0, until - time.monotonic())):
            try:
                head = bytes(self._read(FRAME.size))
            except PacketFSError as error:
                self._ended = error  # whoever receives next is told
                return True
            if head != _HEARTBEAT:
                self._head = memoryview(head)
        return self._head is not None

    def beat(self) -> None:
        """Say that this side lives, unless it said something of late or is about to."""
        if time.monotonic() - self._spoke < HEARTBEAT / 2 or not self._writing.acquire(blocking=False):
            return
        try:
            self._stream.write([_HEARTBEAT])
            self._spoke = time.monotonic()
        finally:
            self._writing.release()

    def _write(
        self, kind: Type, flags: int, parts: list[Buffer], origin: Origin | None = None, descriptor: int = -1
    ) -> None:
        size = sum(map(len, parts))
        if size > FRAME_MAX:
            raise BadMessage(reason=f"a frame of {size} bytes")
        self._turn(speaking=True)
        try:
            with self._writing:
                self._put([FRAME.pack(size, kind, flags), *parts], origin, descriptor)
        except PacketFSError:
            raise
        except TimeoutError:
            raise self._stalled() from None
        except OSError as error:
            raise self._last_words() or self._gone(str(error.strerror)) from None
        self.sent += FRAME.size + size

    def _put(self, frame: list[Buffer], origin: Origin | None, descriptor: int) -> None:
        if descriptor >= 0 and self._handing is not None:
            self._handing.hand(descriptor, frame)
        elif origin is None:
            self._stream.write(frame)
        else:
            self._stream.write(frame[:3])
            self._stream.write_from(origin, frame[3:])
        self._spoke = time.monotonic()

    def _gone(self, reason: str) -> Disconnected:
        return Disconnected(peer=self._peer or "the other process", reason=reason)

    def _stalled(self) -> Stalled:
        return Stalled(peer=self._peer or "the other process", seconds=round(self._stream.patience))

    def _last_words(self) -> PacketFSError | None:
        """Return the error that the other side sent before it went away, if it did."""
        try:
            while True:
                self.receive()
        except (Disconnected, Stalled):
            return None
        except PacketFSError as error:
            return error

    def _read(self, size: int) -> memoryview:
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        at = 0
        while at < size:
            try:
                count = self._stream.read_into(view[at:])
            except PacketFSError:
                raise
            except TimeoutError:
                raise self._stalled() from None
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


def far_error(peer: str, failed: Failed) -> PacketFSError:
    """Return the far side's error with its own exit code and hint; the other process of this host needs no name."""
    error: PacketFSError
    error = FarSideFailed(peer=peer, reason=failed.message) if peer else OtherSideFailed(reason=failed.message)
    if 0 < failed.exit_code < _EXIT_CODES:  # 256 would be success to a shell
        error.exit_code = failed.exit_code
    hint = failed.hint.decode("utf-8", "backslashreplace")
    error.hint = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in hint) or error.hint
    return error
