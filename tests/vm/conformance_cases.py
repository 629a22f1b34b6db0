"""The conformance cases of tests/vm/conformance, for every engine that there is.

The files are data in the form of bpf_conformance, several cases in one. A section begins with `-- `: case NAME, asm or
raw (hex), mem (hex), maps (`TYPE key N value N entries N`, one a line or parted by `;`), fuel, output (hex, what was
emitted), and what must come of it: result (r0) or error, `refused at SLOT: WHY` or `fault NAME at SLOT`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packetfs.vm.assembly import assemble
from packetfs.vm.layout import ContextKind, Fault, MapType
from packetfs.vm.program import MapDefinition, Program

FOLDER = Path(__file__).parent / "conformance"
_MAP = re.compile(r"(\w+) key (\d+) value (\d+) entries (\d+)")
_ERROR = re.compile(r"(?:refused at (?P<refused>\d+): (?P<why>.+)|fault (?P<fault>\w+) at (?P<at>\d+))")


@dataclass(frozen=True, slots=True)
class Case:
    """A program, its memory and what must come of it: `result` and `output`; or a fault at `slot`; or, with `refused`,
    IllegalInstruction that names `slot` and says `refused`."""

    file: str
    name: str
    code: bytes
    memory: bytes = b""
    maps: tuple[MapDefinition, ...] = ()
    fuel: int = 1 << 20
    output: bytes = b""
    result: int = 0
    fault: Fault = Fault.NONE
    slot: int = 0
    refused: str = ""

    def program(self) -> Program:
        return Program(self.code, self.maps, ContextKind.RAW)


@dataclass(slots=True)
class _Sections:
    name: str
    parts: dict[str, list[str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return "\n".join(self.parts.get(name, ()))


def case_files() -> list[Path]:
    return sorted(FOLDER.glob("*.txt"))


def cases() -> Iterator[Case]:
    """Yield every case of every file."""
    for path in case_files():
        yield from read_cases(path)


def read_cases(path: Path) -> Iterator[Case]:
    """Yield the cases of one file."""
    found: list[_Sections] = []
    current: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("-- case "):
            found.append(_Sections(line.removeprefix("-- case ")))
        elif line.startswith("-- "):
            current = found[-1].parts.setdefault(line.removeprefix("-- "), [])
        elif line:
            current.append(line)
    for sections in found:
        yield _case(path.stem, sections)


def _case(file: str, sections: _Sections) -> Case:
    unknown = sections.parts.keys() - {"asm", "raw", "mem", "maps", "fuel", "output", "result", "error"}
    assert not unknown, (file, sections.name, unknown)
    assert len(sections.parts.keys() & {"result", "error"}) == 1, (file, sections.name)
    raw = sections.text("raw")
    error = _ERROR.fullmatch(sections.text("error"))
    assert error or "result" in sections.parts, (file, sections.name)
    return Case(
        file,
        sections.name,
        bytes.fromhex(raw) if raw else assemble(sections.text("asm")),
        bytes.fromhex(sections.text("mem")),
        tuple(_map(i, line) for i, line in enumerate(re.split("[;\n]", sections.text("maps"))) if line.strip()),
        int(sections.text("fuel") or 1 << 20),
        bytes.fromhex(sections.text("output")),
        int(sections.text("result") or "0", 16),
        Fault[error["fault"]] if error and error["fault"] else Fault.NONE,
        int(error["at"] or error["refused"]) if error else 0,
        (error["why"] or "") if error else "",
    )


def _map(index: int, line: str) -> MapDefinition:
    match = _MAP.fullmatch(line.strip())
    assert match, line
    return MapDefinition(b"map%d" % index, MapType[match[1]], int(match[2]), int(match[3]), int(match[4]))
