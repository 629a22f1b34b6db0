"""One mount at work: the loop that takes requests from /dev/fuse and answers them.

One thread takes one request at a time: what the kernel cannot answer from its own caches is answered in microseconds,
and a second thread would cost more in waking up than it gains (measured: C with threads had a seventh of the stats of C
without). Reads, which are the largest, let others pass. What computes for long, or waits for the disk, says so
(`operations.Later`) and goes on in a thread of its own.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from packetfs.errors import PacketFSError
from packetfs.frontends.mount import protocol, replies
from packetfs.frontends.mount.dispatch import Answer, Dispatcher, Head
from packetfs.frontends.mount.nearness import Nearness
from packetfs.frontends.mount.operations import Later, Operations, Parts
from packetfs.frontends.mount.protocol import HEAD, Init, Opcode
from packetfs.frontends.mount.replies import Replies
from packetfs.frontends.mount.slices import SHORT, USUAL, ask_for_slices, can_give_way, give_way
from packetfs.frontends.mount.workers import Workers
from packetfs.limits import (
    MOUNT_GOODBYE,
    MOUNT_IDLE_LATE,
    MOUNT_REQUEST,
    MOUNT_SWITCH,
    MOUNT_VALID,
    MOUNT_VALID_SHARED,
)
from packetfs.typing import Final

_BUFFER: Final = MOUNT_REQUEST + mmap.PAGESIZE
_PAGES: Final = MOUNT_REQUEST // mmap.PAGESIZE
_BACKGROUND: Final = 4
"""Requests for pages ahead that may stand in the queue: a stat waits behind them. While a large file was read, its 99th
percentile was 6 ms with 4, 11 with 12 and 17 with 64 (measured, on two busy cores); 64 read no faster than 4."""
_WANTED: Final = (
    Init.ASYNC_READ
    | Init.ATOMIC_O_TRUNC
    | Init.BIG_WRITES
    | Init.DO_READDIRPLUS
    | Init.READDIRPLUS_AUTO
    | Init.PARALLEL_DIROPS
    | Init.MAX_PAGES
    | Init.CACHE_SYMLINKS
    | Init.DONT_MASK
    | Init.POSIX_ACL
    | Init.HANDLE_KILLPRIV_V2
    | Init.SETXATTR_EXT
    | Init.INIT_EXT
    | Init.DIRECT_IO_ALLOW_MMAP
)
"""Not wanted: WRITEBACK_CACHE (sizes and times would be the kernel's, and appends and write-only handles its guesses),
EXPORT_SUPPORT (only inodes that are held are found)."""
_GONE: Final = (errno.ENODEV, errno.ECONNABORTED, errno.ENOTCONN)
_AGAIN: Final = (errno.EAGAIN, errno.EINTR, errno.ENOENT)
"""ENOENT: the request was taken back between its arrival and our reading."""
_INIT, _DESTROY, _READ = int(Opcode.INIT), int(Opcode.DESTROY), int(Opcode.READ)
_INIT_IN: Final = protocol.INIT_IN.struct
_INIT_IN_MORE: Final = protocol.INIT_IN_MORE.struct
_READ_IN: Final = protocol.READ_IN.struct
_STREAMED: Final = 128 << 10
"""A larger read is one ahead: who reads so works on while the next is on its way."""
_INTERRUPT: Final = protocol.INTERRUPT_IN.struct
_END_STEP: Final = 0.25
"""Seconds between two looks at the clock while a session ends."""
_PASSING: Final = 16
"""Requests that a read lets pass before it is answered."""
_CHECK_CLOCK: Final = 64
"""Requests between two looks at the clock."""


class Session:
    """The server of one mount. `lock` is held around every operation; whoever else uses them takes it.

    `watch` is given where other processes may change the files: it looks whether they did, about once a second.
    """

    def __init__(
        self,
        device: int,
        operations: Operations,
        *,
        watch: Callable[[], None] | None = None,
        ready: Callable[[], None],
        complain: Callable[[str], None],
    ) -> None:
        self._complain: Final = complain
        self._device: Final = device
        self._operations: Final = operations
        self._watch: Final = watch
        self._ready: Final = ready
        self.lock: Final = threading.Lock()
        self.version = 0
        replies_of = Replies(MOUNT_VALID if watch is None else MOUNT_VALID_SHARED)
        self._dispatcher: Final = Dispatcher(operations, replies_of, self.notify, alone=watch is None)
        self._workers: Final = Workers(self._finish)
        self._reads: Final[deque[tuple[Head, bytes]]] = deque()
        self._passed = 0
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._woken: Callable[[], None] | None = None
        self._due = 0.0
        self._end: float | None = None

    def serve(self) -> None:
        """Answer until the mount is gone; then what was changed is made durable by `close` of the operations."""
        self._nearness = Nearness(give_way=give_way if can_give_way() else None)
        ask_for_slices(SHORT)
        buffer = mmap.mmap(-1, _BUFFER)
        view = memoryview(buffer)
        events = select.poll()
        events.register(self._device, select.POLLIN)
        events.register(self._wake_read, select.POLLIN)
        taken, interval = 0, sys.getswitchinterval()
        sys.setswitchinterval(MOUNT_SWITCH)
        try:
            while True:
                ready = events.poll(0 if self._reads else self._pause())
                if self._reads and (not ready or self._passed >= _PASSING):
                    self._answer_read()
                elif not ready:
                    self._idle()
                    if self._end is not None and time.monotonic() > self._end:
                        return
                elif ready[0][0] == self._wake_read or len(ready) > 1:
                    self._wake()
                elif not self._take(view, buffer):
                    return
                taken += 1
                if not taken % _CHECK_CLOCK and time.monotonic() > self._due + MOUNT_IDLE_LATE:
                    self._idle()
        finally:
            sys.setswitchinterval(interval)
            self._nearness.part()
            ask_for_slices(USUAL)
            self._workers.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def on_wake(self, action: Callable[[], None]) -> int:
        """Call `action` in the loop whenever a byte arrives at the descriptor that this returns."""
        self._woken = action
        return self._wake_write

    def end_soon(self) -> None:
        """Serve for a while yet: the mount is being taken away, but files may still be open."""
        self._end = time.monotonic() + MOUNT_GOODBYE
        self._due = 0.0

    def _wake(self) -> None:
        try:
            os.read(self._wake_read, mmap.PAGESIZE)
        except BlockingIOError:
            return
        if self._woken is not None:
            self._woken()

    def _pause(self) -> float:
        """Return how many milliseconds may pass until the operations want to be called."""
        now = time.monotonic()
        due = self._due if self._end is None else min(self._due, max(self._end, now + _END_STEP))
        return max(0.0, (due - now) * 1000)

    def _idle(self) -> None:
        now = time.monotonic()
        with self.lock:
            try:
                if self._watch is not None:
                    self._watch()
                self._due = now + self._operations.idle(now)
            except (OSError, PacketFSError) as error:  # told again, to whom it matters, by the next fsync
                self._due = now + 1.0
                self._tell(error)

    def _take(self, view: memoryview, buffer: mmap.mmap) -> bool:
        """Take one request and answer it; False when the mount is gone."""
        try:
            size = os.readv(self._device, (buffer,))
        except OSError as error:
            if error.errno in _AGAIN:
                return True
            if error.errno in _GONE:
                return False
            raise
        if size < HEAD.size:
            return True
        head: Head = HEAD.unpack_from(view)
        length, opcode, unique, extensions = head[0], head[1], head[2], head[7] * 8
        if length != size or HEAD.size + extensions > size:
            self._reply(replies.failed(unique, errno.EINVAL))
            return True
        body = view[HEAD.size : size - extensions]
        if opcode == _READ:
            self._reads.append((head, bytes(body)))
            return True
        self._passed += 1
        self._nearness.asked(head[6])
        answer = self._answer(head, body, opcode, unique)
        if answer is not None:
            self._reply(answer)
        if opcode == _INIT and self.version:
            self._ready()
        return opcode != _DESTROY

    def _answer_read(self) -> None:
        """Answer the read that has waited for longest."""
        self._passed = 0
        head, body = self._reads.popleft()
        if len(body) >= _READ_IN.size and _READ_IN.unpack_from(body)[2] > _STREAMED:
            self._nearness.part()
        answer = self._answer(head, memoryview(body), _READ, head[2])
        if answer is not None:
            self._reply(answer)

    def _answer(self, head: Head, body: memoryview, opcode: int, unique: int) -> bytes | Parts | None:
        handler = self._dispatcher.handlers[opcode] if opcode < protocol.OPCODES_END else None
        if handler is None:
            return self._answer_session(body, opcode, unique)
        try:
            with self.lock:
                answer: Answer = handler(head, body)
        except OSError as error:
            return _error(opcode, unique, error.errno or errno.EIO)
        except Exception as error:  # one request fails, the mount lives
            self._tell(error)
            return _error(opcode, unique, errno.EIO)
        if callable(answer):
            self._workers.start(unique, answer)
            return None
        return answer

    def _answer_session(self, body: memoryview, opcode: int, unique: int) -> bytes | Parts | None:
        """Answer what is about the session itself."""
        if opcode == Opcode.INIT:
            return self._begin(body, unique)
        if opcode == Opcode.INTERRUPT:
            return self._interrupt(body)
        if opcode in (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.NOTIFY_REPLY):
            return None
        return replies.done(unique) if opcode == Opcode.DESTROY else replies.failed(unique, errno.ENOSYS)

    def _interrupt(self, body: memoryview) -> bytes | None:
        """Let nobody wait for a long read any more; what it computes is thrown away."""
        if len(body) < _INTERRUPT.size:
            return None
        (unique,) = _INTERRUPT.unpack_from(body)
        return replies.failed(unique, errno.EINTR) if self._workers.abandon(unique) else None

    def _begin(self, body: memoryview, unique: int) -> bytes:
        """Agree on a version and on what both can do."""
        if len(body) < _INIT_IN.size:
            return replies.failed(unique, errno.EPROTO)
        major, minor, readahead, flags = _INIT_IN.unpack_from(body)
        if flags & Init.INIT_EXT and len(body) >= _INIT_IN_MORE.size:
            flags |= _INIT_IN_MORE.unpack_from(body)[4] << 32
        if major > protocol.MAJOR:  # the kernel asks again, in our version
            return _init_reply(unique, 0, 0)
        if major < protocol.MAJOR or minor < protocol.MINOR_MIN:
            return replies.failed(unique, errno.EPROTO)
        self.version = min(minor, protocol.MINOR)
        wanted = _WANTED if self._watch is None else _WANTED | Init.AUTO_INVAL_DATA
        self._due = time.monotonic()
        return _init_reply(unique, readahead, flags & wanted)

    def _finish(self, unique: int, job: Later) -> None:
        """Run a request that takes long in a thread, and answer."""
        try:
            found = job()
            answer: bytes | Parts
            if callable(found):
                with self.lock:
                    answer = found()
            else:
                answer = replies.parts(unique, found)
        except OSError as error:
            answer = replies.failed(unique, error.errno or errno.EIO)
        except Exception as error:
            self._tell(error)
            answer = replies.failed(unique, errno.EIO)
        if self._workers.end(unique):
            self._reply(answer)

    def _reply(self, answer: bytes | Parts) -> None:
        """Write an answer. ENOENT says that nobody waits for it any more, ENODEV that the mount is gone."""
        try:
            if isinstance(answer, bytes):
                os.write(self._device, answer)
            else:
                os.writev(self._device, answer)
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in _GONE:
                return
            if isinstance(answer, bytes):
                raise
            self._tell(error)
            self._reply(replies.failed(protocol.REPLY_HEAD.unpack_from(answer[0])[2], errno.EIO))

    def _tell(self, error: BaseException) -> None:
        """Say what nobody else is told."""
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1:] if not isinstance(error, PacketFSError) else []
        place = f" ({where[0].filename}:{where[0].lineno})" if where else ""
        self._complain(f"{type(error).__name__}: {error}{place}")

    def notify(self, message: bytes) -> None:
        """Tell the kernel to forget something (`notify.py`); never pages from inside an operation, which
        they may wait for."""
        self._reply(message)


def _init_reply(unique: int, readahead: int, flags: int) -> bytes:
    form = protocol.REPLY_INIT
    both = (protocol.MAJOR, protocol.MINOR, readahead, flags & 0xFFFFFFFF)
    sizes = (_BACKGROUND, _BACKGROUND * 3 // 4, MOUNT_REQUEST, 1, _PAGES)
    return form.pack(form.size, 0, unique, *both, *sizes, flags >> 32)


def _error(opcode: int, unique: int, code: int) -> bytes | None:
    """Return the reply of a failed request; FORGET takes none."""
    return None if opcode in (Opcode.FORGET, Opcode.BATCH_FORGET) else replies.failed(unique, code)
