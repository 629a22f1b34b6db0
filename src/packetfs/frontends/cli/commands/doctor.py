"""Tell what this machine has for PacketFS, what it lacks, and what to do about it.

Nothing is changed. The exit code is 0 unless something required is missing.
"""

from __future__ import annotations

from packetfs.errors import Unhealthy
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.output import Output
from packetfs.frontends.doctor.examine import examine
from packetfs.frontends.doctor.verdict import Need, Verdict
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs doctor", "look at this machine, and at where the pool lies"),
    ("pfs doctor --pool /mnt/big/pool", "look at another disk"),
    ("pfs doctor --json", "one JSON object a property"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Take no arguments of its own."""
    del arguments


def run(options: Options, output: Output) -> int:
    """Print one line a property."""
    missing = 0
    for verdict in examine(settings.pool_path(options.pool)):
        missing += verdict.fatal
        if output.json:
            _record(verdict, output)
        else:
            _print(verdict, output)
    if output.json:
        output.record("verdict", {"missing": missing})
    if missing:
        output.flush()
        raise Unhealthy(count=missing)
    if not output.json:
        output.line("This machine can run PacketFS.")
    return 0


def _record(verdict: Verdict, output: Output) -> None:
    advice = "" if verdict.good else verdict.advice
    fields = {"name": verdict.name, "need": verdict.need.value, "ok": verdict.good, "found": verdict.found}
    output.record("check", {**fields, "advice": advice})


def _print(verdict: Verdict, output: Output) -> None:
    word, style = _word(verdict)
    output.line(f"{output.paint(f'{word:<7}', style)} {verdict.name:<19}  {verdict.found}")
    if not verdict.good and verdict.advice:
        output.line(f"{'':<7} {'':<19}  {output.paint(verdict.advice, 'dim')}")


def _word(verdict: Verdict) -> tuple[str, str]:
    if verdict.good:
        return "ok", "green"
    return {Need.REQUIRED: ("MISSING", "red"), Need.ADVISED: ("lacks", "yellow")}.get(verdict.need, ("none", "dim"))
