"""SRC and DST of `pfs sync`: a local path, host:PATH, pfs:PATH, host:pfs:PATH or the URL of a daemon."""

from __future__ import annotations

import re

from packetfs.errors import UsageError
from packetfs.frontends.cli.names import pool_name, raw
from packetfs.net.job import PORT, Endpoint
from packetfs.typing import Final

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TLS: Final = re.compile(r"pfs\+tls://(?P<address>[^/]+)/(?P<path>.*)", re.DOTALL)
_UNIX: Final = re.compile(r"pfs\+unix://(?P<socket>/[^:]+):(?P<path>.+)", re.DOTALL)
_TLS_NODE: Final = "pfs+tls://"
_UNIX_NODE: Final = "pfs+unix:///"
_ADDRESS: Final = re.compile(r"(?P<host>\[[^\]/]+\]|[^/:\[\]@]+)(:(?P<port>[0-9]{1,5}))?")
_HOST: Final = re.compile(
    r"(?P<user>[^@/:\[\]]+@)?(?:\[(?P<bracketed>[^\]/]*)\]|(?P<plain>[^/:\[\]]*)):(?P<rest>.*)", re.DOTALL
)


def parse_endpoint(argument: str, pool: str, far_pool: str | None = None) -> Endpoint:
    """Return what `argument` names. A colon before any slash ends a host (as in rsync); `./a:b` is local."""
    if not argument:
        raise UsageError(reason="an empty name; write '.' for the current directory")
    if _URL.match(argument):
        return _daemon_endpoint(argument)
    if argument.startswith("pfs:"):
        return Endpoint(None, pool, _pool_path(argument))
    match = _HOST.fullmatch(argument)
    if match is None:
        return Endpoint(None, None, raw(argument))
    return _far_endpoint(argument, match, far_pool)


def _daemon_endpoint(argument: str) -> Endpoint:
    """Return what pfs+tls://HOST[:PORT]/PATH or pfs+unix://SOCKET:PATH names; PATH may be pfs:PATH in either."""
    for pattern in (_TLS, _UNIX):
        match = pattern.fullmatch(argument)
        if match is not None:
            address = match["socket"] if pattern is _UNIX else daemon_address(match["address"])
            path = match["path"]
            if path.startswith("pfs:"):
                return Endpoint(address, "", _pool_path(path), daemon=True)
            return Endpoint(address, None, raw(path if pattern is _UNIX else f"/{path}"), daemon=True)
    forms = "pfs+tls://HOST[:PORT]/PATH or pfs+unix://SOCKET:PATH"
    raise UsageError(reason=f"{argument!r}: the URLs of daemons are {forms}")


def daemon_address(text: str) -> str:
    """Return HOST:PORT of what a user wrote for a daemon, the usual port where none is given."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"] or PORT) < 1 << 16:
        raise UsageError(reason=f"{text!r} is no HOST[:PORT] of a daemon")
    host = match["host"]
    return f"{host}:{match['port'] or PORT}"


def parse_node(text: str) -> tuple[str, bool]:
    """Return the host that `--node` names, with or without user, or a daemon's address and True.

    UsageError where a path stands behind it, or a port behind a host that is reached over ssh.
    """
    if text.startswith(_UNIX_NODE) and ":" not in text.removeprefix(_UNIX_NODE):
        return text.removeprefix(_UNIX_NODE[:-1]), True
    if text.startswith(_TLS_NODE):
        return daemon_address(text.removeprefix(_TLS_NODE).removesuffix("/")), True
    name = text.rpartition("@")[2]
    if name[:1] == "[" and name[-1:] == "]":
        return _checked_host(text.replace("[", "").replace("]", "")), False
    if not name or text[0] == "-" or "/" in name or name.count(":") == 1 or not name.isprintable() or " " in name:
        reason = f"--node {text}: it takes a host alone; paths on it are the FILEs, a port goes into -e 'ssh -p PORT'"
        raise UsageError(reason=f"{reason}; a daemon is {_TLS_NODE}HOST[:PORT] or {_UNIX_NODE[:-1]}SOCKET")
    return _checked_host(text), False


def _far_endpoint(argument: str, match: re.Match[str], far_pool: str | None) -> Endpoint:
    host = (match["user"] or "") + (match["bracketed"] or match["plain"] or "")
    _check_host(argument, host, match["rest"])
    if match["rest"].startswith("pfs:"):
        return Endpoint(host, far_pool or "", _pool_path(match["rest"]))
    return Endpoint(host, None, raw(match["rest"]))


def _checked_host(host: str) -> str:
    """Return the name of a host, with or without user; UsageError where ssh would read it as an option."""
    _check_host(host, host, "")
    return host


def _check_host(argument: str, host: str, rest: str) -> None:
    """Refuse what ssh would read as an option (`-oProxyCommand=...` runs a command), and rsync's daemon form."""
    if not host or host.endswith("@"):
        raise UsageError(reason=f"{argument!r} has no host before the colon; write ./{argument} for a local path")
    if host.startswith("-"):
        raise UsageError(reason=f"{argument!r}: a host's name cannot begin with '-'")
    if rest.startswith(":"):
        raise UsageError(reason=f"{argument!r}: host::module is the form of rsync's daemon; write host:PATH")


def _pool_path(argument: str) -> bytes:
    """Return a path inside a pool; a slash at its end is kept, since it means the contents."""
    path = pool_name(argument)
    return path + b"/" if path and argument.endswith("/") else path


def shell_words(command: str | None) -> tuple[str, ...] | None:
    """Split a command line as a shell does: `ssh -p 2222`."""
    if command is None:
        return None
    import shlex  # most calls use ssh

    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(reason=f"-e {command!r}: {error}") from None
    if not words:
        raise UsageError(reason="-e needs a command")
    return words
