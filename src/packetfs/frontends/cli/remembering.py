"""What the pool of a run remembers, for as long as the run lasts."""

from __future__ import annotations

from packetfs.contextlib import contextmanager
from packetfs.engines.input.source import PoolFile, Source
from packetfs.typing import TYPE_CHECKING, Callable, Iterator, Sequence

if TYPE_CHECKING:
    from packetfs.pool.memo import MemoStore


@contextmanager
def remembering(sources: Sequence[Source], note: Callable[[str], None], *, wanted: bool) -> Iterator[MemoStore | None]:
    """Give what the sources' pool remembers; None where no file lies in one, or it is not `wanted`. What is new is
    written at the end, however that comes; where it cannot be, `note` is told."""
    stored = next((source for source in sources if isinstance(source, PoolFile)), None)
    if stored is None or not wanted:
        yield None
        return
    from packetfs.pool.memo import MemoStore  # files of this machine need no pool
    from packetfs.pool.pool import Pool

    pool = stored.store
    if not isinstance(pool, Pool):
        raise TypeError(pool)
    store = MemoStore(pool)
    try:
        yield store
    finally:
        store.close()
        if store.refused is not None:
            note(f"not remembered: {store.refused.message}")
