"""Show what the pool remembers of runs, or forget it.

`pfs run` keeps what a program computed on each part of a file in a pool, by the digests of program and bytes: where
neither changed, the next run takes it from there. It is a cache: forgetting it costs time, never data.
"""

from __future__ import annotations

from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.opening import open_pool
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.sizes import format_size
from packetfs.limits import MEMO_BYTES, MEMO_OUTPUTS
from packetfs.pool.memo import clear_memo, memo_status
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs memo", "how much is remembered, and how often it was of use"),
    ("pfs memo --clear", "forget it, and give its space back"),
)
OPTIONS: Final = ("json", "pool")
_LIMIT: Final = MEMO_BYTES + MEMO_OUTPUTS


def declare(arguments: Arguments) -> None:
    """Add how to forget, as a word too: that is how it is typed."""
    arguments.add("action", metavar="clear", nargs="?", choices=("clear",), help="the same as --clear")
    arguments.add("--clear", action="store_true", help="forget all results")


def run(options: Options, output: Output) -> int:
    """Show or clear."""
    with open_pool(options) as pool:
        if options.clear or options.action:
            freed = clear_memo(pool)
            if output.json:
                output.record("cleared", {"freed": freed})
            else:
                output.note(f"{format_size(freed)} freed")
            return 0
        status = memo_status(pool)
    if output.json:
        fields = {"results": status.results, "bytes": status.size, "limit": _LIMIT}
        output.record("memo", {**fields, "recalled": status.recalled, "run": status.run})
        return 0
    shards = status.recalled + status.run
    output.line(f"{format_size(status.size)} of {format_size(_LIMIT)}, {status.results:,} entries")
    output.line(f"{status.recalled:,} of {shards:,} shards were remembered, {status.recalled / max(shards, 1):.1%}")
    return 0
