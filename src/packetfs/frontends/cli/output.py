"""Where results go: stdout is data, as text or as one JSON object a line; stderr is words and progress.

Names reach a terminal only escaped (a file's name may hold control sequences) and a pipe unchanged.
"""

from __future__ import annotations

import sys

from packetfs.contextlib import suppress
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.progress import Bar
from packetfs.typing import BinaryIO, Final, Mapping, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = Scalar | list["Json"] | Mapping[str, "Json"]

STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


class OutputClosed(Exception):
    """What read our stdout went away."""


class Output:
    """stdout and stderr of one command."""

    def __init__(
        self,
        stdout: BinaryIO,
        stderr: BinaryIO,
        *,
        json: bool = False,
        color: bool = False,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self.json = json
        self.color = color
        self.quiet = quiet
        self.verbose = verbose
        self.terminal = stdout.isatty()
        self._stdout = stdout
        self._stderr = stderr
        self.bar = Bar(stderr) if stderr.isatty() and not json and not quiet else None

    def write(self, data: bytes | memoryview) -> None:
        """Write data as it is."""
        try:
            self._stdout.write(data)
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from error

    def line(self, text: str) -> None:
        """Write one line of text."""
        self._clear()
        self.write(f"{text}\n".encode("utf-8", "surrogateescape"))

    def record(self, kind: str, fields: Mapping[str, Json]) -> None:
        """Write one JSON object on a line of its own; readers must pass over fields that they do not know."""
        self.write(json_line(kind, fields))

    def name(self, path: bytes) -> str:
        """Return a name as `line` should write it."""
        return printable(path) if self.terminal else path.decode("utf-8", "surrogateescape")

    def paint(self, text: str, style: str) -> str:
        """Return the text in a colour or weight, where colour is wanted."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.color else text

    def note(self, text: str) -> None:
        """Say something to the user, unless he wants quiet."""
        if not self.quiet:
            self.warn(text)

    def detail(self, text: str) -> None:
        """Say something that only `-v` asks for."""
        if self.verbose:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Say something that must be heard even with `-q`."""
        self._say(f"{text}\n".encode("utf-8", "backslashreplace"))

    def warn_record(self, kind: str, fields: Mapping[str, Json]) -> None:
        """Write a JSON object to stderr."""
        self._say(json_line(kind, fields))

    def _say(self, words: bytes) -> None:
        """Write to stderr; where nobody can hear it (a full disk, a reader that went), what is done goes on."""
        with suppress(OSError):
            self._clear()
            self._stderr.write(words)
            self._stderr.flush()

    def flush(self) -> None:
        """Hand everything to the system; what it refuses (a full disk) is an error and not a loss."""
        try:
            self._stdout.flush()
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from error

    def _clear(self) -> None:
        if self.bar is not None:
            self.bar.clear()


def json_line(kind: str, fields: Mapping[str, Json]) -> bytes:
    """Return one typed JSON object with its line feed."""
    import json  # 0.4 MB and 2 ms that only `--json` pays

    return json.dumps({"type": kind, **fields}, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return stdout and stderr as bytes; a stream that the caller closed swallows what it gets."""
    out = sys.stdout.buffer if sys.stdout is not None else open("/dev/null", "wb")  # noqa: SIM115 (lives as long as we)
    err = sys.stderr.buffer if sys.stderr is not None else open("/dev/null", "wb")  # noqa: SIM115
    return out, err
