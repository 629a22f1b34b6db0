"""The runner of derived files, as frontends hand it to the filesystem; the engines are loaded when one is run."""

from __future__ import annotations

from packetfs.contextlib import suppress
from packetfs.errors import BadProgram, CorruptExtent, DeriveFailed, MissingExtent, UnknownFeature
from packetfs.fs.derived import run_derived, waiting
from packetfs.fs.filesystem import FileSystem, open_names
from packetfs.fs.streams.ingest import Ingested
from packetfs.packet.digest import Digest
from packetfs.pool.memo import MemoStore
from packetfs.pool.pool import Pool
from packetfs.typing import Final

_OF_ONE_FILE: Final = (DeriveFailed, BadProgram, CorruptExtent, MissingExtent, UnknownFeature)
"""Why one derived file cannot be made, while others can."""


def derive(pool: Pool, root: Digest) -> Ingested:
    """Be the filesystem's Deriver: run a derived file into a pool that is open for writing, and remember how."""
    from packetfs.engines.derive import Deriver
    from packetfs.engines.results.result import ignore

    store = MemoStore(pool)
    try:
        return Deriver(memory=lambda _: store, listener=ignore)(pool, root)
    finally:
        store.close()


def run_now(path: str, root: Digest) -> Ingested:
    """Run a derived file as the writer of its pool, for one who only reads; PoolBusy while there is another writer."""
    with Pool.open(path, writable=True) as pool, open_names(pool) as fs:
        done = run_derived(fs, root, derive)
        fs.commit()
        return done


def run_all(path: str) -> None:
    """Run all derived files of a pool that were not run yet; the pool is opened for writing only if there are any."""
    with Pool.open(path) as pool, open_names(pool) as fs:
        if not waiting(fs):
            return
    with Pool.open(path, writable=True) as pool, open_names(pool) as fs:
        run_waiting(fs)
        fs.commit()


def run_waiting(fs: FileSystem) -> None:
    """Run all derived files that were not run yet: what is built of the names next refers to content alone.

    One that cannot be made waits on; who reads it is told NotRunYet, and nobody else anything.
    """
    for root in waiting(fs):
        with suppress(*_OF_ONE_FILE):
            run_derived(fs, root, derive)
