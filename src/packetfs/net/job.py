"""What a sync is asked to do and what it did, as plain records: the words that frontends and net share."""

from __future__ import annotations

from packetfs.dataclass import dataclass, field, fields, replace
from packetfs.limits import KEEP
from packetfs.typing import Final

PORT: Final = 7272
"""Where a daemon listens unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of a sync.

    `host` is what ssh is given (`None`: this machine). `pool` is a pool's directory (`None`: a plain path; `""`: the
    pool that the other machine chooses by itself). `path` is as the user wrote it, its slash at the end included; in
    a pool it has no slash in front and `b""` is the root.
    """

    host: str | None
    pool: str | None
    path: bytes
    daemon: bool = False
    """`host` is HOST:PORT of a daemon, or the path of its Unix socket."""

    @property
    def contents(self) -> bool:
        """Tell whether the directory's contents are meant and not the directory itself (rsync's trailing slash)."""
        last = self.path.rpartition(b"/")[2]
        return last in (b"", b".", b"..")

    @property
    def name(self) -> bytes:
        """Return the last part of the path, which a source that is not `contents` gets below the destination."""
        return b"" if self.contents else self.path.rpartition(b"/")[2]


@dataclass(frozen=True, slots=True)
class Job:
    """Make `destination` equal to `source`.

    `history` is the directory where this side remembers plain directories, with at most `keep` bytes of their content.
    `shell` is the command that reaches a host (`None`: ssh); `far_command` is what the host's own shell is given, to
    which ` serve --stdio` is added. `keys` is the directory that has the tokens for daemons. `rate` is how many bytes a
    second pass to and from another machine (0: as many as can).
    """

    source: Endpoint
    destination: Endpoint
    history: str
    dry_run: bool = False
    delete: bool = False
    checksum: bool = False
    keep: int = KEEP
    shell: tuple[str, ...] | None = None
    far_command: str = "pfs"
    keys: str = ""
    rate: int = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes in one direction. `wire` is what was really moved: compressed, with all frames.

    logical: bytes of the files that this direction brought up to date; literal: those sent as such; copied: those that
    the other side had already; metadata: names, modes, programs; signature: ids and sums that found what is there.
    """

    logical: int = 0
    literal: int = 0
    copied: int = 0
    metadata: int = 0
    signature: int = 0
    wire: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a sync did, or in a dry run would do. `total` is what a full copy would move: the bytes of all files."""

    files: int = 0
    changed: int = 0
    deleted: int = 0
    troubles: int = 0
    total: int = 0
    sent: Traffic = field(default_factory=Traffic)
    received: Traffic = field(default_factory=Traffic)
    turns: int = 0
    seconds: float = 0.0
    snapshot: str = ""

    def plus(self, later: Summary) -> Summary:
        """Return what this and a later sync to the same destination did together."""
        return replace(
            later,
            changed=self.changed + later.changed,
            deleted=self.deleted + later.deleted,
            sent=_add(self.sent, later.sent),
            received=_add(self.received, later.received),
            turns=self.turns + later.turns,
            files=later.files or self.files,
            total=later.total or self.total,
            snapshot=later.snapshot or self.snapshot,
        )

    @property
    def ratio(self) -> float:
        """Return moved bytes as a share of a full copy's."""
        return (self.sent.wire + self.received.wire) / self.total if self.total else 0.0


def _add(one: Traffic, other: Traffic) -> Traffic:
    return Traffic(*(a + b for a, b in zip(_values(one), _values(other), strict=True)))


def _values(traffic: Traffic) -> tuple[int, ...]:
    return tuple(getattr(traffic, item.name) for item in fields(traffic))
