"""TLS 1.3 as a stream, from both sides. Each knows the other by what it pinned: a fingerprint, a secret, a certificate.

The socket never blocks and OpenSSL is called under a lock, since a heartbeat may be said while another thread reads. A
call handles one record of 16 KiB without the interpreter's lock; waiting is done outside, in poll.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import select
import socket
import ssl
import threading
import time

from packetfs.dataclass import dataclass
from packetfs.errors import CertificateRefused, KeyNotShown, NoDaemon, NoKey, PacketFSError, UnknownKey, WrongServer
from packetfs.limits import HANDSHAKE, PATIENCE
from packetfs.net.access.identity import certificate_of, certificate_text, fingerprint, require_current, shown
from packetfs.net.access.keys import NO_SECRET, NUMBER, SECRET, Key, KeyRing, Token
from packetfs.net.access.rights import Rights
from packetfs.net.link.stream import await_room
from packetfs.net.wire.batch import Origin
from packetfs.net.wire.messages import MAGIC
from packetfs.packet.layout import Buffer
from packetfs.typing import Final

_SMALL: Final = 16 * 1024
"""Parts up to this size go together into one record."""
_GOODBYE: Final = 2.0
"""Seconds in which the peer may still read the last words."""
_HELLO: Final = len(MAGIC) + NUMBER + SECRET


class TlsStream:
    """A TLS connection, handshake included: `until` is when it must be done."""

    def __init__(self, tls: ssl.SSLSocket, until: float, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._ending: PacketFSError | None = None
        self._ended = False
        self._tls = tls
        self._lock = threading.Lock()
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(tls, select.POLLIN)
        self._writable.register(tls, select.POLLOUT)
        tls.setblocking(False)
        tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._shake_hands(until)
        except BaseException:
            self.close()
            raise

    def _shake_hands(self, until: float) -> None:
        while True:
            try:
                return self._tls.do_handshake()
            except ssl.SSLWantReadError:
                waiting = self._readable
            except ssl.SSLWantWriteError:
                waiting = self._writable
            if not waiting.poll(max(0.0, until - time.monotonic()) * 1000):
                raise TimeoutError

    @property
    def certificate(self) -> bytes:
        """The peer's certificate as DER, b"" where it showed none."""
        return self._tls.getpeercert(binary_form=True) or b""

    def read_into(self, view: memoryview) -> int:
        while True:
            self._go_on()
            try:
                with self._lock:
                    return self._tls.recv_into(view)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if not self.hears(self.patience):
                    raise TimeoutError from None
            except ssl.SSLError as error:
                raise _explain(error) from None

    def read_exactly(self, size: int, until: float) -> bytes:
        """Return the first bytes of a peer that is no friend yet; TimeoutError when they are late."""
        data = bytearray(size)
        at = 0
        patience = self.patience
        try:
            while at < size:
                self.patience = max(0.0, until - time.monotonic())
                count = self.read_into(memoryview(data)[at:])
                if not count:
                    raise KeyNotShown
                at += count
        finally:
            self.patience = patience
        return bytes(data)

    def write(self, parts: list[Buffer]) -> None:
        for part in _joined(parts):
            view = memoryview(part)
            while view:
                view = view[self._send(view) :]

    def _send(self, view: memoryview) -> int:
        while True:
            self._go_on()
            try:
                with self._lock:
                    return self._tls.send(view)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                await_room(self._writable, self._tls.fileno(), self.patience)
            except ssl.SSLError as error:
                raise _explain(error) from None

    def write_from(self, origin: Origin, parts: list[Buffer]) -> None:  # noqa: ARG002 (what is encrypted passes memory)
        self.write(parts)

    def hears(self, seconds: float) -> bool:
        return self._tls.pending() > 0 or bool(self._readable.poll(seconds * 1000))

    def end(self, reason: PacketFSError) -> None:
        """Let whoever uses this stream meet `reason`, once, however often it is said: called from another thread."""
        if self._ended:
            return  # its last words are on their way
        self._ended = True
        self._ending = reason
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._tls, socket.SHUT_RD)  # wakes a reader; the method of TLS would end it

    def _go_on(self) -> None:
        if self._ending is not None:
            reason, self._ending = self._ending, None
            raise reason

    def close(self) -> None:
        """Close, so that the last words arrive: what still comes in would reset the connection, and lose them."""
        with contextlib.suppress(OSError, ValueError):
            raw = socket.socket(fileno=os.dup(self._tls.fileno()))
            self._tls.close()
            with raw:
                raw.shutdown(socket.SHUT_WR)
                raw.settimeout(_GOODBYE)
                until = time.monotonic() + _GOODBYE
                while time.monotonic() < until and raw.recv(1 << 16):
                    pass


def _joined(parts: list[Buffer]) -> list[Buffer]:
    """Put neighbours that are small together: each record costs 22 bytes and a call."""
    out: list[Buffer] = []
    for part in parts:
        if out and isinstance(out[-1], bytearray) and len(out[-1]) + len(part) <= _SMALL:
            out[-1] += part
        else:
            out.append(bytearray(part) if len(part) <= _SMALL else part)
    return out


def _explain(error: ssl.SSLError) -> Exception:
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        return CertificateRefused(peer="the server", reason=reason)
    return ConnectionResetError(None, reason)


# the client


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a server: a token, and where its key has no secret, the file of this side's certificate."""

    token: Token
    identity: str


def dial(address: str, credentials: Credentials, patience: float = PATIENCE) -> TlsStream:
    """Connect to a daemon, make sure that it is the one that the token is for, and show the key."""
    host, port = split_address(address)
    until = time.monotonic() + HANDSHAKE
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the fingerprint is compared instead
    if credentials.token.secret == NO_SECRET:
        _load_identity(context, credentials.identity, address)
    try:
        raw = socket.create_connection((host, port), HANDSHAKE)
        stream = TlsStream(context.wrap_socket(raw, do_handshake_on_connect=False), until, patience)
    except TimeoutError:
        raise NoDaemon(peer=address, reason="it does not answer") from None
    except OSError as error:
        raise NoDaemon(peer=address, reason=error.strerror or str(error)) from None
    try:
        _require_server(stream, address, credentials.token)
        _show(stream, address, credentials.token)
    except BaseException as error:
        stream.close()
        if isinstance(error, OSError) and not isinstance(error, PacketFSError):
            raise NoDaemon(peer=address, reason=error.strerror or str(error)) from None
        raise
    return stream


def _show(stream: TlsStream, address: str, token: Token) -> None:
    """Show the key; a server that has refused the certificate says so to whoever reads."""
    try:
        stream.write([MAGIC, token.number, token.secret])
    except OSError:
        stream.read_into(memoryview(bytearray(1)))
        raise NoDaemon(peer=address, reason="it closed the connection") from None


def _load_identity(context: ssl.SSLContext, path: str, address: str) -> None:
    try:
        context.load_cert_chain(path)
    except OSError:
        raise NoKey(peer=address) from None


def _require_server(stream: TlsStream, address: str, token: Token) -> None:
    found = fingerprint(stream.certificate)
    if not hmac.compare_digest(found, token.fingerprint):
        raise WrongServer(peer=address, fingerprint=shown(found))
    require_current(stream.certificate, address)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT or [HOST]:PORT."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


# the server


def server_context(identity: str, ring: KeyRing) -> ssl.SSLContext:
    """Return the context of one connection: a client may show a certificate, and only one that a key names passes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nobody comes back by a ticket: keys can be revoked
    context.load_cert_chain(identity)
    known = "".join({key.certificate for key in ring.minted() if key.certificate and not key.revoked})
    context.verify_mode = ssl.CERT_OPTIONAL
    if known:
        context.load_verify_locations(cadata=known)
    return context


def admit(raw: socket.socket, context: ssl.SSLContext, patience: float = PATIENCE) -> tuple[TlsStream, float]:
    """Shake hands with whoever connected; return the stream, and until when it must show a key."""
    until = time.monotonic() + HANDSHAKE
    return TlsStream(context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False), until, patience), until


def identify(stream: TlsStream, ring: KeyRing, until: float) -> Key:
    """Return the key that the peer shows; UnknownKey, RevokedKey, TimeoutError."""
    said = stream.read_exactly(_HELLO, until)
    if not said.startswith(MAGIC):
        raise UnknownKey
    number, secret = said[len(MAGIC) : len(MAGIC) + NUMBER], said[-SECRET:]
    der = stream.certificate
    return ring.find(number, secret, certificate_text(ssl.DER_cert_to_PEM_cert(der)) if der else "")


class TlsGuest:
    """Somebody who speaks TLS and has HANDSHAKE seconds, from the first packet on, to show a key."""

    def __init__(self, stream: TlsStream, ring: KeyRing, until: float) -> None:
        self.stream = stream
        self._ring = ring
        self._until = until
        self._key: Key | None = None

    def rights(self) -> Rights:
        self._key = identify(self.stream, self._ring, self._until)
        return self._key.rights

    def check(self) -> None:
        if self._key is not None:
            self._ring.require(self._key)


class TlsDoor:
    """A TCP socket whose peers speak TLS; keys are looked up anew for each."""

    def __init__(self, listening: socket.socket, identity: str, ring: KeyRing) -> None:
        require_current(certificate_of(identity), "the server")
        self.listening = listening
        host, port = listening.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._identity = identity
        self._ring = ring

    def admit(self, raw: socket.socket, peer: str) -> TlsGuest:  # noqa: ARG002 (an address proves nothing)
        stream, until = admit(raw, server_context(self._identity, self._ring))
        return TlsGuest(stream, self._ring, until)
