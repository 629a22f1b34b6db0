"""The way to a daemon: a connection by TLS with the key that this side has for it, or by a Unix socket."""

from __future__ import annotations

import os
from types import TracebackType

from packetfs.net.access.keys import Servers
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.pulse import Pulse
from packetfs.net.link.tls import Credentials, TlsStream, dial
from packetfs.net.link.unix import visit
from packetfs.typing import Self


class Visitor:
    """A connection to a daemon and the channel on it."""

    def __init__(self, address: str, keys: str) -> None:
        self._stream = visit(address) if address.startswith("/") else _dial(address, keys)
        self.channel = FrameChannel(self._stream, address)
        self._pulse = Pulse(self.channel)

    def __enter__(self) -> Self:
        self._pulse.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pulse.__exit__(kind, error, at)
        self._stream.close()


def _dial(address: str, keys: str) -> TlsStream:
    return dial(address, Credentials(Servers(keys).token(address), client_identity(keys)))


def client_identity(keys: str) -> str:
    """Return the file of this side's private key and certificate."""
    return os.path.join(keys, "client.pem")


def server_identity(keys: str) -> str:
    """Return the file of the daemon's private key and certificate."""
    return os.path.join(keys, "server.pem")
