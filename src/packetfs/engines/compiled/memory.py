"""Loads, stores, atomics: the check that a kind suggests, the access, and the long way for what the check refuses."""

from __future__ import annotations

from packetfs.engines.compiled.frame import LOAD, STORE, WRITABLE, Frame
from packetfs.engines.compiled.kinds import Kind
from packetfs.engines.lowering.graph import Step
from packetfs.typing import Callable, Final
from packetfs.vm.layout import HEADROOM, REGION_SHIFT, STACK_BYTES, ContextKind, Region

_DATA: Final = Region.DATA << REGION_SHIFT | HEADROOM
_STACK: Final = Region.STACK << REGION_SHIFT
_UNKNOWN: Final = "-1"


class Memory:
    """Appends accesses of one record. `address`: a 64-bit value; `cost`: slots of the run before a step; `exact`: an
    offset of a kind is more than a guess."""

    def __init__(self, frame: Frame, *, exact: bool) -> None:
        self._exact = exact
        self._frame = frame
        self._text = frame.text
        self._scratch = frame.text.cell("i64", "scratch")

    # loads

    def load(self, step: Step, kind: Kind, address: str, size: int, cost: int) -> str:
        """Return `size` bytes as an unsigned 64-bit value."""
        if kind.region is Region.CTX and kind.offset is not None:
            return self._load_field(step, kind.offset + step.instruction.offset, address, size, cost)
        return self.load_plain(step, kind, address, size, cost)

    def load_plain(self, step: Step, kind: Kind, address: str, size: int, cost: int) -> str:
        """Do the same without a look at the record context; a step that has no offset of its own may ask too."""
        text, frame = self._text, self._frame
        known = self._known(step, kind, size, store=False)
        if known is not None:
            return frame.arithmetic.extend(text.new(f"load i{8 * size}, ptr {known}, align 1"), 8 * size)
        made, fast, slow, on = text.cell("i64", "loaded"), text.name("fast"), text.name("slow"), text.name("on")
        pointer = self._check(kind, address, size, fast, slow, store=False)
        word = text.new(f"load i{8 * size}, ptr {pointer}, align 1")
        frame.set(made, frame.arithmetic.extend(word, 8 * size))
        text.jump(on)
        text.begin(slow)
        frame.set(made, self._load_slowly(step, address, size, cost))
        text.jump(on)
        text.begin(on)
        return frame.get(made)

    def _load_slowly(self, step: Step, address: str, size: int, cost: int) -> str:
        frame = self._frame
        frame.enter()
        stop = frame.service(LOAD, "i32", f"ptr %vm, i64 {address}, i32 {size}, ptr {self._scratch}")
        self._unless_stopped(stop, step, cost)
        return frame.get(self._scratch)

    def _unless_stopped(self, stop: str, step: Step, cost: int) -> None:
        stopped = self._text.new(f"icmp ne i32 {stop}, 0")
        self._text.unless(stopped, self._frame.rare(step.slot, cost))

    def _load_field(self, step: Step, offset: int, address: str, size: int, cost: int) -> str:
        """Read the record context without its bytes: what they would be is known."""
        text, frame = self._text, self._frame
        value = self._field(offset, size, step, cost)
        if value is None:
            return self._load_slowly(step, address, size, cost)
        other = text.new(f"icmp ne i64 {address}, {(Region.CTX << REGION_SHIFT) + offset}")
        text.unless(other, frame.rare(step.slot, cost))
        frame.set(frame.read, text.new(f"or i64 {frame.get(frame.read)}, {_signed(((1 << size) - 1) << offset)}"))
        return value

    def _field(self, offset: int, size: int, step: Step, cost: int) -> str | None:
        text, frame = self._text, self._frame
        xdp = frame.image.context is ContextKind.XDP
        if size != (4 if xdp else 8) or frame.image.context is ContextKind.RAW:
            return None
        if offset in ((0, 8) if xdp else (0, 16)):
            return str(_DATA)
        if offset == size:
            return text.new(f"add i64 {frame.length}, {_DATA}")
        if xdp:
            return None
        if offset == 24:
            base = frame.fields.load("%vm", "record_base")
            text.unless(text.new(f"icmp eq i64 {base}, {_UNKNOWN}"), frame.rare(step.slot, cost))
            return text.new(f"add i64 {base}, {frame.get(frame.number)}")
        return frame.get(frame.start) if offset == 32 else None

    # stores

    def store(self, step: Step, kind: Kind, address: str, value: str, size: int, cost: int) -> None:
        """Store the low `size` bytes of a 64-bit value."""
        text, frame = self._text, self._frame
        known = self._known(step, kind, size, store=True)
        if known is not None:
            text.do(f"store i{8 * size} {frame.arithmetic.cut(value, 8 * size)}, ptr {known}, align 1")
            return
        fast, slow, on = text.name("fast"), text.name("slow"), text.name("on")
        pointer = self._check(kind, address, size, fast, slow, store=True)
        text.do(f"store i{8 * size} {frame.arithmetic.cut(value, 8 * size)}, ptr {pointer}, align 1")
        text.jump(on)
        text.begin(slow)
        frame.enter()
        stop = frame.service(STORE, "i32", f"ptr %vm, i64 {address}, i32 {size}, i64 {value}")
        self._unless_stopped(stop, step, cost)
        frame.look_again()
        text.jump(on)
        text.begin(on)

    def exchange(self, step: Step, kind: Kind, address: str, change: Callable[[str], str], size: int, cost: int) -> str:
        """Replace bytes by what `change` makes of them; return what was there. All are unsigned 64-bit values."""
        text, frame, bits = self._text, self._frame, 8 * size
        place, fast, slow, on = text.cell("ptr", "place"), text.name("fast"), text.name("slow"), text.name("on")
        frame.set(place, self._check(kind, address, size, fast, slow, store=True), "ptr")
        text.jump(on)
        text.begin(slow)
        frame.enter()
        pointer = text.cell("ptr", "writable")
        stop = frame.service(WRITABLE, "i32", f"ptr %vm, i64 {address}, i64 {size}, ptr {pointer}")
        self._unless_stopped(stop, step, cost)
        frame.look_again()
        frame.set(place, frame.get(pointer, "ptr"), "ptr")
        text.jump(on)
        text.begin(on)
        at = frame.get(place, "ptr")
        old = frame.arithmetic.extend(text.new(f"load i{bits}, ptr {at}, align 1"), bits)
        text.do(f"store i{bits} {frame.arithmetic.cut(change(old), bits)}, ptr {at}, align 1")
        return old

    # checks

    def _known(self, step: Step, kind: Kind, size: int, *, store: bool) -> str | None:
        """Return the place of an access that is known to be inside, and needs no check."""
        if not self._exact or kind.offset is None:
            return None
        text, frame, at = self._text, self._frame, kind.offset + step.instruction.offset
        if kind.region is Region.STACK and 0 <= at <= STACK_BYTES - size:
            if store:
                self._use_stack(str(at))
            return frame.fields.at("%vm", "stack", at)
        record = at - HEADROOM
        if (
            kind.region is Region.DATA
            and not store
            and frame.length.isdigit()
            and 0 <= record <= int(frame.length) - size
        ):
            return text.new(f"getelementptr i8, ptr {frame.get(frame.host, 'ptr')}, i64 {record}")
        return None

    def _check(self, kind: Kind, address: str, size: int, fast: str, slow: str, *, store: bool) -> str:
        """Go to `fast` where all bytes of the access are inside, else to `slow`; go on in `fast`, return the place."""
        text = self._text
        guess = self._guesses(store=store).get(kind.region)
        if guess is None:
            return self._look_up(address, size, fast, slow, store=store)
        base, host, room = guess
        at = text.new(f"sub i64 {address}, {base}")
        inside = text.new(f"icmp ult i64 {at}, {room(size)}") if self._frame.safety.checks else "true"
        text.branch(inside, fast, slow)
        text.begin(fast)
        if store and kind.region is Region.STACK:
            self._use_stack(at)
        return text.new(f"getelementptr i8, ptr {host()}, i64 {at}")

    def _guesses(self, *, store: bool) -> dict[Region | None, tuple[int, Callable[[], str], Callable[[int], str]]]:
        """Return, by region, its base, where it lies, and at how many places an access of a size fits."""
        frame = self._frame
        stack = (_STACK, lambda: frame.fields.at("%vm", "stack"), lambda size: str(STACK_BYTES - size + 1))
        maps = (
            Region.MAPS << REGION_SHIFT,
            lambda: self._range_host(Region.MAPS),
            lambda size: str(max(0, frame.image.maps_bytes - size + 1)),
        )
        shared = (
            Region.SHARED << REGION_SHIFT,
            lambda: self._range_host(Region.SHARED),
            lambda size: str(max(0, len(frame.image.shared) - size + 1)),
        )
        data = (_DATA, lambda: frame.get(frame.host, "ptr"), self._room_of_data)
        if store:
            return {Region.STACK: stack, Region.MAPS: maps}
        return {Region.STACK: stack, Region.MAPS: maps, Region.SHARED: shared, Region.DATA: data}

    def _room_of_data(self, size: int) -> str:
        length = self._frame.length
        if length.isdigit():
            return str(max(0, int(length) - size + 1))
        function = "@llvm.usub.sat.i64"
        return self._text.call(
            f"declare i64 {function}(i64, i64)", f"call i64 {function}(i64 {length}, i64 {size - 1})"
        )

    def _range_host(self, region: Region) -> str:
        fields = self._frame.fields
        more = region * fields.offset("range.bytes") + fields.offset("range.host")
        return fields.load("%vm", "loads", "ptr", more)

    def _look_up(self, address: str, size: int, fast: str, slow: str, *, store: bool) -> str:
        """Find the range of an address by its region, as the interpreter does; stores of no known kind are rare."""
        text, frame = self._text, self._frame
        if store:
            text.jump(slow)
            text.begin(fast)
            return "null"
        frame.enter()
        region = text.new(f"and i64 {text.new(f'lshr i64 {address}, {REGION_SHIFT}')}, 15")
        behind = text.new(f"mul i64 {region}, {frame.fields.offset('range.bytes')}")
        entry = text.new(f"getelementptr i8, ptr {frame.fields.at('%vm', 'loads')}, i64 {behind}")
        at = text.new(f"sub i64 {address}, {frame.fields.load(entry, 'range.first')}")
        places = frame.fields.load(entry, "range.room", "i32", 4 * (size.bit_length() - 1))
        fits = text.new(f"icmp ult i64 {at}, {text.new(f'zext i32 {places} to i64')}")
        text.branch(fits, fast, slow)
        text.begin(fast)
        return text.new(f"getelementptr i8, ptr {frame.fields.load(entry, 'range.host', 'ptr')}, i64 {at}")

    def _use_stack(self, at: str) -> None:
        text, frame = self._text, self._frame
        line = str(int(at) & -64) if at.isdigit() else text.new(f"and i64 {at}, -64")
        function = "@llvm.umin.i64"
        least = text.call(
            f"declare i64 {function}(i64, i64)", f"call i64 {function}(i64 {frame.get(frame.low)}, i64 {line})"
        )
        frame.set(frame.low, least)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
