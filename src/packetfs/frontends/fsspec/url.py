"""URLs: what part of one names the pool, what a snapshot, and what a path inside.

- `packetfs://sales/2026.parquet`: in the pool of the storage options, else of $PACKETFS_POOL, else the user's own
- `packetfs:///data/pool!/sales/2026.parquet`: in the pool in /data/pool
- `packetfs:///data/pool!@monday/sales/2026.parquet`: in its snapshot `monday`
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from packetfs.errors import UsageError
from packetfs.typing import Final, NamedTuple

PROTOCOL: Final = "packetfs"
_FULL: Final = re.compile(r"(/.*?)!(?:@([^/]+))?(?:/(.*))?", re.DOTALL)


class Parts(NamedTuple):
    """What a URL says; None where it says nothing."""

    pool: str | None
    snapshot: str | None
    path: str


def split_url(url: str) -> Parts:
    """Return the parts of a URL, or of a path alone."""
    rest = url.removeprefix(f"{PROTOCOL}://").removeprefix(f"{PROTOCOL}::")
    found = _FULL.fullmatch(rest)
    if found is None:
        return Parts(None, None, rest.strip("/"))
    return Parts(found[1], found[2], (found[3] or "").strip("/"))


def refuse_unmarked(url: str) -> None:
    """Refuse a URL that leads to a pool's directory without saying where it ends: it would mean the default pool."""
    rest = url.removeprefix(f"{PROTOCOL}://")
    if not rest.startswith("/") or _FULL.fullmatch(rest) is not None:
        return
    for place in (rest, rest.partition("!")[0], *map(str, PurePosixPath(rest).parents)):
        if os.path.isdir(f"{place}/arena"):
            raise UsageError(
                reason=f"{url!r} does not say where the pool's directory ends: {join_url(place, None, 'PATH')}"
            )


def join_url(pool: str, snapshot: str | None, path: str) -> str:
    """Return the URL that says all of it."""
    return f"{PROTOCOL}://{pool}!{'' if snapshot is None else '@' + snapshot}/{path}"
