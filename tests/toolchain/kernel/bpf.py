"""bpf(2) and libbpf by ctypes: what the kernel makes of an object, a packet and the maps afterwards.

libbpf links the object on its own, so that it is an oracle for our linker as well as for our interpreters. It takes no
maps in the legacy form any more: such objects are loaded as we linked them, and are an oracle for execution only.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from packetfs.vm.instruction import encode, iterate
from packetfs.vm.isa import LDDW
from packetfs.vm.layout import MapType
from packetfs.vm.program import MapDefinition, Program

NUMBER = {"x86_64": 321, "aarch64": 280}
MAP_CREATE, LOOKUP, UPDATE, NEXT_KEY, PROG_LOAD, TEST_RUN = 0, 1, 2, 4, 5, 10
XDP = 6
PERCPU = (5, 6, 10)
KEYED = (1, 2, 5, 6, 9, 10)
ROOM = 4096
"""Bytes of a packet that the kernel may return; it takes one page."""


class Refused(Exception):
    """The kernel or libbpf does not take it."""


@cache
def libbpf() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("bpf") or "libbpf.so.1"
    try:
        library = ctypes.CDLL(name, use_errno=True)
    except OSError:
        return None
    for function in ("bpf_object__open_mem", "bpf_object__next_program", "bpf_object__next_map"):
        getattr(library, function).restype = ctypes.c_void_p
    for function in ("bpf_program__name", "bpf_map__name"):
        getattr(library, function).restype = ctypes.c_char_p
    library.libbpf_set_print(None)
    return library


def why_not() -> str:
    """Say why this machine cannot be asked, or nothing where it can."""
    if platform.machine() not in NUMBER:
        return f"bpf(2) has no known number on {platform.machine()}"
    if libbpf() is None:
        return "there is no libbpf.so"
    try:
        load_linked(Program(bytes.fromhex("b7000000020000009500000000000000"))).close()
    except Refused as error:
        return f"the kernel refuses programs: {error}"
    return ""


def call(command: int, attributes: bytes) -> tuple[int, bytes]:
    """Call bpf(2); return what it returns and the attributes as the kernel left them."""
    room = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(NUMBER[platform.machine()], command, room, len(room))
    if result < 0:
        raise Refused(os.strerror(ctypes.get_errno()))
    return result, room.raw


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def pointer(buffer: ctypes.Array[ctypes.c_char] | None) -> bytes:
    return ctypes.addressof(buffer).to_bytes(8, "little") if buffer is not None else bytes(8)


@dataclass
class KernelMap:
    """A map in the kernel."""

    name: str
    fd: int
    type: int
    key_size: int
    value_size: int

    def entries(self) -> dict[bytes, bytes]:
        """Return what it holds, values of all zero left out; of a map per processor, the sum over processors."""
        if self.type not in KEYED:
            return {}
        found = ((key, self._value(key)) for key in self._keys())
        return {key: value for key, value in found if any(value)}

    def _keys(self) -> Iterator[bytes]:
        following, key = ctypes.create_string_buffer(self.key_size), None
        while True:
            try:
                call(NEXT_KEY, words(self.fd, 0) + pointer(key) + pointer(following))
            except Refused:
                return
            yield following.raw
            key = ctypes.create_string_buffer(following.raw, self.key_size)

    def _value(self, key: bytes) -> bytes:
        stride = -(-self.value_size // 8) * 8
        count = processors() if self.type in PERCPU else 1
        value, asked = ctypes.create_string_buffer(stride * count), ctypes.create_string_buffer(key, len(key))
        call(LOOKUP, words(self.fd, 0) + pointer(asked) + pointer(value))
        each = [value.raw[i * stride : i * stride + self.value_size] for i in range(count)]
        return max(each)  # the test keeps to one processor: the others are zero

    def set(self, key: bytes, value: bytes) -> None:
        if self.type in PERCPU:
            value = value.ljust(-(-len(value) // 8) * 8, b"\0") * processors()
        held = [ctypes.create_string_buffer(part, len(part)) for part in (key, value)]
        call(UPDATE, words(self.fd, 0) + pointer(held[0]) + pointer(held[1]) + bytes(8))


@dataclass
class KernelProgram:
    """A program in the kernel."""

    fd: int
    maps: list[KernelMap]
    object: int = 0

    def run(self, packet: bytes) -> tuple[int, bytes]:
        """Return the verdict on a packet, and the packet afterwards."""
        given = ctypes.create_string_buffer(packet, len(packet))
        taken = ctypes.create_string_buffer(ROOM)
        attributes = words(self.fd, 0, len(packet), ROOM) + pointer(given) + pointer(taken) + words(1)
        _, left = call(TEST_RUN, attributes)
        size = int.from_bytes(left[12:16], "little")
        return int.from_bytes(left[4:8], "little"), taken.raw[:size]

    def close(self) -> None:
        library = libbpf()
        if self.object and library is not None:
            library.bpf_object__close(ctypes.c_void_p(self.object))
        else:
            for fd in (self.fd, *(held.fd for held in self.maps)):
                os.close(fd)


@cache
def processors() -> int:
    library = libbpf()
    assert library is not None
    return int(library.libbpf_num_possible_cpus())


def load_object(data: bytes, function: str) -> KernelProgram:
    """Let libbpf open, link and load one program of an object."""
    library = libbpf()
    assert library is not None
    held = library.bpf_object__open_mem(data, ctypes.c_size_t(len(data)), None)
    if not held:
        raise Refused(f"libbpf does not open it: {os.strerror(ctypes.get_errno())}")
    object_ = ctypes.c_void_p(held)
    chosen = None
    for program in _each(library.bpf_object__next_program, object_):
        wanted = library.bpf_program__name(program) == function.encode()
        library.bpf_program__set_autoload(program, wanted)
        if wanted:
            chosen = program
            library.bpf_program__set_type(program, XDP)
    for found in _each(library.bpf_object__next_map, object_):
        library.bpf_map__set_pin_path(found, None)  # pinned maps need a mounted bpffs, and would outlive the test
    if chosen is None or library.bpf_object__load(object_):
        reason = os.strerror(ctypes.get_errno())
        library.bpf_object__close(object_)
        raise Refused(f"libbpf does not load it: {reason}")
    maps = [_map(library, found) for found in _each(library.bpf_object__next_map, object_)]
    return KernelProgram(library.bpf_program__fd(chosen), maps, held)


def _each(following: ctypes._NamedFuncPointer, object_: ctypes.c_void_p) -> Iterator[ctypes.c_void_p]:
    found = following(object_, None)
    while found:
        yield ctypes.c_void_p(found)
        found = following(object_, ctypes.c_void_p(found))


def _map(library: ctypes.CDLL, found: ctypes.c_void_p) -> KernelMap:
    numbers = (getattr(library, f"bpf_map__{name}")(found) for name in ("fd", "type", "key_size", "value_size"))
    return KernelMap(library.bpf_map__name(found).decode(), *numbers)


def load_linked(program: Program, declared: Mapping[bytes, tuple[int, ...]] = MappingProxyType({})) -> KernelProgram:
    """Load a program as we linked it, with maps made here: as `declared`, where that says anything of their name."""
    maps = [_create(definition, declared.get(definition.name)) for definition in program.maps]
    code = bytearray(program.code)
    for slot, i in iterate(program.code):
        if i.opcode == LDDW and i.src in (5, 6):
            at = slot * 8
            code[at : at + 8] = encode(i)[:1] + bytes([i.dst | (i.src - 4) << 4]) + bytes(2) + words(maps[i.imm].fd)
    text = ctypes.create_string_buffer(bytes(code), len(code))
    log, licence = ctypes.create_string_buffer(1 << 20), ctypes.create_string_buffer(b"GPL")
    attributes = words(XDP, len(code) // 8) + pointer(text) + pointer(licence) + words(1, len(log)) + pointer(log)
    try:
        fd, _ = call(PROG_LOAD, attributes)
    except Refused as error:
        said = log.value.decode(errors="replace").strip().splitlines()
        raise Refused(f"{error}: {' / '.join(said[-3:-1])[-200:]}") from None
    return KernelProgram(fd, maps)


def _create(d: MapDefinition, declared: tuple[int, ...] | None) -> KernelMap:
    entries = max(d.max_entries, 4096) if d.type is MapType.RINGBUF else d.max_entries
    said = declared or (d.type, d.key_size, d.value_size, entries, d.flags)
    fd, _ = call(MAP_CREATE, words(*said))
    made = KernelMap(d.name.decode(), fd, *said[:3])
    if d.initial:
        made.set(bytes(4), d.initial.ljust(d.value_size, b"\0"))
    return made
