"""From an object to a program: the chosen function, what it calls, and the maps that these use, all addresses known.

Functions are laid one after the other, the chosen one first, each called one once; calls and addresses between them are
rewritten, whatever sections they come from. A reference to a map becomes its index, one to data the index of its
section's map and the place in it. Relocation types are those of LLVM's eBPF backend.
"""

from __future__ import annotations

from collections import deque

from packetfs.dataclass import dataclass, field, replace
from packetfs.errors import BadObject, IllegalInstruction, UnknownProgram
from packetfs.limits import CODE_SLOTS_MAX, PROGRAM_MAPS_MAX
from packetfs.toolchain.c_arguments import with_arguments
from packetfs.toolchain.declarations import Declarations, is_data, is_maps
from packetfs.toolchain.elf import EXECUTABLE, UNDEFINED, Object, Relocation, Section, SectionType, Symbol, SymbolType
from packetfs.typing import Final, Iterator
from packetfs.vm.assembly import pad
from packetfs.vm.check import check
from packetfs.vm.instruction import SLOT, Instruction, encode, iterate_rows
from packetfs.vm.isa import LDDW
from packetfs.vm.layout import HELPERS, ContextKind
from packetfs.vm.program import MapDefinition, Program

TO_64: Final = 1
TO_CALL: Final = 10
"""R_BPF_64_64 (lddw) and R_BPF_64_32 (call); the others change debug information only."""
_CALL: Final = 0x85
_LOCAL: Final = 1
_FUNCTION: Final = 4
_MAP: Final = 5
_VALUE: Final = 6
"""What src of call and lddw says: a local call, the address of a function, a map, a place in a map's only value."""
_HELPERS: Final = {helper.name: helper.number for helper in HELPERS}
_NUMBERS: Final = frozenset(_HELPERS.values())
_ELSEWHERE: Final = (
    "action", "cgroup", "classifier", "fentry", "fexit", "flow_dissector", "fmod_ret", "freplace", "iter", "kprobe",
    "kretprobe", "ksyscall", "lirc", "lsm", "lwt", "netfilter", "netkit", "perf_event", "raw_tp", "raw_tracepoint",
    "sk_", "sockops", "socket", "struct_ops", "syscall", "tc", "tcx", "tp", "tracepoint", "uprobe", "uretprobe", "usdt",
)  # fmt: skip
"""Sections of programs that Linux hands something else than a record: what they would read is not there."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of an object: slots [start, stop) of a section."""

    name: str
    section: Section
    start: int
    stop: int

    @property
    def context(self) -> ContextKind | None:
        """What it expects in r1; None where microVMs have no such thing."""
        kind = self.section.name.lstrip("?").lower()
        if kind.startswith("xdp"):
            return ContextKind.XDP
        return None if kind.startswith(_ELSEWHERE) else ContextKind.PACKETFS


@dataclass(frozen=True, slots=True)
class _MapUse:
    """An lddw that names a map (`place` None) or a byte of a section of data."""

    section: Section
    offset: int
    place: int | None = None


@dataclass(slots=True)
class _Placed:
    """A function that is in the program: where, and what its instructions refer to, by slot within it."""

    function: Function
    at: int
    instructions: list[tuple[int, Instruction]] = field(default_factory=list)
    calls: dict[int, Function] = field(default_factory=dict)
    maps: dict[int, _MapUse] = field(default_factory=dict)


def link(object: Object, function: str | None = None) -> Program:  # noqa: A002 (it is one)
    """Return the program that begins with `function`, or with the only one; BadObject says what stands against it."""
    functions = tuple(_functions(object))
    chosen = _choose(object, functions, function)
    context = chosen.context
    if context is None:
        reason = f'{chosen.name} is of section {chosen.section.name}; records go to SEC("xdp") or SEC("packetfs")'
        raise BadObject(file=object.file, reason=reason)
    return with_arguments(_Linker(object, functions).link(chosen, context), object)


def programs(object: Object) -> tuple[Function, ...]:  # noqa: A002 (it is one)
    """Return the functions that can be run on records, in the order of the object."""
    functions = tuple(_functions(object))
    named = [f for f in functions if f.section.name != ".text" and f.context is not None]
    hidden = {symbol.name for symbol in object.symbols if symbol.type == SymbolType.FUNC and not symbol.is_global}
    return tuple(named or (f for f in functions if f.section.name == ".text" and f.name not in hidden))


def _functions(object: Object) -> Iterator[Function]:  # noqa: A002 (it is one)
    """Yield every function; one without a size reaches to the next, a section without symbols is one."""
    by_section: dict[int, list[Symbol]] = {}
    for symbol in object.symbols:
        if symbol.type == SymbolType.FUNC:
            by_section.setdefault(symbol.section, []).append(symbol)
    for section in object.sections:
        if section.type != SectionType.PROGBITS or not section.flags & EXECUTABLE or not section.data:
            continue
        if section.size % SLOT:
            raise BadObject(file=object.file, reason=f"section {section.name} has {section.size} bytes of code")
        symbols = by_section.get(section.index, ())
        rows = sorted({(s.value, s.size, s.name) for s in symbols}) or [(0, section.size, section.name)]
        for (value, size, name), following in zip(rows, [*rows[1:], (section.size, 0, "")], strict=True):
            stop = value + size if size else following[0]
            if value % SLOT or stop % SLOT or not value < stop <= section.size:
                raise BadObject(file=object.file, reason=f"section {section.name}: {name} has no bounds that fit")
            yield Function(name, section, value // SLOT, stop // SLOT)


def _choose(object: Object, functions: tuple[Function, ...], name: str | None) -> Function:  # noqa: A002 (it is one)
    runnable = programs(object)
    if name is None and len(runnable) == 1:
        return runnable[0]
    found = [function for function in functions if function.name == name]
    if len(found) == 1:
        return found[0]
    names = ", ".join(function.name for function in runnable)
    if name is not None and not found:
        raise UnknownProgram(name=f"{object.file}:{name}", reason=f"the file has {names or 'no program for records'}")
    if name is not None:
        raise BadObject(file=object.file, reason=f"there are {len(found)} functions {name}; it has {names}")
    if not runnable:
        others = ", ".join(sorted({function.section.name for function in functions})) or "none"
        raise BadObject(file=object.file, reason=f"no program for records is in it (sections of code: {others})")
    raise BadObject(file=object.file, reason=f"it has {len(runnable)} programs; name one as FILE:NAME: {names}")


class _Linker:
    """One program in the making."""

    def __init__(self, object: Object, functions: tuple[Function, ...]) -> None:  # noqa: A002 (it is one)
        self._object = object
        self._starts = {(function.section.index, function.start): function for function in functions}
        self._placed: dict[Function, _Placed] = {}
        self._declared = Declarations(object)
        self._relocations = {
            index: {relocation.offset: relocation for relocation in rows}
            for index, rows in object.relocations.items()
            if object.sections[index].flags & EXECUTABLE
        }

    def link(self, entry: Function, context: ContextKind) -> Program:
        self._place(entry)
        indices, maps = self._maps()
        code = b"".join(self._emit(placed, indices) for placed in self._placed.values())
        try:
            padded, at = pad(code, 0)
            check(padded, len(maps), entry=at)
        except IllegalInstruction as error:
            raise BadObject(file=self._object.file, reason=f"{entry.name}: {error}") from None
        return Program(padded, maps, context, at)

    def _place(self, entry: Function) -> None:
        """Lay out the entry and, in the order of their first calls, all that it reaches."""
        rest, end = deque((entry,)), 0
        while rest:
            function = rest.popleft()
            if function in self._placed:
                continue
            placed = self._placed[function] = _Placed(function, end)
            end += function.stop - function.start
            if end > CODE_SLOTS_MAX:
                raise self._bad(function, 0, f"with it the program has more than {CODE_SLOTS_MAX} slots")
            self._scan(placed)
            rest += placed.calls.values()

    def _scan(self, placed: _Placed) -> None:
        """Read a function's instructions and find what each refers to."""
        function, slot = placed.function, 0
        code = function.section.data[function.start * SLOT : function.stop * SLOT]
        relocations = self._relocations.get(function.section.index, {})
        try:
            for slot, instruction, row in iterate_rows(code):
                relocation = relocations.get((function.start + slot) * SLOT)
                target = slot + 1 + getattr(instruction, row.targets) if row.targets else 0
                if relocation is not None:
                    instruction = self._relocate(placed, slot, instruction, relocation)
                elif instruction.opcode == _CALL and instruction.src == _LOCAL:
                    placed.calls[slot] = self._at(function, slot, function.section, function.start + target)
                elif row.targets and not 0 <= target < function.stop - function.start:
                    raise self._bad(function, slot, "it jumps out of its function")
                self._check_call(function, slot, instruction)
                placed.instructions.append((slot, instruction))
        except IllegalInstruction as error:
            raise self._bad(function, int(str(error.fields["slot"])), str(error.fields["reason"])) from None

    def _check_call(self, function: Function, slot: int, instruction: Instruction) -> None:
        if instruction.opcode == _CALL and not instruction.src and instruction.imm not in _NUMBERS:
            raise self._bad(function, slot, f"it calls helper {instruction.imm}, which microVMs lack")

    def _relocate(self, placed: _Placed, slot: int, instruction: Instruction, relocation: Relocation) -> Instruction:
        """Note what a relocated instruction refers to; return it as it is but for calls of helpers by name."""
        function, symbol = placed.function, relocation.symbol
        if symbol.section == UNDEFINED:
            return self._undefined(function, slot, instruction, symbol.name)
        if symbol.section >= len(self._object.sections):
            raise self._bad(function, slot, f"{symbol.name} is in no section")
        section = self._object.sections[symbol.section]
        if relocation.type == TO_CALL and instruction.opcode == _CALL:
            place = symbol.value + (instruction.imm + 1) * SLOT
            placed.calls[slot] = self._at(function, slot, section, place // SLOT)
        elif relocation.type != TO_64 or instruction.opcode != LDDW:
            raise self._bad(function, slot, f"a relocation of type {relocation.type} by {symbol.name}")
        elif section.flags & EXECUTABLE:
            place = symbol.value + instruction.imm
            placed.calls[slot] = self._at(function, slot, section, place // SLOT)
        else:
            placed.maps[slot] = self._use(function, slot, section, symbol.value + instruction.imm)
        return instruction

    def _undefined(self, function: Function, slot: int, instruction: Instruction, name: str) -> Instruction:
        number = _HELPERS.get(name.removeprefix("bpf_"))
        if instruction.opcode != _CALL or number is None:
            raise self._bad(function, slot, f"{name or 'what it refers to'} is not defined")
        return replace(instruction, src=0, imm=number)

    def _use(self, function: Function, slot: int, section: Section, offset: int) -> _MapUse:
        if is_maps(section):
            return _MapUse(section, offset)
        if not is_data(section):
            raise self._bad(function, slot, f"it refers to section {section.name}, which programs cannot read")
        if not 0 <= offset <= section.size:
            raise self._bad(function, slot, f"it refers to byte {offset} of section {section.name}")
        return _MapUse(section, 0, offset)

    def _at(self, function: Function, slot: int, section: Section, target: int) -> Function:
        found = self._starts.get((section.index, target))
        if found is None:
            raise self._bad(function, slot, f"no function begins at slot {target} of section {section.name}")
        return found

    def _maps(self) -> tuple[dict[tuple[int, int], int], tuple[MapDefinition, ...]]:
        """Return the index of each map that is used, by section and offset, and the maps in the object's order."""
        used = {(use.section.index, use.offset) for placed in self._placed.values() for use in placed.maps.values()}
        if len(used) > PROGRAM_MAPS_MAX:
            raise BadObject(file=self._object.file, reason=f"the program uses more than {PROGRAM_MAPS_MAX} maps")
        order = sorted(used)
        return {key: index for index, key in enumerate(order)}, tuple(self._define(*key) for key in order)

    def _define(self, index: int, offset: int) -> MapDefinition:
        section = self._object.sections[index]
        if is_data(section):
            return self._declared.data(section)
        return self._declared.map(section, self._declared.find(section, offset))

    def _emit(self, placed: _Placed, indices: dict[tuple[int, int], int]) -> bytes:
        return b"".join(encode(self._final(placed, slot, i, indices)) for slot, i in placed.instructions)

    def _final(
        self, placed: _Placed, slot: int, instruction: Instruction, indices: dict[tuple[int, int], int]
    ) -> Instruction:
        use, callee = placed.maps.get(slot), placed.calls.get(slot)
        if use is not None:
            index = indices[use.section.index, use.offset]
            source = _MAP if use.place is None else _VALUE
            return replace(instruction, src=source, imm=index, next_imm=use.place or 0)
        if callee is not None:
            source = _LOCAL if instruction.opcode == _CALL else _FUNCTION
            distance = self._placed[callee].at - placed.at - slot - 1
            return replace(instruction, src=source, imm=distance, next_imm=0)
        return instruction

    def _bad(self, function: Function, slot: int, reason: str) -> BadObject:
        where = f"section {function.section.name}, {function.name}, slot {slot}"
        return BadObject(file=self._object.file, reason=f"{where}: {reason}")
