"""Machine code that was made before, in files of the user's: one for each function of a recipe. Their names begin with
what names the program.

What lies there is executed, so the directory must belong to the user and be closed to others, and each file too. A file
is the digest of what follows, and code; one that is damaged, or not the user's, is made anew. Nothing depends on the
cache: without one, or where it cannot be written, code is made each time.

Code is kept flat, so that it runs as soon as it is mapped (flat.py). What cannot be is kept as LLVM's object, which
LLVM has to be loaded for.
"""

from __future__ import annotations

import os
import stat
import struct

from packetfs.accel import native
from packetfs.contextlib import suppress
from packetfs.dataclass import dataclass
from packetfs.limits import CODE_CACHE_BYTES, CODE_CACHE_FILES
from packetfs.packet.digest import DIGEST, digest_of
from packetfs.threading import Lock
from packetfs.typing import Any, Callable, Final

_PRIVATE = 0o077
_ENTRY: Final = struct.Struct("<I")
_FLAT, _OBJECT = b"F", b"O"
_core: Any = native


LARGE: Final = 1500
"""Lines of IR from which on a draft comes first: LLVM takes 25 microseconds a line for good code, 5 for a draft. It is
1.1 times as slow in programs that live in helpers and maps, as large ones do, else 1.6 times (measured)."""
_DRAFT: Final = "draft of "


@dataclass(frozen=True, slots=True)
class Code:
    """A function in memory; `owner` holds it there. draft: it was made in a hurry."""

    address: int
    owner: Any
    draft: bool = False


class CodeCache:
    """Code in a directory, by a key; the oldest go when there are too many."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def get(self, key: str) -> bytes | None:
        """Return the code of a key, None if there is none that can be trusted."""
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
        made = data[DIGEST:]
        return made if made and digest_of(made) == data[:DIGEST] else None

    def has(self, front: str) -> bool:
        """Tell whether there is any code whose key begins so."""
        try:
            return any(key.startswith(front) for key in os.listdir(self._directory))
        except OSError:
            return False

    def put(self, key: str, made: bytes) -> None:
        """Remember code, whole or not at all."""
        if len(made) + DIGEST > CODE_CACHE_BYTES:
            return
        with suppress(OSError):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            if not _own(os.stat(self._directory, follow_symlinks=False)):
                return
            place = os.path.join(self._directory, key)
            aside = f"{place}.{os.getpid()}"
            file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(file, "wb") as stream:
                stream.write(digest_of(made) + made)
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
_llvm: Final = Lock()


def keep_code(directory: str) -> None:
    """Remember the code that this process makes, and take what is there, in a directory of the user's."""
    global _used
    _used = CodeCache(directory)


def has_code(program: bytes) -> bool:
    """Tell whether code of a program is remembered, be it of another processor or of makers that changed since: most
    programs have none, and need no recipe to be looked for by."""
    return _used is not None and _used.has(program.hex())


def find_code(recipe: bytes, name: str) -> Code | None:
    """Return the function `name` of a recipe, or its draft, if it was made before and can be had without LLVM."""
    for draft in (False, True):
        kept = _kept(recipe, name, draft=draft)
        if kept is not None and kept[:1] == _FLAT:
            return _load(kept, name, draft=draft)
    return None


def load_code(recipe: bytes, name: str, write: Callable[[], str]) -> Code:
    """Return the function `name` as code of this processor: made before, or of what `write` returns, an IR module."""
    kept = _kept(recipe, name, draft=False)
    return _load(kept or _make(write(), recipe, name, draft=False), name, draft=False)


def load_draft(recipe: bytes, name: str, write: Callable[[], str]) -> Code:
    """Return the same, but of a large module that was not made before a draft."""
    for draft in (False, True):
        kept = _kept(recipe, name, draft=draft)
        if kept is not None:
            return _load(kept, name, draft=draft)
    text = write()
    large = text.count("\n") > LARGE
    return _load(_make(text, recipe, name, draft=large), name, draft=large)


def _kept(recipe: bytes, name: str, *, draft: bool) -> bytes | None:
    return None if _used is None else _used.get(_key(recipe, name, draft=draft))


def _key(recipe: bytes, name: str, *, draft: bool) -> str:
    return recipe[:DIGEST].hex() + digest_of(f"{_DRAFT if draft else ''}{name}\0".encode() + recipe).hex()


def _make(text: str, recipe: bytes, name: str, *, draft: bool) -> bytes:
    """Make code, and remember it."""
    from packetfs.engines.compiled.flat import NotFlat, flatten
    from packetfs.toolchain.python.backend import make_object

    with _llvm:  # it serves one thread at a time
        made = make_object(text, draft=draft)
    try:
        flat = flatten(made, name)
        kept = _FLAT + _ENTRY.pack(flat.entry) + flat.image
    except NotFlat:
        kept = _OBJECT + made
    if _used is not None:
        _used.put(_key(recipe, name, draft=draft), kept)
    return kept


def _load(kept: bytes, name: str, *, draft: bool) -> Code:
    if kept[:1] == _FLAT:
        address, owner = _core.vm_code(memoryview(kept)[1 + _ENTRY.size :])
        return Code(address + _ENTRY.unpack_from(kept, 1)[0], owner, draft)
    from packetfs.toolchain.python.backend import load_object

    with _llvm:
        return Code(*load_object(kept[1:], name), draft)
