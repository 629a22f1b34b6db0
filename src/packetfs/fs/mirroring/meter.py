"""Files and bytes that an import has gone over, told now and then."""

from __future__ import annotations

from packetfs.events import Listener, Progress
from packetfs.limits import PROGRESS_BYTES, PROGRESS_FILES


class Meter:
    """Counts, and tells the listener at steps of PROGRESS_FILES or PROGRESS_BYTES."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._files = self._bytes = 0
        self._next_files, self._next_bytes = PROGRESS_FILES, PROGRESS_BYTES

    def count(self, files: int, size: int) -> None:
        self._files += files
        self._bytes += size
        if self._files >= self._next_files or self._bytes >= self._next_bytes:
            self.tell()

    def tell(self) -> None:
        self._next_files, self._next_bytes = self._files + PROGRESS_FILES, self._bytes + PROGRESS_BYTES
        self._listener(Progress(self._files, self._bytes, 0))
