"""Watch live microVMs: the jobs, what their microVMs do, and how fast. On a terminal once a second, until Ctrl-C."""

from __future__ import annotations

import time

from packetfs.errors import UsageError
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.live import LEFT, STATES, Live, aligned, fields, look, rows
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.sizes import format_size
from packetfs.typing import Final, Iterator

EXAMPLES: Final = (("pfs top", "until Ctrl-C"), ("pfs top -n 3 --json", "three looks, for a script"))
OPTIONS: Final = ("json",)
_HOME: Final = b"\x1b[H\x1b[2J"
"""Go to the upper left corner and clear the screen."""


def declare(arguments: Arguments) -> None:
    """Add how often."""
    add = arguments.add
    add("-n", "--iterations", metavar="N", type=int, help="look N times (default: no end on a terminal, else once)")
    add("--interval", metavar="SECONDS", type=float, default=1.0, help="seconds between two looks (default: 1)")


def run(options: Options, output: Output) -> int:
    """Look and show, again and again."""
    if (options.iterations is not None and options.iterations < 1) or not 0.05 <= options.interval <= 3600:
        raise UsageError(reason="-n is 1 or more, --interval from 0.05 to 3600 seconds")
    screen = output.terminal and not output.json
    left = options.iterations if options.iterations is not None or screen else 1
    before: dict[str, Live] = {}
    while left is None or left > 0:
        found = list(look())
        _show(found, before, output, options.interval, screen=screen)
        output.flush()
        left = None if left is None else left - 1
        before = {live.job.name: live for live in found}
        if left is None or left:
            time.sleep(options.interval)
    return 0


def _show(found: list[Live], before: dict[str, Live], output: Output, seconds: float, *, screen: bool) -> None:
    if output.json:
        for live in found:
            output.record("job", fields(live))
        return
    if screen:
        output.write(_HOME)
    for line in _lines(found, before, seconds):
        output.line(line)


def _lines(found: list[Live], before: dict[str, Live], seconds: float) -> Iterator[str]:
    counts = ", ".join(f"{sum(live.states[state] for live in found):,} {state.name.lower()}" for state in STATES)
    yield f"{len(found)} job{'s' if len(found) != 1 else ''}; microVMs: {counts}"
    if not found:
        return
    yield ""
    table = rows(found)
    rates = [["bytes/s", "slots/s"], *(_rates(live, before.get(live.job.name), seconds) for live in found)]
    yield from aligned([[*row[:4], *rate, *row[4:]] for row, rate in zip(table, rates, strict=True)], LEFT)


def _rates(live: Live, before: Live | None, seconds: float) -> list[str]:
    """Return what a job did since the last look; nothing at the first."""
    if before is None:
        return ["", ""]
    read = max(0, live.done - before.done)
    executed = max(0, live.executed - before.executed)
    return [format_size(round(read / seconds)), f"{executed / seconds / 1e6:,.1f} M"]
