"""Mint, list and revoke the keys of `pfs serve --listen`, and keep those that open other servers.

On the server `pfs keys add NAME` prints a token: one line that is a password for what the key may do, and the
fingerprint of the server's certificate, so that no authority is needed. On the client `pfs keys trust HOST` reads it
from standard input and keeps it; `pfs sync` then finds it by HOST. `pfs keys servers` lists the servers that there are
tokens for, `pfs keys forget HOST` lets go of one. Who may write a path may read it too.

Instead of a token's secret a client can show a certificate: `pfs keys certificate` prints it there, and the server's
`pfs keys add NAME --certificate FILE` takes it. Everything lies in $XDG_DATA_HOME/packetfs/keys, for its owner only.
"""

from __future__ import annotations

import os
import sys

from packetfs.errors import GrantMissing, UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.endpoint import daemon_address
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Json, Output
from packetfs.frontends.cli.sizes import format_size, parse_rate, parse_size
from packetfs.net.access.identity import certificate_of, certificate_text, fingerprint, make_identity, shown
from packetfs.net.access.keys import Key, KeyRing, Servers, parse_token
from packetfs.net.access.rights import POOL
from packetfs.net.link.visitor import client_identity, server_identity
from packetfs.typing import Final, Iterator, Sequence

EXAMPLES: Final = (
    ("pfs keys add laptop --write pfs:laptop --read /srv/docs", "mint a key; prints its token"),
    ("pfs keys add phone --write pfs:phone --sync-max 1G --stored-max 20G", "with quotas"),
    ("pfs keys add jobs --read /var/log --run", "one that may run programs over these files"),
    ("pfs keys trust backup.example:7272 < token", "on the client: keep the token"),
    ("pfs keys forget backup.example:7272", "on the client: keep it no more"),
    ("pfs keys revoke laptop", "let it open nothing any more"),
)
OPTIONS: Final = ("json",)
_ACTIONS: Final = ("add", "list", "revoke", "trust", "servers", "forget", "certificate", "fingerprint", "renew")
_NAMED: Final = ("add", "revoke", "trust", "forget")


def declare(arguments: Arguments) -> None:
    """Add the action and what it takes."""
    add = arguments.add
    add("action", metavar="ACTION", choices=_ACTIONS, help=" | ".join(_ACTIONS))
    add("name", metavar="NAME", nargs="?", help="the key's name; for trust and forget HOST[:PORT]")
    add("--read", metavar="PATH", action="append", default=[], help="it may read this directory, or pfs:PATH")
    add(
        "--write", metavar="PATH", action="append", default=[], help="it may read and write this directory, or pfs:PATH"
    )
    add("--run", action="store_true", help="it may run programs over what it may read (`pfs run --node`)")
    add("--sync-max", metavar="SIZE", help="it may bring at most SIZE at once")
    add("--stored-max", metavar="SIZE", help="it may have at most SIZE at each path that it syncs to")
    add("--bwlimit", metavar="SIZE", help="all its sessions together may move at most SIZE a second")
    add("--certificate", metavar="FILE", help="it shows this certificate instead of a secret")


def run(options: Options, output: Output) -> int:
    """Do what the action says."""
    keys = settings.keys_path()
    if (options.name is None) == (options.action in _NAMED):
        raise UsageError(reason=f"keys {options.action} takes {'a NAME' if options.name is None else 'no NAME'}")
    return _ACTS[options.action](options, output, keys)


def _add(options: Options, output: Output, keys: str) -> int:
    if not options.name.strip():
        raise UsageError(reason="a key needs a name, which lists and the log show")
    if not options.read and not options.write:
        raise UsageError(reason="a key that opens nothing; say --read PATH or --write PATH")
    read, write = _granted(options.read), _granted(options.write)
    identity = server_identity(keys)
    if not os.path.exists(identity):
        make_identity(identity, "PacketFS server")
    key = Key(
        options.name,
        number="",
        digest="",
        certificate=_read_certificate(options.certificate),
        read=read,
        write=write,
        sync_max=_quota("--sync-max", options.sync_max),
        stored_max=_quota("--stored-max", options.stored_max),
        run=options.run,
        rate=0 if options.bwlimit is None else parse_rate(options.bwlimit),
    )
    token = KeyRing(keys).add(key, fingerprint(certificate_of(identity)))
    if output.json:
        output.record("token", {"name": key.name, "token": token.text})
    else:
        output.line(token.text)
    return 0


def _quota(option: str, text: str | None) -> int:
    """Return the bytes of a quota; 0 means none, so nobody gets that who typed it."""
    size = 0 if text is None else parse_size(text)
    if text is not None and not size:
        raise UsageError(reason=f"{option} {text} would let nothing in; leave it out for no limit, or give only --read")
    return size


def _granted(paths: Sequence[str]) -> tuple[str, ...]:
    """Return paths as a key has them; a directory of this machine has to be there."""
    full = tuple(path if path.startswith(POOL) else os.path.abspath(path) for path in paths)
    for path in full:
        if not path.startswith(POOL) and not os.path.isdir(path):
            raise GrantMissing(path=path)
    return full


def _read_certificate(path: str | None) -> str:
    if path is None:
        return ""
    with open(path, encoding="ascii", errors="replace") as file:
        try:
            return certificate_text(file.read())
        except ValueError:
            raise UsageError(reason=f"{path} holds no certificate") from None


def _list(options: Options, output: Output, keys: str) -> int:
    del options
    for key in KeyRing(keys).minted():
        if output.json:
            output.record("key", _fields(key))
            continue
        state = "revoked" if key.revoked else ", ".join(_rights(key))
        output.line(f"{printable(key.name)}: {state}")
    return 0


def _rights(key: Key) -> Iterator[str]:
    """Yield what a key may do, and how much of it."""
    yield from (f"read {path}" for path in key.read)
    yield from (f"write {path}" for path in key.write)
    if key.run:
        yield "run programs"
    if key.sync_max:
        yield f"at most {format_size(key.sync_max)} a sync"
    if key.stored_max:
        yield f"at most {format_size(key.stored_max)} stored"
    if key.rate:
        yield f"at most {format_size(key.rate)} a second"


def _fields(key: Key) -> dict[str, Json]:
    numbers = {name: getattr(key, name) for name in ("sync_max", "stored_max", "rate", "created", "revoked")}
    shows = "certificate" if key.certificate else "token"
    return {
        "name": key.name,
        "shows": shows,
        "read": list(key.read),
        "write": list(key.write),
        "run": key.run,
        **numbers,
    }


def _revoke(options: Options, output: Output, keys: str) -> int:
    KeyRing(keys).revoke(options.name)
    output.note(f"{options.name} opens nothing from now on; sessions that run end within seconds")
    return 0


def _trust(options: Options, output: Output, keys: str) -> int:
    if sys.stdin.isatty():
        output.note("paste the token:")
    address = daemon_address(options.name)
    token = parse_token(sys.stdin.readline())
    Servers(keys).trust(address, token)
    output.note(f"{address} is the server with the fingerprint {shown(token.fingerprint)}")
    return 0


def _servers(options: Options, output: Output, keys: str) -> int:
    del options
    for address, token in Servers(keys).trusted().items():
        if output.json:
            output.record("server", {"address": address, "fingerprint": shown(token.fingerprint)})
        else:
            output.line(f"{address}: {shown(token.fingerprint)}")
    return 0


def _forget(options: Options, output: Output, keys: str) -> int:
    address = daemon_address(options.name)
    Servers(keys).forget(address)
    output.note(f"there is no token for {address} any more")
    return 0


def _certificate(options: Options, output: Output, keys: str) -> int:
    del options
    path = client_identity(keys)
    if not os.path.exists(path):
        make_identity(path, "PacketFS client")
    with open(path, encoding="ascii") as file:
        output.line(certificate_text(file.read()).rstrip())
    return 0


def _fingerprint(options: Options, output: Output, keys: str) -> int:
    del options
    output.line(shown(fingerprint(certificate_of(server_identity(keys)))))
    return 0


def _renew(options: Options, output: Output, keys: str) -> int:
    make_identity(server_identity(keys), "PacketFS server")
    output.note("every token is void now: revoke the keys, and mint them anew")
    return _fingerprint(options, output, keys)


_ACTS: Final = {
    "add": _add,
    "list": _list,
    "revoke": _revoke,
    "trust": _trust,
    "servers": _servers,
    "forget": _forget,
    "certificate": _certificate,
    "fingerprint": _fingerprint,
    "renew": _renew,
}
