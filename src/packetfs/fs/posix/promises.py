"""Derived files of a live filesystem: who opens one first has its program run, beside the loop, and waits for that."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from functools import partial

from packetfs.fs.derived import Deriver, settle
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.posix.errnos import fail
from packetfs.fs.posix.nodes import SHOWN, Node, Nodes
from packetfs.fs.streams.ingest import Ingested
from packetfs.packet.derived import is_derived
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.typing import Final


class Promises:
    """The derived files that were run since the filesystem was opened. Without a `deriver` none can be opened."""

    def __init__(self, fs: FileSystem, nodes: Nodes, deriver: Deriver | None) -> None:
        self._fs: Final = fs
        self._nodes: Final = nodes
        self._deriver: Final = deriver
        self._done: Final[dict[Digest, Ingested]] = {}
        self._running: Final[dict[Digest, threading.Lock]] = {}

    def work_on(self, node: Node) -> Callable[[], None] | None:
        """Return what is to be done before a file can be opened, in any thread; None where it has its content."""
        root = node.root
        if node.size or node.content is not None or root == NO_DIGEST or not is_derived(self._fs.pool, root):
            return None
        done = self._done.get(root)
        if done is not None and self._fs.pool.holds(done.root):
            self._settle(root, done)
            return None
        if self._deriver is None:
            fail(errno.EOPNOTSUPP)
        return partial(self._run, self._deriver, root, self._running.setdefault(root, threading.Lock()))

    def _run(self, deriver: Deriver, root: Digest, lock: threading.Lock) -> None:
        with lock:  # others that opened it meanwhile wait for the one run
            if root not in self._done:
                self._done[root] = deriver(self._fs.pool, root)

    def _settle(self, root: Digest, done: Ingested) -> None:
        """Give the content to all names, those in memory too."""
        settle(self._fs, root, done)
        self._running.pop(root, None)
        for node in self._nodes.with_root(root):
            node.root, node.size, node.holes = done.root, done.size, done.sparse
            self._nodes.change(node, SHOWN)
