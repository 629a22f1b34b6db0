"""IR that is written by hand: `$` names stand for numbers of vm/layout.py, and for what an image adds to them."""

from __future__ import annotations

from packetfs.engines.ir.text import expand
from packetfs.typing import Final
from packetfs.vm.context import GOLDEN
from packetfs.vm.image import Image
from packetfs.vm.layout import (
    HEADROOM,
    OFFSET_MASK,
    RECORD_COPY_MAX,
    REGION_SHIFT,
    STACK_BYTES,
    ContextKind,
    Fault,
    Region,
    Stop,
)
from packetfs.vm.maps import INVALID
from packetfs.vm.memory import STACK_STEP
from packetfs.vm.microvm import BYTES_A_SLOT

STOPPED: Final = 256
"""Added to a Stop where a record ends although nothing is wrong: the host must run it, from its begin."""
CONTEXT_SIZES: Final = {ContextKind.PACKETFS: 64, ContextKind.XDP: 24, ContextKind.RAW: 0}
"""Bytes of the record context that a program can read."""

_CONSTANTS: Final[dict[str, int]] = {
    **{region.name: int(region) for region in Region},
    **{f"{region.name}_BEGIN": region << REGION_SHIFT for region in Region},
    **{f"FAULT_{fault.name}": int(fault) for fault in Fault},
    "OUTPUT": STOPPED + Stop.OUTPUT, "HOST": STOPPED + Stop.HELPER,
    "HEADROOM": HEADROOM, "OFFSET_MASK": OFFSET_MASK, "REGION_SHIFT": REGION_SHIFT, "STACK_BYTES": STACK_BYTES,
    "RECORD_COPY_MAX": RECORD_COPY_MAX, "STACK_STEP": STACK_STEP, "BYTES_A_SLOT": BYTES_A_SLOT,
    "RECORD_BEGIN": (Region.DATA << REGION_SHIFT) + HEADROOM, "INVALID": INVALID, "GOLDEN": GOLDEN,
}  # fmt: skip


def filled(written: str, number: int = 0, image: Image | None = None) -> str:
    """Return the IR. number: of the image in its module, `$N`, which ends the names of its functions."""
    values = _CONSTANTS | {"N": number} | (_sizes(image) if image else {})
    for name in sorted(values, key=len, reverse=True):
        written = written.replace(f"${name}", str(values[name]))
    return expand(written)


def _sizes(image: Image) -> dict[str, int]:
    return {
        "CTX_BYTES": CONTEXT_SIZES[image.context],
        "MAPS_BYTES": image.maps_bytes,
        "SHARED_BYTES": len(image.shared),
    }
