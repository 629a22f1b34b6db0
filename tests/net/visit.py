"""A daemon for tests, in this process: keys, a pool, an exported directory, and clients of both kinds."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from packetfs.events import ignore
from packetfs.fs.filesystem import FileSystem
from packetfs.net.access.identity import certificate_of, fingerprint, make_identity
from packetfs.net.access.keys import Key, KeyRing, Servers, Token
from packetfs.net.job import Endpoint, Job, Summary
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.tls import Credentials, TlsDoor, TlsStream, dial
from packetfs.net.link.visitor import client_identity, server_identity
from packetfs.net.serving.daemon import ClosingStream, Daemon, Visit, listen
from packetfs.net.serving.serve import Answer, Service
from packetfs.net.sync import run
from packetfs.net.wire.messages import MAGIC, PROTOCOL, Hello, Option
from packetfs.pool.pool import Pool


class Host:
    """A running daemon below `base`: its pool, `base/export`, and what it logged."""

    def __init__(self, base: Path, answer: Answer | None = None) -> None:
        self.base, self.export, self.pool = base, base / "export", base / "pool"
        self.keys, self.near = str(base / "keys"), str(base / "near")
        self.export.mkdir()
        with Pool.create(str(self.pool), mean=4096, durable=False) as pool, FileSystem(pool) as fs:
            fs.commit()
        make_identity(server_identity(self.keys), "server")
        self.ring = KeyRing(self.keys)
        self.visits: list[Visit] = []
        self.door = TlsDoor(listen(("127.0.0.1", 0)), server_identity(self.keys), self.ring)
        self.service = Service(str(self.pool), str(base / "history"), answer, wait=20)
        self.daemon = Daemon([self.door], self.service, self.visits.append)
        self.streams: list[ClosingStream] = []
        self._thread = threading.Thread(target=self.daemon.run)
        self._thread.start()

    def end(self) -> None:
        """Stop the daemon alone."""
        self.daemon.stop()
        self._thread.join()

    def stop(self) -> None:
        self.end()
        while self.streams:
            self.streams.pop().close()

    def mint(self, name: str = "key", **fields: object) -> Token:
        """Add a key, and let the client know its token."""
        given: dict[str, object] = {"certificate": "", "read": (), "write": (), **fields}
        key = Key(name, "", "", **given)  # type: ignore[arg-type]
        token = self.ring.add(key, fingerprint(certificate_of(server_identity(self.keys))))
        Servers(self.near).trust(self.door.address, token)
        return token

    def path(self, path: str | Path) -> Endpoint:
        """Return an endpoint of the daemon: an absolute path, or pfs:PATH."""
        text = str(path)
        pool = "" if text.startswith("pfs:") else None
        return Endpoint(self.door.address, pool, os.fsencode(text.removeprefix("pfs:")), daemon=True)

    def sync(self, source: Endpoint | str | Path, destination: Endpoint | str | Path, **options: object) -> Summary:
        given: dict[str, Any] = {"history": str(self.base / "near-history"), "keys": self.near, **options}
        return run(Job(_end(source), _end(destination), **given), ignore)

    def dial(self, token: Token) -> TlsStream:
        stream = dial(self.door.address, Credentials(token, client_identity(self.near)), 20)
        self.streams.append(stream)
        return stream

    def channel(self, token: Token, path: bytes, options: Option = Option(0), *, pool: bool = True) -> FrameChannel:  # noqa: B008
        """Return a channel on which a peer has said HELLO."""
        stream = self.dial(token)
        channel = FrameChannel(stream, "the daemon")
        options |= Option.POOL if pool else Option(0)
        channel.send(Hello(MAGIC, PROTOCOL, options, b"", path, b"", 4096, 1 << 30))
        return channel


def _end(place: Endpoint | str | Path) -> Endpoint:
    return place if isinstance(place, Endpoint) else Endpoint(None, None, os.fsencode(place))
