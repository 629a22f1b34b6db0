"""Be the far side of `pfs sync`: over standard input and output, which it starts by itself, or as a daemon.

It also answers `pfs run --node`. With --only it serves these paths and nothing else, whatever the client asks ssh
to run; so a key can be given away that opens no more. In authorized_keys:
command="pfs serve --stdio --only /srv/backup --read-only",restrict ssh-ed25519 AAAA...

--listen needs keys (`pfs keys add`), since nobody comes in without one; each says what it opens. It runs in the
foreground until SIGTERM or Ctrl-C, and writes a line for each session; docs/packetfs-serve.service is for systemd.
"""

from __future__ import annotations

import os

from packetfs.errors import UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.answering import answering
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.output import Output
from packetfs.limits import ENDING_WAIT
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.fs.filesystem import FileSystem
    from packetfs.net.access.rights import Rights

EXAMPLES: Final = (
    ("ssh host pfs serve --stdio", "what `pfs sync` runs to reach host"),
    ("pfs keys add laptop --write pfs:laptop", "mint a key first, then"),
    ("pfs serve --listen :7272", "serve everybody who has one"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Add the carrier, and what is served over it."""
    add = arguments.add
    add("--stdio", action="store_true", help="speak over standard input and output")
    add("--only", metavar="PATH", action="append", help="with --stdio: serve this path (or pfs:PATH) and no other")
    add("--read-only", action="store_true", help="with --stdio: let the other side write nothing")
    add("--listen", metavar="[HOST]:PORT", action="append", help="speak TLS to who has a key; unix:PATH: to this user")


def run(options: Options, output: Output) -> int:
    """Serve; memory is a goal here, so only the far side's code is imported."""
    if options.stdio == bool(options.listen):
        raise UsageError(reason="serve needs --stdio or --listen")
    if options.listen:
        if options.only or options.read_only:
            raise UsageError(reason="--only and --read-only go with --stdio; each key of a daemon has its own rights")
        from packetfs.frontends.cli.listening import run_daemon

        return run_daemon(options, output)
    output.bar = None
    from packetfs.net.serving.serve import Service, serve_stdio

    pool, history = settings.pool_path(options.pool), settings.history_path()
    service = Service(pool, history, answering(options.pool), wait=ENDING_WAIT, prepare=_prepare)
    return serve_stdio(service, _rights(options))


def _rights(options: Options) -> Rights:
    from packetfs.net.access.rights import Rights, parse_grant

    if not options.only and not options.read_only:
        return Rights()
    paths = [path if path.startswith("pfs:") else os.path.abspath(path) for path in options.only or ("/", "pfs:")]
    return Rights(grants=tuple(parse_grant(path, write=not options.read_only) for path in paths))


def _prepare(filesystem: FileSystem) -> None:
    """Run the derived files that were not run yet: what is sent is content."""
    from packetfs.fs.derived import waiting

    if waiting(filesystem):
        from packetfs.frontends.deriving import run_waiting

        run_waiting(filesystem)
