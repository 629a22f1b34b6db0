"""Be the far side of a sync, over standard input and output. `pfs sync` starts it on the other machine by itself."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from packetfs.errors import UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.output import Output

EXAMPLES: Final = (("ssh host pfs serve --stdio", "what `pfs sync` runs to reach host"),)
OPTIONS: Final = ("pool",)


def declare(parser: ArgumentParser) -> None:
    """Add the carrier."""
    parser.add_argument("--stdio", action="store_true", help="speak over standard input and output")


def run(options: Namespace, output: Output) -> int:
    """Serve one peer until it hangs up; memory is a goal here, so only the far side's code is imported."""
    if not options.stdio:
        raise UsageError(reason="serve needs --stdio")
    output.bar = None
    from packetfs.net.serve import serve_stdio

    return serve_stdio(settings.pool_path(options.pool), settings.history_path())
