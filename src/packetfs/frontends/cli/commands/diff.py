"""Show what differs between two snapshots, or between a snapshot and the live names.

Each path is new, gone, or has other content or other metadata; the last line counts them. B is `now` where it is left
out: the live names, unless a snapshot is called that. Only directories that differ are read, and the pool is not
written, so it may be mounted meanwhile. The exit code is 0 whether or not anything differs.
"""

from __future__ import annotations

from collections import Counter

from packetfs.dataclass import dataclass, field
from packetfs.errors import NotADirectory, NotFound
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.names import path_fields, pool_name, raw
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.reading import View, join, kind_of
from packetfs.frontends.cli.sizes import format_size
from packetfs.fs.diff import Change, diff_whole
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.transient import Transient
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs diff monday", "what changed since then"),
    ("pfs diff monday friday", "what changed between the two"),
    ("pfs diff --json monday now docs", "below docs alone, for a script"),
)
OPTIONS: Final = ("json", "pool")
_NOW: Final = "now"
_NEW, _GONE, _CONTENT, _METADATA = "new", "gone", "content", "metadata"


def declare(arguments: Arguments) -> None:
    """Add both sides and the path."""
    add = arguments.add
    add("old", metavar="A", help="the snapshot to begin with")
    add("new", metavar="B", nargs="?", default=_NOW, help="the snapshot to compare it with (default: now)")
    add("path", metavar="PATH", nargs="?", help="only what is below this directory (default: all that both have)")


def run(options: Options, output: Output) -> int:
    """Print one line, or one JSON object, a path that differs, and then how many."""
    counts = _Counts()
    with open_filesystem(options) as filesystem:
        store = Transient(filesystem)
        sides = [_side(filesystem, name) for name in (options.old, options.new)]
        bases = [side.base for side in sides]
        top = max(bases, key=len) if options.path is None else pool_name(options.path)
        old, new = (_root(side, top, store) for side in sides)
        if old is None and new is None:
            raise NotFound(path=top)
        for change in diff_whole(store, old, new):
            what = _what(change)
            counts.add(what, change)
            _show(what, join(top, change.path), change, output)
    counts.show(output)
    return 0


def _side(filesystem: FileSystem, name: str) -> View:
    is_live = name == _NOW and raw(name) not in (snapshot.name for snapshot in filesystem.snapshots())
    return View(filesystem, None if is_live else name)


def _root(side: View, path: bytes, store: Transient) -> Digest | None:
    """Return the root of a directory; None where nothing is there."""
    try:
        entry = side.entry(path)
    except NotFound:
        return None
    if not entry.is_dir:
        raise NotADirectory(path=path)
    return store.tree_root(path) if side.is_live else Digest(entry.root)


def _what(change: Change) -> str:
    old, new = change.old, change.new
    if old is None:
        return _NEW
    if new is None:
        return _GONE
    return _METADATA if new.is_dir or _content(old) == _content(new) else _CONTENT


def _content(entry: Entry) -> tuple[bytes, bytes, int]:
    return entry.root, entry.target, entry.rdev


def _size(entry: Entry | None) -> int:
    """Return the bytes of a file; what a directory holds is counted by itself."""
    return entry.size if entry is not None and entry.is_file else 0


@dataclass(slots=True)
class _Counts:
    """How many paths differ in which way, and the bytes of their files before and after."""

    paths: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, change: Change) -> None:
        self.paths[what] += 1
        self.before[what] += _size(change.old)
        self.after[what] += _size(change.new)

    def show(self, output: Output) -> None:
        paths = {what: self.paths[what] for what in (_NEW, _GONE, _CONTENT, _METADATA)}
        new, gone = self.after[_NEW], self.before[_GONE]
        before, after = self.before[_CONTENT], self.after[_CONTENT]
        if output.json:
            sizes = {"new_size": new, "gone_size": gone, "content_old_size": before, "content_size": after}
            output.record("differences", {**paths, **sizes})
        elif not output.quiet:
            sized = f"{paths[_NEW]:,} new ({format_size(new)}), {paths[_GONE]:,} gone ({format_size(gone)})"
            changed = f"{paths[_CONTENT]:,} with other content ({format_size(before)} -> {format_size(after)})"
            output.line(f"{sized}, {changed}, {paths[_METADATA]:,} with other metadata")


def _show(what: str, path: bytes, change: Change, output: Output) -> None:
    entry = change.new or change.old
    if entry is None:
        return
    old, new = _size(change.old), _size(change.new)
    if output.json:
        sizes = {"old_size": old, "size": new}
        output.record("difference", {**path_fields(path), "change": what, "kind": kind_of(entry), **sizes})
        return
    is_sized = entry.is_file and what != _METADATA
    shown = " -> ".join(format_size(_size(each)) for each in (change.old, change.new) if each is not None)
    output.line(f"{what:<8}  {shown if is_sized else '':>18}  {output.name(path)}{'/' if entry.is_dir else ''}")
