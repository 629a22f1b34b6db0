"""The JSON objects that `--json` writes, one a line: their types and fields, which scripts depend on.

Readers must pass over types and fields that they do not know: new ones may appear, old ones do not change.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.typing import Final


@dataclass(frozen=True, slots=True)
class Record:
    """One type of object. Fields in `optional` may be absent."""

    type: str
    written_by: str
    fields: tuple[str, ...]
    optional: tuple[str, ...] = ()


_ENTRY: Final = ("path", "kind", "mode", "uid", "gid", "size", "mtime", "mtime_ns", "root")
_ENTRY_OPTIONAL: Final = ("path_hex", "target", "target_hex")

RECORDS: Final = (
    Record("changed", "sync, put, get", ("path", "action", "size"), ("path_hex",)),
    Record("trouble", "sync, put, get", ("path", "reason"), ("path_hex",)),
    Record("progress", "sync, put, get", ("files", "done", "total")),
    Record(
        "delivered",
        "sync --watch",
        ("path", "action", "size", "destination", "moved", "seconds"),
        ("path_hex",),
    ),
    Record("connection", "sync --watch", ("destination", "lost", "seconds")),
    Record(
        "summary",
        "sync",
        (
            "files", "changed", "deleted", "troubles", "total", "sent", "received", "turns", "seconds", "snapshot",
            "ratio", "dry_run",
        ),
    ),
    Record("entry", "ls", _ENTRY, _ENTRY_OPTIONAL),
    Record("stat", "stat", (*_ENTRY, "packets", "group", "sparse", "xattrs"), _ENTRY_OPTIONAL),
    Record("snapshot", "snapshots", ("name", "path", "time", "time_ns", "root"), ("name_hex", "path_hex")),
    Record("difference", "diff", ("path", "change", "kind", "old_size", "size"), ("path_hex",)),
    Record(
        "differences",
        "diff",
        ("new", "gone", "content", "metadata", "new_size", "gone_size", "content_old_size", "content_size"),
    ),
    Record("pool", "init", ("path", "identity", "mean")),
    Record(
        "info",
        "info",
        (
            "path", "identity", "created_ns", "mean", "durable", "files", "logical", "content", "disk",
            "free", "snapshots",
        ),
    ),
    Record("check", "doctor", ("name", "need", "ok", "found", "advice")),
    Record("verdict", "doctor", ("missing",)),
    Record("finding", "check", ("what", "where", "digest")),
    Record("affected", "check", ("path", "reason", "snapshot"), ("path_hex",)),
    Record("checked", "check", ("findings", "affected")),
    Record("collected", "gc", ("freed",)),
    Record("repaired", "repair", ("snapshots", "restored", "names")),
    Record("output", "run", ("data_hex",)),
    Record("map", "run", ("name", "kind", "decimals", "entries")),
    Record(
        "fault", "run",
        ("file", "shard", "vm", "record_start", "fault", "packet", "slot", "instruction", "address", "message"),
    ),
    Record(
        "run", "run",
        (
            "records", "bytes", "shards", "remembered", "executed", "emitted", "verdicts", "last", "faulted", "engine",
            "ran", "why", "seconds", "timings", "best_ns", "median_ns",
        ),
    ),
    Record(
        "job", "vms, top",
        (
            "job", "status", "owner", "created_ns", "program", "records", "files", "size", "done", "delivered",
            "executed", "states", "damage",
        ),
    ),
    Record(
        "microvm", "vms",
        (
            "vm", "state", "shard", "records", "executed", "pc", "depth", "fuel", "owner", "position", "fault",
        ),
    ),
    Record("thawed", "vms", ("job",)),
    Record("program", "programs", ("name", "summary", "records", "arguments")),
    Record("stored_program", "programs", ("path", "digest", "slots", "maps", "reason"), ("path_hex",)),
    Record("token", "keys add", ("name", "token")),
    Record(
        "key", "keys list",
        ("name", "shows", "read", "write", "run", "sync_max", "stored_max", "rate", "created", "revoked"),
    ),
    Record("server", "keys servers", ("address", "fingerprint")),
    Record("traced", "run, to stderr", ("file", "vm", "text")),
    Record("error", "every command, to stderr", ("code", "error", "message", "hint")),
)  # fmt: skip
"""Every type. `sent` and `received` of a summary have: logical, literal, copied, metadata, signature, wire (bytes)."""

BY_TYPE: Final = {record.type: record for record in RECORDS}
