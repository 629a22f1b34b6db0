"""The text of helper 6: the formats that Linux's bpf_trace_printk takes, with the program's own memory for %s."""

from __future__ import annotations

import re

from packetfs.typing import Final
from packetfs.vm.layout import REGION_SHIFT, Fault, Region
from packetfs.vm.memory import Trap
from packetfs.vm.microvm import MicroVM

FORMAT_MAX: Final = 512
"""Bytes of a format, and of a string that %s shows."""
ARGUMENTS: Final = 3
_PART: Final = re.compile(rb"%(?P<flags>[-0#+ ]*)(?P<width>\d{0,3})(?P<long>l{0,2}|h{0,2})(?P<letter>[diuxXpcs%])")


def formatted(vm: MicroVM) -> str | None:
    """Return the line; None where r1 and r2 are no format that can be shown. Trap ADDRESS for unreadable memory."""
    size = vm.registers[2]
    if not 1 <= size <= FORMAT_MAX:
        return None
    address = vm.registers[1]
    if address >> REGION_SHIFT == Region.CTX:
        raise Trap(Fault.ADDRESS, address)
    text = bytes(vm.memory.read(address, size)).split(b"\0")[0].rstrip(b"\n")
    return _fill(vm, text)


def _fill(vm: MicroVM, text: bytes) -> str | None:
    shown, at, arguments = "", 0, iter(vm.registers[3 : 3 + ARGUMENTS])
    while (percent := text.find(b"%", at)) >= 0:
        part = _PART.match(text, percent)
        if part is None:
            return None
        shown += _text(text[at:percent])
        at = part.end()
        if part["letter"] == b"%":
            shown += "%"
            continue
        value = next(arguments, None)
        if value is None:
            return None
        shown += _shown(vm, part, value)
    return shown + _text(text[at:])


def _shown(vm: MicroVM, part: re.Match[bytes], value: int) -> str:
    letter, flags, width = part["letter"].decode(), part["flags"].decode(), int(part["width"] or b"0")
    bits = 64 if part["long"].startswith(b"l") or letter == "p" else 32
    value &= (1 << bits if letter != "s" else 1 << 64) - 1
    if letter == "s":
        body = _string(vm, value)
    elif letter == "c":
        body = _text(bytes([value & 0xFF]))
    elif letter in "di":
        body = str(value - (1 << bits) if value >> bits - 1 else value)
    elif letter == "p":
        body = f"{value:#x}"
    else:
        body = {"u": f"{value}", "x": f"{value:x}", "X": f"{value:X}"}[letter]
        body = f"0{letter}{body}" if "#" in flags and letter in "xX" else body
    if "-" in flags:
        return body.ljust(width)
    return body.rjust(width, "0") if "0" in flags and letter not in "sc" else body.rjust(width)


def _string(vm: MicroVM, address: int) -> str:
    """Read up to a NUL; what cannot be read is shown as Linux shows it."""
    out = bytearray()
    while len(out) < FORMAT_MAX:
        try:
            if address >> REGION_SHIFT == Region.CTX:
                return "(fault)"
            byte = bytes(vm.memory.read(address + len(out), 1))
        except Trap:
            return "(fault)"
        if byte == b"\0":
            break
        out += byte
    return _text(bytes(out))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
