"""Make DST equal to SRC; what DST has already is not sent again.

SRC and DST are PATH (a local directory or file), host:PATH (over ssh), pfs:PATH (in the pool) or host:pfs:PATH (in the
pool of another machine). A colon before any slash ends a host's name: write ./a:b for a local file. A daemon's are
pfs+tls://HOST[:PORT]/PATH (or .../pfs:PATH), which needs a key from `pfs keys`, and pfs+unix://SOCKET:PATH.

A slash at the end of SRC means the directory's contents, as in rsync: `pfs sync docs host:/srv` makes /srv/docs,
`pfs sync docs/ host:/srv` fills /srv itself. A slash at the end of DST changes nothing.

Into a pool every sync is a snapshot. Files that cannot be read, vanish or change under the sync are named, the rest
goes on, and the exit code is 3. A sync that was interrupted is finished by running it again: a pool keeps what came, a
directory the files that were whole.

With --watch the connection stands after the sync, to each of several DST: a file is sent when it is closed, or quiet
while it stays open. A lost connection is made again; one that is refused (a key that was revoked) ends the watch. Names
that go at SRC go at DST with --delete only. A pool's names follow each change; snapshots are taken every ten minutes
and at the end.
"""

from __future__ import annotations

import os

from packetfs.errors import Partial, UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.endpoint import parse_endpoint, shell_words
from packetfs.frontends.cli.listener import Reporter
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.sizes import parse_rate, parse_size
from packetfs.frontends.cli.summary import print_summary
from packetfs.limits import KEEP
from packetfs.net.job import Job
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs sync docs/ host:/srv/docs", "make /srv/docs on host equal to docs"),
    ("pfs sync -n -i --delete docs/ host:/srv/docs", "show what that would change and delete"),
    ("pfs sync docs pfs:backup", "docs as backup/docs in the pool, as a snapshot"),
    ("pfs sync --watch docs/ pfs:docs host:/srv/docs", "keep both equal to docs while it changes"),
    ("pfs sync -e 'ssh -p 2222' host:pfs:backup/ restored", "out of the pool of another machine"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Add SRC, DST and the options."""
    add = arguments.add
    add("source", metavar="SRC", help="what to copy")
    add("destinations", metavar="DST", nargs="+", help="what to make equal to it (several with --watch)")
    add("-n", "--dry-run", action="store_true", help="change nothing, list what would change (implies -i)")
    add("-i", "--itemize", action="store_true", help="list each change: new, content, metadata, link or delete")
    add("--delete", action="store_true", help="delete what SRC does not have")
    add("--watch", action="store_true", help="go on: send each change when it happens, until Ctrl-C")
    add("--checksum", action="store_true", help="read all files, even unchanged ones; in a pool, bring what is damaged")
    add("-e", "--rsh", metavar="CMD", help="reach hosts by CMD instead of ssh ($PACKETFS_RSH)")
    add("--bwlimit", metavar="SIZE", help="move at most SIZE a second to and from another machine")
    add("--keep", metavar="SIZE", help=f"remember at most SIZE of old content (default: {KEEP >> 30} GiB)")
    add("--far-pool", metavar="DIR", help="the pool on the other machine (default: its own choice)")
    add("--far-command", metavar="CMD", default="pfs", help="how the other machine calls PacketFS (default: pfs)")


def run(options: Options, output: Output) -> int:
    """Run the job and print its summary; Partial when files could not be handled."""
    if options.watch:
        from packetfs.frontends.cli.watching import run_watch

        return run_watch([(name, make_job(options, name)) for name in options.destinations], output)
    if len(options.destinations) > 1:
        raise UsageError(reason="several DST need --watch")
    job = make_job(options, options.destinations[0])
    from packetfs.net.sync import run as run_job  # after the arguments were found good

    if job.source.host is None and job.source.pool and os.path.exists(job.source.pool):
        from packetfs.frontends.deriving import run_all

        run_all(job.source.pool)
    reporter = Reporter(output, itemize=options.itemize or options.dry_run)
    summary = run_job(job, reporter)
    print_summary(summary, output, dry_run=job.dry_run)
    if summary.troubles:
        output.flush()
        raise Partial(count=summary.troubles)
    return 0


def make_job(options: Options, name: str) -> Job:
    """Return the job that the arguments describe; UsageError where they contradict each other."""
    pool = settings.pool_path(options.pool)
    source = parse_endpoint(options.source, pool, options.far_pool)
    destination = parse_endpoint(name, pool, options.far_pool)
    if source.host is not None and destination.host is not None:
        raise UsageError(reason="SRC and DST are both on other machines; run pfs on one of the two")
    return Job(
        source,
        destination,
        history=settings.history_path(),
        dry_run=options.dry_run,
        delete=options.delete,
        checksum=options.checksum,
        keep=KEEP if options.keep is None else parse_size(options.keep),
        shell=shell_words(settings.remote_shell(options.rsh)),
        far_command=options.far_command,
        keys=settings.keys_path(),
        rate=0 if options.bwlimit is None else parse_rate(options.bwlimit),
    )
