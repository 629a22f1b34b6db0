"""One case as text, in the form of bpf_conformance with `-- case`, `-- maps`, `-- fuel` and `-- output` added to it."""

from __future__ import annotations

from dataclasses import dataclass

M64 = (1 << 64) - 1
M32 = (1 << 32) - 1


@dataclass(frozen=True)
class Golden:
    """asm or raw (hex) is what runs. error: `refused at SLOT: WHY` or `fault NAME at SLOT`, else r0 is result."""

    name: str
    asm: str = ""
    result: int | None = None
    error: str = ""
    raw: str = ""
    mem: bytes = b""
    maps: str = ""
    fuel: int = 0
    output: bytes = b""

    def text(self) -> str:
        parts = [f"-- case {self.name}", "-- raw" if self.raw else "-- asm", self.raw or lines(self.asm)]
        for name, value in (
            ("maps", self.maps),
            ("mem", self.mem.hex(" ")),
            ("fuel", str(self.fuel) if self.fuel else ""),
            ("output", self.output.hex(" ")),
            ("error", self.error),
        ):
            parts += [f"-- {name}", value] if value else []
        return "\n".join(parts + ([] if self.result is None else ["-- result", f"{self.result:#x}"])) + "\n"


def lines(asm: str) -> str:
    """Return assembler with one instruction a line; `;` parts them in the lists."""
    return "\n".join(part.strip() for part in asm.replace("\n", ";").split(";") if part.strip())


def signed(value: int, bits: int) -> int:
    """Return the low bits of a value as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def extended(imm: int) -> int:
    """Return an immediate as 64-bit operations see it."""
    return imm & M64
