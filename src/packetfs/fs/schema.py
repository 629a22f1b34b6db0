"""The tables of the live namespace. Inodes and names are apart, so that one inode can have several names, or none.

A *dirty* directory changed after its program `root` was built; every ancestor of a dirty directory is dirty. `touched`
has the names changed since then: what lies between them is taken over from the old program unread.

Version 2 added what only a live filesystem has, so that no program carries it: `atime_ns` and `ctime_ns` (0: as
`mtime_ns`), `holes`, the bytes of a file in runs of zeros (-1: not counted), and the inodes without a name that were
still in use (`orphan`).
"""

from __future__ import annotations

import stat

from packetfs.errors import BadNamespace
from packetfs.pool.database import Connection
from packetfs.typing import Final

ROOT_INO: Final = 1
VERSION: Final = 2
APPLICATION: Final = 0x504B4653
_STABLE_PLANS: Final = 1007
"""SQLITE_DBCONFIG_ENABLE_QPSG: the planner must not look at bound values. With the partial index it would compile a
join anew for each value: 17 us instead of 3.5 us a name."""

_TABLES: Final = """
CREATE TABLE inode(
    ino INTEGER PRIMARY KEY,
    mode INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    rdev INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    sparse INTEGER NOT NULL,
    dirty INTEGER NOT NULL,
    root BLOB NOT NULL,
    target BLOB NOT NULL,
    seen BLOB,
    xattrs BLOB
) STRICT;
CREATE TABLE entry(
    parent INTEGER NOT NULL,
    name BLOB NOT NULL,
    ino INTEGER NOT NULL,
    PRIMARY KEY(parent, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE touched(
    parent INTEGER NOT NULL,
    name BLOB NOT NULL,
    PRIMARY KEY(parent, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot(
    name BLOB PRIMARY KEY,
    root BLOB NOT NULL,
    path BLOB NOT NULL,
    time_ns INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE note(key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX names_of_inode ON entry(ino);
CREATE INDEX inodes_of_group ON inode(grp) WHERE grp != 0;
"""
_LIVE: Final = """
ALTER TABLE inode ADD COLUMN atime_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inode ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inode ADD COLUMN holes INTEGER NOT NULL DEFAULT -1;
CREATE TABLE orphan(ino INTEGER PRIMARY KEY) STRICT;
"""


def prepare(database: Connection) -> int:
    """Make the tables in a new database, bring older ones up to date, and return the version that they have.

    What only reads cannot bring them up to date, and need not. What something else or a newer version wrote is refused.
    """
    database.config(_STABLE_PLANS, 1)
    application = database.pragma("application_id")
    version = database.pragma("user_version")
    if application not in (0, APPLICATION) or version > VERSION or (application == 0) != (version == 0):
        raise BadNamespace(reason=f"they have format {version}, this version of PacketFS knows {VERSION}")
    if version == VERSION or (version and database.readonly("main")):
        return int(version)
    with database:
        if not version:
            _create(database)
        database.execute(_LIVE)
        database.pragma("user_version", VERSION)
    return VERSION


def _create(database: Connection) -> None:
    database.execute(_TABLES)
    database.execute(
        "INSERT INTO inode VALUES(?, ?, 0, 0, 0, 0, 0, 0, 0, 1, zeroblob(32), x'', NULL, NULL)",
        (ROOT_INO, stat.S_IFDIR | 0o755),
    )
    database.pragma("application_id", APPLICATION)
