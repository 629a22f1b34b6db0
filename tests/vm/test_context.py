"""The context as an object, and which interpreter runs."""

from __future__ import annotations

from itertools import pairwise

import pytest

from packetfs.accel import native
from packetfs.engines.machines import can_compile, choose
from packetfs.errors import UsageError
from packetfs.vm.context import BASE_UNKNOWN, Context, begin_shard, open_maps
from packetfs.vm.layout import CONTEXT, CONTEXT_BYTES, VMS_MAX, Fault, State
from packetfs.vm.machine import MACHINES, NATIVE, TWIN


def test_every_field_of_the_table_has_its_bytes() -> None:
    assert sum(field.size for field in CONTEXT) == CONTEXT_BYTES
    assert all(a.offset + a.size == b.offset for a, b in pairwise(CONTEXT))
    context = Context(bytearray(CONTEXT_BYTES))
    for field in CONTEXT:
        if field.name in ("zero", "padding", "store"):
            continue
        count = field.size // 8
        value = list(range(1, count + 1)) if count > 1 else 1
        setattr(context, field.name, value)
        first = bytes(context.view[field.offset : field.offset + field.size])
        assert first.startswith(b"\1")
        assert getattr(context, field.name) == (tuple(value) if isinstance(value, list) else 1)


def test_slots_of_a_table() -> None:
    contexts = bytearray(3 * CONTEXT_BYTES)
    Context(contexts, 2).pc = 0x01020304
    assert contexts[2 * CONTEXT_BYTES + 96 :][:4] == b"\4\3\2\1"
    for slot in (3, -1):
        with pytest.raises(ValueError, match="of a table of 3"):
            Context(contexts, slot)


def test_begin_shard() -> None:
    contexts = bytearray(b"\xff" * CONTEXT_BYTES)
    begin_shard(contexts, 0, shard=VMS_MAX, start=10, stop=20, position=12, record_base=BASE_UNKNOWN, seed=0)
    context = Context(contexts)
    assert (context.state, context.vm, context.shard) == (State.READY, 1, VMS_MAX)
    assert (context.start, context.stop, context.position, context.random) == (10, 20, 12, VMS_MAX)
    assert (context.registers, context.flags, context.executed) == ((0,) * 11, 0, 0)
    assert context.record_base == (1 << 64) - 1
    assert context.faulted is None
    context.state, context.fault = State.FAULTED, Fault.FUEL
    assert context.faulted is Fault.FUEL


def test_fuel_is_signed() -> None:
    context = Context(bytearray(CONTEXT_BYTES))
    context.fuel = -3
    assert bytes(context.view[72:80]) == b"\xfd" + b"\xff" * 7
    assert context.fuel == -3


def test_open_maps() -> None:
    maps = bytearray(b"\xff" * 24)
    open_maps(b"abc", 8, maps, 1)
    assert maps == b"\xff" * 8 + b"abc" + bytes(5) + b"\xff" * 8


def test_machines() -> None:
    assert choose("interpreter") is TWIN
    assert choose().name == ("auto" if can_compile() else MACHINES[-1].name)
    assert (NATIVE is None) == (native is None)
    if NATIVE is not None:
        assert choose("native") is NATIVE
    with pytest.raises(UsageError, match="no engine gpu in this installation; it has interpreter"):
        choose("gpu")
