"""fsspec's transaction as the pool's: everything done to the filesystem in it is committed at once, or not at all."""

from __future__ import annotations

from contextlib import AbstractContextManager

from fsspec.transaction import Transaction

from packetfs.typing import Any


class PoolTransaction(Transaction):  # type: ignore[misc]  # fsspec has no types
    """`with fs.transaction:`; files that are still open at its end are a mistake that undoes it."""

    fs: Any

    def __init__(self, fs: Any, **kwargs: Any) -> None:
        super().__init__(fs, **kwargs)
        self._inner: AbstractContextManager[None] | None = None

    def start(self) -> None:
        """Take the pool's turn."""
        super().start()
        self._begin()

    def _begin(self) -> None:
        self._inner = self.fs.pool.transaction()
        self._inner.__enter__()

    def complete(self, commit: bool = True) -> None:
        """Commit, or forget all changes."""
        inner, self._inner = self._inner, None
        opened = [file for file in self.files if not file.closed]
        self.files.clear()
        fs: Any = self.fs
        self.fs = None
        fs._intrans = False
        fs._transaction = None
        problem = None
        if opened and commit:
            problem = ValueError(f"{opened[0]!r} is still open at the end of its transaction; nothing was committed")
        for file in opened:
            file.discard()
        if inner is None:
            return
        if commit and problem is None:
            inner.__exit__(None, None, None)
            return
        _undo(inner)
        if problem is not None:
            raise problem


class _Undone(Exception):
    """Tells the pool's transaction to forget its changes."""


def _undo(inner: AbstractContextManager[None]) -> None:
    try:
        inner.__exit__(_Undone, _Undone(), None)
    except _Undone:
        return
