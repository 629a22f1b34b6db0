"""Calls and returns. A local call pushes a frame and jumps, so that one IR function holds all of a program: a return
goes by the slot that the frame names, callx by the address in a register, which may be that of any instruction. All
callx of a program share the blocks that find out what is called, so that code grows with the program only."""

from __future__ import annotations

from packetfs.engines.ir.function import CELLS, Function, Site
from packetfs.engines.ir.written import STOPPED
from packetfs.typing import Final
from packetfs.vm.layout import FRAME_BYTES, FRAMES, HELPERS, OFFSET_MASK, REGION_SHIFT, Fault, Region, Stop

_SAVED: Final = range(6, 10)
"""Registers that a function keeps for its caller."""
_FRAME_WORDS: Final = 1 + len(_SAVED)


def call_helper(f: Function, site: Site, number: int) -> None:
    """Call a helper; what it costs beside its slot is paid and tested behind it."""
    text = f.text
    arguments = ", ".join(f"i64 {f.take(register)}" for register in range(1, 6))
    text.set("extra", 0)
    result = text.new(f"call i64 @helper{number}.{f.number}(ptr %vm, {arguments}, i64 {site.unpaid})")
    f.stop_if(text.new(f"icmp ne i64 {text.get('fault')}, 0"), site)
    f.give(0, result)
    _spend_call(f, site)
    extra = text.get("extra")
    costly, free = f.split(text.new(f"icmp ne i64 {extra}, 0"), "costly")
    text.begin(costly)
    f.spend(extra)
    f.test(_next(f, site))
    text.jump(site.behind)
    text.begin(free)
    text.jump(site.behind)


def _spend_call(f: Function, site: Site) -> None:
    f.spend(f.text.new(f"add i64 {site.unpaid}, 1"))


def _next(f: Function, site: Site) -> str:
    """Return the slot behind a call, which is one slot."""
    return f.text.new(f"add i64 {site.slot}, 1")


def call_local(f: Function, site: Site, target: str, label: str) -> None:
    """Push a frame and go to a block; target: its slot."""
    text, depth = f.text, f.text.get("depth")
    f.stop_if(text.new(f"icmp eq i64 {depth}, {FRAMES - 1}"), site, Fault.DEPTH)
    _spend_call(f, site)
    for place, value in zip(_frame(f, depth), (_next(f, site), *map(f.take, _SAVED)), strict=True):
        text.do(f"store i64 {value}, ptr {place}")
    text.add("depth", 1)
    f.give(10, text.new(f"sub i64 {f.take(10)}, {FRAME_BYTES}"))
    f.test(target)
    text.jump(label)


def _frame(f: Function, depth: str) -> list[str]:
    """Return pointers to the words of a frame."""
    first = f.text.new(f"mul i64 {depth}, {_FRAME_WORDS}")
    frame = f.text.new(f"getelementptr i64, ptr {f.text.place('frames')}, i64 {first}")
    return [f.text.new(f"getelementptr i64, ptr {frame}, i64 {at}") for at in range(_FRAME_WORDS)]


def write_return(f: Function) -> None:
    """Write where `exit` goes: to the function that called, or to the end of the record."""
    returns = _behind(f, "call local", "callx")
    f.text.begin("return")
    if returns:
        main, inner = f.split(f.text.new(f"icmp eq i64 {f.text.get('depth')}, 0"), "main")
        f.text.begin(inner)
        _pop(f, returns)
        f.text.begin(main)
    f.text.jump("done")


def _behind(f: Function, *mnemonics: str) -> dict[int, str]:
    """Return slots and blocks behind instructions of those names."""
    return {step.behind: f"s{step.behind}" for step in f.steps if step.row.mnemonic in mnemonics}


def _pop(f: Function, returns: dict[int, str]) -> None:
    places = _frame(f, f.text.add("depth", -1))
    back, *saved = (f.text.new(f"load i64, ptr {place}") for place in places)
    for register, value in zip(_SAVED, saved, strict=True):
        f.give(register, value)
    f.give(10, f.text.new(f"add i64 {f.take(10)}, {FRAME_BYTES}"))
    _switch(f, back, returns, "stopped")


def _switch(f: Function, value: str, cases: dict[int, str], other: str) -> None:
    listed = " ".join(f"i64 {number}, label %{label}" for number, label in cases.items())
    f.text.do(f"switch i64 {value}, label %{other} [ {listed} ]")


# callx


def call_register(f: Function, site: Site, value: str) -> None:
    """Leave target and place to the blocks that find out what is called."""
    for cell, kept in zip(CELLS, (value, site.slot, site.unpaid), strict=True):
        f.text.do(f"store i64 {kept}, ptr {cell}")
    f.text.jump("callx")


def write_callx(f: Function, known: frozenset[int]) -> None:
    """Write those blocks: a helper is below 2**28, a slot in CODE; TARGET for all else. known: those here."""
    f.text.begin("callx")
    value, slot, unpaid = (f.text.new(f"load i64, ptr {cell}") for cell in CELLS)
    site = Site(slot, unpaid, "called")
    region = f.text.new(f"lshr i64 {value}, {REGION_SHIFT}")
    _switch(f, region, {Region.NULL: "number", Region.CODE: "code"}, "no_target")
    f.text.begin("no_target")
    f.stop(site, Fault.TARGET, value)
    f.text.begin("number")
    _call_number(f, site, value, known)
    f.text.begin("code")
    _call_slot(f, site, f.text.new(f"and i64 {value}, {OFFSET_MASK}"))
    f.text.begin("called")
    _switch(f, _next(f, site), _behind(f, "callx"), "stopped")


def _call_number(f: Function, site: Site, value: str, known: frozenset[int]) -> None:
    """Call a helper by its number; those that only the host has stop the record for it."""
    labels = {number: f"helper{number}" for number in sorted(known)}
    every = dict.fromkeys((helper.number for helper in HELPERS), "host")
    _switch(f, value, every | labels, "no_helper")
    for label, fault in (("no_helper", int(Fault.HELPER)), ("host", STOPPED + Stop.HELPER)):
        f.text.begin(label)
        f.stop(site, fault, value)
    for number, label in labels.items():
        f.text.begin(label)
        call_helper(f, site, number)


def _call_slot(f: Function, site: Site, target: str) -> None:
    slots = [step.slot for step in f.steps]
    _switch(f, target, dict.fromkeys(slots, "begun"), "no_target")
    f.text.begin("begun")
    call_local(f, site, target, "dispatch")
    f.text.begin("dispatch")
    _switch(f, target, {slot: f"s{slot}" for slot in slots}, "stopped")
