"""Machine code that was made before, in files of the user's: a file for each IR, processor and version of LLVM.

What lies there is executed, so the directory must belong to the user and be closed to others, and each file too. A file
is the digest of what follows, and an object; one that is damaged, or not the user's, is made anew. Nothing depends on
the cache: without one, or where it cannot be written, code is made each time.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from contextlib import suppress
from typing import Final

from packetfs.limits import CODE_CACHE_BYTES, CODE_CACHE_FILES
from packetfs.toolchain.python.backend import Code, load_object, make_object, processor

_DIGEST = 32
_PRIVATE = 0o077


class CodeCache:
    """Objects in a directory, by a key; the oldest go when there are too many."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def get(self, key: str) -> bytes | None:
        """Return the object of a key, None if there is none that can be trusted."""
        try:
            if not _own(os.stat(self._directory, follow_symlinks=False)):
                return None
            file = os.open(os.path.join(self._directory, key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with open(file, "rb") as stream:
            if not _own(os.fstat(file)):
                return None
            data = stream.read(CODE_CACHE_BYTES + 1)
        made = data[_DIGEST:]
        return made if made and hashlib.sha256(made).digest() == data[:_DIGEST] else None

    def put(self, key: str, made: bytes) -> None:
        """Remember an object, whole or not at all."""
        if len(made) + _DIGEST > CODE_CACHE_BYTES:
            return
        with suppress(OSError):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            if not _own(os.stat(self._directory, follow_symlinks=False)):
                return
            place = os.path.join(self._directory, key)
            aside = f"{place}.{os.getpid()}"
            file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(file, "wb") as stream:
                stream.write(hashlib.sha256(made).digest() + made)
            os.replace(aside, place)
            self._forget()

    def _forget(self) -> None:
        with os.scandir(self._directory) as entries:
            by_age = sorted((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries)
        for _, path in by_age[:-CODE_CACHE_FILES]:
            os.unlink(path)


def _own(status: os.stat_result) -> bool:
    """Tell whether only this user may change a file or directory."""
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & _PRIVATE


_used: CodeCache | None = None
_llvm: Final = threading.Lock()


def keep_code(directory: str) -> None:
    """Remember the code that this process makes, and take what is there, in a directory of the user's."""
    global _used
    _used = CodeCache(directory)


def load_code(text: str, name: str) -> Code:
    """Return the function `name` of an IR module as code of this processor. LLVM serves one thread at a time."""
    with _llvm:
        return _load(text, name)


def _load(text: str, name: str) -> Code:
    if _used is None:
        return load_object(make_object(text), name)
    key = hashlib.sha256(f"{processor()}\n{text}".encode()).hexdigest()
    made = _used.get(key)
    if made is None:
        made = make_object(text)
        _used.put(key, made)
    return load_object(made, name)
