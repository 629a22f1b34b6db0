"""A daemon: it listens, lets in who has a key, and serves each peer in a thread of its own.

Strangers have HANDSHAKE seconds to show a key, and there are a few of an address at a time. A session ends soon after
its key was revoked. When the daemon stops, every session is told and has STOP_SECONDS.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

from packetfs.dataclass import dataclass
from packetfs.errors import NotListening, PacketFSError, RevokedKey, ServerFull, ServerStopping
from packetfs.limits import REVISIT, SESSIONS_A_KEY, SESSIONS_MAX, STOP_SECONDS, STRANGERS_AN_ADDRESS
from packetfs.net.access.rights import Rights
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.paced import Pace
from packetfs.net.link.pulse import Pulse
from packetfs.net.link.stream import Stream
from packetfs.net.serving.serve import Service, serve
from packetfs.typing import Final, Protocol

_BACKLOG: Final = 64


class Guest(Protocol):
    """Somebody who has connected: a stream, and what it may, once it has shown who it is."""

    @property
    def stream(self) -> ClosingStream: ...

    def rights(self) -> Rights:
        """Return what the peer may do; an error that it is told where it may nothing."""

    def check(self) -> None:
        """Raise RevokedKey where the rights that were returned have ended."""


class ClosingStream(Stream, Protocol):
    """A stream of a daemon."""

    def end(self, reason: PacketFSError) -> None:
        """Let whoever uses this stream meet `reason`: called from another thread."""

    def close(self) -> None:
        """Close it, the last words first."""


class Door(Protocol):
    """A socket that listens, and how to let in who comes through it."""

    listening: socket.socket
    address: str

    def admit(self, raw: socket.socket, peer: str) -> Guest:
        """Make a guest of a connection; OSError where nobody is there who speaks this way."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One session, when it is over: who, from where, what, how much, and what went wrong."""

    peer: str
    name: str
    request: str
    received: int
    sent: int
    seconds: float
    error: str
    exit_code: int


class Daemon:
    """Serves what comes through its doors until it is stopped."""

    def __init__(self, doors: list[Door], service: Service, log: Callable[[Visit], None]) -> None:
        self._doors = doors
        self._service = service
        self._log = log
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, Guest | None] = {}
        self._strangers: Counter[str] = Counter()
        self._sessions: Counter[str] = Counter()
        self._paces: dict[str, Pace] = {}
        self._wake, self._waker = os.pipe()
        self._stopping = False
        self._due = 0.0

    def stop(self) -> None:
        """End `run` soon; may be called by a signal handler."""
        if not self._stopping:
            self._stopping = True
            os.write(self._waker, b"\0")

    def run(self) -> None:
        """Serve until `stop`, then tell every session and wait for it."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        doors = {door.listening.fileno(): door for door in self._doors}
        for descriptor in doors:
            poll.register(descriptor, select.POLLIN)
        try:
            while not self._stopping:
                for descriptor, _ in poll.poll(REVISIT * 1000 if self._threads else None):
                    if descriptor in doors:
                        self._accept(doors[descriptor])
                self._revisit()
        finally:
            self._close()

    def _accept(self, door: Door) -> None:
        try:
            raw, address = door.listening.accept()
        except OSError:  # gone already, or no descriptor left: the pause lets sessions end
            time.sleep(0.05)
            return
        host = address[0] if isinstance(address, tuple) else ""
        if len(self._threads) >= SESSIONS_MAX or (host and self._strangers[host] >= STRANGERS_AN_ADDRESS):
            raw.close()
            return
        visit = _Visit(f"{host}:{address[1]}" if host else door.address, host)
        thread = threading.Thread(target=self._host, args=(door, raw, visit), name=f"session {visit.peer}", daemon=True)
        with self._lock:
            self._threads[thread] = None
            self._strangers[host] += 1
        try:
            thread.start()
        except RuntimeError:  # the system lets none begin: it is as if too many were here
            self._forget(thread, raw, visit)

    def _revisit(self) -> None:
        """End the sessions whose rights have ended."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + REVISIT
        with self._lock:
            guests = list(self._threads.values())
        for guest in guests:
            if guest is not None:
                try:
                    guest.check()
                except RevokedKey as error:
                    guest.stream.end(error)
                except (PacketFSError, OSError):  # keys that cannot be read let nobody in, and throw nobody out
                    continue

    def _host(self, door: Door, raw: socket.socket, visit: _Visit) -> None:
        """Serve one connection, and forget it."""
        try:
            guest = door.admit(raw, visit.peer)
            self._receive(guest, visit)
        except Exception as error:  # a stranger must not end the daemon
            visit.error = visit.error or f"{type(error).__name__}: {error}"
        finally:
            self._forget(threading.current_thread(), raw, visit)
            self._log(visit.done())

    def _forget(self, thread: threading.Thread, raw: socket.socket, visit: _Visit) -> None:
        with contextlib.suppress(OSError):
            raw.close()
        self._is_known(visit)
        with self._lock:
            del self._threads[thread]

    def _receive(self, guest: Guest, visit: _Visit) -> None:
        with self._lock:
            self._threads[threading.current_thread()] = guest
        if self._stopping:
            guest.stream.end(ServerStopping())
        channel = FrameChannel(guest.stream, "the client")
        try:
            with Pulse(channel):
                told = serve(channel, self._service, lambda: self._enter(guest, visit, channel))
        finally:
            with self._lock:
                self._sessions[visit.name] -= 1
            guest.stream.close()
        visit.received, visit.sent = channel.received, channel.sent
        visit.request, visit.error, visit.exit_code = told.request, told.error, told.exit_code

    def _enter(self, guest: Guest, visit: _Visit, channel: FrameChannel) -> Rights:
        rights = guest.rights()
        self._is_known(visit)
        with self._lock:
            visit.name = rights.name
            self._sessions[visit.name] += 1
            if self._sessions[visit.name] > SESSIONS_A_KEY:
                raise ServerFull(limit=SESSIONS_A_KEY, of=f" of {rights.name}")
        if rights.rate:
            channel.keep_to(self._pace_of(rights))
        return rights

    def _pace_of(self, rights: Rights) -> Pace:
        """Return the pace that all sessions of a key share."""
        with self._lock:
            pace = self._paces.get(rights.name)
            if pace is None or pace.rate != rights.rate:
                pace = self._paces[rights.name] = Pace(rights.rate)
            return pace

    def _is_known(self, visit: _Visit) -> None:
        """Count a visitor no longer among the strangers of its address."""
        with self._lock:
            if visit.is_stranger:
                visit.is_stranger = False
                self._strangers[visit.host] -= 1
                self._strangers += Counter()  # forgets addresses without any

    def _close(self) -> None:
        for door in self._doors:
            door.listening.close()
        with self._lock:
            running = dict(self._threads)
        for guest in running.values():
            if guest is not None:
                guest.stream.end(ServerStopping())
        until = time.monotonic() + STOP_SECONDS
        for thread in running:
            thread.join(max(0.0, until - time.monotonic()))
        os.close(self._wake)
        os.close(self._waker)


class _Visit:
    """A session under way."""

    def __init__(self, peer: str, host: str) -> None:
        self.peer, self.host = peer, host
        self.is_stranger = True
        self.name = self.request = self.error = ""
        self.received = self.sent = self.exit_code = 0
        self._started = time.monotonic()

    def done(self) -> Visit:
        seconds = time.monotonic() - self._started
        return Visit(self.peer, self.name, self.request, self.received, self.sent, seconds, self.error, self.exit_code)


def listen(address: tuple[str, int]) -> socket.socket:
    """Return a TCP socket that listens on an address, and on both families where the host is empty."""
    host, port = address
    family = socket.AF_INET6 if ":" in host or (not host and socket.has_dualstack_ipv6()) else socket.AF_INET
    try:
        return socket.create_server(
            address, family=family, backlog=_BACKLOG, dualstack_ipv6=family == socket.AF_INET6 and not host
        )
    except OSError as error:
        raise NotListening(address=f"{host or '*'}:{port}", reason=error.strerror or str(error)) from None
