"""The reference pages, made from the code: docs/cli.md and docs/exit-codes.md call these functions.

Help is taken from what commands declare and not from `--help`, whose line breaks differ between versions of Python.
"""

from __future__ import annotations

from packetfs.errors import error_classes
from packetfs.frontends.cli.arguments import Argument
from packetfs.frontends.cli.commands import COMMANDS, GROUPS, Command
from packetfs.frontends.cli.declared import CommandModule, load, own_arguments, shared_options
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.records import RECORDS
from packetfs.frontends.settings import VARIABLES
from packetfs.typing import Iterator


def overview() -> str:
    """Return the table of commands."""
    lines = ["| group | command | what it does |", "|---|---|---|"]
    for group in GROUPS:
        lines += [_row(command) for command in COMMANDS if command.group == group]
    return "\n".join(lines)


def _row(command: Command) -> str:
    return f"| {command.group} | [`pfs {command.name}`](#pfs-{command.name}) | {command.summary} |"


def commands() -> str:
    """Return one section a command."""
    return "\n\n".join(_section(command) for command in COMMANDS)


def _section(command: Command) -> str:
    module = load(command)
    own = own_arguments(module).declared
    lines = [f"### pfs {command.name}", "", f"`{_usage(command, own)}`", "", (module.__doc__ or "").strip()]
    if own:
        lines += ["", "| argument | meaning |", "|---|---|"]
        lines += [f"| {_name(each)} | {_cell(each.settings['help'])} |" for each in own]
    shared = [f"`{each.names[-1]}`" for each in shared_options(module)]
    return "\n".join([*lines, "", f"Shared options: {', '.join(shared)}.", "", *_examples(module)])


def _usage(command: Command, own: list[Argument]) -> str:
    words = [_placeholder(each) for each in own if not each.is_option]
    return " ".join([f"pfs {command.name} [options]", *words])


def _placeholder(each: Argument) -> str:
    name = str(each.settings["metavar"])
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(each.nargs), name)


def _name(each: Argument) -> str:
    named = each.settings.get("metavar", ())
    words = named if isinstance(named, tuple) else (named,)
    if not each.is_option:
        return f"`{words[0]}`"
    value = "".join(f" {word}" for word in words)
    return ", ".join(f"`{name}{value}`" for name in each.names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("%%", "%")


def _examples(module: CommandModule) -> Iterator[str]:
    yield "```sh"
    for line, why in module.EXAMPLES:
        yield f"{line}  # {why}"
    yield "```"


def variables() -> str:
    """Return the table of environment variables."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES]
    return "\n".join(["| variable | meaning |", "|---|---|", *rows])


def records() -> str:
    """Return the table of JSON objects."""
    lines = ["| type | written by | fields |", "|---|---|---|"]
    for record in RECORDS:
        fields = ", ".join(f"`{name}`" for name in record.fields)
        lines.append(f"| `{record.type}` | {record.written_by} | {fields} |")
    return "\n".join(lines)


def exit_codes() -> str:
    """Return the table of exit codes with the errors that lead to each."""
    lines = ["| code | meaning | errors |", "|---|---|---|"]
    for code in ExitCode:
        names = ", ".join(f"`{error.__name__}`" for error in error_classes() if error.exit_code == code)
        lines.append(f"| {code.value} | {code.meaning} | {names} |")
    return "\n".join(lines)


def messages() -> str:
    """Return the table of all messages, with what to do."""
    lines = ["| error | code | message | what to do |", "|---|---|---|---|"]
    for error in error_classes():
        text = " ".join((error.__doc__ or "").split()).replace("|", "\\|")
        lines.append(f"| `{error.__name__}` | {error.exit_code} | {text} | {error.hint.replace('|', '/')} |")
    return "\n".join(lines)
