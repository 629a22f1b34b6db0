"""Any sequence of operations does what a model of POSIX does: names, links, bytes, holes, over reopening and gc."""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import tempfile
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from packetfs.fs.check import check
from packetfs.fs.gc import collect_garbage
from packetfs.fs.posix.attributes import Changes
from packetfs.fs.posix.files import KEEP_SIZE, PUNCH_HOLE
from tests.fs.posix.rig import ME, MEAN, Rig

NAMES = st.sampled_from([b"a", b"b", b"c", b"d"])
PLACES = st.integers(0, 3)
OFFSETS = st.one_of(st.integers(0, 12 * MEAN), st.just(0))
LENGTHS = st.one_of(st.integers(0, 300), st.integers(0, 4 * MEAN))


class File:
    """What a file should have."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.names = 0

    def resize(self, size: int) -> None:
        del self.data[size:]
        self.data += bytes(size - len(self.data))


class Directory(dict[bytes, Any]):
    """Names, and what they stand for."""

    def __init__(self, above: Directory | None) -> None:
        super().__init__()
        self.above = above
        self.gone = False


class Posix(RuleBasedStateMachine):
    """The filesystem beside its model; what one refuses the other must refuse, by the same number."""

    @initialize()
    def begin(self) -> None:
        self.place = tempfile.mkdtemp()
        self.rig = Rig(f"{self.place}/pool")
        self.top = Directory(None)
        self.inos: dict[int, int] = {id(self.top): 1}
        self.directories: list[Directory] = [self.top]
        self.open: list[tuple[File, int, int]] = []
        self.files: list[File] = []
        self.seed = 0

    def teardown(self) -> None:
        self.rig.close()
        shutil.rmtree(self.place)

    def directory(self, place: int) -> Directory:
        return self.directories[place % len(self.directories)]

    def ino(self, thing: Any) -> int:
        return self.inos[id(thing)]

    def refusal(self, act: Any) -> int:
        try:
            act()
        except OSError as error:
            return error.errno or -1
        return 0

    # names

    @rule(place=PLACES, name=NAMES)
    def make_directory(self, place: int, name: bytes) -> None:
        above = self.directory(place)
        if len(self.directories) > 6:
            return
        refused = self.refusal(lambda: self.rig.ops.mkdir(self.ino(above), name, 0o755, ME))
        assert refused == (errno.EEXIST if name in above else 0)
        if not refused:
            made = above[name] = Directory(above)
            self.directories.append(made)
            self.inos[id(made)] = self.rig.ops.lookup(self.ino(above), name).ino

    @rule(place=PLACES, name=NAMES)
    def create(self, place: int, name: bytes) -> None:
        above = self.directory(place)
        if name in above or len(self.open) > 5:
            return
        attributes, handle = self.rig.ops.create(self.ino(above), name, 0o644, os.O_RDWR, ME)
        made = above[name] = File()
        made.names = 1
        self.files.append(made)
        self.inos[id(made)] = attributes.ino
        self.open.append((made, handle, attributes.ino))

    @rule(place=PLACES, name=NAMES, to=PLACES, new=NAMES)
    def link(self, place: int, name: bytes, to: int, new: bytes) -> None:
        above, below = self.directory(place), self.directory(to)
        found = above.get(name)
        if not isinstance(found, File):
            return
        refused = self.refusal(lambda: self.rig.ops.link(self.ino(found), self.ino(below), new))
        assert refused == (errno.EEXIST if new in below else 0)
        if not refused:
            below[new] = found
            found.names += 1

    @rule(place=PLACES, name=NAMES)
    def remove(self, place: int, name: bytes) -> None:
        above = self.directory(place)
        found = above.get(name)
        if isinstance(found, Directory):
            refused = self.refusal(lambda: self.rig.ops.rmdir(self.ino(above), name))
            assert refused == (errno.ENOTEMPTY if found else 0)
        else:
            refused = self.refusal(lambda: self.rig.ops.unlink(self.ino(above), name))
            assert refused == (0 if found else errno.ENOENT)
        if not refused:
            self.lose(above, name)

    def lose(self, above: Directory, name: bytes) -> None:
        found = above.pop(name)
        if isinstance(found, Directory):
            self.directories = [d for d in self.directories if d is not found]
        else:
            found.names -= 1

    @rule(place=PLACES, name=NAMES, to=PLACES, new=NAMES, flags=st.sampled_from([0, 0, 1, 2]))
    def rename(self, place: int, name: bytes, to: int, new: bytes, flags: int) -> None:
        above, below = self.directory(place), self.directory(to)
        refused = self.refusal(lambda: self.rig.ops.rename(self.ino(above), name, self.ino(below), new, flags))
        node, other = above.get(name), below.get(new)
        assert refused == self.expected(node, other, above, below, flags)
        if refused or (node is other and flags != 2):
            return
        if flags == 2:
            above[name], below[new] = other, node
            for moved, place_now in ((node, below), (other, above)):
                if isinstance(moved, Directory):
                    moved.above = place_now
            return
        if other is not None:
            self.lose(below, new)
        below[new] = above.pop(name)
        if isinstance(node, Directory):
            node.above = below

    def expected(self, node: Any, other: Any, above: Directory, below: Directory, flags: int) -> int:
        if node is None:
            return errno.ENOENT
        if flags == 1 and other is not None:
            return errno.EEXIST
        if flags == 2 and other is None:
            return errno.ENOENT
        if self.inside(below, node) or (flags == 2 and self.inside(above, other)):
            return errno.EINVAL
        if flags == 2 or other is None or node is other:
            return 0
        if isinstance(other, Directory):
            return errno.EISDIR if isinstance(node, File) else errno.ENOTEMPTY if other else 0
        return errno.ENOTDIR if isinstance(node, Directory) else 0

    def inside(self, directory: Directory | None, node: Any) -> bool:
        while directory is not None:
            if directory is node:
                return True
            directory = directory.above
        return False

    # bytes

    def opened(self, which: int) -> tuple[File, int, int]:
        return self.open[which % len(self.open)]

    @precondition(lambda self: self.open)
    @rule(which=PLACES, offset=OFFSETS, length=LENGTHS, zero=st.booleans(), at_end=st.booleans())
    def write(self, which: int, offset: int, length: int, zero: bool, at_end: bool) -> None:
        file, handle, _ = self.opened(which)
        offset = len(file.data) if at_end else offset
        self.seed += 1
        data = bytes(length) if zero else random.Random(self.seed).randbytes(length)
        self.rig.ops.write(handle, offset, data)
        if data:
            file.resize(max(len(file.data), offset))
            file.data[offset : offset + length] = data

    @precondition(lambda self: self.open)
    @rule(which=PLACES, size=OFFSETS)
    def truncate(self, which: int, size: int) -> None:
        file, handle, ino = self.opened(which)
        self.rig.ops.setattr(ino, Changes(size=size), handle)
        file.resize(size)

    @precondition(lambda self: self.open)
    @rule(which=PLACES, offset=OFFSETS, length=LENGTHS)
    def punch(self, which: int, offset: int, length: int) -> None:
        file, handle, _ = self.opened(which)
        stop = min(offset + length, len(file.data))
        self.rig.ops.fallocate(handle, PUNCH_HOLE | KEEP_SIZE, offset, length or 1)
        if not length:
            stop = min(offset + 1, len(file.data))
        if offset < stop:
            file.data[offset:stop] = bytes(stop - offset)

    @precondition(lambda self: self.open)
    @rule(which=PLACES, to=PLACES, offset=OFFSETS, to_offset=OFFSETS, length=LENGTHS, whole=st.booleans())
    def copy(self, which: int, to: int, offset: int, to_offset: int, length: int, whole: bool) -> None:
        (file, handle, _), (target, other, _) = self.opened(which), self.opened(to)
        if file is target:
            return
        if whole:
            offset, to_offset, length = 0, 0, 1 << 40
        done = self.rig.ops.copy_file_range(handle, offset, other, to_offset, length)
        data = bytes(file.data[offset : offset + length])
        assert done == len(data)
        if data:
            target.resize(max(len(target.data), to_offset))
            target.data[to_offset : to_offset + len(data)] = data

    @precondition(lambda self: self.open)
    @rule(which=PLACES, offset=OFFSETS, length=LENGTHS)
    def read(self, which: int, offset: int, length: int) -> None:
        file, handle, ino = self.opened(which)
        assert self.rig.read(handle, offset, length) == file.data[offset : offset + length]
        assert self.rig.ops.getattr(ino).size == len(file.data)

    @precondition(lambda self: self.open)
    @rule(which=PLACES)
    def release(self, which: int) -> None:
        file, handle, ino = self.opened(which)
        self.rig.ops.flush(handle)
        self.rig.ops.release(handle)
        self.open = [entry for entry in self.open if entry[1] != handle]
        if not file.names and not any(entry[0] is file for entry in self.open):
            self.rig.ops.forget(ino, 1 << 20)

    # moments

    @precondition(lambda self: self.open)
    @rule(which=PLACES)
    def sync_one(self, which: int) -> None:
        self.rig.ops.fsync(self.opened(which)[1])

    @rule(now=st.integers(0, 100))
    def idle(self, now: int) -> None:
        self.rig.ops.idle(float(now))

    @rule()
    def collect(self) -> None:
        self.rig.ops.syncfs()
        collect_garbage(self.rig.fs)

    @rule(hard=st.booleans(), snapshot=st.booleans())
    def reopen(self, hard: bool, snapshot: bool) -> None:
        self.rig.ops.syncfs()
        if snapshot:
            self.seed += 1
            self.rig.fs.snapshot(b"s%d" % self.seed)
        if hard:
            self.rig.kill()
        else:
            self.rig.reopen()
        self.open.clear()
        assert not list(check(self.rig.fs))

    @invariant()
    def is_the_model(self) -> None:
        for directory in self.directories:
            assert self.rig.names(self.ino(directory)) == [b".", b"..", *sorted(directory)]
            inner = sum(isinstance(found, Directory) for found in directory.values())
            assert self.rig.ops.getattr(self.ino(directory)).nlink == 2 + inner
            for name, found in directory.items():
                attributes = self.rig.ops.lookup(self.ino(directory), name)
                assert attributes.ino == self.ino(found)
                if isinstance(found, File):
                    assert stat.S_ISREG(attributes.mode)
                    assert (attributes.nlink, attributes.size) == (found.names, len(found.data))


Posix.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestPosix = Posix.TestCase
