"""From a request to an operation, and from what it gives to a reply."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from functools import partial

from packetfs.frontends.mount import protocol, replies
from packetfs.frontends.mount.caching import OpenFiles
from packetfs.frontends.mount.notify import inval_inode
from packetfs.frontends.mount.operations import Later, Operations, Parts
from packetfs.frontends.mount.protocol import Fattr, Opcode
from packetfs.frontends.mount.replies import Replies
from packetfs.frontends.mount.requests import changes_of, fields, malformed, name_and_value, one_name, two_names
from packetfs.fs.posix.attributes import Caller, Changes
from packetfs.typing import Final, TypeAlias

Head: TypeAlias = tuple[int, ...]
"""The header: length, opcode, unique, node, uid, gid, pid, length of extensions."""
Answer: TypeAlias = bytes | Parts | Later | None
Handler: TypeAlias = Callable[[Head, memoryview], Answer]

_READ: Final = protocol.READ_IN.struct
_WRITE: Final = protocol.WRITE_IN.struct
_OPEN: Final = protocol.OPEN_IN.struct
_CREATE: Final = protocol.CREATE_IN.struct
_RELEASE: Final = protocol.RELEASE_IN.struct
_FLUSH: Final = protocol.FLUSH_IN.struct
_FSYNC: Final = protocol.FSYNC_IN.struct
_MKNOD: Final = protocol.MKNOD_IN.struct
_MKDIR: Final = protocol.MKDIR_IN.struct
_RENAME: Final = protocol.RENAME_IN.struct
_RENAME2: Final = protocol.RENAME2_IN.struct
_LINK: Final = protocol.LINK_IN.struct
_FORGET: Final = protocol.FORGET_IN.struct
_BATCH: Final = protocol.BATCH_FORGET_IN.struct
_ONE: Final = protocol.FORGET_ONE.struct
_SETXATTR: Final = protocol.SETXATTR_IN.struct
_GETXATTR: Final = protocol.GETXATTR_IN.struct
_FALLOCATE: Final = protocol.FALLOCATE_IN.struct
_LSEEK: Final = protocol.LSEEK_IN.struct
_COPY: Final = protocol.COPY_FILE_RANGE_IN.struct
_KILL_SUIDGID: Final = int(Fattr.KILL_SUIDGID)
_DATA_FROM: Final = _WRITE.size
_COPY_MAX: Final = 0xFFFFF000
"""Bytes that the first COPY_FILE_RANGE can answer: its count has 32 bits."""
_DOTS: Final = (b".", b"..")
_NO_PAGES: Final = -1


class Dispatcher:
    """All requests that are about files. What has no method here is answered ENOSYS, once: the kernel remembers.

    STATX is one of them on purpose: there is no time of birth to tell, and without it plain attributes stay cached.
    """

    def __init__(
        self, operations: Operations, say: Replies, notify: Callable[[bytes], None], *, alone: bool = True
    ) -> None:
        self._do: Final = operations
        self._notify: Final = notify
        self._files: Final = OpenFiles(alone=alone)
        self._say: Final = say
        self.handlers: Final[list[Handler | None]] = self._table()

    def _table(self) -> list[Handler | None]:
        table: list[Handler | None] = [None] * protocol.OPCODES_END
        for opcode in Opcode:
            table[opcode] = getattr(self, f"_{opcode.name.lower()}", None)
        return table

    # names

    def _lookup(self, head: Head, body: memoryview) -> Answer:
        try:
            return self._say.entry(head[2], self._do.lookup(head[3], one_name(body)))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return self._say.missing(head[2])

    def _forget(self, head: Head, body: memoryview) -> Answer:
        self._do.forget(head[3], *fields(_FORGET, body))
        return None

    def _batch_forget(self, head: Head, body: memoryview) -> Answer:
        del head
        (count,) = fields(_BATCH, body)
        if len(body) < _BATCH.size + count * _ONE.size:
            raise malformed()
        for at in range(_BATCH.size, _BATCH.size + count * _ONE.size, _ONE.size):
            self._do.forget(*_ONE.unpack_from(body, at))
        return None

    def _mknod(self, head: Head, body: memoryview) -> Answer:
        mode, rdev, umask = fields(_MKNOD, body)
        name = one_name(body, _MKNOD.size)
        return self._say.entry(head[2], self._do.mknod(head[3], name, mode, rdev, Caller(head[4], head[5], umask)))

    def _mkdir(self, head: Head, body: memoryview) -> Answer:
        mode, umask = fields(_MKDIR, body)
        name = one_name(body, _MKDIR.size)
        return self._say.entry(head[2], self._do.mkdir(head[3], name, mode, Caller(head[4], head[5], umask)))

    def _symlink(self, head: Head, body: memoryview) -> Answer:
        name, target = two_names(body)
        return self._say.entry(head[2], self._do.symlink(head[3], name, target, Caller(head[4], head[5])))

    def _readlink(self, head: Head, body: memoryview) -> Answer:
        del body
        return replies.data(head[2], self._do.readlink(head[3]))

    def _link(self, head: Head, body: memoryview) -> Answer:
        (ino,) = fields(_LINK, body)
        return self._say.entry(head[2], self._do.link(ino, head[3], one_name(body, _LINK.size)))

    def _unlink(self, head: Head, body: memoryview) -> Answer:
        self._do.unlink(head[3], one_name(body))
        return replies.done(head[2])

    def _rmdir(self, head: Head, body: memoryview) -> Answer:
        self._do.rmdir(head[3], one_name(body))
        return replies.done(head[2])

    def _rename(self, head: Head, body: memoryview) -> Answer:
        (parent,) = fields(_RENAME, body)
        old, new = two_names(body, _RENAME.size)
        self._do.rename(head[3], old, parent, new, 0)
        return replies.done(head[2])

    def _rename2(self, head: Head, body: memoryview) -> Answer:
        parent, flags = fields(_RENAME2, body)
        old, new = two_names(body, _RENAME2.size)
        self._do.rename(head[3], old, parent, new, flags)
        return replies.done(head[2])

    # attributes

    def _getattr(self, head: Head, body: memoryview) -> Answer:
        del body
        return self._say.attributes(head[2], self._do.getattr(head[3]))

    def _setattr(self, head: Head, body: memoryview) -> Answer:
        changes, handle, valid = changes_of(body)
        if valid & _KILL_SUIDGID and changes.mode is None:
            changes = changes._replace(mode=self._without_privileges(head[3]))
        return self._say.attributes(head[2], self._do.setattr(head[3], changes, handle))

    def _without_privileges(self, ino: int) -> int | None:
        """Return the mode without setuid and, where its group may execute the file, setgid; None where it has none."""
        mode = self._do.getattr(ino).mode
        gone = mode & stat.S_ISUID
        if mode & stat.S_ISGID and mode & stat.S_IXGRP:
            gone |= stat.S_ISGID
        return stat.S_IMODE(mode & ~gone) if gone and stat.S_ISREG(mode) else None

    def _drop_privileges(self, ino: int) -> None:
        mode = self._without_privileges(ino)
        if mode is not None:
            self._do.setattr(ino, Changes(mode=mode))

    def _drop_setgid(self, ino: int) -> None:
        mode = self._do.getattr(ino).mode
        if mode & stat.S_ISGID:
            self._do.setattr(ino, Changes(mode=stat.S_IMODE(mode & ~stat.S_ISGID)))

    def _getxattr(self, head: Head, body: memoryview) -> Answer:
        (size,) = fields(_GETXATTR, body)
        name = one_name(body, _GETXATTR.size)
        value = self._do.getxattr(head[3], name)
        return replies.attribute_value(head[2], value, size)

    def _listxattr(self, head: Head, body: memoryview) -> Answer:
        (size,) = fields(_GETXATTR, body)
        names = b"".join(name + b"\0" for name in self._do.listxattr(head[3]))
        return replies.attribute_value(head[2], names, size)

    def _setxattr(self, head: Head, body: memoryview) -> Answer:
        size, flags, extra = fields(_SETXATTR, body)
        name, value = name_and_value(body, _SETXATTR.size, size)
        self._do.setxattr(head[3], name, value, flags)
        if extra & protocol.SETXATTR_ACL_KILL_SGID:
            self._drop_setgid(head[3])
        return replies.done(head[2])

    def _removexattr(self, head: Head, body: memoryview) -> Answer:
        self._do.removexattr(head[3], one_name(body))
        return replies.done(head[2])

    def _statfs(self, head: Head, body: memoryview) -> Answer:
        del body
        return replies.space(head[2], self._do.statfs())

    # open files

    def _open(self, head: Head, body: memoryview) -> Answer:
        flags, how = fields(_OPEN, body)
        work = self._do.making(head[3])
        return self._opened(head, flags, how) if work is None else partial(self._make, work, head, flags, how)

    def _make(self, work: Callable[[], None], head: Head, flags: int, how: int) -> Callable[[], bytes]:
        """Make a file, without the lock; return what opens it, with the lock."""
        work()
        return partial(self._open_made, head, flags, how)

    def _open_made(self, head: Head, flags: int, how: int) -> bytes:
        """Open a file that was just made: the kernel has attributes of it from before."""
        opened = self._opened(head, flags, how)
        self._notify(inval_inode(head[3], _NO_PAGES))
        return opened

    def _opened(self, head: Head, flags: int, how: int) -> bytes:
        handle = self._do.open(head[3], flags)
        if how & protocol.OPEN_KILL_SUIDGID:
            self._drop_privileges(head[3])
        return replies.opened(head[2], handle, self._files.opened(head[3], flags))

    def _create(self, head: Head, body: memoryview) -> Answer:
        flags, mode, umask, _ = fields(_CREATE, body)
        caller = Caller(head[4], head[5], umask)
        made, handle = self._do.create(head[3], one_name(body, _CREATE.size), mode, flags, caller)
        return self._say.created(head[2], made, handle, self._files.opened(made.ino, flags))

    def _tmpfile(self, head: Head, body: memoryview) -> Answer:
        flags, mode, umask, _ = fields(_CREATE, body)
        made, handle = self._do.tmpfile(head[3], mode, flags, Caller(head[4], head[5], umask))
        return self._say.created(head[2], made, handle, self._files.opened(made.ino, flags))

    def _release(self, head: Head, body: memoryview) -> Answer:
        self._files.released(head[3])
        self._do.release(fields(_RELEASE, body)[0])
        return replies.done(head[2])

    def _flush(self, head: Head, body: memoryview) -> Answer:
        self._do.flush(*fields(_FLUSH, body))
        return replies.done(head[2])

    def _read(self, head: Head, body: memoryview) -> Answer:
        found = self._do.read(*fields(_READ, body))
        return found if callable(found) else replies.parts(head[2], found)

    def _write(self, head: Head, body: memoryview) -> Answer:
        handle, offset, size, flags = fields(_WRITE, body)
        if len(body) < _DATA_FROM + size:
            raise malformed()
        done = self._do.write(handle, offset, body[_DATA_FROM : _DATA_FROM + size])
        if flags & protocol.WRITE_KILL_SUIDGID:
            self._drop_privileges(head[3])
        return replies.written(head[2], done)

    def _fallocate(self, head: Head, body: memoryview) -> Answer:
        handle, offset, length, mode = fields(_FALLOCATE, body)
        self._do.fallocate(handle, mode, offset, length)
        return replies.done(head[2])

    def _lseek(self, head: Head, body: memoryview) -> Answer:
        return replies.number(head[2], self._do.lseek(*fields(_LSEEK, body)))

    def _copy_file_range(self, head: Head, body: memoryview) -> Answer:
        return replies.written(head[2], self._copy(body, _COPY_MAX))

    def _copy_file_range_64(self, head: Head, body: memoryview) -> Answer:
        return replies.number(head[2], self._copy(body, 1 << 63))

    def _copy(self, body: memoryview, limit: int) -> int:
        handle, offset, _, to, to_offset, length, flags = fields(_COPY, body)
        if flags:
            raise malformed()
        return self._do.copy_file_range(handle, offset, to, to_offset, min(length, limit))

    def _fsync(self, head: Head, body: memoryview) -> Answer:
        handle, flags = fields(_FSYNC, body)
        self._do.fsync(handle, bool(flags & protocol.FSYNC_FDATASYNC))
        return replies.done(head[2])

    def _syncfs(self, head: Head, body: memoryview) -> Answer:
        del body
        self._do.syncfs()
        return replies.done(head[2])

    # directories

    def _opendir(self, head: Head, body: memoryview) -> Answer:
        del body
        return replies.opened(head[2], self._do.opendir(head[3]), 0)

    def _readdir(self, head: Head, body: memoryview) -> Answer:
        handle, cookie, size = fields(_READ, body)
        entries = (replies.plain_entry(*entry) for entry in self._do.readdir(handle, cookie))
        return replies.data(head[2], replies.gather(entries, size))

    def _readdirplus(self, head: Head, body: memoryview) -> Answer:
        """Each entry that goes out is a reference that the kernel holds; `.` and `..` are not."""
        handle, cookie, size = fields(_READ, body)
        out = bytearray()
        for following, name, found in self._do.readdir(handle, cookie):
            known = name not in _DOTS
            entry = self._say.plus_entry(following, name, found, known)
            if len(out) + len(entry) > size:
                break
            if known:
                self._do.reference(found.ino)
            out += entry
        return replies.data(head[2], out)

    def _releasedir(self, head: Head, body: memoryview) -> Answer:
        self._do.releasedir(fields(_RELEASE, body)[0])
        return replies.done(head[2])

    def _fsyncdir(self, head: Head, body: memoryview) -> Answer:
        handle, flags = fields(_FSYNC, body)
        self._do.fsyncdir(handle, bool(flags & protocol.FSYNC_FDATASYNC))
        return replies.done(head[2])
