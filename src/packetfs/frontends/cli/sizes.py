"""Sizes: what people type (64K, 4MiB) to bytes, and bytes and counts to what people read (SI units)."""

from __future__ import annotations

from packetfs.errors import UsageError
from packetfs.typing import Final

_FORM: Final = r"([0-9]{1,20})(?:\.([0-9]{1,9}))?\s*([KMGTPE]?)(i?)(B?)"
_POWERS: Final = "KMGTPE"
SIZE_MAX: Final = (1 << 63) - 1
"""Bytes: what a file offset can say."""
RATE_MIN: Final = 1024
"""Bytes a second below which a connection would seem dead to its other side."""


def parse_size(text: str) -> int:
    """Return bytes: K, M, ... and KiB, MiB, ... are powers of 1024 (as in rsync and dd), KB, MB, ... of 1000."""
    import re  # few command lines name a size

    match = re.fullmatch(_FORM, text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(reason=f"{text!r} is not a size; write for example 4096, 64K, 4MiB or 1.5GB")
    whole, part, letter, binary, byte = match.groups(default="")
    power = _POWERS.index(letter.upper()) + 1 if letter else 0
    size: int = int(whole + part) * (1000 if byte and not binary else 1024) ** power // 10 ** len(part)
    if size > SIZE_MAX:
        raise UsageError(reason=f"{text!r} is more than a file can hold")
    return size


def parse_rate(text: str) -> int:
    """Return bytes a second, at least RATE_MIN."""
    rate = parse_size(text)
    if rate < RATE_MIN:
        raise UsageError(reason=f"{text!r} a second is too little; at least {RATE_MIN} bytes have to pass")
    return rate


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, which gets an s unless there is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_size(size: int) -> str:
    """Return a size in SI units, three digits: 999 B, 1.23 kB, 45.6 MB, 789 GB."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB", "EB"):
        if abs(value) < 999.5 or unit == "EB":
            break
        value /= 1000
    return f"{size} B" if unit == "B" else f"{_three_digits(value)} {unit}"


def _three_digits(value: float) -> str:
    if abs(value) < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"
