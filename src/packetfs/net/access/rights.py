"""What a peer may do: read or write below some paths of the pool and of the host, how much, and run programs there.

Who may write a path may read it too: a sync answers with what is there already. Running is a right of its own: it tells
no more than reading does, but it takes time and memory of this machine.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.errors import NotGranted, OverQuota, UnsafePath
from packetfs.limits import NAME_COST
from packetfs.typing import Final

POOL: Final = "pfs:"


@dataclass(frozen=True, slots=True)
class Grant:
    """One path with all below it: in the server's pool (no slash in front, b"" is all of it), or of the host."""

    path: bytes
    in_pool: bool
    write: bool

    def covers(self, path: bytes, in_pool: bool) -> bool:
        if in_pool != self.in_pool:
            return False
        return path == self.path or path.startswith(self.path.rstrip(b"/") + b"/") or (in_pool and not self.path)

    @property
    def text(self) -> str:
        path = self.path.decode("utf-8", "surrogateescape")
        return POOL + path if self.in_pool else path


def parse_grant(text: str, *, write: bool) -> Grant:
    """Return the grant that `pfs:PATH` or an absolute directory stands for."""
    raw = text.encode("utf-8", "surrogateescape")
    if raw.startswith(POOL.encode()):
        return Grant(clean(raw[len(POOL) :]).lstrip(b"/"), True, write)
    if not raw.startswith(b"/"):
        raise UnsafePath(path=raw, reason="a path that a key is for begins with / or with pfs:")
    return Grant(clean(raw), False, write)


def clean(path: bytes) -> bytes:
    """Return an absolute path without empty names and dots; what goes up is refused."""
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\0" in path:
        raise UnsafePath(path=path, reason="it leads up, or holds a NUL byte")
    return b"/" + b"/".join(parts)


@dataclass(frozen=True, slots=True)
class Rights:
    """The grants of one peer, its quotas in bytes and its rate in bytes a second (0: none).

    `grants` None: whatever the process itself may.
    """

    name: str = "this connection"
    grants: tuple[Grant, ...] | None = None
    sync_max: int = 0
    stored_max: int = 0
    run: bool = False
    rate: int = 0

    @property
    def may_run(self) -> bool:
        """Whether it may run programs over what it may read."""
        return self.grants is None or self.run

    @property
    def has_whole_pool(self) -> bool:
        """Whether it may read all of the pool, and so may know what is in it."""
        return self.grants is None or any(grant.covers(b"", True) for grant in self.grants)

    def grant(self, path: bytes, *, in_pool: bool, write: bool) -> Grant:
        """Return the widest grant that lets the peer read, or write, `path`; NotGranted when there is none."""
        found = [grant for grant in self.grants or () if grant.covers(path, in_pool) and (grant.write or not write)]
        if not found:
            where = POOL.encode() + path if in_pool else path
            raise NotGranted(name=self.name, action="write" if write else "read", path=where)
        return min(found, key=lambda grant: len(grant.path))


class Quota:
    """Counts what a sync brings against what the peer may bring at once, and have here in all."""

    def __init__(self, rights: Rights, stored: int) -> None:
        self._rights = rights
        self._brought = 0
        self._stored = stored

    def take(self, size: int) -> None:
        """Count a name with `size` bytes of content; OverQuota when that is too much."""
        self._brought += size + NAME_COST
        for what, limit, used in (
            ("bring", self._rights.sync_max, self._brought),
            ("have", self._rights.stored_max, self._stored + self._brought),
        ):
            if limit and used > limit:
                raise OverQuota(name=self._rights.name, what=what, limit=limit)


UNLIMITED: Final = Quota(Rights(), 0)
"""Whoever came by ssh may do what the process may."""
