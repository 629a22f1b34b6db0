"""`pfs serve --listen`: open the doors, serve until a signal, and write a line for each session."""

from __future__ import annotations

import os
import re
import signal
import threading

from packetfs.errors import NoKeys, UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.answering import answering
from packetfs.frontends.cli.arguments import Options
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.sizes import format_size
from packetfs.limits import HISTORY_WAIT
from packetfs.net.access.keys import KeyRing
from packetfs.net.job import PORT
from packetfs.net.link.tls import TlsDoor
from packetfs.net.link.unix import UnixDoor
from packetfs.net.link.visitor import server_identity
from packetfs.net.serving.daemon import Daemon, Door, Visit, listen
from packetfs.net.serving.serve import Service
from packetfs.typing import Final

_LISTEN: Final = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]*):)?(?P<port>[0-9]{1,5})?")


def run_daemon(options: Options, output: Output) -> int:
    """Serve until SIGTERM or SIGINT; NoKeys before anything listens where nobody could come in."""
    output.bar = None
    doors = [_door(text) for text in options.listen]
    pool, history = settings.pool_path(options.pool), settings.history_path()
    service = Service(pool, history, answering(options.pool), wait=HISTORY_WAIT)
    log = _Log(output)
    daemon = Daemon(doors, service, log.visit)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    for door in doors:
        log.say("listening", address=door.address)
    daemon.run()
    log.say("stopped")
    return 0


def _door(text: str) -> Door:
    if text.startswith("unix:"):
        return UnixDoor(os.path.abspath(text.removeprefix("unix:")))
    keys = settings.keys_path()
    ring, identity = KeyRing(keys), server_identity(keys)
    if not os.path.exists(identity) or not any(not key.revoked for key in ring.minted()):
        raise NoKeys(path=keys)
    return TlsDoor(listen(_address(text)), identity, ring)


def _address(text: str) -> tuple[str, int]:
    """Return the host, empty for every address, and the port of HOST, :PORT, HOST:PORT or PORT."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"] or PORT) >= 1 << 16:
        raise UsageError(reason=f"--listen {text}: it takes [HOST]:PORT or unix:PATH")
    return (match["host"] or "").strip("[]"), int(match["port"] or PORT)


class _Log:
    """Lines on standard output, from several threads."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()

    def say(self, what: str, **fields: str) -> None:
        with self._lock:
            if self._output.json:
                self._output.record(what, fields)
            else:
                self._output.line(" ".join((what, *fields.values())))
            self._output.flush()

    def visit(self, visit: Visit) -> None:
        with self._lock:
            if self._output.json:
                self._output.record("session", {name: getattr(visit, name) for name in Visit.__slots__})
            else:
                self._output.line(_words(visit))
            self._output.flush()


def _words(visit: Visit) -> str:
    moved = f"received {format_size(visit.received)}, sent {format_size(visit.sent)}, {visit.seconds:.2f} s"
    ended = f"failed ({visit.exit_code}): {visit.error}" if visit.error else "done"
    return printable(f"{visit.peer} {visit.name or 'a stranger'}: {visit.request or 'nothing'}; {moved}; {ended}")
