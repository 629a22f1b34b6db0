"""The environment: the only place of PacketFS that reads it (but for PACKETFS_PURE, which picks the native core).

A value on the command line wins over its variable, the variable over the default.
"""

from __future__ import annotations

import os

from packetfs.typing import Final, Mapping

POOL: Final = "PACKETFS_POOL"
TRACEBACK: Final = "PACKETFS_TRACEBACK"
RSH: Final = "PACKETFS_RSH"

VARIABLES: Final = (
    (POOL, "the pool, where no `--pool` is given"),
    (RSH, "the command that reaches another machine, where no `-e` is given (default: ssh)"),
    ("PACKETFS_PURE", "1: use the Python twins instead of the native core"),
    (TRACEBACK, "1: show the Python traceback of an error, for a report"),
    ("NO_COLOR", "anything: no colour, unless `--color always` is given"),
    ("XDG_RUNTIME_DIR", "holds `packetfs`: the live microVMs of `pfs run` (else /dev/shm)"),
    ("XDG_CACHE_HOME", "holds `packetfs/code`: machine code of programs (`~/.cache`)"),
    ("XDG_DATA_HOME", "holds `packetfs/pool`, `history` (what `sync` remembers) and `keys` (`~/.local/share`)"),
)
"""Every variable that PacketFS reads, for the reference."""


def pool_path(chosen: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the pool's directory: the chosen one, else $PACKETFS_POOL, else the one in the user's data directory."""
    return os.path.abspath(chosen or environment.get(POOL) or _own_place(environment, "pool"))


def history_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return where this side remembers the plain directories that it synced."""
    return os.path.abspath(_own_place(environment, "history"))


def keys_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return where the keys of this user's daemon, and the tokens for those of others, lie."""
    return os.path.abspath(_own_place(environment, "keys"))


def runtime_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return the directory of shared memory for live microVMs: in the user's runtime directory, else in /dev/shm."""
    named = environment.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(named) and os.path.isdir(named):
        return os.path.join(named, "packetfs")
    return f"/dev/shm/packetfs-{os.getuid()}"  # noqa: S108 (made with mode 0700, and refused if another user owns it)


def code_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return where machine code of programs is remembered."""
    named = environment.get("XDG_CACHE_HOME", "")
    home = named if os.path.isabs(named) else os.path.join(_home(environment), ".cache")
    return os.path.join(home, "packetfs", "code")


def _own_place(environment: Mapping[str, str], name: str) -> str:
    return os.path.join(_data_home(environment), "packetfs", name)


def _data_home(environment: Mapping[str, str]) -> str:
    """Return the user's data directory; the XDG specification says that a relative one must be ignored."""
    named = environment.get("XDG_DATA_HOME", "")
    return named if os.path.isabs(named) else os.path.join(_home(environment), ".local", "share")


def _home(environment: Mapping[str, str]) -> str:
    return environment.get("HOME") or os.path.expanduser("~")


def terminal_width(environment: Mapping[str, str] = os.environ) -> int:
    """Return the columns of $COLUMNS, else of the terminal, else 80, as Python's shutil does."""
    named = environment.get("COLUMNS", "")
    if named.isdecimal() and int(named):
        return int(named)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


def wants_color(choice: str, terminal: bool, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether to write colour: NO_COLOR and dumb terminals are honoured where the user chose `auto`."""
    if choice != "auto":
        return choice == "always"
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def wants_traceback(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether errors come with their Python traceback."""
    return environment.get(TRACEBACK, "") not in ("", "0")


def remote_shell(chosen: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the command line that reaches another machine; None leaves the choice (ssh) to the layer below."""
    return chosen or environment.get(RSH) or None
