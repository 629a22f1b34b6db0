"""What all errors are: a sentence, an exit code and a hint."""

from __future__ import annotations


class PacketFSError(Exception):
    """PacketFS failed: {reason}"""

    exit_code = 1
    hint = ""

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(_fill(type(self).__doc__ or "", fields))

    @property
    def message(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        """Pools of processes hand errors over pickled, and an error is made from fields, not from its message."""
        return _from_fields, (type(self), self.fields)


def _from_fields(kind: type[PacketFSError], fields: dict[str, object]) -> PacketFSError:
    return kind(**fields)


def _fill(template: str, fields: dict[str, object]) -> str:
    from string import Formatter  # compiles patterns, which only errors are to pay for

    known = {name for _, name, _, _ in Formatter().parse(template) if name}
    shown = {name: _printable(fields.get(name, "?")) for name in known}
    if shown.get("path") == "":
        shown["path"] = "the root"  # of the pool or the directory that is spoken of, which has no name in itself
    return template.format(**shown).strip()


def _printable(value: object) -> object:
    """Names from disks and peers may hold any byte: control characters must not reach a terminal."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class UsageError(PacketFSError, ValueError):
    """{reason}"""

    exit_code = 2
    hint = "`pfs COMMAND --help` shows what a command takes."


class Partial(PacketFSError):
    """{count} of the files could not be handled; each is named above, the rest is done."""

    exit_code = 3
    hint = "Mend what is named and run the same command again."
