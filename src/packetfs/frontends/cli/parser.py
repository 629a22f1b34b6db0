"""The command line: shared options, and an argparse whose errors go through the boundary and suggest what was meant."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib import import_module

from packetfs.errors import UsageError
from packetfs.errors.suggest import suggestion
from packetfs.frontends import settings
from packetfs.frontends.cli.commands import Command
from packetfs.frontends.cli.output import Output
from packetfs.typing import Final, NoReturn, Protocol, cast

LEADING_VALUES: Final = ("--pool", "--color")
"""Shared options that take a value; they may stand before the command."""
LEADING: Final = ("--help", "--version", "--json", "--quiet", "--verbose", *LEADING_VALUES)
"""Options that mean something without a command, or before it."""


class CommandModule(Protocol):
    """What a module of commands/ has."""

    __doc__: str | None
    EXAMPLES: tuple[tuple[str, str], ...]
    OPTIONS: tuple[str, ...]

    def declare(self, parser: ArgumentParser) -> None:
        """Add the command's own arguments."""

    def run(self, options: Namespace, output: Output) -> int:
        """Do it and return the exit code."""


class HelpFormatter(RawDescriptionHelpFormatter):
    """argparse's, told the width of the terminal: to find it out, it would import shutil for every command line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=settings.terminal_width() - 2)


class _Mistake(Exception):
    """What argparse says of a command line that it does not take."""


class CommandParser(ArgumentParser):
    """argparse whose errors are UsageError."""

    def parse(self, words: Sequence[str]) -> Namespace:
        """Return the options of a command line, in which files may stand before options."""
        self.usage = ""  # or argparse would make it up for every command line, which compiles twenty patterns
        try:
            return self.parse_intermixed_args(words)
        except _Mistake as mistake:
            message = str(mistake)
        self.usage = None
        usage = self.format_usage().removeprefix("usage: ").strip()
        raise UsageError(reason=f"{message}{self._suggest(message)} (usage: {' '.join(usage.split())})")

    def error(self, message: str) -> NoReturn:
        raise _Mistake(message.replace(": ignored explicit argument", ": nothing may stand behind it, as does"))

    def _suggest(self, message: str) -> str:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown == message:
            return ""
        word = unknown.split()[0].partition("=")[0]
        name = word.lstrip("-").upper()
        if any(name == action.metavar for action in self._actions if not action.option_strings):
            return f"; {name} is written without {word}"
        return suggestion(word, [name for action in self._actions for name in action.option_strings])


def load(command: Command) -> CommandModule:
    """Import the command's module."""
    return cast("CommandModule", import_module(command.module))


def build_parser(command: Command, module: CommandModule) -> CommandParser:
    """Return the parser of one command."""
    parser = CommandParser(
        prog=f"pfs {command.name}",
        description=module.__doc__,
        epilog=_examples(module),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    module.declare(parser)
    shared = parser.add_argument_group("shared options")
    for name in ("json", "pool"):
        if name in module.OPTIONS:
            SHARED[name](shared.add_argument)
    for name in ("quiet", "verbose", "color"):
        SHARED[name](shared.add_argument)
    parser.set_defaults(json=False, pool=None)
    return parser


def _examples(module: CommandModule) -> str:
    width = max(len(line) for line, _ in module.EXAMPLES)
    return "examples:\n" + "\n".join(f"  {line:<{width}}  # {why}" for line, why in module.EXAMPLES)


Add = Callable[..., object]

SHARED: Final[dict[str, Callable[[Add], object]]] = {
    "json": lambda add: add("--json", action="store_true", help="write one JSON object a line instead of text"),
    "pool": lambda add: add(
        "--pool", metavar="DIR", help="the pool (default: $PACKETFS_POOL, else packetfs/pool in your data directory)"
    ),
    "quiet": lambda add: add("-q", "--quiet", action="store_true", help="no notes and no progress, errors only"),
    "verbose": lambda add: add("-v", "--verbose", action="store_true", help="say more"),
    "color": lambda add: add(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour (default: on a terminal)"
    ),
}


def add_snapshot_option(parser: ArgumentParser) -> None:
    """Let a command look into a snapshot."""
    text = "as it was in this snapshot; paths are those of the pool, or relative to the snapshot's directory"
    parser.add_argument("--snapshot", metavar="NAME", help=text)


def split_command(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the command and the other arguments: shared options may stand before the command as well as after it."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        at += 2 if arguments[at] in LEADING_VALUES else 1
    if at >= len(arguments):
        return None, list(arguments)
    return arguments[at], [*arguments[:at], *arguments[at + 1 :]]
