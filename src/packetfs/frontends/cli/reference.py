"""The reference pages, made from the code: docs/cli.md and docs/exit-codes.md call these functions.

Help is taken from the parsers' own tables and not from `--help`, whose line breaks differ between versions of Python.
"""

from __future__ import annotations

from argparse import SUPPRESS, Action
from collections.abc import Iterator

from packetfs.errors import error_classes
from packetfs.frontends.cli.commands import COMMANDS, GROUPS, Command
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.parser import SHARED, CommandModule, build_parser, load
from packetfs.frontends.cli.records import RECORDS
from packetfs.frontends.settings import VARIABLES


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
    actions = [action for action in build_parser(command, module)._actions if action.help is not SUPPRESS]
    lines = [f"### pfs {command.name}", "", f"`{_usage(command, actions)}`", "", (module.__doc__ or "").strip(), ""]
    lines += ["| argument | meaning |", "|---|---|"]
    lines += [f"| {_name(action)} | {_cell(action.help or '')} |" for action in actions if _is_own(action)]
    shared = [f"`--{name}`" for name in SHARED if name in module.OPTIONS or name in ("quiet", "verbose", "color")]
    if len(lines) and lines[-1] == "|---|---|":
        lines = lines[:-3]
    return "\n".join([*lines, "", f"Shared options: {', '.join(shared)}.", "", *_examples(module)])


def _usage(command: Command, actions: list[Action]) -> str:
    words = [_placeholder(action) for action in actions if not action.option_strings]
    return " ".join([f"pfs {command.name} [options]", *words])


def _placeholder(action: Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def _is_own(action: Action) -> bool:
    return action.dest != "help" and action.dest not in SHARED


def _name(action: Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    words = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
    value = "".join(f" {word}" for word in words if word)
    return ", ".join(f"`{name}{value}`" for name in action.option_strings)


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
