"""Be the far side of `pfs sync` and `pfs run --node`, over standard input and output: they start it by themselves."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from packetfs.errors import UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.output import Output

if TYPE_CHECKING:
    from packetfs.net.channel import FrameChannel
    from packetfs.net.wire import Run

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

    def answer(channel: FrameChannel, request: Run) -> None:
        from packetfs.engines.serve import answer_run  # a sync does not pay for it
        from packetfs.frontends.cli.inputs import open_requested
        from packetfs.frontends.cli.live import runtime

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
        answer_run(channel, request, lambda asked: open_requested(asked, options.pool), runtime(), _interrupt)

    return serve_stdio(settings.pool_path(options.pool), settings.history_path(), answer)


def _interrupt() -> None:
    """End the job as Ctrl-C would."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
