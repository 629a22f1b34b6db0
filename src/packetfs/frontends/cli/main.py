"""`pfs`: pick the command, import it, parse, run, behind the error boundary."""

from __future__ import annotations

import gc
import sys

from packetfs import __version__
from packetfs.errors import UsageError
from packetfs.errors.suggest import suggestion
from packetfs.frontends import settings
from packetfs.frontends.cli.boundary import guard
from packetfs.frontends.cli.commands import BY_NAME, COMMANDS, GROUPS
from packetfs.frontends.cli.declared import LEADING, all_arguments, load, split_command
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.output import Output, standard_streams
from packetfs.typing import Callable, Sequence


def main(arguments: Sequence[str] | None = None, begin: Callable[[], object] = bool) -> int:
    """Run one command line and return the exit code. `begin` is called first where errors and Ctrl-C are told."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    stdout, stderr = standard_streams()
    output = Output(stdout, stderr, json="--json" in words)

    def run() -> int:
        begin()
        return _dispatch(words, output)

    return guard(run, output)


def _dispatch(words: list[str], output: Output) -> int:
    name, rest = split_command(words)
    if name == "help":
        name, rest = (rest[0], ["--help"]) if rest else (None, ["--help"])
    if name is not None:
        try:
            return _run(name, rest, output)
        except UsageError as error:
            error.hint = error.hint.replace("COMMAND", name)
            raise
    if "--version" in rest:
        output.line(f"pfs {__version__}")
    elif not rest or "--help" in rest or "-h" in rest:
        output.line(overview())
    else:
        meant = "" if rest[-1] in LEADING else suggestion(rest[-1], LEADING)
        raise UsageError(reason=f"a command is missing after {rest[-1]!r}{meant}")
    return ExitCode.DONE if rest else ExitCode.USAGE


def _run(name: str, rest: list[str], output: Output) -> int:
    command = BY_NAME.get(name)
    if command is None:
        from packetfs.errors import UnknownCommand  # it comes with all errors of commands

        raise UnknownCommand(name=name, suggestion=suggestion(name, BY_NAME))
    module = load(command)
    options = None if "-h" in rest or "--help" in rest else all_arguments(module).read(rest)
    if options is None:
        from packetfs.frontends.cli.parser import build_parser  # most command lines need none

        parser = build_parser(command, module)
        if "-h" in rest or "--help" in rest:
            output.line(parser.format_help().rstrip())
            return 0
        options = parser.parse(rest)
    output.quiet, output.verbose = options.quiet, options.verbose
    output.color = settings.wants_color(options.color, output.terminal)
    if options.quiet:
        output.bar = None
    gc.freeze()  # what was loaded stays: going over it again and again takes 2 % of a copy
    code = module.run(options, output)
    gc.freeze()  # nor is anything looked for at the end
    return code


def overview() -> str:
    """Return what `pfs --help` prints."""
    parts = ["usage: pfs [shared options] COMMAND ...", "", "Files are programs of packets; a copy moves offsets."]
    width = max(len(command.name) for command in COMMANDS)
    for group in GROUPS:
        parts += ["", group]
        parts += [f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS if command.group == group]
    parts += ["", "`pfs COMMAND --help` shows options and examples; `pfs --version` the version."]
    return "\n".join(parts)
