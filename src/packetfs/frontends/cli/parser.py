"""The argparse of a command, for help and for command lines that `Arguments.read` left alone; its errors go through the
boundary and suggest what was meant."""

from __future__ import annotations

from argparse import Action, ArgumentParser, RawDescriptionHelpFormatter

from packetfs.errors import UsageError
from packetfs.errors.suggest import suggestion
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Options
from packetfs.frontends.cli.commands import Command
from packetfs.frontends.cli.declared import CommandModule, own_arguments, shared_options
from packetfs.typing import Any, NoReturn, Sequence


class HelpFormatter(RawDescriptionHelpFormatter):
    """argparse's, told the width of the terminal: to find it out, it would import shutil."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=settings.terminal_width() - 2)


class _Mistake(Exception):
    """What argparse says of a command line that it does not take."""


class CommandParser(ArgumentParser):
    """argparse whose errors are UsageError."""

    def parse(self, words: Sequence[str]) -> Options:
        """Return the options of a command line, in which files may stand before options."""
        try:
            return self.parse_intermixed_args(words, Options())
        except _Mistake as mistake:
            message = str(mistake)
        usage = self.format_usage().removeprefix("usage: ").strip()
        raise UsageError(reason=f"{message}{self._suggest(message)} (usage: {' '.join(usage.split())})")

    def _get_values(self, action: Action, arg_strings: list[str]) -> Any:
        """argparse's, where `--pool=--` names `--`: before Python 3.13 it would name nothing."""
        if not action.option_strings or arg_strings != ["--"]:
            return super()._get_values(action, arg_strings)
        value = self._get_value(action, "--")
        self._check_value(action, value)
        return value

    def error(self, message: str) -> NoReturn:
        raise _Mistake(message.replace(": ignored explicit argument", ": nothing may stand behind it, as does"))

    def _suggest(self, message: str) -> str:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown == message:
            return ""
        word = unknown.partition(" ")[0].partition("=")[0]
        name = word.lstrip("-").upper()
        if any(name == action.metavar for action in self._actions if not action.option_strings):
            return f"; {name} is written without {word}"
        return suggestion(word, [name for action in self._actions for name in action.option_strings])


def build_parser(command: Command, module: CommandModule) -> CommandParser:
    """Return the parser of one command."""
    parser = CommandParser(
        prog=f"pfs {command.name}",
        description=module.__doc__,
        epilog=_examples(module),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    for each in own_arguments(module).declared:
        parser.add_argument(*each.names, **each.settings)
    shared = parser.add_argument_group("shared options")
    for each in shared_options(module):
        shared.add_argument(*each.names, **each.settings)
    return parser


def _examples(module: CommandModule) -> str:
    width = max(len(line) for line, _ in module.EXAMPLES)
    return "examples:\n" + "\n".join(f"  {line:<{width}}  # {why}" for line, why in module.EXAMPLES)
