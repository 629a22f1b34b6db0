"""Pausing: random programs in random slices and windows end with the bytes of an unpaused run, on every machine."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.vm.layout import State
from packetfs.vm.machine import MACHINES
from tests.vm.rig import RING, array, rig, table

PIECES = (
    "add r6, r7",
    "mul r7, 0x1234567",
    "xor r7, r6",
    "arsh r6, 3",
    "stxdw [r10-{a}], r7",
    "ldxdw r6, [r10-{a}]",
    "lock fetch add [r10-{a}], r6",
    "mov r3, r9\n ldxb r4, [r3+0]\n add r7, r4",
    "stxb [r9+1], r7",
    "ldxw r4, [r9+1]\n xor r7, r4",
    "call local f{l}",
    "lddw r1, code f{l}\n callx r1",
    "mov r1, r10\n sub r1, {a}\n mov r2, 8\n call 4096",
    "mov r1, r9\n mov r2, {b}\n call 4096",
    "lddw r1, map 2\n mov r2, {b}\n call 131\n jeq r0, 0, s{n}\n stxb [r0+0], r7\n mov r1, r0\n call 132\n s{n}: ja +0",
    "call 5\n xor r7, r0",
    "call 7\n xor r6, r0",
    "mov r5, {b}\n l{n}: sub r5, 1\n add r7, r5\n jne r5, 0, l{n}",
    "mov r1, r9\n mov r2, 4\n mov r3, r10\n sub r3, {a}\n mov r4, 4\n mov r5, r6\n call 28\n xor r7, r0",
    "stxdw [r10-8], r6\n lddw r1, map 1\n mov r2, r10\n sub r2, 8\n mov r3, r2\n sub r3, {a}\n mov r4, 0\n call 2",
    "stxdw [r10-8], r6\n lddw r1, map 1\n mov r2, r10\n sub r2, 8\n call 3\n xor r7, r0",
    "lddw r1, value 0 + {b}\n lock add [r1+0], r7",
    "mov r1, r8\n mov r2, {b}\n sub r2, 9\n call 44\n ldxdw r9, [r8+0]",
    "mov r1, r8\n mov r2, {b}\n sub r2, 9\n call 65",
    "jgt r6, r7, t{n}\n add r6, 77\n ja u{n}\n t{n}: sub r7, 5\n u{n}: mov r1, 2",
    "stxdw [r8+0], r7",
    "ldxdw r6, [r9+{c}]",
    "mov r1, r7\n callx r1",
)
"""r6 and r7 hold values, r8 the context, r9 the record. Some of these fault now and then, as programs do."""

ANSWERED = tuple(i for i, piece in enumerate(PIECES) if any(f"call {number}" in piece for number in (28, 44, 65)))
"""Pieces that a machine may leave to Python: it then stops where another one does not."""

numbers = st.tuples(
    st.sampled_from(range(len(PIECES))), st.sampled_from([8, 16, 24, 80, 200, 440, 512]), st.integers(1, 16),
    st.integers(0, 2), st.integers(0, 60),
)  # fmt: skip
functions = st.lists(st.lists(numbers, max_size=9), min_size=4, max_size=4)


def text_of(parts: list[list[tuple[int, int, int, int, int]]]) -> str:
    lines, n = ["mov r8, r1", "ldxdw r9, [r1+0]", "mov r7, r2"], 0
    for number, part in enumerate(parts):
        if number:
            lines.append(f"f{number - 1}: add r7, 1")
        for piece, a, b, level, c in part:
            # functions call later ones only, so that most programs end; the rest is left to depth and fuel
            target = max(level, number) if (a + c) % 19 else 0
            chosen = PIECES[piece] if target < len(parts) - 1 or "f{l}" not in PIECES[piece] else "mov r1, 3"
            lines.append(chosen.format(a=a, b=b, l=min(target, 2), c=c, n=n))
            n += 1
        lines += ["mov r0, r7", "exit"]
    return "\n".join(lines)


@settings(max_examples=120)
@given(
    parts=functions,
    slices=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    room=st.sampled_from([64, 100, 1 << 12]),
    fuel=st.sampled_from([30, 300, 2000]),
    data=st.binary(min_size=1, max_size=100),
)
def test_slices_change_nothing(
    parts: list[list[tuple[int, int, int, int, int]]], slices: list[int], room: int, fuel: int, data: bytes
) -> None:
    text = text_of(parts)
    shape: dict[str, Any] = {"fuel": fuel, "data": data, "size": 33}
    left = set()
    for machine in MACHINES:
        whole = rig(machine, text, array(4), table(3), RING, **shape).finish()
        cut = rig(machine, text, array(4), table(3), RING, **shape, room=room).finish(slices)
        assert State(whole.context().state) in (State.DONE, State.FAULTED)
        left |= {whole.remains(), cut.remains()}
    assert len(left) == 1


@settings(max_examples=60)
@given(
    parts=functions,
    slices=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    data=st.binary(min_size=1, max_size=60),
)
def test_machines_agree_at_every_pause(
    parts: list[list[tuple[int, int, int, int, int]]], slices: list[int], data: bytes
) -> None:
    """Not only the end: whatever is paused is the same bytes, so that it can go on anywhere."""
    text, seen = text_of([[piece for piece in part if piece[0] not in ANSWERED] for part in parts]), []
    for machine in MACHINES:
        ran = rig(machine, text, array(4), table(3), RING, fuel=500, data=data, size=33)
        states = []
        for turn in slices:
            slot, why = ran.run(turn)
            states.append((slot, why, ran.remains(), bytes(ran.spill[:8192])))
        seen.append(states)
    assert all(state == seen[0] for state in seen)
