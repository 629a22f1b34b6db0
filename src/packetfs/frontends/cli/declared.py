"""What the command line of each command is made of: its own arguments, and the options that commands share."""

from __future__ import annotations

from packetfs.frontends.cli.arguments import Argument, Arguments, Options
from packetfs.frontends.cli.commands import Command
from packetfs.frontends.cli.output import Output
from packetfs.importlib import import_module
from packetfs.typing import Final, Protocol, Sequence, cast

LEADING_VALUES: Final = ("--pool", "--color")
"""Shared options that take a value; they may stand before the command."""
LEADING: Final = ("--help", "--version", "--json", "--quiet", "--verbose", *LEADING_VALUES)
"""Options that mean something without a command, or before it."""


class CommandModule(Protocol):
    """What a module of commands/ has."""

    __doc__: str | None
    EXAMPLES: tuple[tuple[str, str], ...]
    OPTIONS: tuple[str, ...]

    def declare(self, arguments: Arguments) -> None:
        """Add the command's own arguments."""

    def run(self, options: Options, output: Output) -> int:
        """Do it and return the exit code."""


def load(command: Command) -> CommandModule:
    """Import the command's module."""
    return cast("CommandModule", import_module(command.module))


def own_arguments(module: CommandModule) -> Arguments:
    """Return what a command declares."""
    arguments = Arguments()
    module.declare(arguments)
    return arguments


def shared_options(module: CommandModule) -> list[Argument]:
    """Return the shared options that a command takes."""
    return [option for name, option in SHARED.items() if name in (*module.OPTIONS, *_EVERYWHERE)]


def all_arguments(module: CommandModule) -> Arguments:
    """Return all that a command takes."""
    arguments = own_arguments(module)
    arguments.declared += shared_options(module)
    return arguments


def _flag(*names: str, help: str) -> Argument:  # noqa: A002 (argparse's name)
    return Argument(names, {"action": "store_true", "help": help})


def _valued(name: str, **settings: object) -> Argument:
    return Argument((name,), settings)


SHARED: Final = {
    "json": _flag("--json", help="write one JSON object a line instead of text"),
    "pool": _valued(
        "--pool", metavar="DIR", help="the pool (default: $PACKETFS_POOL, else packetfs/pool in your data directory)"
    ),
    "quiet": _flag("-q", "--quiet", help="no notes and no progress, errors only"),
    "verbose": _flag("-v", "--verbose", help="say more"),
    "color": _valued(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour (default: on a terminal)"
    ),
}
_EVERYWHERE: Final = ("quiet", "verbose", "color")


def add_snapshot_option(arguments: Arguments) -> None:
    """Let a command look into a snapshot."""
    text = "as it was in this snapshot; paths are those of the pool, or relative to the snapshot's directory"
    arguments.add("--snapshot", metavar="NAME", help=text)


def split_command(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the command and the other arguments: shared options may stand before the command as well as after it."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        at += 2 if arguments[at] in LEADING_VALUES else 1
    if at >= len(arguments):
        return None, list(arguments)
    return arguments[at], [*arguments[:at], *arguments[at + 1 :]]
