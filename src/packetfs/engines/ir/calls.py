"""Calls and returns. A local call pushes a frame and jumps, so that one IR function holds all of a program: a return
goes by the slot that the frame names, callx by the address in a register, which may be that of any instruction."""

from __future__ import annotations

from typing import Final

from packetfs.engines.ir.function import Function
from packetfs.engines.ir.written import STOPPED
from packetfs.vm.layout import FRAME_BYTES, FRAMES, HELPERS, OFFSET_MASK, REGION_SHIFT, Fault, Region, Stop

_SAVED: Final = range(6, 10)
"""Registers that a function keeps for its caller."""
_FRAME_WORDS: Final = 1 + len(_SAVED)


def call_helper(f: Function, slot: int, number: int) -> None:
    """Call a helper; what it costs beside its slot is paid and tested behind it."""
    text = f.text
    arguments = ", ".join(f"i64 {f.take(register)}" for register in range(1, 6))
    text.set("extra", 0)
    result = text.new(f"call i64 @helper{number}.{f.number}(ptr %vm, {arguments}, i64 {slot - f.begin})")
    f.stop_if(text.new(f"icmp ne i64 {text.get('fault')}, 0"), slot)
    f.give(0, result)
    f.pay(slot + 1)
    extra = text.get("extra")
    costly, free = f.split(text.new(f"icmp ne i64 {extra}, 0"), "costly")
    text.label(costly)
    text.add("fuel", text.new(f"sub i64 0, {extra}"))
    f.test(str(slot + 1))
    text.do(f"br label %s{slot + 1}")
    text.label(free)
    text.do(f"br label %s{slot + 1}")


def call_local(f: Function, slot: int, target: str, label: str) -> None:
    """Push a frame and go to a block; target: its slot."""
    text, depth = f.text, f.text.get("depth")
    f.stop_if(text.new(f"icmp eq i64 {depth}, {FRAMES - 1}"), slot, Fault.DEPTH)
    f.pay(slot + 1)
    for place, value in zip(_frame(f, depth), (str(slot + 1), *map(f.take, _SAVED)), strict=True):
        text.do(f"store i64 {value}, ptr {place}")
    text.add("depth", 1)
    f.give(10, text.new(f"sub i64 {f.take(10)}, {FRAME_BYTES}"))
    f.test(target)
    text.do(f"br label %{label}")


def _frame(f: Function, depth: str) -> list[str]:
    """Return pointers to the words of a frame."""
    first = f.text.new(f"mul i64 {depth}, {_FRAME_WORDS}")
    frame = f.text.new(f"getelementptr i64, ptr {f.text.place('frames')}, i64 {first}")
    return [f.text.new(f"getelementptr i64, ptr {frame}, i64 {at}") for at in range(_FRAME_WORDS)]


def write_return(f: Function) -> None:
    """Write where `exit` goes: to the function that called, or to the end of the record."""
    returns = [slot + 1 for slot, _, row in f.rows if row.mnemonic in ("call local", "callx")]
    f.text.label("return")
    if returns:
        main, inner = f.split(f.text.new(f"icmp eq i64 {f.text.get('depth')}, 0"), "main")
        f.text.label(inner)
        _pop(f, returns)
        f.text.label(main)
    f.text.do("br label %done")


def _pop(f: Function, returns: list[int]) -> None:
    places = _frame(f, f.text.add("depth", -1))
    back, *saved = (f.text.new(f"load i64, ptr {place}") for place in places)
    for register, value in zip(_SAVED, saved, strict=True):
        f.give(register, value)
    f.give(10, f.text.new(f"add i64 {f.take(10)}, {FRAME_BYTES}"))
    _switch(f, back, {slot: f"s{slot}" for slot in returns}, "stopped")


def _switch(f: Function, value: str, cases: dict[int, str], other: str) -> None:
    listed = " ".join(f"i64 {number}, label %{label}" for number, label in cases.items())
    f.text.do(f"switch i64 {value}, label %{other} [ {listed} ]")


# callx


def call_register(f: Function, slot: int, value: str, known: frozenset[int]) -> None:
    """Call what a register names: a helper below 2**28, a slot in CODE; TARGET for all else. known: helpers here."""
    helper, code, bad = (f.text.fresh(name) for name in ("helper", "code", "no_target"))
    region = f.text.new(f"lshr i64 {value}, {REGION_SHIFT}")
    _switch(f, region, {Region.NULL: helper, Region.CODE: code}, bad)
    f.text.label(bad)
    f.stop(slot, Fault.TARGET, value)
    f.text.label(helper)
    _call_number(f, slot, value, known)
    f.text.label(code)
    target, begun = f.text.new(f"and i64 {value}, {OFFSET_MASK}"), f.text.fresh("begun")
    _switch(f, target, dict.fromkeys((each for each, _, _ in f.rows), begun), bad)
    f.text.label(begun)
    f.text.do(f"store i64 {target}, ptr %target")
    call_local(f, slot, target, "dispatch")


def _call_number(f: Function, slot: int, value: str, known: frozenset[int]) -> None:
    """Call a helper by its number; those that only the host has stop the record for it."""
    labels = {number: f.text.fresh(f"helper{number}") for number in sorted(known)}
    host, none = f.text.fresh("host"), f.text.fresh("no_helper")
    every = dict.fromkeys((helper.number for helper in HELPERS), host)
    _switch(f, value, every | labels, none)
    for label, fault in ((none, int(Fault.HELPER)), (host, STOPPED + Stop.HELPER)):
        f.text.label(label)
        f.stop(slot, fault, value)
    for number, label in labels.items():
        f.text.label(label)
        call_helper(f, slot, number)


def write_dispatch(f: Function) -> None:
    """Write where callx goes once its frame is pushed."""
    f.text.label("dispatch")
    _switch(f, f.text.new("load i64, ptr %target"), {slot: f"s{slot}" for slot, _, _ in f.rows}, "stopped")
